"""Annotations to masks, each kind by the rule that its users know.

| kind                 | pixels inside                                                                              |
|----------------------|--------------------------------------------------------------------------------------------|
| polygon, rule "coco" | those of pycocotools, parts united                                                         |
| polygon, "closed"    | centers inside or on the outline, as `skimage.draw.polygon` (Matterport's balloon sample)  |
| rle                  | as stored; its size must be that of the image                                              |
| mask_file            | those with the value, or all but 0                                                         |
| rectangle            | centers of pixels between its sides: x=2, width=3 gives columns 2, 3, 4                    |
| circle, ellipse      | centers of pixels inside or on it, a pixel's center being its whole-number coordinate      |
| polyline             | within half of the stated width                                                            |
| point                | within the stated radius                                                                   |

All of it is clipped to the image. Numbers are tested before a rasteriser sees them, because those crash on NaN and fill
the memory for huge coordinates.
"""

import itertools

import numpy as np
from pycocotools import mask as coco_mask

from mrcnn_plus.data.readers.mask_images import pixels_with_value
from mrcnn_plus.data.readers.outlines import why_undrawable
from mrcnn_plus.data.readers.rle import draw_runs, run_lengths
from mrcnn_plus.errors import DatasetError


class Undrawable(DatasetError):
    """An annotation that has no mask in this image; `code` is the id of the lint rule that reports it."""

    def __init__(self, code, reason):
        super().__init__(reason)
        self.code = code


def draw_annotation(annotation, height, width, *, polygon_rule="closed", read_mask=None):
    """The mask of one annotation, bool `[H, W]`, clipped to the image; it may be empty.

    polygon_rule: "coco" or "closed", see the head of this file.
    read_mask: `path -> values [H, W]` for annotations in mask files.
    Raises `Undrawable` with the reason.
    """
    bad = why_undrawable(annotation)
    if bad is not None:
        raise Undrawable(*bad)
    kind, geometry = annotation.kind, annotation.geometry
    if kind == "rle":
        return _draw_rle(geometry, height, width)
    if kind == "mask_file":
        return _draw_mask_file(geometry, height, width, read_mask)
    if kind == "polygon":
        parts = [part for part in geometry if len(part) >= 3]
        return _draw_coco_polygon(parts, height, width) if polygon_rule == "coco" else _union(parts, height, width)
    if kind == "rectangle":
        return _draw_rectangle(geometry, height, width)
    if kind == "polyline":
        return _draw_polyline(geometry, annotation.stroke, height, width)
    if kind == "point":
        mask = np.zeros((height, width), bool)
        for x, y in geometry:
            mask |= draw_ellipse((x, y, annotation.stroke, annotation.stroke, 0.0), height, width)
        return mask
    if kind == "circle":
        x, y, radius = geometry
        geometry = (x, y, radius, radius, 0.0)
    return draw_ellipse(geometry, height, width)


def draw_closed_polygon(points, height, width):
    """Pixels whose center lies inside the polygon or on its outline: bool `[H, W]`.

    points: float64 `[K, (x, y)]`, finite. Gives what `skimage.draw.polygon(y, x, (H, W))` gives, at a cost that follows
    the length of the outline and not points times pixels (11 seconds for 500 points around 4 megapixels).

    A pixel is inside if an odd number of edges crosses its row to the right of it, or to the left of it; the two differ
    on the outline only, where the rule takes both.
    """
    mask = np.zeros((height, width), bool)
    top, bottom = _span(points[:, 1].min(), points[:, 1].max(), height)
    left, right = _span(points[:, 0].min(), points[:, 0].max(), width)
    following = np.roll(points, -1, axis=0)
    row, nearest, side = _crossings(points, following, np.greater, top, bottom)
    # Toggle all columns up to the last one that is to the left of the crossing, ...
    toggles = _count_toggles(row - top, nearest + (side > 0) - left, bottom - top, right - left)
    inside = np.bitwise_xor.accumulate(toggles[:, ::-1], axis=1)[:, ::-1][:, 1:]
    row, nearest, side = _crossings(points, following, np.less, top, bottom)
    # ... and all from the first one that is to the right of it.
    toggles = _count_toggles(row - top, nearest + (side >= 0) - left, bottom - top, right - left)
    inside = inside | np.bitwise_xor.accumulate(toggles, axis=1)[:, :-1]
    mask[top:bottom, left:right] = inside
    corners = np.rint(points).astype(np.int64)
    on_pixel = (np.abs(points - corners) < 1e-12).all(axis=1)
    on_pixel &= (corners >= 0).all(axis=1) & (corners < (width, height)).all(axis=1)
    mask[corners[on_pixel, 1], corners[on_pixel, 0]] = True
    return mask


