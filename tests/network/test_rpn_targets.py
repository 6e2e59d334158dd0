"""RPN targets made in the graph: recorded answers, the NumPy twin, and sampling."""

import numpy as np
import pytest
from keras import ops

from mrcnn_plus.geometry.anchors import feature_shapes, generate_pyramid_anchors
from mrcnn_plus.geometry.boxes import box_refinement, compute_overlaps
from mrcnn_plus.network.anchors import PyramidAnchors
from mrcnn_plus.network.rpn_targets import RPNTargetLayer, match_anchors

pytestmark = pytest.mark.backend

SCALES, RATIOS, STRIDES = (16, 32, 64, 128, 256), [0.5, 1, 2], [4, 8, 16, 32, 64]


def anchors_of(height, width):
    shapes = feature_shapes((height, width, 3), STRIDES)
    return generate_pyramid_anchors(SCALES, RATIOS, shapes, STRIDES, 1)


@pytest.fixture
def recorded(golden):
    return {name: golden[f"rpn_targets/{name}"] for name in ("gt_boxes", "gt_class_ids", "crowd_class_ids")}


@pytest.mark.parametrize(("case", "ids"), [("plain", "gt_class_ids"), ("crowd", "crowd_class_ids")])
def test_labels_of_all_anchors_equal_the_recorded_answer(golden, recorded, case, ids):
    anchors = anchors_of(256, 256).astype("float32")
    matches = match_anchors(
        ops.convert_to_tensor(anchors[None]),
        ops.convert_to_tensor(recorded[ids][None]),
        ops.convert_to_tensor(recorded["gt_boxes"][None].astype("float32")),
    )
    positive, negative, best = (ops.convert_to_numpy(part)[0] for part in matches)
    labels, expected = positive.astype(int) - negative.astype(int), golden[f"rpn_targets/{case}/match"]
    # Three anchors tie with an object's best one; in the original, rounding of the 17th digit made them neutral.
    overlaps = compute_overlaps(anchors_of(256, 256), recorded["gt_boxes"][recorded[ids] > 0])
    ties = np.any(overlaps > overlaps.max(axis=0) - 1e-12, axis=1) & (expected == 0)
    assert ties.sum() == 3
    np.testing.assert_array_equal(labels[~ties], expected[~ties])
    assert np.all(labels[ties] == 1)
    chosen = positive & ~ties
    deltas = box_refinement(anchors[chosen], recorded["gt_boxes"][best[chosen]]) / [0.1, 0.1, 0.2, 0.2]
    np.testing.assert_allclose(deltas, golden[f"rpn_targets/{case}/bbox"], rtol=1e-3, atol=1e-4)


def test_samples_are_labelled_as_the_whole_set_and_within_quota(recorded):
    anchors = anchors_of(256, 256).astype("float32")
    boxes, ids = recorded["gt_boxes"].astype("float32"), recorded["gt_class_ids"]
    layer = RPNTargetLayer(16, seed=3)
    indices, labels, deltas = (ops.convert_to_numpy(part)[0] for part in layer([anchors[None], ids[None], boxes[None]]))
    matches = match_anchors(
        ops.convert_to_tensor(anchors[None]), ops.convert_to_tensor(ids[None]), ops.convert_to_tensor(boxes[None])
    )
    positive, negative, best = (ops.convert_to_numpy(part)[0] for part in matches)
    assert np.sum(labels == 1) == 8 and np.sum(labels == 0) == 8
    assert np.all(positive[indices[labels == 1]]) and np.all(negative[indices[labels == 0]])
    assert len(set(indices[labels >= 0])) == 16, "no anchor twice"
    chosen = indices[labels == 1]
    expected = box_refinement(anchors[chosen], boxes[best[chosen]]) / [0.1, 0.1, 0.2, 0.2]
    np.testing.assert_allclose(deltas[labels == 1], expected, rtol=1e-3, atol=1e-4)
    assert not np.any(deltas[labels != 1])


def test_another_draw_takes_other_anchors(recorded):
    anchors = anchors_of(256, 256).astype("float32")
    layer = RPNTargetLayer(16, seed=3)
    inputs = [anchors[None], recorded["gt_class_ids"][None], recorded["gt_boxes"][None].astype("float32")]
    first, second = (ops.convert_to_numpy(layer(inputs)[0]) for _ in range(2))
    assert not np.array_equal(first, second)


def test_an_image_without_objects_gives_negatives_only():
    anchors = anchors_of(128, 128).astype("float32")
    ids = np.array([[0, 0], [1, 0]], "int32")
    boxes = np.array([[[0, 0, 0, 0]] * 2, [[20, 20, 60, 70], [0, 0, 0, 0]]], "float32")
    _, labels, deltas = (ops.convert_to_numpy(part) for part in RPNTargetLayer(32, seed=0)([anchors[None], ids, boxes]))
    assert np.sum(labels[0] == 1) == 0 and np.sum(labels[0] == 0) == 32
    assert np.sum(labels[1] == 1) > 0
    assert np.all(np.isfinite(deltas))


def test_a_small_object_that_no_anchor_overlaps_well_still_has_its_best_anchor():
    anchors = anchors_of(128, 128).astype("float32")
    ids, boxes = np.array([[1]], "int32"), np.array([[[50, 50, 51, 51]]], "float32")
    matches = match_anchors(
        ops.convert_to_tensor(anchors[None]), ops.convert_to_tensor(ids), ops.convert_to_tensor(boxes)
    )
    assert ops.convert_to_numpy(matches.positive).sum() >= 1


@pytest.mark.parametrize("shape", [(128, 128), (192, 320), (64, 448)])
def test_anchors_in_the_graph_equal_those_in_numpy(shape):
    maps = [np.zeros((1, shape[0] // stride, shape[1] // stride, 1), "float32") for stride in STRIDES]
    anchors = PyramidAnchors(SCALES, RATIOS, STRIDES)(maps)
    np.testing.assert_allclose(ops.convert_to_numpy(anchors)[0], anchors_of(*shape), rtol=1e-5, atol=1e-4)
