"""What an image file says in its first and last bytes; no pixel is decoded, unless the file looks damaged."""

from __future__ import annotations

import os
from typing import NamedTuple

from PIL import Image

from mrcnn_plus.data.image_files import read_image
from mrcnn_plus.data.readers.photo_frames import header_of
from mrcnn_plus.errors import DatasetError

_STRIP_OFFSETS, _STRIP_LENGTHS, _TILE_OFFSETS, _TILE_LENGTHS = 273, 279, 324, 325
_TAIL = 65536
_ADDRESS_BEGINS = ("http://", "https://", "ftp://", "file://")


class FileHeader(NamedTuple):
    """width, height: of the stored pixels, None if unknown; orientation: the EXIF tag, 1 if there is none.

    mode: Pillow's, e.g. "RGB"; "RGB;16" and "RGBA;16" for 16 bits in each channel. format: of the content, e.g. "PNG".
    bytes: size of the file. error: why it cannot be read, in the words of `read_image`, or None.
    """

    width: int | None = None
    height: int | None = None
    orientation: int = 1
    mode: str | None = None
    format: str | None = None
    bytes: int | None = None
    error: str | None = None


def read_file_header(path) -> FileHeader:
    """The `FileHeader` of a file. Nothing is downloaded: of an address nothing is known.

    A file that Pillow does not know, or whose end is missing, is read as training would read it: that decides.
    """
    if isinstance(path, str) and path.lower().startswith(_ADDRESS_BEGINS):
        return FileHeader()
    header = FileHeader()
    if not isinstance(path, str | os.PathLike):  # open() would take a number for an open file
        return _after_reading(path, header)
    try:
        with open(path, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            with Image.open(stream) as image:
                header = _header_of(image, stream, size)
                complete = _has_its_end(image, stream, size)
    except Exception:  # decoders raise many kinds for damaged files; what is wrong with this one is said below
        complete = False
    return header if complete else _after_reading(path, header)


def _header_of(image, stream, size) -> FileHeader:
    width, height, orientation = header_of(image)
    mode = image.mode
    if image.format == "PNG" and mode in ("RGB", "RGBA"):
        stream.seek(24)
        mode += ";16" if stream.read(1) == b"\x10" else ""
    return FileHeader(width, height, orientation, mode, image.format, size)


def _has_its_end(image, stream, size) -> bool:
    """False if the file looks cut off; a first look, the decoder has the last word."""
    kind = image.format
    if kind == "GIF":
        return _in_tail(b";", stream, size, 1)
    if kind in ("PNG", "JPEG", "MPO"):
        end = b"IEND" if kind == "PNG" else b"\xff\xd9"
        # Cameras append data after the end. A quarter of the file is searched, so that the preview that stands near the
        # beginning of a photo, and has an end too, is not taken for it.
        return _in_tail(end, stream, size, 16) or _in_tail(end, stream, size, min(_TAIL, size // 4))
    if kind == "WEBP":
        stream.seek(4)
        return int.from_bytes(stream.read(4), "little") + 8 <= size
    if kind == "TIFF":
        return _last_strip(image.tag_v2) <= size
    if kind == "BMP":
        return _end_of_bmp(stream) <= size
    return True


def _in_tail(marker, stream, size, length) -> bool:
    stream.seek(max(0, size - length))
    return marker in stream.read()


def _end_of_bmp(stream) -> int:
    """Where the pixels of a BMP end, in bytes; 0 if they are compressed."""
    stream.seek(10)
    start = int.from_bytes(stream.read(4), "little")
    stream.seek(18)
    width, height = (int.from_bytes(stream.read(4), "little", signed=True) for _ in range(2))
    stream.seek(28)
    bits, compression = int.from_bytes(stream.read(2), "little"), int.from_bytes(stream.read(4), "little")
    return 0 if compression else start + (width * bits + 31) // 32 * 4 * abs(height)


def _last_strip(tags) -> int:
    """Where the pixels of a TIFF end, in bytes."""
    for offsets, lengths in ((_STRIP_OFFSETS, _STRIP_LENGTHS), (_TILE_OFFSETS, _TILE_LENGTHS)):
        if offsets in tags and lengths in tags:
            return max(map(sum, zip(tags[offsets], tags[lengths], strict=False)), default=0)
    return 0


def _after_reading(path, header) -> FileHeader:
    """The header with the error that reading gives, or with the size of the image if it can be read after all."""
    try:
        height, width = read_image(path).shape[:2]
    except DatasetError as error:
        return header._replace(error=str(error))
    except Exception as error:
        return header._replace(error=f"cannot read {str(path)!r}: {type(error).__name__}: {error}")
    if header.width is None:
        return header._replace(width=width, height=height, bytes=os.path.getsize(path))
    return header
