"""Matches of predictions and objects: Matterport's recorded numbers, hand-made cases, and input with nothing in it."""

import numpy as np
import pytest

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.evaluation.matching import compute_matches, compute_recall

from .data_sets import boxes_of

NO_BOXES, NO_IDS, NO_MASKS = np.zeros((0, 4)), np.zeros(0, int), np.zeros((20, 40, 0), bool)


def strips(*columns, size=(20, 40)):
    """Masks [H, W, N] of full height between the column pairs given, and their boxes."""
    masks = np.zeros((*size, len(columns)), bool)
    for n, (left, right) in enumerate(columns):
        masks[:, left:right, n] = True
    return boxes_of(masks), masks


def test_a_prediction_takes_the_object_that_it_overlaps_most():
    gt_boxes, gt_masks = strips((0, 10), (8, 18))
    pred_boxes, pred_masks = strips((7, 18))
    gt_match, pred_match, overlaps = compute_matches(
        gt_boxes, np.array([1, 1]), gt_masks, pred_boxes, np.array([1]), np.array([0.9]), pred_masks
    )
    assert gt_match.tolist() == [-1, 0] and pred_match.tolist() == [1]
    np.testing.assert_allclose(overlaps, [[3 / 18, 10 / 11]], rtol=1e-6)


def test_the_best_score_chooses_first_and_answers_come_in_its_order():
    gt_boxes, gt_masks = strips((0, 10))
    pred_boxes, pred_masks = strips((0, 10), (0, 9))
    gt_match, pred_match, overlaps = compute_matches(
        gt_boxes, np.array([1]), gt_masks, pred_boxes, np.array([1, 1]), np.array([0.6, 0.8]), pred_masks
    )
    # The second prediction has the better score, so it is number 0 of the answer and takes the object.
    assert gt_match.tolist() == [0] and pred_match.tolist() == [0, -1]
    np.testing.assert_allclose(overlaps[:, 0], [0.9, 1.0], rtol=1e-6)


@pytest.mark.parametrize("gt_class, matched", [(1, True), (2, False), (-1, False)])
def test_only_objects_of_the_same_class_match_and_crowds_never(gt_class, matched):
    boxes, masks = strips((0, 10))
    gt_match, _, _ = compute_matches(boxes, np.array([gt_class]), masks, boxes, np.array([1]), np.array([0.9]), masks)
    assert (gt_match[0] == 0) == matched


def test_the_thresholds_are_inclusive_and_score_threshold_means_iou():
    gt_boxes, gt_masks = strips((0, 10))
    pred_boxes, pred_masks = strips((0, 5))
    arguments = (gt_boxes, np.array([1]), gt_masks, pred_boxes, np.array([1]), np.array([0.1]), pred_masks)
    assert compute_matches(*arguments, iou_threshold=0.5)[1].tolist() == [0]
    assert compute_matches(*arguments, iou_threshold=0.51)[1].tolist() == [-1]
    assert compute_matches(*arguments, iou_threshold=0.3, score_threshold=0.6)[1].tolist() == [-1]


def test_zero_padding_is_left_out_wherever_it_stands():
    gt_boxes, gt_masks = strips((0, 10), (20, 30))
    pred_boxes, pred_masks = strips((20, 30), (0, 10))
    padded_gt = np.insert(gt_boxes, 1, 0, axis=0)
    padded_gt_masks = np.insert(gt_masks, 1, False, axis=-1)
    padded_pred = np.concatenate([np.zeros((1, 4)), pred_boxes, np.zeros((3, 4))])
    padded_pred_masks = np.pad(pred_masks, ((0, 0), (0, 0), (1, 3)))
    answer = compute_matches(
        padded_gt, np.array([1, 0, 2]), padded_gt_masks,
        padded_pred, np.array([0, 2, 1, 0, 0, 0]), np.array([0, 0.9, 0.8, 0, 0, 0]), padded_pred_masks,
    )  # fmt: skip
    plain = compute_matches(
        gt_boxes, np.array([1, 2]), gt_masks, pred_boxes, np.array([2, 1]), np.array([0.9, 0.8]), pred_masks
    )
    assert plain[0].tolist() == [1, 0]
    for padded, expected in zip(answer, plain, strict=True):
        np.testing.assert_array_equal(padded, expected)


