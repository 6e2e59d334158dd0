"""What kind of file a weights file is, and a plain answer when it is not one.

A download that went wrong leaves an HTML page, a git-lfs pointer, half a file or nothing; each gets its own message.
"""

import difflib
import os
import re
import zipfile
from contextlib import contextmanager

import h5py

from mrcnn_plus.errors import WeightsError

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_DOWNLOAD = "Download it again (mrcnn_plus.utils.download_trained_weights checks what it gets) or copy it again."


def as_path(filepath):
    """The path as str. Raises WeightsError for None, an empty path and what is no path."""
    if not isinstance(filepath, str | os.PathLike) or not os.fspath(filepath):
        name = getattr(filepath, "__name__", None)
        hint = f" Call it: {name}()." if callable(filepath) and name else ""
        raise WeightsError(
            f"load_weights: expected the path of a weights file, received: filepath={filepath!r}.{hint} find_last() "
            "returns that of the newest checkpoint, get_imagenet_weights() that of a backbone trained on ImageNet."
        )
    return os.fspath(filepath)


def detect_format(path):
    """Which layout a weights file has.

    Returns "matterport" for HDF5 files with layers by name (Matterport, Keras 1 and 2, tf.keras, `model.save("x.h5")`),
    and "keras3" for what only Keras 3 itself can load (`.keras`, `.weights.h5`, `.weights.json`).
    Raises WeightsError, saying what the file is instead, for everything else.
    """
    path = as_path(path)
    if path.endswith(".weights.json") and os.path.isfile(path):
        return "keras3"
    if os.path.isfile(path) and _is_keras_archive(path):
        return "keras3"
    with open_hdf5(path) as file:
        if layer_group(file) is not None:
            return "matterport"
        if "_layer_checkpoint_dependencies" in file or _has_vars(file):
            return "keras3"
        raise WeightsError(_foreign_hdf5(path, file))


@contextmanager
def open_hdf5(path):
    """An HDF5 file opened for reading. Raises WeightsError that says what is wrong with it."""
    path = os.fspath(path)
    _check_content(path)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise WeightsError(_unreadable_hdf5(path, error)) from error
    try:
        yield file
    finally:
        file.close()


def layer_group(file):
    """The HDF5 group whose attribute `layer_names` (or `layer_names0`, ...) lists the layers, or None.

    Files of whole models, written by `model.save`, keep it under `model_weights`.
    """
    candidates = [file] + ([file["model_weights"]] if isinstance(file.get("model_weights"), h5py.Group) else [])
    for group in candidates:
        if "layer_names" in group.attrs or "layer_names0" in group.attrs:
            return group
    return None


def _has_vars(group):
    """True if somewhere below stands a group `vars`, the mark of Keras 3's own layout."""
    found = group.visit(lambda name: True if name.rsplit("/", 1)[-1] == "vars" else None)
    return bool(found) or isinstance(group.get("layers"), h5py.Group)


def _is_keras_archive(path):
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "config.json" in archive.namelist() and "metadata.json" in archive.namelist()


def _check_content(path):
    """Raise WeightsError unless `path` is a file that begins as HDF5 does."""
    if os.path.isdir(path):
        raise WeightsError(f"Weights path {path!r} is a folder, expected an .h5 file{_folder_hint(path)}.")
    if not os.path.exists(path):
        raise WeightsError(_missing_file(path))
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise WeightsError(f"Weights file {path!r} cannot be read: {error.strerror or error}.") from error
    if size == 0:
        raise WeightsError(f"Weights file {path!r} is empty (0 bytes). {_DOWNLOAD}")
    if not h5py.is_hdf5(path) and not head.startswith(_HDF5_MAGIC):
        raise WeightsError(f"Weights file {path!r} is not HDF5: it is {_what_it_is(path, head)}")


