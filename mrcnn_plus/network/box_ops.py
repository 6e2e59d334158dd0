"""Box arithmetic on tensors: overlap, deltas, clipping, change of space.

All functions take float32 tensors of any leading shape with boxes `[..., (y1, x1, y2, x2)]` in the last axis; where a
space matters it is said. The NumPy twins for whole data sets are in `geometry.boxes`.
"""

from keras import ops

from mrcnn_plus.constants import LARGEST_LOG_SCALE


def _edges(boxes):
    return boxes[..., 0], boxes[..., 1], boxes[..., 2], boxes[..., 3]


def iou(boxes1, boxes2):
    """Intersection over union of boxes that broadcast against each other, `[..., 4]` and `[..., 4]` -> `[...]`.

    A pair without any area has overlap 0, so padding never divides by zero.
    """
    top1, left1, bottom1, right1 = _edges(boxes1)
    top2, left2, bottom2, right2 = _edges(boxes2)
    height = ops.minimum(bottom1, bottom2) - ops.maximum(top1, top2)
    width = ops.minimum(right1, right2) - ops.maximum(left1, left2)
    intersection = ops.maximum(height, 0.0) * ops.maximum(width, 0.0)
    union = (bottom1 - top1) * (right1 - left1) + (bottom2 - top2) * (right2 - left2) - intersection
    positive = union > 0
    return ops.where(positive, intersection / ops.where(positive, union, 1.0), 0.0)


def pairwise_iou(boxes1, boxes2):
    """Overlap of every box of one set with every box of the other, `[..., N, 4]` and `[..., M, 4]` -> `[..., N, M]`."""
    return iou(ops.expand_dims(boxes1, -2), ops.expand_dims(boxes2, -3))


def apply_deltas(boxes, deltas):
    """Move and scale boxes by deltas `[..., (dy, dx, log(dh), log(dw))]` (R-CNN, arXiv 1311.2524, appendix C).

    A network that diverges may answer scales beyond float32; they are cut to a factor of 10^17, which fills any image.
    """
    top, left, bottom, right = _edges(boxes)
    dy, dx, log_dh, log_dw = _edges(deltas)
    height, width = bottom - top, right - left
    center_y = top + (0.5 + dy) * height
    center_x = left + (0.5 + dx) * width
    height = height * ops.exp(ops.minimum(log_dh, LARGEST_LOG_SCALE))
    width = width * ops.exp(ops.minimum(log_dw, LARGEST_LOG_SCALE))
    top, left = center_y - 0.5 * height, center_x - 0.5 * width
    return ops.stack([top, left, top + height, left + width], axis=-1)


def box_refinement(boxes, target_boxes):
    """The deltas `[..., (dy, dx, log(dh), log(dw))]` that carry `boxes` to `target_boxes`.

    The inverse of `apply_deltas`. A target without height or width counts as a thousandth of its box in that direction,
    so that the logarithm stays finite; a box without area gives deltas of 0.
    """
    top, left, bottom, right = _edges(boxes)
    target_top, target_left, target_bottom, target_right = _edges(target_boxes)

    def offset_and_scale(start, stop, target_start, target_stop):
        size, target_size = stop - start, target_stop - target_start
        usable = size > 0
        size = ops.where(usable, size, 1.0)
        offset = (0.5 * (target_start + target_stop) - 0.5 * (start + stop)) / size
        scale = ops.log(ops.maximum(target_size / size, 1e-3))
        return ops.where(usable, offset, 0.0), ops.where(usable, scale, 0.0)

    dy, log_dh = offset_and_scale(top, bottom, target_top, target_bottom)
    dx, log_dw = offset_and_scale(left, right, target_left, target_right)
    return ops.stack([dy, dx, log_dh, log_dw], axis=-1)


def clip_boxes(boxes, window):
    """Clip boxes `[..., 4]` to windows `[..., 4]` of the same space; the two broadcast."""
    top, left, bottom, right = _edges(boxes)
    window_top, window_left, window_bottom, window_right = _edges(window)
    return ops.stack(
        [
            ops.clip(top, window_top, window_bottom),
            ops.clip(left, window_left, window_right),
            ops.clip(bottom, window_top, window_bottom),
            ops.clip(right, window_left, window_right),
        ],
        axis=-1,
    )


def _corner_shift():
    """The lower right corner is the pixel after the last one in pixels, and the last one when normalized."""
    return ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0], dtype="float32")


def _pixel_scale(image_shape):
    height, width = ops.cast(image_shape[..., 0], "float32"), ops.cast(image_shape[..., 1], "float32")
    return ops.stack([height, width, height, width], axis=-1) - 1.0


def norm_boxes(boxes_px, image_shape):
    """Pixels to normalized coordinates; `image_shape` is `[..., (height, width, ...)]` and broadcasts."""
    return (boxes_px - _corner_shift()) / _pixel_scale(image_shape)


def denorm_boxes(boxes_norm, image_shape):
    """Normalized coordinates to pixels, not rounded; the inverse of `norm_boxes`."""
    return boxes_norm * _pixel_scale(image_shape) + _corner_shift()


def is_not_padding(boxes):
    """False for boxes `[..., 4]` that are rows of zeros, bool `[...]`."""
    return ops.any(boxes != 0.0, axis=-1)


def gather_rows(table, indices):
    """Rows of each image's own table: `[B, N, ...]` and int `[B, K]` -> `[B, K, ...]`."""
    batch, count = ops.shape(table)[0], ops.shape(table)[1]
    first_row = ops.cast(ops.arange(batch), "int32")[:, None] * count
    rows = ops.reshape(table, (-1, *table.shape[2:]))
    return ops.take(rows, ops.cast(indices, "int32") + first_row, axis=0)


def spread_rows(rows, selected):
    """Row i of `[B, N, ...]` where bool `[B, A]` is true for the i-th time, `[B, A, ...]`; any row elsewhere."""
    position = ops.cumsum(ops.cast(selected, "int32"), axis=1) - 1
    return gather_rows(rows, ops.clip(position, 0, rows.shape[1] - 1))


def pack_rows(rows, counts, *, images):
    """The first `counts[i]` rows of every `rows[i]`, `i < images`, one after the other."""
    return ops.concatenate([rows[image, : counts[image]] for image in range(images)], axis=0)


def trim_padding(boxes):
    """Boxes `[N, 4]` without the rows of zeros, and the bool `[N]` of those kept; its shape depends on values."""
    kept = is_not_padding(boxes)
    return ops.take(boxes, ops.nonzero(kept)[0], axis=0), kept
