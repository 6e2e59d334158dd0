"""Files that are either complete or not there, and JSON files that may be missing or damaged."""

import contextlib
import json
import os
import tempfile


@contextlib.contextmanager
def replacing(path):
    """Gives the path of a temporary file beside `path`, which takes its place when the block has ended well.

    Until then, and if the block raises (a full disk, Ctrl-C), an older file of that name stays as it was, and nothing
    half written is left. The temporary name ends as `path` does, because writers look at the ending. A link stays a
    link; the file it points to is replaced.
    """
    path = os.path.realpath(os.fspath(path))
    folder, file = os.path.split(path)
    handle, temporary = tempfile.mkstemp(prefix=".unfinished_", suffix=f"_{file}", dir=folder)
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "r+b") as written:
            os.fsync(written.fileno())  # else a crash of the machine could leave the name without the content
        _keep_permissions(temporary, path)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def read_json(path):
    """The object in a JSON file; an empty dict where there is no such file, or something else in it."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _keep_permissions(temporary, path):
    """Those of the file that is replaced, else those of any new file; temporary files are private."""
    try:
        mode = os.stat(path).st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    with contextlib.suppress(OSError):
        os.chmod(temporary, mode)
