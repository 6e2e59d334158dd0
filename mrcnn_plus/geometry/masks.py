"""Masks of instances: full size, mini masks, masks of the network pasted into the image, overlap.

Masks are `[H, W, N]` in pixels, one plane for each instance. A mini mask is the part inside an instance's box,
shrunk to a small fixed size, which keeps the memory of a batch small (`USE_MINI_MASK`).
Integer and bool masks count every value other than 0 as object.
"""

import numpy as np

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.boxes import extract_bboxes
from mrcnn_plus.geometry.interpolation import nearest_indices, resize_bilinear, sample_bilinear
from mrcnn_plus.geometry.resizing import scaled_length

_TIE = (
    1e-3  # OpenCV's and SciPy's samples of a mask lie closer together: 1e-11, or 1e-5 in builds with float32 positions
)


def resize_mask(mask, scale, padding, crop=None):
    """Give masks the size that `resize_image` gave their image.

    mask: `[H, W, N]`, any dtype, which is kept; scale, padding, crop: as `resize_image` returned them.

    Returns `[height, width, N]`, nearest neighbour. The numbers are those of `scipy.ndimage.zoom(order=0)`: the corner
    pixels' centers stay corners, so an object may lie up to half a pixel beside the one in the image; and at some sizes
    SciPy's rounding leaves the last row or column empty.
    Raises `DatasetError` when `mask` has not three dimensions.
    """
    mask = _three_dimensional("resize_mask", mask)
    rows = nearest_indices(mask.shape[0], scaled_length(mask.shape[0], scale))
    columns = nearest_indices(mask.shape[1], scaled_length(mask.shape[1], scale))
    if crop is not None:
        y, x, height, width = crop
        rows, columns = rows[y : y + height], columns[x : x + width]
        padding = ((0, 0), (0, 0))
    (top, bottom), (left, right) = padding[0], padding[1]
    padded = np.zeros((top + len(rows) + bottom, left + len(columns) + right, mask.shape[2]), mask.dtype)
    resized = padded[top : top + len(rows), left : left + len(columns)]
    resized[...] = mask.take(columns, axis=1, mode="clip").take(rows, axis=0, mode="clip")
    resized[rows < 0] = 0
    resized[:, columns < 0] = 0
    return padded


def resize_to_mini_masks(mask, scale, padding, crop, mini_shape):
    """Boxes and mini masks of instances after `resize_image`, without a stack of resized masks in between.

    mask: bool `[H, W, N]` at the size of the file; scale, padding, crop: as `resize_image` returned them.
    mini_shape: `(height, width)`.

    Returns what `resize_mask`, `extract_bboxes` and `minimize_mask` would one after the other: boxes int32 `[N, 4]` in
    pixels of the resized image, `(0, 0, 0, 0)` for an instance without a pixel there, and mini masks bool
    `[height, width, N]`, empty for such. Each instance costs the area of its own box.
    """
    mask = _three_dimensional("resize_to_mini_masks", mask)
    rows, top = _kept_indices(mask.shape[0], scale, padding[0][0], crop and (crop[0], crop[2]))
    columns, left = _kept_indices(mask.shape[1], scale, padding[1][0], crop and (crop[1], crop[3]))
    boxes = np.zeros((mask.shape[2], 4), np.int32)
    mini_masks = np.zeros((*mini_shape, mask.shape[2]), bool)
    for index, (y1, x1, y2, x2) in enumerate(extract_bboxes(mask)):
        first_row, end_row = np.searchsorted(rows, (y1, y2))
        first_column, end_column = np.searchsorted(columns, (x1, x2))
        plane = np.ascontiguousarray(mask[y1:y2, x1:x2, index])
        plane = plane[rows[first_row:end_row] - y1][:, columns[first_column:end_column] - x1]
        if not plane.any():
            continue
        inside = extract_bboxes(plane[..., np.newaxis])[0]
        boxes[index] = inside + np.tile([top + first_row, left + first_column], 2)
        mini_masks[..., index] = _shrink(plane[inside[0] : inside[2], inside[1] : inside[3]], mini_shape)
    return boxes, mini_masks


def _kept_indices(length, scale, before, window):
    """Which original pixel each pixel of a resized axis copies, in order, and where the first of them lies.

    before: padding before them. window: `(first, number)` that a crop keeps, or None.
    """
    indices = nearest_indices(length, scaled_length(length, scale))
    if window is not None:
        indices, before = indices[window[0] : window[0] + window[1]], 0
    return (indices[:-1] if len(indices) and indices[-1] < 0 else indices), before


