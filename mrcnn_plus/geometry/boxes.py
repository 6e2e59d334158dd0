"""Boxes in NumPy: from masks, overlap, suppression, refinement, pixels to normalized coordinates and back.

A box is `(y1, x1, y2, x2)`. In pixels, `(y2, x2)` lies one past the last pixel, so `y2 - y1` is the height.
In normalized coordinates 0 is the first and 1 the last pixel, so `(y2, x2)` belongs to the box.
"""

import numpy as np

from mrcnn_plus.constants import LARGEST_LOG_SCALE
from mrcnn_plus.errors import DatasetError


def extract_bboxes(mask):
    """Box around the pixels of each mask.

    mask: `[H, W, N]`, bool or numbers; every value other than 0 belongs to the instance.

    Returns int32 `[N, (y1, x1, y2, x2)]` in pixels; an instance without a pixel gets `(0, 0, 0, 0)`.
    Raises `DatasetError` when `mask` has not three dimensions.
    """
    mask = np.asarray(mask)
    if mask.ndim != 3:
        raise DatasetError(
            f"extract_bboxes: expected masks [height, width, instances], received shape={mask.shape}. "
            "For a single mask pass mask[..., np.newaxis]."
        )
    boxes = np.zeros((mask.shape[2], 4), np.int32)
    if mask.size == 0:
        return boxes
    if mask.dtype != bool:
        mask = mask != 0
    boxes[:, 0], boxes[:, 2] = _first_and_end(_any_in_row(mask))
    boxes[:, 1], boxes[:, 3] = _first_and_end(mask.any(axis=0))
    return boxes


def _any_in_row(mask):
    """`mask.any(axis=1)` of a bool `[H, W, N]`, folding halves of the rows onto each other.

    NumPy's own reduction runs along the last axis, which is short here; folding works on long stretches of memory.
    """
    while mask.shape[1] > 1:
        half = mask.shape[1] // 2
        folded = mask[:, :half] | mask[:, half : 2 * half]
        if mask.shape[1] % 2 == 1:
            folded[:, 0] |= mask[:, -1]
        mask = folded
    return mask[:, 0]


def _first_and_end(occupied):
    """First occupied position and one past the last, for each column of a bool `[length, N]`; 0 and 0 if none is."""
    length = occupied.shape[0]
    first = occupied.argmax(axis=0)
    end = length - occupied[::-1].argmax(axis=0)
    return first, np.where(occupied.any(axis=0), end, 0)


def compute_iou(box, boxes, box_area, boxes_area):
    """Intersection over union (IoU) of one box with many.

    box: `(y1, x1, y2, x2)`; boxes: `[N, (y1, x1, y2, x2)]`, both in the same space.
    box_area, boxes_area: their areas, a number and `[N]`, handed in because callers compute them once.

    Returns `[N]`, between 0 and 1. Two boxes without area have IoU 0 (Matterport answered NaN).
    """
    height = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    width = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    intersection = np.maximum(height, 0) * np.maximum(width, 0)
    return _ratio(intersection, box_area + boxes_area - intersection)


def _ratio(intersection, union):
    """`intersection / union`, and 0 where the union is 0."""
    ratio = np.zeros(np.shape(union), np.result_type(union, np.float32))
    return np.divide(intersection, union, out=ratio, where=union != 0)


def compute_overlaps(boxes1, boxes2):
    """IoU of every box of one set with every box of another.

    boxes1: `[N, (y1, x1, y2, x2)]`; boxes2: `[M, (y1, x1, y2, x2)]`, both in the same space.

    Returns float64 `[N, M]`. The loop runs over the smaller set, so memory stays at one column.
    """
    boxes1, boxes2 = np.asarray(boxes1), np.asarray(boxes2)
    if len(boxes2) > len(boxes1):
        return compute_overlaps(boxes2, boxes1).T
    area1, area2 = _areas(boxes1), _areas(boxes2)
    overlaps = np.zeros((len(boxes1), len(boxes2)))
    for column, box in enumerate(boxes2):
        overlaps[:, column] = compute_iou(box, boxes1, area2[column], area1)
    return overlaps