@pytest.mark.parametrize("with_gt", [False, True])
@pytest.mark.parametrize("with_predictions", [False, True])
def test_nothing_on_either_side_gives_arrays_of_the_right_size(with_gt, with_predictions):
    boxes, masks = strips((0, 10), (20, 30))
    gt = (boxes, np.array([1, 1]), masks) if with_gt else (NO_BOXES, NO_IDS, NO_MASKS)
    scores = np.array([0.9, 0.8])
    # A class not in the ground truth, so that nothing matches either way.
    predicted = (boxes, np.array([2, 2]), scores, masks) if with_predictions else (NO_BOXES, NO_IDS, NO_IDS, NO_MASKS)
    gt_match, pred_match, overlaps = compute_matches(*gt, *predicted)
    assert gt_match.tolist() == [-1, -1] * with_gt
    assert pred_match.tolist() == [-1, -1] * with_predictions
    assert overlaps.shape == (2 * with_predictions, 2 * with_gt)


def test_the_default_load_mask_and_a_detection_of_nothing_can_be_compared():
    # Dataset.load_mask gives [0, 0, 0] by default.
    answer = compute_matches(NO_BOXES, NO_IDS, np.zeros((0, 0, 0)), NO_BOXES, NO_IDS, np.zeros(0), NO_MASKS)
    assert [part.shape for part in answer] == [(0,), (0,), (0, 0)]


def test_two_empty_masks_are_no_match():
    boxes, masks = np.array([[0, 0, 5, 5]]), np.zeros((20, 40, 1), bool)
    gt_match, _, overlaps = compute_matches(boxes, np.array([1]), masks, boxes, np.array([1]), np.array([0.9]), masks)
    assert gt_match.tolist() == [-1] and np.isfinite(overlaps).all()


def test_the_arguments_are_not_changed():
    boxes, masks = strips((20, 30), (0, 10))
    arguments = (boxes, np.array([1, 2]), masks, boxes.copy(), np.array([1, 2]), np.array([0.1, 0.9]), masks.copy())
    before = [argument.copy() for argument in arguments]
    compute_matches(*arguments)
    for argument, copy in zip(arguments, before, strict=True):
        np.testing.assert_array_equal(argument, copy)


def test_fewer_masks_than_boxes_is_an_error_that_gives_both_numbers():
    boxes, masks = strips((0, 10), (20, 30))
    with pytest.raises(DatasetError, match=r"pred_masks=\[20, 40, 1\] for 2 boxes"):
        compute_matches(boxes, np.array([1, 1]), masks, boxes, np.array([1, 1]), np.array([0.9, 0.8]), masks[..., :1])


def test_mini_masks_against_whole_masks_is_an_error_that_names_the_remedy():
    boxes, masks = strips((0, 10))
    with pytest.raises(DatasetError, match="expand_mask"):
        compute_matches(boxes, np.array([1]), masks[:10, :10], boxes, np.array([1]), np.array([0.9]), masks)


def test_recall_has_the_recorded_number(golden):
    recall, _ = compute_recall(boxes_of(golden["ap/pred_masks"]), boxes_of(golden["masks/in"][..., :5]), 0.5)
    assert recall == pytest.approx(float(golden["recall/out"]), rel=1e-4)


def test_recall_counts_every_object_once_and_names_the_predictions():
    gt_boxes = np.array([[0, 0, 10, 10], [0, 20, 10, 30], [0, 40, 10, 50]])
    pred_boxes = np.array([[0, 0, 10, 9], [0, 0, 10, 10], [0, 19, 10, 30], [0, 46, 10, 56]])
    recall, positive_ids = compute_recall(pred_boxes, gt_boxes, 0.5)
    assert recall == pytest.approx(2 / 3)
    assert positive_ids.tolist() == [0, 1, 2]


@pytest.mark.parametrize("predictions, objects", [(0, 2), (2, 0), (0, 0)])
def test_recall_without_predictions_or_objects_is_zero(predictions, objects):
    recall, positive_ids = compute_recall(np.ones((predictions, 4)), np.ones((objects, 4)), 0.5)
    assert recall == 0 and positive_ids.tolist() == []
