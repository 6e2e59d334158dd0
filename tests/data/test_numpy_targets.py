"""RPN and detection targets in NumPy, against recorded numbers and slow obvious versions."""

import numpy as np
import pytest

from mrcnn_plus.data.numpy_targets import build_detection_targets, build_rpn_targets, generate_random_rois
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.anchors import feature_shapes, generate_pyramid_anchors
from mrcnn_plus.geometry.masks import minimize_mask

RPN_STD = np.array([0.1, 0.1, 0.2, 0.2])
STRIDES = [4, 8, 16, 32, 64]


@pytest.fixture(scope="module")
def anchors():
    shapes = feature_shapes((256, 256), STRIDES)
    return generate_pyramid_anchors((16, 32, 64, 128, 256), [0.5, 1, 2], shapes, STRIDES, 1)


def rpn_targets(anchors, class_ids, boxes, quota=100_000, rng=None):
    return build_rpn_targets(
        *((256, 256, 3), anchors, class_ids, boxes),
        rpn_train_anchors_per_image=quota,
        rpn_bbox_std_dev=RPN_STD,
        rng=rng,
    )


@pytest.mark.parametrize(("kind", "ids"), [("plain", "gt_class_ids"), ("crowd", "crowd_class_ids")])
def test_rpn_targets_are_the_recorded_ones(golden, anchors, kind, ids):
    match, bbox = rpn_targets(anchors, golden[f"rpn_targets/{ids}"], golden["rpn_targets/gt_boxes"])
    recorded = golden[f"rpn_targets/{kind}/match"]
    assert match.dtype == np.int32 and np.array_equal(match, recorded)
    positive = (recorded == 1).sum()
    np.testing.assert_allclose(bbox[:positive], golden[f"rpn_targets/{kind}/bbox"], rtol=1e-4, atol=1e-5)
    assert bbox.shape == (100_000, 4) and not bbox[positive:].any()


def iou_of_two(a, b):
    height = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    width = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return height * width / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - height * width)


def test_rpn_targets_agree_with_the_rule_read_aloud():
    rng = np.random.default_rng(0)
    boxes = np.array([[10, 10, 40, 50], [30, 60, 70, 90], [45, 20, 80, 40]])
    some_anchors = (np.repeat(boxes, 50, axis=0) + rng.integers(-12, 13, (150, 4))).astype(float)
    ious = [[iou_of_two(anchor, box) for box in boxes] for anchor in some_anchors]
    expected = []
    for of_anchor in ious:
        best_for_some_object = any(iou == max(row[n] for row in ious) for n, iou in enumerate(of_anchor))
        positive = max(of_anchor) >= 0.7 or best_for_some_object
        expected.append(1 if positive else -1 if max(of_anchor) < 0.3 else 0)
    match, _ = rpn_targets(some_anchors, np.array([1, 2, 1]), boxes, 1000)
    assert match.tolist() == expected
    best = [max(of_anchor) for of_anchor in ious]
    assert sum(0.7 <= iou < 0.8 for iou in best) > 3 and sum(0.3 <= iou < 0.4 for iou in best) > 3