def _areas(boxes):
    """Areas `[N]` of boxes `[N, (y1, x1, y2, x2)]`, in the boxes' own dtype."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def non_max_suppression(boxes, scores, threshold):
    """Keep the best of every group of boxes that overlap.

    The box with the highest score stays and removes all whose IoU with it is above the threshold; then the best of
    the rest does the same, until none is left.

    boxes: `[N, (y1, x1, y2, x2)]`, pixels or normalized; scores: `[N]`; threshold: IoU between 0 and 1.

    Returns int32 indices of the kept boxes, best first; an empty array for no boxes.
    """
    boxes, scores = np.asarray(boxes), np.asarray(scores)
    if boxes.dtype.kind != "f":
        boxes = boxes.astype(np.float32)
    # compat: non_max_suppression. Ties fall in the order of a reversed ascending sort, as they did there.
    order = scores.argsort()[::-1]
    columns = np.ascontiguousarray(boxes[order].T)  # [(y1, x1, y2, x2), N]: arithmetic runs along memory
    areas = _areas(columns.T)
    kept = []
    while len(order) > 0:
        kept.append(order[0])
        iou = compute_iou(columns[:, 0], columns[:, 1:].T, areas[0], areas[1:])
        order, columns, areas = order[1:], columns[:, 1:], areas[1:]
        rest = ~(iou > threshold)
        if not rest.all():
            order, columns, areas = order[rest], columns[:, rest], areas[rest]
    return np.array(kept, np.int32)


def apply_box_deltas(boxes, deltas):
    """Move and stretch boxes as the network's refinements say (Faster R-CNN, section 3.1.2).

    boxes: `[N, (y1, x1, y2, x2)]`, pixels or normalized.
    deltas: `[N, (dy, dx, log(dh), log(dw))]`: shifts in units of the box, logarithms of the size ratio. They must
        already be multiplied with the standard deviations (`RPN_BBOX_STD_DEV` or `BBOX_STD_DEV`).

    Returns `[N, (y1, x1, y2, x2)]` in the boxes' space, float32 for float32 deltas.
    """
    boxes, deltas = np.asarray(boxes, np.float32), np.asarray(deltas)
    size = boxes[:, 2:] - boxes[:, :2]
    center = boxes[:, :2] + 0.5 * size
    center = center + deltas[:, :2] * size
    size = size * np.exp(np.minimum(deltas[:, 2:], LARGEST_LOG_SCALE))
    top_left = center - 0.5 * size
    return np.concatenate([top_left, top_left + size], axis=1)


def box_refinement(box, gt_box):
    """The deltas that turn each box into its ground-truth box: the inverse of `apply_box_deltas`.

    box, gt_box: `[N, (y1, x1, y2, x2)]` in the same space, with heights and widths above 0.

    Returns float32 `[N, (dy, dx, log(dh), log(dw))]`, not divided by any standard deviation.
    """
    box, gt_box = np.asarray(box, np.float32), np.asarray(gt_box, np.float32)
    size = box[:, 2:] - box[:, :2]
    gt_size = gt_box[:, 2:] - gt_box[:, :2]
    center = box[:, :2] + 0.5 * size
    gt_center = gt_box[:, :2] + 0.5 * gt_size
    return np.concatenate([(gt_center - center) / size, np.log(gt_size / size)], axis=1)


def norm_boxes(boxes, shape):
    """Boxes from pixels to normalized coordinates.

    boxes: `[..., (y1, x1, y2, x2)]` in pixels, `(y2, x2)` outside; shape: `(height, width)` of the image in pixels.

    Returns float32 `[..., (y1, x1, y2, x2)]`: 0 is the first, 1 the last pixel, and `(y2, x2)` is inside.
    """
    scale, shift = _normalization(shape)
    return ((np.asarray(boxes) - shift) / scale).astype(np.float32)


def denorm_boxes(boxes, shape):
    """Boxes from normalized coordinates to whole pixels: the inverse of `norm_boxes`.

    boxes: `[..., (y1, x1, y2, x2)]` normalized; shape: `(height, width)` of the image in pixels.

    Returns int32 `[..., (y1, x1, y2, x2)]` in pixels, `(y2, x2)` outside.
    """
    scale, shift = _normalization(shape)
    return np.around(np.asarray(boxes) * scale + shift).astype(np.int32)


def _normalization(shape):
    """Scale and shift with `boxes_px = boxes_norm * scale + shift`."""
    height, width = shape[0], shape[1]
    return np.array([height - 1, width - 1] * 2), np.array([0, 0, 1, 1])


def trim_zeros(x):
    """Drop the rows that hold only zeros: the padding that fills up boxes to a fixed number.

    x: `[rows, columns]`. Returns `[kept rows, columns]`. Raises `DatasetError` for another number of dimensions.
    """
    x = np.asarray(x)
    if x.ndim != 2:
        raise DatasetError(
            f"trim_zeros: expected an array [rows, columns], received shape={x.shape}. "
            "Pass the boxes of one image, not of a batch."
        )
    return x[(x != 0).any(axis=1)]
