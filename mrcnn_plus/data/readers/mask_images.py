"""Masks that are stored as images: read without changing a value, since values are ids and not brightness.

`values_mean_classes` judges whether a value is an instance, or a class whose connected parts are the instances.
"""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from mrcnn_plus.data.readers.rle import encode_mask
from mrcnn_plus.errors import DatasetError

# If more than this share of the values of the sampled masks have several parts, values mean classes.
_SEVERAL_PARTS = 0.3
_SAMPLE = 40
VOID = 255


class MaskFile(NamedTuple):
    """Where the pixels of an instance stand: in the file `path`, those with `value`, or all but 0 if it is None.

    bounds: (x1, y1, x2, y2), ends exclusive, and pixels: their number; None while the file was not read.
    """

    path: str
    value: int | None = None
    bounds: tuple | None = None
    pixels: int | None = None


def read_mask_file(path):
    """The values of a mask: int32 `[H, W]`; colors as 65536 * red + 256 * green + blue.

    Palette images give the numbers of the palette, 16 and 32 bit ones their numbers. Of images with transparency the
    alpha channel decides where nothing is. Grey JPEG, which blurs values, becomes 0 and 255.
    Raises `DatasetError` with the reason if the file is not an image.
    """
    return read_mask_with_palette(path)[0]


def read_mask_with_palette(path):
    """Values as `read_mask_file` gives them, and `{value: color number}` of a palette image, or None."""
    try:
        image = Image.open(io.BytesIO(Path(path).read_bytes()))
        image.load()
    except FileNotFoundError:
        raise DatasetError(f"the mask file {str(path)!r} does not exist") from None
    except Image.DecompressionBombError as error:
        raise DatasetError(f"cannot read the mask {str(path)!r}: {error}") from error
    except Exception as error:  # decoders raise many kinds for damaged data
        raise DatasetError(
            f"cannot read the mask {str(path)!r}: it is no image, damaged or cut off ({error})"
        ) from error
    return mask_values(image, path), _palette(image)


def pixels_with_value(values, value):
    """bool `[H, W]`: pixels with the value, or with any but 0 if it is None."""
    return values != 0 if value is None else values == value


def color_number(color):
    """(red, green, blue) as one number, the form in which `read_mask_file` gives colors."""
    red, green, blue = (int(channel) for channel in color[:3])
    return 65536 * red + 256 * green + blue


def mask_values(image, path):
    """The values of a loaded Pillow image, as `read_mask_file` gives them; path: for messages."""
    if image.format == "JPEG" and image.mode == "L":
        return np.where(np.array(image) > 127, 255, 0).astype(np.int32)  # its compression blurs 0 and 255
    if image.mode in ("P", "L", "1", "I;16", "I;16B", "I;16L", "I"):
        values = np.array(image)
        return (values > 0).astype(np.int32) if image.mode == "1" else values.astype(np.int32)
    if image.mode == "F":
        return _whole_numbers(np.array(image), path)
    alpha = np.array(image.convert("RGBA"))[..., 3] if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") else None
    pixels = np.array(image.convert("RGB")).astype(np.int32)
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all():
        values = pixels[..., 0]  # a grey picture saved with three channels
        if image.format == "JPEG":
            values = np.where(values > 127, 255, 0)
    else:
        values = pixels[..., 0] * 65536 + pixels[..., 1] * 256 + pixels[..., 2]
    if alpha is None or alpha.all():
        return values
    # A drawing on a transparent ground: if the paint is black, being painted is what counts.
    return np.where(alpha > 0, values if values[alpha > 0].any() else 255, 0).astype(np.int32)


def _whole_numbers(values, path):
    if not np.isfinite(values).all() or (values != np.floor(values)).any() or np.abs(values).max() > 2**31 - 1:
        raise DatasetError(f"the mask {str(path)!r} holds fractions or NaN; expected whole numbers as ids of instances")
    return values.astype(np.int32)


def _palette(image):
    if image.mode != "P":
        return None
    colors = np.array(image.getpalette("RGB"), np.int64).reshape(-1, 3)
    return {number: color_number(color) for number, color in enumerate(colors)}


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
