"""The stored image of an entry of `image_info`, and which way up it was annotated.

Cameras store pixels as the sensor lies and say by the EXIF orientation how to turn them. Some tools annotate the stored
pixels, others the turned, upright picture, and few say which. `decide_frame` weighs the evidence; it opens no file.
"""

import base64
import io
import json
from typing import NamedTuple

import numpy as np
from PIL import Image

from mrcnn_plus.data.image_decoding import decode_image
from mrcnn_plus.data.image_files import read_image
from mrcnn_plus.errors import DatasetError

_ORIENTATION_TAG = 274
_WIDTH_TAG, _HEIGHT_TAG = 256, 257
# How far outlines may leave the image before that counts as evidence, as a share of its side: hands are unsteady.
_TOLERANCE = 0.01


class Header(NamedTuple):
    """What an image file says of itself: size of the stored pixels, and the EXIF orientation, 1 where there is none."""

    width: int
    height: int
    orientation: int = 1


class Frame(NamedTuple):
    """The pixels that annotations belong to.

    height, width: of the picture after `orientation` was applied; 1 means the pixels as they are stored.
    reason: why this frame was chosen, or None for photos that no viewer turns.
    certain: False if nothing spoke for this frame but the custom of the format.
    """

    height: int
    width: int
    orientation: int = 1
    reason: str | None = None
    certain: bool = True


def read_header(path):
    """The header of an image file; path: str, path or bytes of the file.

    Raises `DatasetError` if Pillow does not know the file.
    """
    try:
        with Image.open(io.BytesIO(path) if isinstance(path, bytes) else path) as image:
            return header_of(image)
    except Exception as error:  # damaged files raise many kinds
        name = "the embedded image" if isinstance(path, bytes) else repr(str(path))
        raise DatasetError(f"cannot read the header of {name}: {error}") from error


def header_of(image):
    """The `Header` of an open Pillow image."""
    if image.format == "TIFF":  # Pillow gives the size after turning, but for TIFF only
        width, height = (int(image.tag_v2[tag]) for tag in (_WIDTH_TAG, _HEIGHT_TAG))
        orientation = image.tag_v2.get(_ORIENTATION_TAG, 1)
    else:
        width, height = image.size
        orientation = image.getexif().get(_ORIENTATION_TAG, 1) if "exif" in image.info else 1
    return Header(width, height, orientation if orientation in range(1, 9) else 1)


def decide_frame(header, *, declared=None, boxes=None, upright_by_custom=False):
    """The `Frame` of the annotations of one image.

    header: `Header` of the file.
    declared: (width, height) that the annotation file states for the image, or that its masks have; or None.
    boxes: `[N, (x1, y1, x2, y2)]` pixels, around the annotations (`outline_boxes`); rows of NaN are ignored; or None.
    upright_by_custom: the tool shows photos upright (browsers, labelme), so that is taken where nothing decides.
    """
    width, height, orientation = header
    if orientation == 1:
        return Frame(height, width)
    turned = (height, width) if orientation >= 5 else (width, height)
    stored, upright = Frame(height, width), Frame(turned[1], turned[0], orientation)
    outside_stored, total = _outside(boxes, width, height)
    outside_upright, _ = _outside(boxes, *turned)
    tells = f"EXIF orientation {orientation}, stored as {width} x {height}, upright {turned[0]} x {turned[1]}"
    if outside_stored and not outside_upright:
        reason = f"{tells}: {outside_stored} of {total} objects leave the stored frame, none the upright one"
        return upright._replace(reason=reason)
    if outside_upright and not outside_stored:
        reason = f"{tells}: {outside_upright} of {total} objects leave the upright frame, none the stored one"
        return stored._replace(reason=reason)
    if turned != (width, height) and declared in ((width, height), turned):
        reason = f"{tells}: the annotations declare {declared[0]} x {declared[1]}"
        return (upright if declared == turned else stored)._replace(reason=reason)
    cause = "both frames have the same size" if turned == (width, height) else "the annotations fit both frames"
    if outside_stored:
        cause = f"objects leave both frames ({outside_stored} the stored, {outside_upright} the upright one)"
    custom = "tools of this format show photos upright" if upright_by_custom else "stored pixels are the default"
    chosen = upright if upright_by_custom else stored
    return chosen._replace(reason=f"{tells}: {cause} and no declared size decides; {custom}", certain=False)


def apply_orientation(pixels, orientation):
    """Stored pixels `[H, W, ...]` turned upright by an EXIF orientation from 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _outside(boxes, width, height):
    """How many boxes leave a frame clearly, and how many there are."""
    if boxes is None or not len(boxes):
        return 0, 0
    boxes = np.asarray(boxes, float)
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    beyond = (boxes[:, 2] > width * (1 + _TOLERANCE) + 1) | (boxes[:, 3] > height * (1 + _TOLERANCE) + 1)
    return int(beyond.sum()), len(boxes)


def stored_header(info):
    """The `Header` of the image. Raises `DatasetError` with the reason if it cannot be read."""
    try:
        return read_header(embedded_image(info["embedded_in"]) if info.get("embedded_in") else info["path"])
    except DatasetError:
        # Rare kinds that only the decoder knows; of the others it says what is wrong.
        height, width = stored_pixels(info).shape[:2]
        return Header(width, height)


def stored_pixels(info):
    """The image as RGB, uint8 `[H, W, 3]`, not turned."""
    if info.get("embedded_in"):
        name = f"{info['embedded_in']} (imageData)"
        return decode_image(io.BytesIO(embedded_image(info["embedded_in"])), name)
    return read_image(info["path"])


def embedded_image(json_path):
    """The bytes of the image that a labelme file carries as "imageData"."""
    try:
        with open(json_path, encoding="utf-8-sig") as stream:
            return base64.b64decode(json.load(stream)["imageData"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{str(json_path)!r}: its imageData cannot be read ({error}). Put the image file beside it."
        ) from None