def minimize_mask(bbox, mask, mini_shape):
    """Cut each mask out along its box and shrink it to the mini mask size.

    bbox: `[N, (y1, x1, y2, x2)]` in pixels; mask: `[H, W, N]`; mini_shape: `(height, width)`, e.g. `MINI_MASK_SHAPE`.

    Returns bool `[height, width, N]`: bilinear samples of the cut-out, rounded.
    Raises `DatasetError` when a box covers no pixel of the image, as that of an instance without pixels.
    """
    mask = _three_dimensional("minimize_mask", mask)
    mini_shape = tuple(int(length) for length in mini_shape)
    mini_mask = np.zeros((*mini_shape, mask.shape[2]), bool)
    for index in range(mask.shape[2]):
        y1, x1, y2, x2 = _whole_box(bbox[index])
        cut_out = mask[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0), index]
        cut_out = cut_out if cut_out.dtype == bool else cut_out != 0
        if cut_out.size == 0:
            raise DatasetError(
                f"minimize_mask: expected a box of at least one pixel inside the image {mask.shape[:2]}, received "
                f"bbox[{index}]={(y1, x1, y2, x2)}. Remove instances without pixels before (a mask can become empty "
                "by resizing, cropping or augmentation)."
            )
        mini_mask[..., index] = _shrink(cut_out, mini_shape)
    return mini_mask


def _shrink(cut_out, mini_shape):
    """A cut-out, bool `[h, w]`, in the shape of mini masks: bilinear samples, rounded."""
    enlarged = cut_out.shape[0] < mini_shape[0] or cut_out.shape[1] < mini_shape[1]
    if enlarged and cut_out.all():
        return True  # compat: scikit-image's clipping undoes its dark border here
    rows, columns = np.arange(mini_shape[0])[:, np.newaxis], np.arange(mini_shape[1])[np.newaxis]
    return sample_bilinear(cut_out, mini_shape, rows, columns) > 0.5


def mold_mask(mask, *, mini_shape=None):
    """Masks as the network's training input takes them.

    mask: `[H, W, N]`; mini_shape: `(height, width)` of mini masks, or None for full size.

    Returns bool `[height, width, N]` or `[H, W, N]`. Raises `DatasetError` as `minimize_mask` does.
    """
    mask = _three_dimensional("mold_mask", mask)
    return mask != 0 if mini_shape is None else minimize_mask(extract_bboxes(mask), mask, mini_shape)


def expand_mask(bbox, mini_mask, image_shape):
    """Bring mini masks back to image size: the inverse of `minimize_mask`, as far as the shrinking allows.

    bbox: `[N, (y1, x1, y2, x2)]` in pixels; mini_mask: `[height, width, N]`; image_shape: `(H, W, ...)`.

    Returns bool `[H, W, N]`. What a box has outside the image is cut off; a box without area gives an empty mask.
    """
    mini_mask = _three_dimensional("expand_mask", mini_mask)
    mask = np.zeros((image_shape[0], image_shape[1], mini_mask.shape[2]), bool)
    for index in range(mini_mask.shape[2]):
        # compat: expand_mask rounds, and NumPy rounds one half down to 0.
        _paste(mini_mask[..., index], bbox[index], mask[..., index], half_counts=False)
    return mask


