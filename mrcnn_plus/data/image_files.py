"""`read_image`: a file, or an address on the web, to RGB pixels, or an error that says what is wrong with it."""

import io
import os
import urllib.error
import urllib.request
from pathlib import Path

from mrcnn_plus.data.image_decoding import decode_image
from mrcnn_plus.errors import DatasetError

_URL_BEGINS = ("http://", "https://", "ftp://", "file://")
_URL_TIMEOUT_SECONDS = 60


def read_image(path):
    """Read an image of any common kind.

    path: str or path of a file, or a str that begins with http://, https://, ftp:// or file://.

    Returns uint8 `[H, W, 3]`, RGB, writable. Grey becomes three equal channels, transparency is dropped; 16-bit and
    float images follow the rules in `image_decoding`. The name's ending does not matter, the content decides. EXIF
    orientation is not applied, because masks belong to the stored pixels (compat: Dataset.load_image); one warning
    says so.
    Raises `DatasetError` for a file that is missing, empty, damaged, not an image, or of a kind that has no RGB form.
    """
    if isinstance(path, str) and path.lower().startswith(_URL_BEGINS):
        return decode_image(_download(path), path)
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise DatasetError(
            f"expected the path of an image file, received path={path!r}. Give add_image(..., path=...) the file, or "
            "override load_image if the picture does not come from a file."
        )
    with _open(Path(path)) as stream:
        return decode_image(stream, str(path))


def _open(path):
    """The file, opened for reading, with at least one byte in it."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise DatasetError(f"cannot read {str(path)!r}: {_explain_missing(path)}") from None
    except IsADirectoryError:
        raise DatasetError(
            f"cannot read {str(path)!r}: it is a folder. Give the path of the image file in it."
        ) from None
    except (OSError, ValueError) as error:  # no permission, a broken disk, a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"cannot read {str(path)!r}: {reason}. Check the name and who may read it.") from error
    if not stream.peek(1):
        stream.close()
        raise DatasetError(f"cannot read {str(path)!r}: the file is empty (0 bytes). Copy or download it again.")
    return stream


def _explain_missing(path):
    """What is there instead of the file: an unknown folder, or neighbours with nearly the same name."""
    folder = path.parent
    if not folder.is_dir():
        hint = "" if path.is_absolute() else f" The path is relative to the current folder, {os.getcwd()!r}."
        return f"there is no folder {str(folder)!r}.{hint} Check the path given to add_image."
    similar = sorted(entry.name for entry in os.scandir(folder) if Path(entry.name).stem.lower() == path.stem.lower())
    if similar:
        return f"the folder has no such file, but it has {similar[0]!r}. Correct the name given to add_image."
    return f"the folder {str(folder)!r} exists but has no file {path.name!r}. Check the name given to add_image."


def _download(url):
    """The content at the address, in memory."""
    try:
        with urllib.request.urlopen(url, timeout=_URL_TIMEOUT_SECONDS) as answer:
            content = answer.read()
    except (OSError, ValueError) as error:  # URLError, HTTPError and time-outs are OSErrors
        reason = getattr(error, "reason", None) or error
        status = f"the server answered {error.code}: " if isinstance(error, urllib.error.HTTPError) else ""
        raise DatasetError(
            f"cannot download {url!r}: {status}{reason}. Check the address and the network, or store the "
            "images as files."
        ) from error
    if not content:
        raise DatasetError(f"cannot read {url!r}: the server sent 0 bytes. Open the address in a browser.")
    return io.BytesIO(content)
