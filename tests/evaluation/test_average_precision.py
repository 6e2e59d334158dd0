"""Matterport's average precision: recorded numbers, curves worked out by hand, and images with nothing in them."""

import numpy as np
import pytest

from mrcnn_plus.evaluation.average_precision import compute_ap, compute_ap_range

from .data_sets import boxes_of


@pytest.fixture
def recorded(golden):
    """Ground truth and predictions of the recorded case, in the order of the arguments."""
    gt_masks, pred_masks = golden["masks/in"][..., :5], golden["ap/pred_masks"]
    gt = (boxes_of(gt_masks), golden["ap/gt_class_ids"], gt_masks)
    return (*gt, boxes_of(pred_masks), golden["ap/pred_class_ids"], golden["ap/pred_scores"], pred_masks)


@pytest.mark.parametrize("threshold", ["0.3", "0.5", "0.7"])
def test_ap_precisions_and_recalls_are_the_recorded_ones(golden, recorded, threshold):
    ap, precisions, recalls, overlaps = compute_ap(*recorded, iou_threshold=float(threshold))
    assert ap == pytest.approx(float(golden[f"ap/{threshold}"]), rel=1e-4)
    np.testing.assert_allclose(precisions, golden[f"ap/{threshold}/precisions"], rtol=1e-4)
    np.testing.assert_allclose(recalls, golden[f"ap/{threshold}/recalls"], rtol=1e-4)
    assert overlaps.shape == (6, 5)


def test_the_range_is_the_recorded_one_and_an_array_of_thresholds_works(golden, recorded):
    assert compute_ap_range(*recorded, verbose=0) == pytest.approx(float(golden["ap/range"]), rel=1e-4)
    assert compute_ap_range(*recorded, iou_thresholds=np.arange(0.5, 1.0, 0.05), verbose=0) == pytest.approx(
        float(golden["ap/range"]), rel=1e-4
    )
    two = compute_ap_range(*recorded, iou_thresholds=[0.3, 0.7], verbose=0)
    assert two == pytest.approx((float(golden["ap/0.3"]) + float(golden["ap/0.7"])) / 2, rel=1e-4)


def test_verbose_prints_every_threshold_and_the_mean_and_silence_prints_nothing(recorded, capsys):
    compute_ap_range(*recorded, iou_thresholds=[0.3, 0.7])
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["AP @0.30:\t 0.933", "AP @0.70:\t 0.387", "AP @0.30-0.70:\t 0.660"]
    compute_ap_range(*recorded, verbose=0)
    assert capsys.readouterr().out == ""


def squares(count):
    """`count` squares in a row: boxes and masks."""
    masks = np.zeros((12, 10 * count + 2, count), bool)
    for n in range(count):
        masks[2:10, 10 * n + 2 : 10 * n + 10, n] = True
    return boxes_of(masks), masks


def test_a_false_prediction_above_a_true_one_costs_what_the_curve_says():
    boxes, masks = squares(3)
    # By score: wrong class, right, right. Precision 0, 1/2, 2/3 at recall 0, 1/3, 2/3; the last third is never reached.
    ap, precisions, recalls, _ = compute_ap(
        boxes, np.array([1, 1, 1]), masks, boxes, np.array([2, 1, 1]), np.array([0.9, 0.8, 0.7]), masks
    )
    assert ap == pytest.approx(2 / 3 * 2 / 3)
    np.testing.assert_allclose(precisions, [2 / 3, 2 / 3, 2 / 3, 2 / 3, 0])
    np.testing.assert_allclose(recalls, [0, 0, 1 / 3, 2 / 3, 1])


def test_perfect_predictions_have_ap_one():
    boxes, masks = squares(4)
    ids = np.array([1, 2, 1, 3])
    assert compute_ap(boxes, ids, masks, boxes, ids, np.array([0.4, 0.9, 0.5, 0.7]), masks)[0] == pytest.approx(1)


@pytest.mark.parametrize("objects, predictions", [(0, 0), (0, 2), (2, 0)])
def test_an_image_with_nothing_on_one_side_has_ap_zero_and_no_nan(objects, predictions, recwarn):
    boxes, masks = squares(2)
    ap, precisions, recalls, overlaps = compute_ap(
        boxes[:objects], np.ones(objects, int), masks[..., :objects],
        boxes[:predictions], np.ones(predictions, int), np.full(predictions, 0.9), masks[..., :predictions],
    )  # fmt: skip
    assert ap == 0
    assert len(precisions) == len(recalls) == predictions + 2
    assert np.isfinite(precisions).all() and np.isfinite(recalls).all()
    assert overlaps.shape == (predictions, objects)
    assert len(recwarn) == 0
