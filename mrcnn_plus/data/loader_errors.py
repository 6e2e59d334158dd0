"""What a user's `load_image` or `load_mask` raised, in words: the line, the region that it was at, and what to do.

Most programs read regions of VIA or labelme in a loop. The region that the loop was at stands in the variables of the
function that failed, so it can be named without knowing the program.
"""

import itertools
import os
import re
import sysconfig
from pathlib import Path

_PACKAGE = str(Path(__file__).resolve().parents[1])
NOT_THE_USERS = ("<frozen", _PACKAGE, *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")))

# What a region of VIA has, by the name of its shape.
_VIA_SHAPES = {
    "polygon": "all_points_x and all_points_y",
    "polyline": "all_points_x and all_points_y",
    "rect": "x, y, width and height",
    "circle": "cx, cy and r",
    "ellipse": "cx, cy, rx and ry",
    "point": "cx and cy",
}
_READER = "mrcnn_plus.data.open_dataset(annotation_file, images=folder) reads every shape"
_OUT_OF_BOUNDS = re.compile(r"index (-?\d+) is out of bounds for axis (\d) with size (\d+)")


def explain_loader_error(error) -> str:
    """`IndexError: ... (line 40 of parts.py). Region 2 reaches out of the mask. What to do.`, as far as known."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    frames = _frames_of_user(error)
    if frames:
        code, line = frames[-1][0].f_code, frames[-1][1]
        text += f" (line {line} of {os.path.basename(code.co_filename)})"
    region = next(filter(None, (_find_region(frame.f_locals) for frame, _ in reversed(frames))), None)
    return f"{text}. {_advice(error, region)}".rstrip()


def _frames_of_user(error):
    """`(frame, line)` of the user's own functions in a traceback, from the outside in."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(NOT_THE_USERS):
            frames.append((trace.tb_frame, trace.tb_lineno))
        trace = trace.tb_next
    return frames


def _find_region(variables):
    """`(number or None, region)` for a dict among the variables that is a region of VIA or a shape of labelme."""
    for value in variables.values():
        if not isinstance(value, dict):
            continue
        for region in (value, value.get("shape_attributes")):
            if isinstance(region, dict) and (_is_via(region) or _is_labelme(region)):
                return _number_of(variables, value), region
    return None


def _is_via(region):
    return "all_points_x" in region or region.get("name") in _VIA_SHAPES


def _is_labelme(region):
    return "points" in region and ("shape_type" in region or "label" in region)


def _number_of(variables, region):
    """At which place of a list a region stands; the list is a variable, or in a dict that is one."""
    inside = [list(value.values()) for value in variables.values() if isinstance(value, dict)]
    for candidate in itertools.chain(variables.values(), *inside):
        items = list(candidate.values()) if isinstance(candidate, dict) else candidate
        if isinstance(items, list | tuple):
            for number, item in enumerate(items):
                if item is region:
                    return number
    return None


def _advice(error, found):
    """What is wrong with the region, and what to do."""
    number, region = found or (None, {})
    name = "The region" if number is None else f"Region {number} (counted from 0)"
    kind = region.get("name") or region.get("shape_type")
    if isinstance(error, KeyError) and found and str(error.args[0]).startswith("all_points"):
        has = _VIA_SHAPES.get(kind, ", ".join(sorted(map(str, region))))
        return (
            f"{name} is a {kind or 'shape'}, which has {has}. Draw it from those in load_mask, leave it out, or use a "
            f"ready reader: {_READER}."
        )
    beyond = _OUT_OF_BOUNDS.search(str(error)) if isinstance(error, IndexError) else None
    if beyond is None:
        return ""
    index, axis, size = beyond.groups()
    side = {"0": "rows", "1": "columns"}.get(axis, "entries")
    corners = _extent(region)
    if corners is None and axis not in ("0", "1"):
        return ""
    what = f"{name}, {corners}, reaches" if corners else "What is drawn reaches"
    return (
        f"{what} out of the mask, which has {size} {side}: pixel {index} is not in it. Let it be cut off at the "
        "border: skimage.draw.polygon(rows, cols, shape=mask.shape[:2])."
    )


def _extent(region):
    """`a polygon with x from 3 to 160 and y from 0 to 90`."""
    xs, ys = region.get("all_points_x"), region.get("all_points_y")
    if xs is None and isinstance(region.get("points"), list):
        xs, ys = ([point[axis] for point in region["points"]] for axis in (0, 1))
    if not xs or not ys:
        return None
    return f"a polygon with x from {min(xs)} to {max(xs)} and y from {min(ys)} to {max(ys)}"
