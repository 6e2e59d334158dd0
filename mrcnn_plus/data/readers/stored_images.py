"""The image of an entry of `image_info`, as it is stored: in a file, or inside the JSON file of labelme."""

import base64
import io
import json

from mrcnn_plus.data.image_decoding import decode_image
from mrcnn_plus.data.image_files import read_image
from mrcnn_plus.data.readers.photo_frames import Header, read_header
from mrcnn_plus.errors import DatasetError


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
