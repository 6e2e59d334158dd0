"""One entry of COCO's "annotations" to an `Annotation`: its polygons or RLE, its declared box and area.

It runs once for each of up to a million objects.
"""

import contextlib
import math

import numpy as np

from mrcnn_plus.data.annotations import Annotation
from mrcnn_plus.data.readers.building import declared_size

# Polygons that are shorter than this, taken as a vector, cannot hurt (see `outlines.why_undrawable`).
_HARMLESS_LENGTH = 20_000


class SegmentationReader:
    """Reads annotations one by one.

    problem: called with (code, place, message, value, skipped=...). suspects: those whose numbers need a closer look.
    """

    def __init__(self, problem):
        self.problem = problem
        self.suspects = []

    def read(self, record, place, class_id):
        """The `Annotation` of a record; without parts, or with some, where its polygons are damaged."""
        crowd = bool(record.get("iscrowd", 0))
        box = self._box(record, place)
        area = self._area(record, place)
        segmentation = record.get("segmentation")
        if isinstance(segmentation, dict):
            annotation = Annotation(class_id, place, "rle", self._rle(segmentation, place), box, area, crowd)
            self.suspects.append(annotation)
            return annotation
        parts, harmless = self._polygon(segmentation, place, box)
        annotation = Annotation(class_id, place, "polygon", parts, box, area, crowd)
        if not harmless:
            self.suspects.append(annotation)
        return annotation

    def _area(self, record, place):
        area = record.get("area")
        try:
            return None if area is None else float(area)
        except (TypeError, ValueError, OverflowError):
            self.problem("DAT025", place, "expected a number as area; it is ignored", area)
            return None

    def _box(self, record, place):
        box = record.get("bbox")
        if not box and "bbox" not in record:
            return None
        try:
            x, y, width, height = box
            if math.isfinite(x + y + width + height):
                return float(x), float(y), float(width), float(height)
        except (TypeError, ValueError, OverflowError):
            message = "expected bbox [x, y, width, height] of numbers; it is ignored, boxes come from the masks"
            self.problem("DAT025", place, message, box)
            return None
        self.problem("DAT034", place, "bbox is not finite; it is ignored, boxes come from the masks", box)
        return None

    def _rle(self, segmentation, place):
        size = segmentation.get("size")
        if not isinstance(size, list | tuple) or len(size) != 2 or declared_size(*size)[0] is None:
            self.problem("DAT035", place, "expected an RLE with size [height, width]", size)
            size = None
        counts = segmentation.get("counts")
        if isinstance(counts, list):
            # What is wrong with others is said by why_undrawable.
            with contextlib.suppress(TypeError, ValueError, OverflowError):
                counts = np.array(counts, np.int64)
        return {"size": None if size is None else [int(length) for length in size], "counts": counts}

    def _polygon(self, segmentation, place, box):
        """`(parts as float64 arrays [K, (x, y)], True if their numbers are harmless)`; what is no part is listed."""
        if not isinstance(segmentation, list) or not segmentation:
            hint = " It has a bbox, which is not enough for masks." if box else ""
            message = (
                f"expected polygons or an RLE as segmentation: the object is not trained on.{hint} Draw its outline"
            )
            self.problem("DAT025", place, f"{message}, or remove it", segmentation, skipped=True)
            return [], False
        if isinstance(segmentation[0], int | float):
            message = "expected a list of lists as segmentation; the one list is read as one polygon"
            self.problem("DAT025", place, message)
            segmentation = [segmentation]
        parts, harmless = [], True
        for part in segmentation:
            values = _numbers(part)
            if values is None:
                self.problem("DAT033", place, "a polygon holds something else than numbers; it is left out", part)
                continue
            # Longer than every number in it; NaN if one of them is.
            harmless = harmless and values.size < _HARMLESS_LENGTH and values.dot(values) < _HARMLESS_LENGTH**2
            if values.size % 2:
                self.problem(
                    "DAT033",
                    place,
                    f"a polygon has {values.size} numbers, which do not pair as x and y; it is left out",
                    values.size,
                )
            elif values.size < 6:
                message = f"a polygon has {values.size // 2} points, 3 are the least; it is left out"
                self.problem("DAT033", place, message, values.tolist())
            else:
                parts.append(values.reshape(-1, 2))
        return parts, harmless and bool(parts)


def pack_polygons(record):
    """For `read_json`: make arrays of the polygons in an object as soon as it is parsed, in place.

    A list of numbers takes five times the memory of an array, and is slow to visit again later.
    """
    polygons = record.get("segmentation")
    if type(polygons) is list:
        for index, part in enumerate(polygons):
            if type(part) is list:
                with contextlib.suppress(TypeError, ValueError, OverflowError):
                    polygons[index] = np.array(part, np.float64)
    return record


def _numbers(part):
    """A polygon as float64 array of one dimension, or None if it does not consist of numbers."""
    try:
        values = np.asarray(part, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return values if values.ndim == 1 else values.ravel()
