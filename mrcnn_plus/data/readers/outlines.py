"""How large annotations are, and whether they can be drawn, from their numbers alone.

`outline_boxes` and `outline_areas` work on 800,000 annotations in seconds because nothing is drawn. Coordinates are
pixels, x to the right and y down, as annotation tools store them.
"""

import itertools

import numpy as np

from mrcnn_plus.data.readers.rle import run_lengths, runs_box
from mrcnn_plus.errors import DatasetError

# No image is wider than this many pixels; rasterisers take memory in proportion to coordinates, or crash.
LARGEST_COORDINATE = 100_000
# The outline of one object, in pixels; beyond it drawing one object would take hundreds of megabytes.
LONGEST_OUTLINE = 4_000_000
_CHUNK = 50_000


@np.errstate(all="ignore")
def outline_box(annotation):
    """The box around what an annotation draws, (x1, y1, x2, y2) in pixels, not clipped; None if it has no extent."""
    kind, geometry = annotation.kind, annotation.geometry
    if kind == "rle":
        return _rle_box(geometry)
    if kind == "mask_file":
        return geometry.bounds
    if kind == "rectangle":
        x, y, width, height = geometry
        return x, y, x + width, y + height
    if kind == "circle":
        x, y, radius = geometry
        return x - radius, y - radius, x + radius, y + radius
    if kind == "ellipse":
        x, y, radius_x, radius_y, angle = geometry
        half_width = np.hypot(radius_x * np.cos(angle), radius_y * np.sin(angle))
        half_height = np.hypot(radius_x * np.sin(angle), radius_y * np.cos(angle))
        return x - half_width, y - half_height, x + half_width, y + half_height
    parts = geometry if kind == "polygon" else [geometry]
    if not any(len(part) for part in parts):
        return None
    points = np.concatenate([part for part in parts if len(part)])
    margin = _stroke_margin(annotation)
    return (*(points.min(axis=0) - margin), *(points.max(axis=0) + margin))


@np.errstate(all="ignore")
def outline_area(annotation):
    """Pixels inside the outline, float, without drawing it; NaN if it has none. Parts that overlap count twice."""
    kind, geometry = annotation.kind, annotation.geometry
    if kind == "polygon":
        return float(sum(_shoelace(part) for part in geometry)) if any(map(len, geometry)) else np.nan
    if kind == "rle":
        try:
            return float(run_lengths(geometry["counts"])[1::2].sum())
        except DatasetError:
            return np.nan
    if kind == "mask_file":
        return np.nan if geometry.pixels is None else float(geometry.pixels)
    if kind == "rectangle":
        return float(geometry[2] * geometry[3])
    if kind == "circle":
        return float(np.pi * geometry[2] * geometry[2])
    if kind == "ellipse":
        return float(np.pi * geometry[2] * geometry[3])
    if annotation.stroke is None or not len(geometry):
        return np.nan
    if kind == "point":
        return float(len(geometry) * np.pi * annotation.stroke**2)
    ends = np.pi * (annotation.stroke / 2) ** 2
    return float(np.hypot(*np.diff(geometry, axis=0).T).sum() * annotation.stroke + ends)


def outline_boxes(annotations):
    """`outline_box` of many annotations: float64 `[N, (x1, y1, x2, y2)]`, NaN where there is no extent."""
    boxes = np.full([len(annotations), 4], np.nan)
    for rows, starts, points in _polygons(annotations):
        for axis in range(2):
            values = np.ascontiguousarray(points[:, axis])
            boxes[rows, axis] = np.minimum.reduceat(values, starts)
            boxes[rows, axis + 2] = np.maximum.reduceat(values, starts)
    for row, annotation in enumerate(annotations):
        if annotation.kind != "polygon":
            box = outline_box(annotation)
            if box is not None:
                boxes[row] = box
    return boxes


def outline_areas(annotations):
    """`outline_area` of many annotations: float64 `[N]`."""
    areas = np.full(len(annotations), np.nan)
    for rows, starts, points in _polygons(annotations, by_part=True):
        areas[rows] = 0
        np.add.at(areas, rows, _shoelaces(points, starts))
    for row, annotation in enumerate(annotations):
        if annotation.kind != "polygon":
            areas[row] = outline_area(annotation)
    return areas


def why_undrawable(annotation):
    """`(code, reason)` if the annotation must not reach a rasteriser or has nothing to draw; None if it can be drawn.

    The code is the id of the lint rule that reports it.
    """
    kind, geometry = annotation.kind, annotation.geometry
    if kind == "rle":
        return _why_bad_rle(geometry)
    if kind == "mask_file":
        return None
    if kind == "polygon":
        parts = [part for part in geometry if len(part) >= 3]
        if not parts:
            return "DAT033", f"expected an outline of at least 3 points, received {sum(map(len, geometry)) or 'none'}"
    elif kind in ("polyline", "point"):
        parts = [geometry]
        if not len(geometry):
            return "DAT033", "expected at least one point, received none"
        if annotation.stroke is None:
            option = "line_width=3" if kind == "polyline" else "point_radius=5"
            return "DAT023", f"a {kind} has no area: state one, e.g. open_dataset(..., {option}), or draw polygons"
    else:
        return _why_bad_shape(kind, np.array(geometry, float))
    return _why_bad_points(np.concatenate(parts), parts)


