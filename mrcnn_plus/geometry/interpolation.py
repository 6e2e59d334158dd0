"""Bilinear and nearest interpolation with the answers of scikit-image and SciPy, at the speed of OpenCV.

Matterport resized images with `skimage.transform.resize(order=1, mode='constant', cval=0)`. OpenCV samples at the same
places (pixel centers at half-integers, no smoothing) and differs in one point: where a sample lies beyond the outermost
pixel centers, which happens only when enlarging, scikit-image blends with 0 and OpenCV repeats the border. The share
that comes from inside is a row's share times a column's, so multiplying the border rows and columns mends it.
"""

import cv2
import numpy as np

from mrcnn_plus.errors import DatasetError

_CHANNELS_AT_ONCE = 4  # OpenCV's documented limit for a number of its functions
_NEAR = 1e-3  # OpenCV's weights are float32: its samples of 8-bit values are that close to SciPy's, and closer


def resize_bilinear(image, output_shape, *, exact_near_integers=False):
    """Resize an image with bilinear interpolation, values unchanged in range.

    image: `[H, W]` or `[H, W, C]` with any number of channels; numbers or bool (taken as 0 and 1).
    output_shape: `(height, width)` in pixels.
    exact_near_integers: samples that are nearly whole numbers are computed again as SciPy rounds them, and their
        fraction is cut off. For callers that do so with all: in areas of one colour the last bit decides between a grey
        level and the next lower one, and one level is enough to reorder the proposals of a network.

    Returns float64 (float32 of 8-bit images with `exact_near_integers`) `[height, width]` or `[height, width, C]`, as
    `skimage.transform.resize(..., order=1, mode='constant', cval=0, clip=True, preserve_range=True,
    anti_aliasing=False)` does.
    Raises `DatasetError` when the image or the output would have no pixel.
    """
    height, width = (int(length) for length in output_shape)
    if min(height, width) < 1 or image.size == 0:
        raise DatasetError(
            f"resize: expected an image and an output of at least one pixel, received image.shape={image.shape}, "
            f"output_shape={(height, width)}. Remove empty images, and objects whose box has no area."
        )
    planes = image.reshape(image.shape[0], image.shape[1], -1)
    # Half the memory is half the time; what float32 rounds differently lies within _NEAR and is computed again.
    dtype = np.float32 if exact_near_integers and image.dtype == np.uint8 else np.float64
    parts = []
    for start in range(0, planes.shape[2], _CHANNELS_AT_ONCE):
        part = np.ascontiguousarray(planes[..., start : start + _CHANNELS_AT_ONCE], dtype)
        part = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
        parts.append(part.reshape(height, width, -1))
    resized = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
    _fade_borders(resized, planes)
    if exact_near_integers:
        for channel in range(planes.shape[2]):
            plane = resized[..., channel]
            rows, columns = np.nonzero(np.abs(plane - np.rint(plane)) < _NEAR)
            plane[rows, columns] = np.trunc(sample_bilinear(planes[..., channel], (height, width), rows, columns))
    _clip_to_range_of(planes, resized)
    return resized.reshape((height, width) + image.shape[2:])


def _fade_borders(resized, source):
    """Blend the outermost rows and columns with 0, in place, where samples lie outside the source."""
    for axis in (0, 1):
        share = share_inside(source.shape[axis], resized.shape[axis])
        faded = np.flatnonzero(share < 1)
        if len(faded) > 0:
            rows_first = np.moveaxis(resized, axis, 0)
            rows_first[faded] *= share[faded, np.newaxis, np.newaxis]


def _clip_to_range_of(source, resized):
    """In place. compat: scikit-image does so, therefore an image without dark pixels keeps its borders."""
    low, high = np.fmin.reduce(source, axis=None), np.fmax.reduce(source, axis=None)
    if low > 0 or high < 0:
        np.clip(resized, low, high, out=resized)


def sample_positions(length, new_length):
    """Where the pixels of a resized axis lie on the original axis, float64 `[new_length]` in pixels.

    Written in the order of SciPy's operations, so that the last bit agrees too.
    """
    return (np.arange(new_length) + 0.5) * (length / new_length) - 0.5


def share_inside(length, new_length):
    """How much of each bilinear sample comes from pixels inside the original axis: `[new_length]`, from 0.5 to 1."""
    positions = sample_positions(length, new_length)
    outside = np.maximum(0, -positions) + np.maximum(0, positions - (length - 1))
    return np.where(outside > 0, 1 - outside, 1.0)


def sample_bilinear(plane, output_shape, rows, columns):
    """Some pixels of a resized plane, rounded exactly as SciPy rounds them.

    For masks: an object of whole-number size often gives samples of exactly one half, and which side of the threshold
    they fall on hangs on the last bit.

    plane: `[H, W]` numbers or bool; output_shape: `(height, width)` of the whole resized plane.
    rows, columns: integer arrays that broadcast against each other, the wanted pixels of the output.

    Returns float64 in the common shape of `rows` and `columns`.
    """
    y0, y1, weight_y0, weight_y1 = _neighbours(plane.shape[0], output_shape[0], rows)
    x0, x1, weight_x0, weight_x1 = _neighbours(plane.shape[1], output_shape[1], columns)
    total = plane[y0, x0] * weight_y0 * weight_x0
    total = total + plane[y0, x1] * weight_y0 * weight_x1
    total = total + plane[y1, x0] * weight_y1 * weight_x0
    return total + plane[y1, x1] * weight_y1 * weight_x1


def _neighbours(length, new_length, wanted):
    """The two pixels around each wanted sample and their weights; a pixel outside has weight 0 (it would be black)."""
    positions = sample_positions(length, new_length)[wanted]
    lower = np.floor(positions).astype(int)
    weight_lower = 1.0 - (positions - lower)
    weight_upper = 1.0 - weight_lower
    weight_lower = np.where(lower >= 0, weight_lower, 0.0)
    weight_upper = np.where(lower + 1 < length, weight_upper, 0.0)
    return np.maximum(lower, 0), np.minimum(lower + 1, length - 1), weight_lower, weight_upper


def nearest_indices(length, new_length):
    """The original pixel that each pixel of a resized axis copies, as `scipy.ndimage.zoom(order=0)` chooses it.

    SciPy lays the first pixel centers of both axes on each other, and the last ones too. When rounding carries the last
    position past the end (by one unit in the last place), it answers 0 there; such positions are -1 here.

    Returns int64 `[new_length]`.
    """
    step = (length - 1) / (new_length - 1) if new_length > 1 else 1.0
    positions = np.arange(new_length) * step
    indices = np.floor(positions + 0.5).astype(np.int64)
    return np.where(positions > length - 1, -1, indices)
