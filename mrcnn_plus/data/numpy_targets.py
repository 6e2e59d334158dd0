"""Training targets of one image in NumPy, for programs and notebooks that call Matterport's functions.

Training itself makes its targets in the graph (`network/rpn_targets.py`, `network/detection_targets.py`); these are the
same rules, slower and easier to print. Random numbers come from `rng`, or from NumPy's global state if that is None.
"""

import numpy as np

from mrcnn_plus.constants import CROWD_IOU, ROI_POSITIVE_IOU, RPN_NEGATIVE_IOU, RPN_POSITIVE_IOU
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.boxes import box_refinement, compute_overlaps
from mrcnn_plus.geometry.resizing import resize


def build_rpn_targets(
    image_shape, anchors, gt_class_ids, gt_boxes, *, rpn_train_anchors_per_image, rpn_bbox_std_dev, rng=None
):
    """Which anchors are objects, which are background, and the deltas to the objects (compat: build_rpn_targets).

    An anchor is positive with IoU >= 0.7 to an object, or when no anchor fits that object better; negative with IoU
    below 0.3 to all; else neutral (Faster R-CNN, section 3.1.2). Negative anchors that touch a crowd become neutral.

    image_shape: `(H, W, ...)`, not used; anchors: `[A, (y1, x1, y2, x2)]` in pixels.
    gt_class_ids: `[N]`, negative for crowds; gt_boxes: `[N, (y1, x1, y2, x2)]` in pixels.
    rpn_train_anchors_per_image: at most so many anchors are not neutral, at most half of them positive.
    rpn_bbox_std_dev: four numbers that the deltas are divided by.

    Returns `(rpn_match, rpn_bbox)`: int32 `[A]`, 1 positive, -1 negative, 0 neutral; float64
    `[rpn_train_anchors_per_image, (dy, dx, log(dh), log(dw))]`, the positive anchors' deltas in order, then zeros.
    """
    rng = np.random if rng is None else rng
    gt_class_ids = np.asarray(gt_class_ids)
    gt_boxes = np.asarray(gt_boxes)
    crowd_boxes, object_boxes = gt_boxes[gt_class_ids < 0], gt_boxes[gt_class_ids > 0]
    rpn_match, best_object = _match_anchors(anchors, object_boxes)
    if len(crowd_boxes):
        touches_crowd = compute_overlaps(anchors, crowd_boxes).max(axis=1) >= CROWD_IOU
        rpn_match[touches_crowd & (rpn_match == -1)] = 0

    _make_neutral(rpn_match, 1, keep=rpn_train_anchors_per_image // 2, rng=rng)
    positive = np.flatnonzero(rpn_match == 1)
    _make_neutral(rpn_match, -1, keep=rpn_train_anchors_per_image - len(positive), rng=rng)

    rpn_bbox = np.zeros((rpn_train_anchors_per_image, 4))
    if len(positive):
        deltas = box_refinement(anchors[positive], object_boxes[best_object[positive]])
        rpn_bbox[: len(positive)] = deltas / np.asarray(rpn_bbox_std_dev)
    return rpn_match, rpn_bbox


def _match_anchors(anchors, object_boxes):
    """int32 `[A]` of 1, -1 and 0 without crowds and quota, and the index `[A]` of each anchor's best object."""
    if len(object_boxes) == 0:
        return np.full([len(anchors)], -1, np.int32), np.zeros([len(anchors)], int)
    overlaps = compute_overlaps(anchors, object_boxes)
    best_object = overlaps.argmax(axis=1)
    best_iou = overlaps.max(axis=1)
    rpn_match = np.where(best_iou < RPN_NEGATIVE_IOU, -1, 0).astype(np.int32)
    # Every object gets its best anchors, all of them if several are equally good. An object that no anchor touches
    # gets none: its best IoU is 0, which most anchors share.
    best_of_object = overlaps.max(axis=0)
    rpn_match[((overlaps == best_of_object) & (best_of_object > 0)).any(axis=1)] = 1
    rpn_match[best_iou >= RPN_POSITIVE_IOU] = 1
    return rpn_match, best_object


def _make_neutral(rpn_match, kind, *, keep, rng):
    """Set random anchors of a kind (1 or -1) to 0, in place, until `keep` are left."""
    found = np.flatnonzero(rpn_match == kind)
    if len(found) > keep:
        rpn_match[rng.choice(found, len(found) - keep, replace=False)] = 0


def build_detection_targets(
    rpn_rois,
    gt_class_ids,
    gt_boxes,
    gt_masks,
    *,
    train_rois_per_image,
    roi_positive_ratio,
    num_classes,
    bbox_std_dev,
    mask_shape,
    mini_masks,
    rng=None,
):
    """Sample ROIs and make the targets of the class, box and mask heads (compat: build_detection_targets).

    A ROI is positive with IoU >= 0.5 to an object, else negative. If there are too few, negative ones are repeated, or
    positive ones if there is no negative.

    rpn_rois: `[R, (y1, x1, y2, x2)]` in pixels, at least one; gt_class_ids: `[N]`, rows with ids <= 0 are left out.
    gt_boxes: `[N, (y1, x1, y2, x2)]` in pixels; gt_masks: bool `[H, W, N]`, or `[h, w, N]` with `mini_masks` true.
    bbox_std_dev: four numbers that deltas are divided by; mask_shape: `(height, width)` of the mask targets.

    Returns, with T = train_rois_per_image and C = num_classes:
        rois `[T, (y1, x1, y2, x2)]` in pixels, positive ones first; class_ids int32 `[T]`, 0 for negative ones;
        deltas float32 `[T, C, (dy, dx, log(dh), log(dw))]` and masks float32 `[T, height, width, C]`, zero but for the
        class of the ROI.
    Raises `DatasetError` without a ROI.
    """
    if len(rpn_rois) == 0:
        raise DatasetError(
            "build_detection_targets: expected at least one ROI, received rpn_rois of length 0. Make some with "
            "generate_random_rois."
        )
    rng = np.random if rng is None else rng
    objects = np.flatnonzero(np.asarray(gt_class_ids) > 0)
    gt_class_ids, gt_boxes, gt_masks = gt_class_ids[objects], gt_boxes[objects], gt_masks[..., objects]
    # A column of zeros, so that an image without objects has only negative ROIs.
    overlaps = np.hstack([compute_overlaps(rpn_rois, gt_boxes), np.zeros([len(rpn_rois), 1])])
    is_positive = overlaps.max(axis=1) >= ROI_POSITIVE_IOU
    kept = _sample_rois(is_positive, train_rois_per_image, int(train_rois_per_image * roi_positive_ratio), rng)

    rois = rpn_rois[kept]
    positive_rows = np.flatnonzero(is_positive[kept])
    best_object = overlaps[kept].argmax(axis=1)[positive_rows]
    # One row for each ROI, zeros but for the positive ones and their class.
    class_ids = np.zeros([train_rois_per_image], np.int32)
    deltas = np.zeros([train_rois_per_image, num_classes, 4], np.float32)
    masks = np.zeros([train_rois_per_image, *mask_shape, num_classes], np.float32)
    if len(positive_rows):
        classes = class_ids[positive_rows] = gt_class_ids[best_object]
        refinement = box_refinement(rois[positive_rows], gt_boxes[best_object])
        deltas[positive_rows, classes] = refinement / np.asarray(bbox_std_dev)
        for row, class_id, index in zip(positive_rows, classes, best_object, strict=True):
            mask = _mask_in_roi(gt_masks[..., index], gt_boxes[index], rois[row], mask_shape, mini_masks)
            masks[row, :, :, class_id] = mask
    return rois, class_ids, deltas, masks


def _sample_rois(is_positive, count, most_positive, rng):
    """Indices `[count]` of ROIs: up to `most_positive` positive ones first, then negative ones, repeated if too few."""
    positive, negative = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
    if len(positive) > most_positive:
        positive = rng.choice(positive, most_positive, replace=False)
    if len(negative) > count - len(positive):
        negative = rng.choice(negative, count - len(positive), replace=False)
    kept = np.concatenate([positive, negative]).astype(int)
    missing = count - len(kept)
    if missing:
        kept = np.concatenate([kept, rng.choice(negative if len(negative) else positive, missing, replace=True)])
    return kept


def _mask_in_roi(mask, gt_box, roi, mask_shape, mini_masks):
    """The part of an object's mask inside a ROI, resized to `mask_shape`, values 0..1 (not rounded)."""
    y1, x1, y2, x2 = (int(side) for side in roi)
    if mini_masks:
        top, left, bottom, right = (int(side) for side in gt_box)
        full = np.zeros([max(bottom, y2), max(right, x2)], bool)
        full[top:bottom, left:right] = np.round(resize(mask, (bottom - top, right - left))).astype(bool)
        mask = full
    inside = mask[y1:y2, x1:x2]
    return resize(inside, mask_shape) if inside.size else np.zeros(mask_shape)


def generate_random_rois(image_shape, count, gt_class_ids, gt_boxes, *, rng=None):
    """ROIs such as a region proposal network would make: nine in ten around objects, the others anywhere.

    image_shape: `(H, W, ...)`; count: how many; gt_class_ids: not used (compat: generate_random_rois).
    gt_boxes: `[N, (y1, x1, y2, x2)]` in pixels.

    Returns int32 `[count, (y1, x1, y2, x2)]` in pixels, inside the image, each of at least one pixel.
    """
    rng = np.random if rng is None else rng
    height, width = image_shape[:2]
    rois_per_box = int(0.9 * count / len(gt_boxes)) if len(gt_boxes) else 0
    regions = []
    for y1, x1, y2, x2 in np.asarray(gt_boxes).astype(int).reshape(-1, 4):
        # Up to one height above and below the object, and one width beside it.
        around = (max(2 * y1 - y2, 0), max(2 * x1 - x2, 0), min(2 * y2 - y1, height), min(2 * x2 - x1, width))
        regions += [around] * rois_per_box
    regions += [(0, 0, height, width)] * (count - len(regions))
    regions = np.array(regions, int).reshape(-1, 4)
    y1, y2 = _random_edges(regions[:, 0], regions[:, 2], rng)
    x1, x2 = _random_edges(regions[:, 1], regions[:, 3], rng)
    return np.stack([y1, x1, y2, x2], axis=1).astype(np.int32)


def _random_edges(low, high, rng):
    """Two different whole numbers from `low` to `high`, for each element, the smaller one first.

    The second is drawn from the places that the first leaves over, so nothing has to be drawn again.
    """
    high = np.maximum(high, 1)
    low = np.minimum(low, high - 1)  # an object without size still gives an edge of one pixel
    first = low + np.floor(rng.random(len(low)) * (high - low + 1)).astype(int)
    second = low + np.floor(rng.random(len(low)) * (high - low)).astype(int)
    second += second >= first
    return np.minimum(first, second), np.maximum(first, second)