def undrawable(annotations):
    """`(row, code, reason)` of the annotations that `why_undrawable` names, polygons tested many at once."""
    suspects = np.array([annotation.kind != "polygon" for annotation in annotations], bool)
    seen = np.zeros(len(annotations), bool)
    for rows, starts, points in _polygons(annotations):
        seen[rows] = True
        counts = np.diff(np.append(starts, len(points)))
        largest = np.maximum.reduceat(np.abs(points).ravel(), 2 * starts)  # NaN if there is one
        # No outline is longer than its number of points times the largest possible step.
        with np.errstate(over="ignore"):
            short = 2 * largest * counts <= LONGEST_OUTLINE
        suspects[rows] = ~(short & (largest <= LARGEST_COORDINATE) & (counts >= 3))
    for row in np.flatnonzero(suspects | ~seen):
        reason = why_undrawable(annotations[row])
        if reason is not None:
            yield int(row), *reason


def _polygons(annotations, *, by_part=False):
    """Chunks of polygons as arrays: rows `[M]`, start of each in the points `[M]`, points `[P, (x, y)]`.

    by_part: one entry for each part of a polygon, so that a row may occur several times.
    """
    for start in range(0, len(annotations), _CHUNK):
        chunk = annotations[start : start + _CHUNK]
        rows = np.array([row for row, annotation in enumerate(chunk, start) if annotation.kind == "polygon"], np.int64)
        geometries = [annotation.geometry for annotation in chunk if annotation.kind == "polygon"]
        parts = list(itertools.chain.from_iterable(geometries))
        lengths = np.fromiter(map(len, parts), np.int64, len(parts))
        owner = np.repeat(np.arange(len(rows)), np.fromiter(map(len, geometries), np.int64, len(rows)))
        if by_part:
            rows = rows[owner]
        else:
            lengths = np.bincount(owner, lengths, len(rows)).astype(np.int64)
        rows, lengths = rows[lengths > 0], lengths[lengths > 0]
        if len(rows):
            yield rows, np.cumsum(lengths) - lengths, np.concatenate(parts)


def _shoelaces(points, starts):
    """Area of each polygon: float64 `[M]`; points `[P, (x, y)]` of all, starts `[M]`."""
    x, y = np.ascontiguousarray(points.T)
    last = np.append(starts[1:], len(points)) - 1
    cross = np.empty(len(points))
    with np.errstate(invalid="ignore", over="ignore"):
        cross[:-1] = x[:-1] * y[1:] - x[1:] * y[:-1]
        cross[last] = x[last] * y[starts] - x[starts] * y[last]
        return np.abs(np.add.reduceat(cross, starts)) / 2


def _shoelace(part):
    return float(_shoelaces(part, np.array([0]))[0]) if len(part) else 0.0


def _stroke_margin(annotation):
    if annotation.kind == "polygon" or annotation.stroke is None:
        return 0.0
    return annotation.stroke if annotation.kind == "point" else annotation.stroke / 2


def _rle_box(geometry):
    size = geometry.get("size")
    try:
        return runs_box(run_lengths(geometry["counts"]), int(size[0])) if size else None
    except DatasetError:
        return None


def _why_bad_rle(geometry):
    size = geometry.get("size")
    try:
        runs = run_lengths(geometry["counts"])
    except DatasetError as error:
        return "DAT035", str(error)
    if len(runs) < 2 or not runs[1::2].any():
        return "DAT013", "the RLE has no pixel inside"
    if size is None:
        return None
    height, width = size
    if runs.sum() != height * width:
        return (
            "DAT035",
            f"the runs hold {runs.sum()} pixels, size={[height, width]} [height, width] has {height * width}",
        )
    return None


def _why_bad_shape(kind, numbers):
    """numbers: of a rectangle, circle or ellipse; the first two say where, one or two more how large."""
    received = f"received {kind} {numbers.tolist()}"
    if not np.isfinite(numbers).all():
        return "DAT034", f"expected finite coordinates, {received}"
    if np.abs(numbers).max() > LARGEST_COORDINATE:
        return "DAT034", f"expected coordinates in pixels of the image, {received}"
    if (numbers[2:4] <= 0).any():
        return "DAT033", f"expected a {kind} of positive size, {received}"
    return None


def _why_bad_points(points, parts):
    if not np.isfinite(points).all():
        return "DAT034", f"expected finite coordinates, received {points[~np.isfinite(points).all(axis=1)][0].tolist()}"
    if np.abs(points).max() > LARGEST_COORDINATE:
        worst = points[np.abs(points).max(axis=1).argmax()].tolist()
        return "DAT034", f"expected coordinates in pixels of the image, received {worst}"
    length = sum(np.abs(part - np.roll(part, 1, axis=0)).max(axis=1).sum() for part in parts)
    if length > LONGEST_OUTLINE:
        return "DAT034", f"the outline is {length:.0f} pixels long, far more than around any object"
    return None