def unmold_mask(mask, bbox, image_shape):
    """Turn a mask as the network predicts it into a mask of the whole image.

    mask: `[height, width]` of probabilities 0..1, e.g. 28 x 28; bbox: `(y1, x1, y2, x2)` in pixels of the image.
    image_shape: `(H, W, ...)`.

    Returns bool `[H, W]`, true where the resized probability is at least 0.5. What the box has outside the image is cut
    off; a box without area gives an empty mask.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2:
        raise DatasetError(
            f"unmold_mask: expected one mask [height, width], received shape={mask.shape}. "
            "Choose the plane of the detected class first: masks[i, :, :, class_id]."
        )
    full_mask = np.zeros((image_shape[0], image_shape[1]), bool)
    paste_mask(mask, bbox, full_mask)
    return full_mask


def paste_mask(mask, bbox, target):
    """As `unmold_mask`, into an array `[H, W]` that is there: what lies in the box is written, nothing else touched."""
    _paste(mask, bbox, target, half_counts=True)


def _paste(small, box, target, *, half_counts):
    """Resize `small` to the size of `box` and write it, as bool, into the target `[H, W]` where they meet."""
    y1, x1, y2, x2 = _whole_box(box)
    if y2 <= y1 or x2 <= x1:
        return
    inside = _resize_to_bool(small, (y2 - y1, x2 - x1), half_counts=half_counts)
    top, left = max(y1, 0), max(x1, 0)
    bottom, right = max(min(y2, target.shape[0]), top), max(min(x2, target.shape[1]), left)
    target[top:bottom, left:right] = inside[top - y1 : bottom - y1, left - x1 : right - x1]


def _resize_to_bool(small, shape, *, half_counts):
    """Bilinear resizing, then the threshold 0.5, with every pixel as scikit-image and SciPy give it.

    OpenCV is fast but differs in the last digits, which decide where a sample is one half. Those few are sampled again
    in SciPy's order of operations.
    """
    values = (small != 0 if small.dtype.kind in "biu" else small).astype(np.float64)
    resized = resize_bilinear(values, shape)
    ties = np.abs(resized - 0.5) < _TIE
    if ties.any():
        rows, columns = np.nonzero(ties)
        samples = np.clip(sample_bilinear(values, shape, rows, columns), values.min(), values.max())
        resized[rows, columns] = samples.astype(np.float32) if small.dtype == np.float32 else samples
    return resized >= 0.5 if half_counts else resized > 0.5


def compute_overlaps_masks(masks1, masks2):
    """Intersection over union of every mask of one set with every mask of another.

    masks1: `[H, W, N]`; masks2: `[H, W, M]`, bool, 0/1 or probabilities (above 0.5 is object).

    Returns float32 `[N, M]`; two masks without a pixel have 0 (Matterport answered NaN).
    Raises `DatasetError` when heights or widths differ.
    """
    masks1 = _three_dimensional("compute_overlaps_masks", masks1)
    masks2 = _three_dimensional("compute_overlaps_masks", masks2)
    count1, count2 = masks1.shape[2], masks2.shape[2]
    if count1 == 0 or count2 == 0:
        return np.zeros((count1, count2), np.float32)
    if masks1.shape[:2] != masks2.shape[:2]:
        raise DatasetError(
            f"compute_overlaps_masks: expected masks of one image size, received masks1.shape={masks1.shape}, "
            f"masks2.shape={masks2.shape}. Expand mini masks with expand_mask first."
        )
    boxes1, crops1, areas1 = crop_to_boxes(masks1)
    boxes2, crops2, areas2 = crop_to_boxes(masks2)
    top_left = np.maximum(boxes1[:, np.newaxis, :2], boxes2[:, :2])
    bottom_right = np.minimum(boxes1[:, np.newaxis, 2:], boxes2[:, 2:])
    intersection = np.zeros((count1, count2))
    # Masks can only meet where their boxes meet, which leaves few pairs and few pixels.
    for i, j in np.argwhere((bottom_right > top_left).all(axis=2)):
        (y1, x1), (y2, x2) = top_left[i, j], bottom_right[i, j]
        part1 = crops1[i][y1 - boxes1[i, 0] : y2 - boxes1[i, 0], x1 - boxes1[i, 1] : x2 - boxes1[i, 1]]
        part2 = crops2[j][y1 - boxes2[j, 0] : y2 - boxes2[j, 0], x1 - boxes2[j, 1] : x2 - boxes2[j, 1]]
        intersection[i, j] = np.count_nonzero(part1 & part2)
    union = areas1[:, np.newaxis] + areas2 - intersection
    return (intersection / np.where(union == 0, 1, union)).astype(np.float32)


def pack_masks(masks, *, bits):
    """bool `[H, W, N]` to int32 `[H, W, planes]`, with `bits` masks in a plane: every bit of a pixel is one mask.

    So whatever moves a pixel moves all its masks at once. Only for what takes every pixel from one place (nearest
    neighbour): numbers in between would be other masks.
    """
    planes = np.zeros(masks.shape[:2] + (-(-masks.shape[2] // bits),), np.int32)
    for n in range(masks.shape[2]):
        plane, bit = divmod(n, bits)
        planes[..., plane] |= masks[..., n].astype(np.int32) << bit
    return planes


def unpack_masks(planes, count, *, bits):
    """The inverse of `pack_masks` for `count` masks: int `[H, W, planes]` to bool `[H, W, count]`."""
    masks = np.empty(planes.shape[:2] + (count,), bool)
    for n in range(count):
        plane, bit = divmod(n, bits)
        masks[..., n] = (planes[..., plane] >> bit) & 1
    return masks


def crop_to_boxes(masks):
    """Boxes of masks `[H, W, N]`, a list of N bool arrays with what lies inside them, and the N areas in pixels."""
    masks = masks if masks.dtype == bool else masks > 0.5
    boxes = extract_bboxes(masks)
    crops = [np.ascontiguousarray(masks[y1:y2, x1:x2, i]) for i, (y1, x1, y2, x2) in enumerate(boxes)]
    return boxes, crops, np.array([np.count_nonzero(crop) for crop in crops])


def _whole_box(box):
    """The four numbers of a box as Python int, rounded to whole pixels."""
    return tuple(round(float(side)) for side in box[:4])


def _three_dimensional(place, mask):
    mask = np.asarray(mask)
    if mask.ndim != 3:
        raise DatasetError(
            f"{place}: expected masks [height, width, instances], received shape={mask.shape}. "
            "For a single mask pass mask[..., np.newaxis]."
        )
    return mask