@pytest.mark.parametrize("quota", [8, 64])
def test_the_quota_limits_positives_to_half_and_fills_up_with_negatives(golden, anchors, quota):
    ids, boxes = golden["rpn_targets/gt_class_ids"], golden["rpn_targets/gt_boxes"]
    every, _ = rpn_targets(anchors, ids, boxes)
    match, bbox = rpn_targets(anchors, ids, boxes, quota, np.random.default_rng(0))
    positive, negative = match == 1, match == -1
    assert positive.sum() == min(quota // 2, (every == 1).sum())
    assert positive.sum() + negative.sum() == quota
    assert (every[positive] == 1).all() and (every[negative] == -1).all()
    assert bbox.shape == (quota, 4) and (bbox[: positive.sum()] != 0).any(axis=1).all()
    again, _ = rpn_targets(anchors, ids, boxes, quota, np.random.default_rng(0))
    assert np.array_equal(match, again)


def test_without_an_object_all_anchors_are_negative_but_those_that_touch_a_crowd(anchors):
    match, bbox = rpn_targets(anchors, np.zeros([0], int), np.zeros([0, 4], int))
    assert (match == -1).all() and not bbox.any()
    match, _ = rpn_targets(anchors, np.array([-1]), np.array([[0, 0, 40, 40]]))
    inside = (anchors[:, 0] >= 0) & (anchors[:, 1] >= 0) & (anchors[:, 2] <= 40) & (anchors[:, 3] <= 40)
    beside = (anchors[:, 0] > 40) | (anchors[:, 1] > 40)
    assert (match[inside] == 0).all() and (match[beside] == -1).all()


def test_an_object_that_no_anchor_touches_makes_no_anchor_positive(anchors):
    match, _ = rpn_targets(anchors, np.array([1, 1]), np.array([[900, 900, 950, 950], [10, 10, 40, 40]]))
    alone, _ = rpn_targets(anchors, np.array([1]), np.array([[10, 10, 40, 40]]))
    assert np.array_equal(match, alone)


def test_padded_rows_of_class_0_are_not_objects(anchors):
    boxes = np.array([[10, 10, 40, 40], [0, 0, 0, 0]])
    padded, _ = rpn_targets(anchors, np.array([1, 0]), boxes)
    alone, _ = rpn_targets(anchors, np.array([1]), boxes[:1])
    assert np.array_equal(padded, alone)


def two_objects():
    boxes = np.array([[10, 10, 40, 50], [60, 50, 90, 90]], np.int32)
    masks = np.zeros((100, 100, 2), bool)
    masks[10:40, 10:30, 0] = True  # the left half of its box
    masks[60:90, 50:90, 1] = True
    return np.array([2, 1], np.int32), boxes, masks


def detection_targets(rois, class_ids, boxes, masks, count=10, mini_masks=False):
    return build_detection_targets(
        *(rois, class_ids, boxes, masks),
        train_rois_per_image=count,
        roi_positive_ratio=0.33,
        num_classes=4,
        bbox_std_dev=RPN_STD,
        mask_shape=(28, 28),
        mini_masks=mini_masks,
    )


@pytest.mark.parametrize("mini_masks", [False, True])
def test_detection_targets_of_a_scene_drawn_by_hand(mini_masks):
    class_ids, boxes, masks = two_objects()
    given = minimize_mask(np.array([[10, 10, 40, 30], [60, 50, 90, 90]]), masks, (28, 28)) if mini_masks else masks
    if mini_masks:
        boxes[0] = [10, 10, 40, 30]
    rois = np.concatenate([[boxes[0]], [boxes[1] + [0, 0, 0, -8]], [[0, 60, 20, 99]], [[95, 0, 99, 9]]])
    kept, ids, deltas, targets = detection_targets(rois, class_ids, boxes, given, mini_masks=mini_masks)
    assert kept.shape == (10, 4) and ids.shape == (10,)
    assert ids[:2].tolist() == [2, 1] and not ids[2:].any(), "positive ROIs come first, negative ones are repeated"
    assert np.array_equal(kept[:2], rois[:2])
    assert {tuple(roi) for roi in kept[2:]} == {tuple(roi) for roi in rois[2:]}
    np.testing.assert_allclose(deltas[0, 2], 0, atol=1e-6)
    np.testing.assert_allclose(deltas[1, 1], [0, (70 - 66) / 32 / 0.1, 0, np.log(40 / 32) / 0.2], rtol=1e-5)
    assert np.count_nonzero(deltas[:, [0, 3]]) == 0 and not deltas[2:].any()
    assert targets.shape == (10, 28, 28, 4) and not targets[2:].any()
    assert targets[1, ..., 1].mean() > 0.9
    expected_share = 1.0 if mini_masks else 0.5
    assert targets[0, ..., 2].mean() == pytest.approx(expected_share, abs=0.1)
    assert not targets[:, ..., [0, 3]].any()


def test_positive_rois_are_at_most_their_share():
    class_ids, boxes, masks = two_objects()
    rois = np.repeat(boxes, 20, axis=0)
    rois = np.concatenate([rois, np.tile([0, 60, 20, 99], (20, 1))])
    ids = detection_targets(rois, class_ids, boxes, masks)[1]
    assert (ids > 0).sum() == 3 and (ids[:3] > 0).all()


def test_only_positive_rois_are_repeated_if_there_is_no_negative():
    class_ids, boxes, masks = two_objects()
    kept, ids, _, _ = detection_targets(boxes, class_ids, boxes, masks)
    assert kept.shape == (10, 4) and (ids > 0).all()


def test_crowds_and_an_image_without_objects_give_negative_rois():
    _, boxes, masks = two_objects()
    for class_ids in (np.array([-1, -2]), np.array([0, 0])):
        _, ids, deltas, targets = detection_targets(boxes, class_ids, boxes, masks)
        assert not ids.any() and not deltas.any() and not targets.any()


def test_no_roi_is_an_error():
    with pytest.raises(DatasetError, match="rpn_rois of length 0"):
        detection_targets(np.zeros([0, 4]), *two_objects())


def test_random_rois_lie_in_the_image_and_nine_in_ten_near_an_object():
    boxes = np.array([[10, 10, 30, 20], [60, 70, 64, 99]])
    rois = generate_random_rois((100, 120, 3), 200, np.array([1, 1]), boxes)
    assert rois.shape == (200, 4) and rois.dtype == np.int32
    assert (rois[:, 2] > rois[:, 0]).all() and (rois[:, 3] > rois[:, 1]).all()
    assert rois.min() >= 0 and rois[:, 2].max() <= 100 and rois[:, 3].max() <= 120
    first, second = rois[:90], rois[90:180]
    assert first[:, 2].max() <= 50 and first[:, 3].max() <= 30
    assert second[:, 0].min() >= 56 and second[:, 1].min() >= 41
    assert len({tuple(roi) for roi in first}) > 60


@pytest.mark.parametrize("boxes", [np.zeros([0, 4], int), np.array([[0, 0, 0, 0]]), np.array([[0, 0, 1, 1]])])
def test_random_rois_come_to_an_end_for_every_box_and_a_tiny_image(boxes):
    for shape in ((1, 1, 3), (50, 1, 3)):
        rois = generate_random_rois(shape, 20, np.ones(len(boxes)), boxes)
        assert rois.shape == (20, 4) and (rois[:, 2] > rois[:, 0]).all() and (rois[:, 3] > rois[:, 1]).all()


def test_random_edges_are_uniform_over_pairs():
    rois = generate_random_rois((3, 3, 3), 30_000, np.zeros([0]), np.zeros([0, 4]))
    _, counts = np.unique(rois[:, [0, 2]], axis=0, return_counts=True)
    assert len(counts) == 6 and np.ptp(counts) < 0.15 * counts.mean()
