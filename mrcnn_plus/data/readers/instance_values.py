"""Masks with several values: is a value an instance, or a class whose connected parts are the instances?"""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2
import numpy as np

from mrcnn_plus.data.readers.mask_images import read_mask_with_palette
from mrcnn_plus.data.readers.rle import encode_mask
from mrcnn_plus.errors import DatasetError

# If more than this share of the values of the sampled masks have several parts, values mean classes.
_SEVERAL_PARTS = 0.3
_SAMPLE = 40
VOID = 255


class ValueFacts(NamedTuple):
    """One value of a mask: bounds (x1, y1, x2, y2) with exclusive ends, number of pixels and of connected parts."""

    bounds: tuple
    pixels: int
    parts: int | None = None


class MaskFacts(NamedTuple):
    """What stands in a mask file: size, {value: ValueFacts} of all values but 0, {value: color number} or None."""

    height: int
    width: int
    values: dict
    palette: dict | None


def read_many(paths, *, count_parts=False):
    """`{path: MaskFacts, or the DatasetError}`, read in threads."""
    paths = list(paths)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        answers = threads.map(lambda path: _facts_or_error(path, count_parts), paths)
        return dict(zip(paths, answers))


def values_mean_classes(paths):
    """Whether values of id masks mean classes: judged on a sample, by how often a value has several connected parts."""
    paths = sorted(paths)
    sample = paths[:: max(1, len(paths) // _SAMPLE)][:_SAMPLE]
    facts = [fact for fact in read_many(sample, count_parts=True).values() if isinstance(fact, MaskFacts)]
    parts = [value.parts for fact in facts for number, value in fact.values.items() if not is_void(number, fact)]
    return bool(parts) and np.mean(np.array(parts) > 1) > _SEVERAL_PARTS


def is_void(value, facts):
    """Whether the value marks pixels that belong to nothing: 255 among others, unless ids count up to it."""
    others = facts.values
    return value == VOID and len(others) > 1 and max(others) == VOID and VOID - 1 not in others


def connected_parts(values, value):
    """Runs (RLE) of each connected part of the pixels with `value`, from top to bottom; corners connect."""
    count, labels = cv2.connectedComponents((values == value).astype(np.uint8), connectivity=8)
    return [encode_mask(labels == number).astype(np.int32) for number in range(1, count)]


def _facts_or_error(path, count_parts):
    try:
        values, palette = read_mask_with_palette(path)
        return MaskFacts(*values.shape, _facts_of_values(values, count_parts), palette)
    except DatasetError as error:
        return error


def _facts_of_values(values, count_parts):
    from scipy.ndimage import find_objects

    numbers, places = np.unique(values, return_inverse=True)
    places = places.reshape(values.shape)
    pixels = np.bincount(places.ravel(), minlength=len(numbers))
    facts = {}
    for place, (number, slices) in enumerate(zip(numbers, find_objects(places + 1))):
        if number == 0:
            continue
        rows, columns = slices
        parts = None
        if count_parts:
            parts = cv2.connectedComponents((places[slices] == place).astype(np.uint8), connectivity=8)[0] - 1
        bounds = (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
        facts[int(number)] = ValueFacts(bounds, int(pixels[place]), parts)
    return facts
