"""The bytes of an image file to RGB uint8, by one rule for each kind of pixel.

| stored as                          | becomes                                                                    |
|------------------------------------|----------------------------------------------------------------------------|
| 8-bit grey, palette, CMYK, 1 bit   | RGB by Pillow; 1 bit as 0 and 255                                          |
| alpha channel, fourth TIFF channel | dropped; the colors below it are kept as they are stored                  |
| 16-bit integers                    | value / 257, rounded: 0..65535 to 0..255, the same for every image         |
| float                              | 0..1 to 0..255; any other range is an error                                |
| other integers, over 4 channels    | an error: `load_image` must be overridden                                  |
| several pages or frames            | the first                                                                  |

A rule that looked at the image itself, such as stretching its darkest and brightest value, would make the same
brightness mean different things in different images; so none does.
"""

import logging

import numpy as np
from PIL import Image, UnidentifiedImageError

from mrcnn_plus.data.notices import warn_once
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

_TIFF_BEGINS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n"
_IMAGE_BEGINS = (_PNG_BEGIN, b"\xff\xd8\xff", b"GIF8", b"BM", b"RIFF", *_TIFF_BEGINS)
_ORIENTATION_TAG = 274
_UNDO_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_DARK_16_BIT = 65536 // 16
# One look-up instead of arithmetic: entry v is v / 257, rounded.
_TO_8_BIT = ((np.arange(65536) + 128) // 257).astype(np.uint8)
_OVERRIDE = "Override load_image in the Dataset subclass and return uint8 pixels scaled as the data needs it."


def decode_image(stream, name):
    """Decode the first image in a binary stream.

    stream: a seekable binary file at its beginning; name: what messages call it, usually its path.

    Returns uint8 `[H, W, 3]`, RGB, writable. Raises `DatasetError` with `name` and the reason.
    """
    head = stream.read(512)
    stream.seek(0)
    try:
        if head.startswith(_TIFF_BEGINS):
            return _decode_tiff(stream, name)
        if head.startswith(_PNG_BEGIN) and head[24:25] == b"\x10":
            return _decode_16_bit_png(stream, name)
        return _decode_with_pillow(stream, name)
    except (DatasetError, MemoryError):
        raise
    except UnidentifiedImageError:
        raise DatasetError(f"cannot read {name!r}: {_explain_unknown(head)}") from None
    except Image.DecompressionBombError as error:
        raise DatasetError(
            f"cannot read {name!r}: {error}. Cut the image into tiles, or raise PIL.Image.MAX_IMAGE_PIXELS if the "
            "file can be trusted."
        ) from error
    except Exception as error:  # decoders raise many kinds for damaged data: OSError, SyntaxError, struct.error...
        raise DatasetError(
            f"cannot read {name!r}: the image data cannot be decoded ({error}). The file is damaged, was cut off or "
            "has an unusual format: copy it again, or save it anew as PNG."
        ) from error


def _explain_unknown(head):
    """Why Pillow does not know the file, judged by its first bytes."""
    text = head.lstrip().lower()
    if head.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer, not the image itself. Run `git lfs pull`."
    if text.startswith((b"<!doctype", b"<html")):
        return "it is an HTML page, probably the error page of a download. Download the image again."
    if head.startswith(_IMAGE_BEGINS):
        return f"it begins like an image ({head[:8]!r}) but is damaged or cut off. Copy or download it again."
    return f"it is not an image of a known kind; it begins with {head[:12]!r}. Convert it to PNG or JPEG."


def _decode_with_pillow(stream, name):
    """PNG, JPEG, GIF, BMP, WebP and whatever else Pillow knows."""
    image = Image.open(stream)
    if getattr(image, "is_animated", False) and image.format != "MPO":  # phones write single photos as MPO
        _say_first_of_many(name)
    image.load()
    _say_if_rotated(image.getexif().get(_ORIENTATION_TAG, 1) if "exif" in image.info else 1, name)
    return _rgb_from_pillow(image, name)


def _rgb_from_pillow(image, name):
    """A loaded Pillow image to RGB uint8."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if image.mode == "I" and values.min() >= 0 and values.max() < 65536:
            values = values.astype(np.uint16)  # Pillow's form of 16-bit PGM, in older versions of PNG too
        return _rgb_from_array(values, name)
    if image.mode in ("P", "PA", "La", "RGBa"):
        # By way of RGBA: straight to RGB Pillow warns about transparency, or refuses.
        image = image.convert("LA" if image.mode == "La" else "RGBA")
    if image.mode != "RGB":
        image = image.convert("RGB")
    return np.array(image)


def _decode_16_bit_png(stream, name):
    """PNG with 16 bits in each channel; Pillow would cut color ones to 8 bits before the rule is applied."""
    import cv2

    pixels = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:  # damaged: let Pillow say how
        stream.seek(0)
        return _decode_with_pillow(stream, name)
    if pixels.ndim == 3:
        pixels = pixels[..., 2::-1]  # OpenCV has BGR or BGRA
    return _rgb_from_array(pixels, name)


def _decode_tiff(stream, name):
    """TIFF: 8-bit ones by Pillow, which knows every compression; the rest by tifffile, which knows every type."""
    import tifffile

    with tifffile.TiffFile(stream) as tiff:
        page = tiff.pages.first
        if len(tiff.pages) > 1:
            _say_first_of_many(name)
        if page.samplesperpixel > 4 or len(page.shape) > 3:
            raise DatasetError(
                f"cannot read {name!r}: a TIFF of shape={page.shape}, expected at most 4 channels. Override "
                f"load_image, return the channels as [H, W, C] and set IMAGE_CHANNEL_COUNT = {page.samplesperpixel} "
                "and a MEAN_PIXEL of that length."
            )
        tag = page.tags.get(_ORIENTATION_TAG)
        orientation = 1 if tag is None else int(tag.value)
        if page.dtype is None or page.dtype in (np.uint8, bool):
            stream.seek(0)
            try:
                return _decode_8_bit_tiff(stream, orientation, name)
            except UnidentifiedImageError:
                pass  # rare layouts of 8-bit channels
        _say_if_rotated(orientation, name)
        return _rgb_from_array(_tiff_pixels(page, stream, orientation), name)


def _decode_8_bit_tiff(stream, orientation, name):
    image = Image.open(stream)
    image.load()
    _say_if_rotated(orientation, name)
    # Pillow turns a TIFF upright while it loads, and then removes the tag; other formats it leaves as they are stored.
    if orientation in _UNDO_ORIENTATION and _ORIENTATION_TAG not in image.getexif():
        image = image.transpose(_UNDO_ORIENTATION[orientation])
    return _rgb_from_pillow(image, name)


def _tiff_pixels(page, stream, orientation):
    """The values of a TIFF page, `[H, W]` or `[H, W, channels]`, in its own type, with 0 as black."""
    colors = getattr(page.photometric, "name", str(page.photometric))
    if colors not in ("MINISWHITE", "MINISBLACK", "RGB"):
        raise ValueError(f"there is no rule for a {page.dtype} TIFF with colors of kind {colors}; save it as RGB")
    try:
        pixels = page.asarray()
        if page.axes.startswith("S"):
            pixels = np.moveaxis(pixels, 0, -1)
    except ValueError:  # a compression for which tifffile needs the package imagecodecs, e.g. LZW
        known = orientation == 1 and page.dtype.name in ("uint16", "float32")
        pixels = _tiff_pixels_by_opencv(stream) if known else None
        if pixels is None:
            raise
    if colors == "MINISWHITE" and pixels.dtype.kind == "u":
        pixels = np.iinfo(pixels.dtype).max - pixels
    return pixels


def _tiff_pixels_by_opencv(stream):
    """OpenCV knows the usual compressions but mishandles rotated TIFFs. None if it cannot read the file."""
    import cv2

    stream.seek(0)
    pixels = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim == 2:
        return pixels
    return pixels[..., 2::-1]


def _rgb_from_array(pixels, name):
    """`[H, W]` or `[H, W, 1..4]` of any type to RGB uint8, by the rules at the head of this file."""
    if pixels.ndim == 2:
        pixels = pixels[..., np.newaxis]
    # Two channels are grey and alpha, four are colors and alpha.
    pixels = _to_8_bit(pixels[..., : 1 if pixels.shape[2] < 3 else 3], name)
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else np.ascontiguousarray(pixels)


def _to_8_bit(values, name):
    """The stated rule for each type of number: uint8, shape kept."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        if values.max() < _DARK_16_BIT:
            warn_once(
                logger,
                "dark 16-bit image",
                "%s: the brightest of its 16-bit values is %d of 65535, so the image becomes nearly black by the rule "
                "value / 257. If your camera fills fewer bits (12-bit cameras: 0..4095): %s",
                *(name, values.max(), _OVERRIDE),
            )
        return _TO_8_BIT[values]
    low, high = values.min(), values.max()  # NaN if there is one
    if values.dtype.kind == "f" and low >= -1e-6 and high <= 1 + 1e-6:
        return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    expected = "float values from 0 to 1" if values.dtype.kind == "f" else "uint8, uint16 or float values from 0 to 1"
    raise DatasetError(
        f"cannot read {name!r}: expected {expected}, received dtype={values.dtype.name} with values from {low} to "
        f"{high}. What black and white mean here is not stated in the file. {_OVERRIDE}"
    )


def _say_first_of_many(name):
    warn_once(
        logger,
        "several pages",
        "%s holds several pages or frames; the first is read, here and in further files like it. Override load_image "
        "to choose another.",
        name,
    )


def _say_if_rotated(orientation, name):
    if orientation not in (0, 1):
        warn_once(
            logger,
            "EXIF orientation",
            "%s has the EXIF orientation %d: viewers turn such photos, here the pixels are taken as they are "
            "stored, and masks must fit those. If yours were drawn on the turned photo, store the photos turned "
            "(PIL.ImageOps.exif_transpose), or turn them in load_image. This is said for the first such file only.",
            *(name, orientation),
        )
