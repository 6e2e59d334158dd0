"""Whether masks lie on what the picture shows, or would do so if they were turned, mirrored, or x and y swapped.

Pixels inside a mask differ from those around it where the mask fits its object. For each instance that difference is
measured at its place and at the seven places where it would be if the annotations belonged to a turned or mirrored
picture. The eight are named by the EXIF orientation that would turn the picture so; 5 is x and y swapped.
"""

from __future__ import annotations

import numpy as np

ORIENTATIONS = {
    1: "as they are",
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "upside down",
    5: "x and y swapped",
    6: "turned by 90 degrees, as for EXIF orientation 6",
    7: "x and y swapped, and turned by 180 degrees",
    8: "turned by 90 degrees, as for EXIF orientation 8",
}
_MOST_INSTANCES = 8
_LEAST_AREA = 30
_LARGEST_SHARE = 0.4
_MARGIN = 0.2
_SAMPLES = 48  # pixels along the longer side of what is looked at
_LEAST_VISIBLE = 0.5
_BLOCK = 8
_LARGEST_PIECE = 1024  # pixels along each side from which the structure of a picture is judged
_NOISE = 4.0  # variance that every pixel has, so that pictures without noise do not count without limit


def measure_fit(image, masks, boxes, areas) -> np.ndarray:
    """How well instances fit the picture: float32 `[M, 8]`, a column for each of `ORIENTATIONS`; larger is better.

    image: `[H, W, C]`; masks: bool `[H, W, N]`; boxes: int `[N, (y1, x1, y2, x2)]`; areas: int `[N]`. The largest few
    instances are measured, without those that fill much of the image. NaN where a place is outside the picture.
    """
    height, width = image.shape[:2]
    order = np.argsort(-areas, kind="stable")
    usable = order[(areas[order] >= _LEAST_AREA) & (areas[order] <= _LARGEST_SHARE * height * width)]
    fits = np.full([len(usable[:_MOST_INSTANCES]), len(ORIENTATIONS)], np.nan, np.float32)
    for row, number in enumerate(usable[:_MOST_INSTANCES]):
        y1, x1, y2, x2 = boxes[number]
        crop = masks[y1:y2, x1:x2, number]
        for column, orientation in enumerate(ORIENTATIONS):
            moved, place = _move(crop, (y1, x1, y2, x2), orientation, (height, width))
            fits[row, column] = _contrast(image, moved, place)
    return fits


def structure(image) -> float:
    """How much more blocks of 8 x 8 pixels differ than those of white noise would: 1 for noise, over 3 for pictures."""
    height, width = (min(side, _LARGEST_PIECE) // _BLOCK * _BLOCK for side in image.shape[:2])
    if not height or not width:
        return 0.0
    pixels = np.asarray(image[:height, :width], np.float32)
    blocks = pixels.reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, -1).mean(axis=(1, 3))
    noise = pixels.std(axis=(0, 1)) / _BLOCK
    return float(np.max(np.divide(blocks.std(axis=(0, 1)), noise, out=np.zeros_like(noise), where=noise > 0)))


def best_orientation(fits: np.ndarray, *, least_wins=0.75, least_gain=1.5, deviations=3.5) -> int | None:
    """The orientation of `ORIENTATIONS` that fits clearly better than 1, the masks as they are, or None.

    fits: `[M, 8]` of all images. It must fit better for `least_wins` of the instances, for so many of them that chance
    would need `deviations` standard deviations, and by the factor `least_gain` in the median.
    """
    best, best_gain = None, least_gain
    for column, orientation in enumerate(ORIENTATIONS):
        pairs = fits[:, [0, column]]
        pairs = pairs[~np.isnan(pairs).any(axis=1)]
        count = len(pairs)
        if orientation == 1 or not count:
            continue
        wins = int((pairs[:, 1] > pairs[:, 0]).sum())
        gain = float(np.median(pairs[:, 1]) / max(np.median(pairs[:, 0]), 1e-6))
        if wins >= least_wins * count and wins - count / 2 >= deviations * np.sqrt(count) / 2 and gain > best_gain:
            best, best_gain = orientation, gain
    return best


def fits_better(fits: np.ndarray, orientation: int, *, least_instances=5, least_wins=0.75) -> bool:
    """True if masks fit better by this orientation than as they are: for a question with these two answers only."""
    pairs = fits[:, [0, orientation - 1]]
    pairs = pairs[~np.isnan(pairs).any(axis=1)]
    return len(pairs) >= least_instances and float((pairs[:, 1] > pairs[:, 0]).mean()) >= least_wins


def _move(crop, box, orientation, size):
    """A mask cut to its box, and the box, where they lie in the stored picture if they belong to the turned one."""
    (y1, x1, y2, x2), (height, width) = box, size
    if orientation >= 5:
        crop, (y1, x1, y2, x2) = crop.T, (x1, y1, x2, y2)
    if orientation in (3, 4, 6, 7):
        crop, (y1, y2) = crop[::-1], (height - y2, height - y1)
    if orientation in (2, 3, 7, 8):
        crop, (x1, x2) = crop[:, ::-1], (width - x2, width - x1)
    return crop, (y1, x1, y2, x2)


def _contrast(image, crop, box):
    """Distance of the mean colors inside and around a mask, in standard deviations; NaN if it is hardly visible."""
    height, width = image.shape[:2]
    y1, x1, y2, x2 = box
    margin = max(3, int(_MARGIN * max(y2 - y1, x2 - x1)))
    top, left = max(0, y1 - margin), max(0, x1 - margin)
    bottom, right = min(height, y2 + margin), min(width, x2 + margin)
    inner = max(y1, 0), max(x1, 0), min(y2, height), min(x2, width)
    if inner[2] <= inner[0] or inner[3] <= inner[1]:
        return np.nan
    visible = crop[inner[0] - y1 : inner[2] - y1, inner[1] - x1 : inner[3] - x1]
    if visible.sum() < _LEAST_VISIBLE * crop.sum():
        return np.nan
    mask = np.zeros((bottom - top, right - left), bool)
    mask[inner[0] - top : inner[2] - top, inner[1] - left : inner[3] - left] = visible
    step = max(1, max(mask.shape) // _SAMPLES)
    mask = mask[::step, ::step]
    pixels = image[top:bottom:step, left:right:step].astype(np.float32)
    inside, around = pixels[mask], pixels[~mask]
    if len(inside) < 4 or len(around) < 4:
        return np.nan
    spread = inside.var(axis=0) + around.var(axis=0) + _NOISE
    return float(np.sqrt(((inside.mean(axis=0) - around.mean(axis=0)) ** 2 / spread).sum()))
