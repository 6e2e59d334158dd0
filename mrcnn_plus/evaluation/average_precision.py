"""Average precision of one image as Matterport computes it: area under the precision-recall curve (Pascal VOC 2010).

All classes of the image are pooled into one curve, which is not what COCO reports. For numbers that can be compared
with other programs use `mrcnn_plus.evaluation.evaluate`.
"""

import numpy as np

from mrcnn_plus.evaluation.matching import compute_matches


def compute_ap(
    gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks, iou_threshold=0.5
):
    """Average precision of the predictions for one image at one mask IoU threshold.

    Arguments as in `compute_matches`: G objects and D predictions, masks [H, W, N], boxes [N, (y1, x1, y2, x2)].

    Returns:
    mAP: float in 0..1.
    precisions: [D + 2] float, best precision at this recall or a higher one; 0 stands at the end.
    recalls: [D + 2] float, from 0 to 1.
    overlaps: [D, G] float, mask IoU, predictions sorted by falling score.

    An image without predictions has AP 0, and so has one without objects: each prediction there is false. (Matterport's
    code gave 0 when both were missing, and NaN for predictions on an image without objects, which then spoiled the mean
    over the images.) Leave images without objects out of such a mean if they shall not count.
    """
    gt_match, pred_match, overlaps = compute_matches(
        gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks, iou_threshold
    )
    true_positives = np.cumsum(pred_match > -1)
    precisions = true_positives / (np.arange(len(pred_match)) + 1)
    recalls = true_positives / max(len(gt_match), 1)

    precisions = np.concatenate([[0.0], precisions, [0.0]])
    recalls = np.concatenate([[0.0], recalls, [1.0]])
    # Precision as a function of recall must not rise: each point takes the best one to its right (VOC 2010).
    precisions = np.maximum.accumulate(precisions[::-1])[::-1]
    mean_ap = np.sum(np.diff(recalls) * precisions[1:])
    return mean_ap, precisions, recalls, overlaps


def compute_ap_range(
    gt_box, gt_class_id, gt_mask, pred_box, pred_class_id, pred_score, pred_mask, iou_thresholds=None, verbose=1
):
    """Mean of `compute_ap` over several IoU thresholds, by default 0.5, 0.55, ..., 0.95.

    iou_thresholds: sequence or array of floats. verbose: 1 prints the AP at each threshold and the mean.
    """
    if iou_thresholds is None or len(iou_thresholds) == 0:
        iou_thresholds = np.arange(0.5, 1.0, 0.05)
    average_precisions = []
    for iou_threshold in iou_thresholds:
        ap = compute_ap(
            gt_box, gt_class_id, gt_mask, pred_box, pred_class_id, pred_score, pred_mask, iou_threshold=iou_threshold
        )[0]
        if verbose:
            print(f"AP @{iou_threshold:.2f}:\t {ap:.3f}")
        average_precisions.append(ap)
    mean_ap = np.mean(average_precisions)
    if verbose:
        print(f"AP @{iou_thresholds[0]:.2f}-{iou_thresholds[-1]:.2f}:\t {mean_ap:.3f}")
    return mean_ap
