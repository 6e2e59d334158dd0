"""Greedy NMS against a slow version that can be read off the paper."""

import numpy as np
import pytest
from keras import ops

from mrcnn_plus.geometry.boxes import compute_overlaps
from mrcnn_plus.network.nms import greedy_nms

pytestmark = pytest.mark.backend


def slow_nms(boxes, candidates, iou_threshold, max_selected, class_ids=None):
    overlaps = compute_overlaps(boxes, boxes)
    kept = []
    for index in np.flatnonzero(candidates):
        rivals = [k for k in kept if class_ids is None or class_ids[k] == class_ids[index]]
        if len(kept) < max_selected and all(overlaps[index, rival] <= iou_threshold for rival in rivals):
            kept.append(index)
    return kept


def crowded_boxes(batch, count, seed):
    rng = np.random.default_rng(seed)
    centers = rng.uniform(0, 1, (batch, count, 2))
    sizes = rng.uniform(0.05, 0.4, (batch, count, 2))
    return np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=2).astype("float32")


@pytest.mark.parametrize("iou_threshold", [0.1, 0.3, 0.7])
@pytest.mark.parametrize(("with_classes", "compiled"), [(False, True), (True, True), (False, False), (True, False)])
def test_selection_equals_the_slow_version_for_every_image(iou_threshold, with_classes, compiled):
    boxes = crowded_boxes(3, 80, seed=7)
    rng = np.random.default_rng(1)
    candidates = rng.uniform(size=(3, 80)) < 0.9
    class_ids = rng.integers(1, 4, (3, 80)).astype("int32") if with_classes else None
    selected, valid = greedy_nms(
        ops.convert_to_tensor(boxes),
        ops.convert_to_tensor(candidates),
        iou_threshold=iou_threshold,
        max_selected=40,
        class_ids=None if class_ids is None else ops.convert_to_tensor(class_ids),
        compiled=compiled,
    )
    selected, valid = ops.convert_to_numpy(selected), ops.convert_to_numpy(valid)
    for image in range(3):
        ids = class_ids[image] if with_classes else None
        expected = slow_nms(boxes[image], candidates[image], iou_threshold, 40, ids)
        assert list(selected[image][valid[image]]) == expected


@pytest.mark.parametrize("compiled", [True, False])
def test_no_candidate_selects_nothing(compiled):
    boxes = crowded_boxes(2, 10, seed=0)
    candidates = ops.zeros((2, 10), dtype="bool")
    selected, valid = greedy_nms(
        *(ops.convert_to_tensor(boxes), candidates), iou_threshold=0.5, max_selected=5, compiled=compiled
    )
    assert not np.any(ops.convert_to_numpy(valid))
    assert np.all(ops.convert_to_numpy(selected) == 0)


@pytest.mark.parametrize("compiled", [True, False])
def test_more_slots_than_boxes_leaves_the_rest_invalid(compiled):
    boxes = np.array([[[0, 0, 0.1, 0.1], [0.5, 0.5, 0.9, 0.9]]], "float32")
    candidates = ops.ones((1, 2), dtype="bool")
    selected, valid = greedy_nms(
        *(ops.convert_to_tensor(boxes), candidates), iou_threshold=0.5, max_selected=4, compiled=compiled
    )
    assert ops.convert_to_numpy(valid).tolist() == [[True, True, False, False]]
    assert ops.convert_to_numpy(selected).tolist() == [[0, 1, 0, 0]]
