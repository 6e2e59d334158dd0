"""Shapes of VIA, and of labelme in the same words, to kinds of `Annotation`."""

import numpy as np

from mrcnn_plus.errors import DatasetError

# VIA 3 begins its list of coordinates with the number of the shape.
_SHAPES_OF_VIA_3 = {
    1: "point",
    2: "rect",
    3: "circle",
    4: "ellipse",
    5: "polyline",
    6: "polyline",
    7: "polygon",
    8: "extreme_rect",
    9: "extreme_circle",
}
_KNOWN = "polygon, polyline, rect, circle, ellipse and point"
# Polylines whose ends are this near each other, as a share of their length, were meant as outlines.
_CLOSED_WITHIN = 0.03


class BadShape(DatasetError):
    """A shape that cannot be read; code: the lint rule that reports it, value: what was received."""

    def __init__(self, code, message, value=None):
        super().__init__(message)
        self.code, self.value = code, value


def read_shape(shape, options):
    """`(kind, geometry, stroke, note)` of VIA 2's "shape_attributes"; note: words on how it was read, or None.

    options: `ReadOptions` with point_radius and line_width. Raises `BadShape`.
    """
    if not isinstance(shape, dict) or not shape:
        raise BadShape("DAT023", "the region has no shape_attributes. Remove the region, or draw it again", shape)
    name = str(shape.get("name", "")).lower()
    if name in ("polygon", "polyline"):
        points = _points(shape)
        return ("polygon", [points], None, None) if name == "polygon" else _polyline(points, options)
    if name == "rect":
        x, y, width, height = _numbers(shape, "x", "y", "width", "height")
        return "rectangle", (min(x, x + width), min(y, y + height), abs(width), abs(height)), None, None
    if name == "circle":
        return "circle", _numbers(shape, "cx", "cy", "r"), None, None
    if name == "ellipse":
        angle = _numbers(shape, "theta")[0] if shape.get("theta") is not None else 0.0
        return "ellipse", (*_numbers(shape, "cx", "cy", "rx", "ry"), angle), None, None
    if name == "point":
        return "point", np.array([_numbers(shape, "cx", "cy")]), options.point_radius, None
    raise BadShape("DAT023", f"unknown shape; {_KNOWN} can be drawn. Draw it as one of these", shape.get("name"))


def shape_of_numbers(xy):
    """VIA 3's `[shape number, coordinates...]` as VIA 2's "shape_attributes"; unknown ones get a name that says so."""
    if not isinstance(xy, list) or not xy:
        return None
    number, values = xy[0], xy[1:]
    name = _SHAPES_OF_VIA_3.get(number if isinstance(number, int) else None, f"number {number!r}")
    fields = {
        "rect": ("x", "y", "width", "height"),
        "circle": ("cx", "cy", "r"),
        "ellipse": ("cx", "cy", "rx", "ry", "theta"),
        "point": ("cx", "cy"),
    }
    if name in fields:
        return {"name": name, **dict(zip(fields[name], values))}
    if name == "extreme_rect":
        return _around(values)
    if name == "extreme_circle":
        return _through(values)
    return {"name": name, "all_points_x": values[0::2], "all_points_y": values[1::2]}


def _points(shape):
    """float64 `[K, (x, y)]`."""
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(xs, list) or not isinstance(ys, list):
        raise BadShape("DAT033", "the shape has no all_points_x and all_points_y. Draw it again", shape)
    if len(xs) != len(ys):
        raise BadShape(
            "DAT033",
            f"all_points_x has {len(xs)} values and all_points_y has {len(ys)}, so they do not pair. Draw it again",
            (len(xs), len(ys)),
        )
    try:
        return np.array([xs, ys], np.float64).reshape(2, -1).T
    except (TypeError, ValueError, OverflowError):
        raise BadShape("DAT033", "a coordinate is not a number. Draw it again", (xs, ys)) from None


def _polyline(points, options):
    if options.line_width is None and len(points) >= 4:
        length = np.hypot(*np.diff(points, axis=0).T).sum()
        gap = np.hypot(*(points[0] - points[-1]))
        if gap <= _CLOSED_WITHIN * length:
            note = (
                "a polyline that ends where it begins is read as a polygon. State line_width=... to draw it as a line"
            )
            return "polygon", [points], None, note
    return "polyline", points, options.line_width, None


def _numbers(shape, *names):
    try:
        return tuple(float(shape[name]) for name in names)
    except KeyError as missing:
        raise BadShape("DAT033", f"the {shape['name']} has no {missing.args[0]!r}. Draw it again", shape) from None
    except (TypeError, ValueError, OverflowError):
        raise BadShape("DAT033", f"expected numbers as {', '.join(names)}. Draw it again", shape) from None


def _around(values):
    """The rectangle around points that lie on its sides."""
    try:
        xs, ys = np.array(values[0::2], float), np.array(values[1::2], float)
        x, y = float(xs.min()), float(ys.min())
        return {"name": "rect", "x": x, "y": y, "width": float(xs.max()) - x, "height": float(ys.max()) - y}
    except (TypeError, ValueError, OverflowError):
        return {"name": "rect"}


def _through(values):
    """The circle through three points."""
    try:
        (x1, y1), (x2, y2), (x3, y3) = np.array(values[:6], float).reshape(3, 2)
        sides = 2 * np.array([[x2 - x1, y2 - y1], [x3 - x1, y3 - y1]])
        squares = np.array([x2**2 - x1**2 + y2**2 - y1**2, x3**2 - x1**2 + y3**2 - y1**2])
        x, y = np.linalg.solve(sides, squares)
        return {"name": "circle", "cx": float(x), "cy": float(y), "r": float(np.hypot(x1 - x, y1 - y))}
    except (TypeError, ValueError, OverflowError, np.linalg.LinAlgError):
        return {"name": "circle"}
