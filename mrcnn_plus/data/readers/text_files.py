"""Annotation files as text: whatever encoding a Windows editor or a spreadsheet gave them, and clear errors."""

import codecs
import gc
import json
from contextlib import contextmanager
from pathlib import Path

from mrcnn_plus.errors import DatasetError

# The longer marks first: UTF-32 begins like UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path, note=None):
    """The text of a file in UTF-8, UTF-16 or UTF-32 with a byte order mark, or else Windows-1252.

    note: called with (message, value) where another encoding than UTF-8 was taken.
    Raises `DatasetError` for a file that is missing, empty or not text.
    """
    content = _read_bytes(path)
    encoding = _encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or b"\0" in content[:1000]:
            raise DatasetError(
                f"{str(path)!r} is damaged: as {encoding} text it cannot be read at byte {error.start}. Save it again "
                "as UTF-8."
            ) from None
        line = content.count(b"\n", 0, error.start) + 1
        encoding, text = "cp1252", content.decode("cp1252", errors="replace")
        if note is not None:
            note(
                f"the file is not UTF-8 (line {line}, byte {error.start}); it was read as Windows-1252, so letters in "
                "class and file names may be wrong. Save it as UTF-8",
                encoding,
            )
    else:
        if encoding.startswith(("utf-16", "utf-32")) and note is not None:
            note(
                f"the file is stored as {encoding.upper()}; other programs may not read it. Save it as UTF-8", encoding
            )
    return text


def read_json(path, note=None, *, object_hook=None):
    """The content of a JSON file; object_hook: of `json.loads`, called with each object.

    Raises `DatasetError` with line and column where it is damaged or cut off.
    """
    text = read_text(path, note)
    with without_garbage_collection():
        try:
            return json.loads(text, object_hook=object_hook)
        except json.JSONDecodeError as error:
            raise DatasetError(_explain_json_error(path, text, error)) from None
        except RecursionError:
            raise DatasetError(f"{str(path)!r} is nested too deeply to be an annotation file.") from None


@contextmanager
def without_garbage_collection():
    """Millions of new lists make the collector walk all of them again and again; it triples the time.

    Freezing and unfreezing hands them to its oldest generation, so that it does not walk them right afterwards either.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if gc.get_freeze_count() == 0:
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _read_bytes(path):
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"{str(path)!r} does not exist. Check the path.") from None
    except OSError as error:
        raise DatasetError(f"cannot read {str(path)!r}: {error.strerror or error}.") from error
    if not content.strip(b" \t\r\n\0"):
        raise DatasetError(f"{str(path)!r} is empty ({len(content)} bytes). Export or copy it again.")
    if content.startswith(b"version https://git-lfs"):
        raise DatasetError(f"{str(path)!r} is a Git LFS pointer, not the file itself. Run `git lfs pull`.")
    return content


def _encoding(content):
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    # ASCII characters in UTF-16 without a mark: every other byte is zero.
    if content[1:2] == b"\0" and content[0:1] != b"\0":
        return "utf-16-le"
    if content[0:1] == b"\0" and content[1:2] != b"\0":
        return "utf-16-be"
    return "utf-8"


def _explain_json_error(path, text, error):
    place = f"{str(path)!r}, line {error.lineno}, column {error.colno}"
    begin = text.lstrip()[:40]
    if begin.lower().startswith(("<!doctype", "<html")):
        return f"{str(path)!r} is an HTML page, probably the error page of a download. Download the file again."
    if error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated string"):
        end = text.rstrip()[-40:]
        return (
            f"{place}: the JSON ends in the middle ({len(text)} characters, the last are {end!r}). The file was cut "
            "off while it was saved or copied: export it again."
        )
    around = text[max(error.pos - 30, 0) : error.pos + 30]
    return f"{place}: no valid JSON ({error.msg}), near {around!r}. Export the file again, or mend it in an editor."