def draw_ellipse(ellipse, height, width):
    """Pixels whose center lies inside or on an ellipse: bool `[H, W]`.

    ellipse: (x, y, radius_x, radius_y, angle), the angle in radians from the x axis towards y (clockwise on screen).
    """
    x, y, radius_x, radius_y, angle = ellipse
    reach = max(radius_x, radius_y)
    mask = np.zeros((height, width), bool)
    top, bottom = _span(y - reach, y + reach, height)
    left, right = _span(x - reach, x + reach, width)
    rows, columns = np.mgrid[top:bottom, left:right]
    along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    mask[top:bottom, left:right] = (along / radius_x) ** 2 + (across / radius_y) ** 2 <= 1 + 1e-9
    return mask


def _crossings(start, end, above, top, bottom):
    """Where edges cross the rows from `top` to `bottom`: `(row, nearest column, side)`, each `[M]`.

    start, end: `[K, (x, y)]`. An edge crosses row r if exactly one of its ends is `above` (greater, or less than) r.
    side: positive where the crossing is to the right of the nearest column, negative to the left, 0 on it. The order of
    operations is scikit-image's, so that both judge points on the outline alike.
    """
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    if above is np.greater:  # low <= r < high
        first, stop = np.ceil(low), np.ceil(high)
    else:  # low < r <= high
        first, stop = np.floor(low) + 1, np.floor(high) + 1
    first, stop = np.clip(first, top, bottom).astype(np.int64), np.clip(stop, top, bottom).astype(np.int64)
    counts = stop - first
    edge = np.repeat(np.arange(len(start)), counts)
    row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
    start, end = start[edge], end[edge]
    nearest = np.rint(start[:, 0] + (row - start[:, 1]) / (end[:, 1] - start[:, 1]) * (end[:, 0] - start[:, 0]))
    x0, y0 = end[:, 0] - nearest, end[:, 1] - row
    x1, y1 = start[:, 0] - nearest, start[:, 1] - row
    return row, nearest, (x0 * y1 - x1 * y0) / (y1 - y0)


def _count_toggles(rows, columns, height, width):
    """How often each place is named, modulo 2: uint8 `[height, width + 1]`; columns outside count at the border."""
    columns = np.clip(columns, 0, width).astype(np.int64)
    counts = np.bincount(rows * (width + 1) + columns, minlength=height * (width + 1))
    return (counts & 1).astype(np.uint8).reshape(height, width + 1)


def _union(parts, height, width):
    mask = draw_closed_polygon(parts[0], height, width)
    for part in parts[1:]:
        mask |= draw_closed_polygon(part, height, width)
    return mask


def _draw_coco_polygon(parts, height, width):
    runs = coco_mask.frPyObjects([part.ravel().tolist() for part in parts], height, width)
    return draw_runs(run_lengths(coco_mask.merge(runs)["counts"]), height, width)


def _draw_rle(geometry, height, width):
    size = geometry.get("size")
    if size is not None and tuple(size) != (height, width):
        raise Undrawable("DAT035", f"the RLE has size={list(size)} [height, width], the image has [{height}, {width}]")
    try:
        return draw_runs(run_lengths(geometry["counts"]), height, width, open_end=size is None)
    except DatasetError as error:
        raise Undrawable("DAT035", str(error)) from None


def _draw_mask_file(geometry, height, width, read_mask):
    try:
        values = read_mask(geometry.path)
    except DatasetError as error:
        raise Undrawable("DAT017", str(error)) from None
    if values.shape != (height, width):
        raise Undrawable(
            "DAT008",
            f"the mask has {values.shape[1]} x {values.shape[0]} pixels (width x height), the image {width} x {height}",
        )
    return pixels_with_value(values, geometry.value)


def _draw_rectangle(rectangle, height, width):
    x, y, box_width, box_height = rectangle
    mask = np.zeros((height, width), bool)
    top, bottom = _span(y, y + box_height - 1, height)
    left, right = _span(x, x + box_width - 1, width)
    mask[top:bottom, left:right] = True
    return mask


def _draw_polyline(points, line_width, height, width):
    """Pixels whose center is within half of the width of a line through the points."""
    mask = np.zeros((height, width), bool)
    reach = line_width / 2
    for start, end in itertools.pairwise(points) if len(points) > 1 else [(points[0], points[0])]:
        (left, right), (top, bottom) = (
            _span(min(a, b) - reach, max(a, b) + reach, length) for a, b, length in zip(start, end, (width, height))
        )
        rows, columns = np.mgrid[top:bottom, left:right]
        across, down = end - start
        # Where on the line, from 0 at its start to 1 at its end, a pixel is nearest to.
        along = ((columns - start[0]) * across + (rows - start[1]) * down) / max(across**2 + down**2, 1e-12)
        along = np.clip(along, 0, 1)
        apart = np.hypot(columns - start[0] - along * across, rows - start[1] - along * down)
        mask[top:bottom, left:right] |= apart <= reach + 1e-9
    return mask


def _span(low, high, length):
    """Whole numbers from low to high that are pixels: first and end (exclusive)."""
    first, end = int(np.ceil(low)), int(np.floor(high)) + 1
    return min(max(first, 0), length), min(max(end, 0), length)
