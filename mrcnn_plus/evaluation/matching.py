"""Which prediction found which ground-truth object, by mask IoU and class (Matterport's `utils` functions).

Shapes: G ground-truth objects, D predictions; masks are [H, W, N], boxes [N, (y1, x1, y2, x2)] in pixels.
Rows whose box is all zeros are padding and are left out before anything is counted.
"""

import numpy as np

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.boxes import compute_overlaps
from mrcnn_plus.geometry.masks import compute_overlaps_masks


def object_rows(boxes):
    """Indices of the rows of `boxes` [N, 4] that are objects and not zero padding."""
    boxes = np.asarray(boxes).reshape(-1, 4)
    return np.flatnonzero(np.any(boxes != 0, axis=1))


def prediction_order(pred_boxes, pred_scores):
    """Indices of the predictions that are not padding, best score first: the order `compute_matches` answers in."""
    rows = object_rows(pred_boxes)
    # compat: compute_matches. Of equal scores the last comes first; a stable sort makes that so on every machine.
    return rows[np.argsort(np.asarray(pred_scores)[rows], kind="stable")[::-1]]


def compute_matches(
    gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks,
    iou_threshold=0.5, score_threshold=0.0,
):  # fmt: skip
    """Match predictions to ground-truth objects of the same class, greedily from the best score down.

    A prediction takes the free object with the highest mask IoU whose class agrees; every object is taken once.

    gt_boxes: [G, 4] pixels. gt_class_ids: [G] int; a crowd (negative id) matches nothing. gt_masks: [H, W, G].
    pred_boxes: [D, 4] pixels. pred_class_ids: [D] int. pred_scores: [D] float. pred_masks: [H, W, D].
    iou_threshold: the least mask IoU of a match.
    score_threshold: compat: compute_matches. Despite its name it is compared with the IoU, not with the score:
        objects that overlap less than this are not considered.

    Returns (padding left out, predictions sorted by falling score):
    gt_match: [G] int, index of the prediction that found the object, or -1.
    pred_match: [D] int, index of the object found, or -1.
    overlaps: [D, G] float, mask IoU.
    No ground truth, no predictions or neither give empty arrays. Errors: DatasetError if there are fewer masks than
    boxes, or masks of two sizes (enlarge mini masks with `utils.expand_mask`, or load with use_mini_mask=False).
    """
    gt_rows = object_rows(gt_boxes)
    order = prediction_order(pred_boxes, pred_scores)
    gt_masks = _pick_masks("gt_masks", gt_masks, gt_rows)
    pred_masks = _pick_masks("pred_masks", pred_masks, order)
    gt_class_ids = np.asarray(gt_class_ids)[gt_rows]
    pred_class_ids = np.asarray(pred_class_ids)[order]
    overlaps = compute_overlaps_masks(pred_masks, gt_masks)

    gt_match = np.full(len(gt_rows), -1)
    pred_match = np.full(len(order), -1)
    least_iou = max(iou_threshold, score_threshold)
    for prediction in range(len(order)):
        for gt in np.argsort(overlaps[prediction], kind="stable")[::-1]:
            if overlaps[prediction, gt] < least_iou:
                break
            if gt_match[gt] == -1 and pred_class_ids[prediction] == gt_class_ids[gt]:
                gt_match[gt] = prediction
                pred_match[prediction] = gt
                break
    return gt_match, pred_match, overlaps


def _pick_masks(name, masks, rows):
    """The masks [H, W, len(rows)] at `rows`; DatasetError when the array holds fewer masks than there are boxes."""
    masks = np.asarray(masks)
    available = masks.shape[-1] if masks.ndim == 3 else 0
    if len(rows) and max(rows) >= available:
        raise DatasetError(
            f"compute_matches: expected one mask per box along the last axis of {name}, "
            f"received {name}={list(masks.shape)} for {max(rows) + 1} boxes. Masks are stacked as [H, W, N]."
        )
    return masks[..., rows] if len(rows) else np.zeros((0, 0, 0), dtype=bool)


def compute_recall(pred_boxes, gt_boxes, iou):
    """Share of the ground-truth boxes that are the best overlap of some predicted box, at box IoU `iou` or more.

    pred_boxes: [D, (y1, x1, y2, x2)], gt_boxes: [G, (y1, x1, y2, x2)], both in the same space.

    Returns:
    recall: float in 0..1. Without ground truth there is nothing to find and it is 0.0 (Matterport's code crashed).
    positive_ids: [P] int, the predictions that overlap some object by `iou` or more.
    """
    pred_boxes = np.asarray(pred_boxes).reshape(-1, 4)
    gt_boxes = np.asarray(gt_boxes).reshape(-1, 4)
    if len(gt_boxes) == 0 or len(pred_boxes) == 0:
        return 0.0, np.zeros(0, dtype=np.int64)
    overlaps = compute_overlaps(pred_boxes, gt_boxes)
    positive_ids = np.flatnonzero(np.max(overlaps, axis=1) >= iou)
    found = np.unique(np.argmax(overlaps, axis=1)[positive_ids])
    return len(found) / len(gt_boxes), positive_ids