def _what_it_is(path, head):
    """What a file that is not HDF5 is, from its first bytes, and what to do."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        return (
            f"an HTML or XML page ({_first_text(start)}), usually the answer of a web server instead of the file. "
            f"{_DOWNLOAD}"
        )
    if start.startswith(b"version https://git-lfs"):
        size = re.search(rb"^size (\d+)", head, re.MULTILINE)
        stands_for = f" that stands for a file of {int(size[1]):,} bytes" if size else ""
        return f"a git-lfs pointer{stands_for}. Run `git lfs pull` in the repository it came from."
    if _is_tf_checkpoint(path):
        return (
            "a TensorFlow 1 checkpoint, which holds no Keras layers. Export it from the program that wrote it with "
            "keras_model.save_weights('x.h5')."
        )
    if head.startswith(b"PK\x03\x04"):
        return f"a zip archive. {_zip_hint(path)}"
    if head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) or head[257:262] == b"ustar":
        return "a compressed archive. Unpack it and load the .h5 file inside."
    if head.startswith(b"\x80"):
        return "a Python pickle, as PyTorch writes it. Only Keras files can be loaded."
    if not head.strip(b"\0"):
        return f"full of zeros, as an interrupted copy leaves it. {_DOWNLOAD}"
    if all(byte >= 32 or byte in b"\t\r\n" for byte in start[:200]):
        return f"a text file ({_first_text(start)}). {_DOWNLOAD}"
    return (
        f"of an unknown format (first bytes {head[:8].hex(' ')}). Expected an .h5 file of Matterport's Mask R-CNN or "
        "of Keras."
    )


def _first_text(start):
    return repr(start[:40].decode("utf-8", "replace").split("\n")[0])


def _is_tf_checkpoint(path):
    return path.endswith((".index", ".meta")) or ".ckpt" in os.path.basename(path) or ".data-00000" in path


def _zip_hint(path):
    if not zipfile.is_zipfile(path):
        return "It is damaged as well: fetch it again, unpack it and load the .h5 file inside."
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return "It is a PyTorch file; only Keras files can be loaded."
    if names and all(name.endswith(".npy") for name in names):
        return "It is a NumPy .npz file; only Keras files can be loaded."
    inside = [name for name in names if name.endswith((".h5", ".hdf5"))]
    return f"Unpack it and load {inside[0]!r}." if inside else "It holds no .h5 file."


def _unreadable_hdf5(path, error):
    """Why h5py could not open a file that begins as HDF5 does."""
    sizes = re.search(r"eof = (\d+).*?stored_eo[fa] = (\d+)", str(error))
    if sizes:
        have, want = (int(number) for number in sizes.groups())
        return f"Weights file {path!r} is truncated: it holds {have:,} of {want:,} bytes. {_DOWNLOAD}"
    if "lock" in str(error):
        return (
            f"Weights file {path!r} is in use by another program, perhaps one that is writing it ({error}). Try again "
            "when it has finished."
        )
    return (
        f"Weights file {path!r} is damaged or truncated ({os.path.getsize(path):,} bytes; HDF5 says: {error}). "
        f"{_DOWNLOAD}"
    )


def _foreign_hdf5(path, file):
    keys = list(file)
    if not keys:
        return (
            f"Weights file {path!r} is an HDF5 file without any content, as a program leaves it that stopped while "
            f"saving. {_DOWNLOAD}"
        )
    return (
        f"Weights file {path!r} is HDF5 but holds no Keras layers (no attribute 'layer_names'); it holds "
        f"{', '.join(map(repr, keys[:8]))}. Expected a file of Matterport's Mask R-CNN or of Keras."
    )


def _missing_file(path):
    """Message for a path where nothing is, with what is there instead."""
    if os.path.exists(path + ".index"):
        return f"Weights path {path!r} is {_what_it_is(path + '.index', b'')}"
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        return (
            f"Weights file {path!r} does not exist, nor does its folder {folder!r}. Check the path (the current folder "
            f"is {os.getcwd()!r})."
        )
    entries = sorted(os.listdir(folder))
    weights = [entry for entry in entries if entry.endswith((".h5", ".hdf5", ".keras"))]
    similar = difflib.get_close_matches(os.path.basename(path), entries, n=3) or weights[:5]
    hint = (
        f"its folder holds {', '.join(map(repr, similar))}"
        if similar
        else f"its folder {folder!r} holds no weights files"
    )
    return f"Weights file {path!r} does not exist; {hint}. Check the path (the current folder is {os.getcwd()!r})."


def _folder_hint(path):
    entries = sorted(os.listdir(path))
    if "saved_model.pb" in entries:
        return "; it is a TensorFlow SavedModel, which cannot be loaded as weights"
    weights = [entry for entry in entries if entry.endswith((".h5", ".hdf5", ".keras"))]
    return f"; it holds {', '.join(map(repr, weights[-5:]))}" if weights else "; it holds no weights files"
