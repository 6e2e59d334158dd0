"""From the name that an annotation file gives an image to the file on this machine.

Annotation files are made on one computer and read on another: with back-slashes, folders that are not there, addresses,
or another case of letters. Each way of finding a file that is not the plain one is said.
"""

import os
import posixpath
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

from mrcnn_plus.errors import DatasetError

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".jp2", ".pgm", ".ppm", ".jfif")
# Names of folders in which the images of an annotation file usually stand, from its own folder.
_USUAL_FOLDERS = (
    *("", "images", "Images", "imgs", "img", "JPEGImages", "data", "train", "val", "test", "train2017", "val2017"),
    *("../images", "../Images", "../imgs", "../img", "../JPEGImages", "../data", "../train", "../val", "../test"),
    *("../train2017", "../val2017", "../train2014", "../val2014", ".."),
)
_MOST_FILES = 2_000_000
_SAMPLE = 50


class Found(NamedTuple):
    """path: of the file, or None. how: None for the plain name, "prefix" for another folder, or words that say how."""

    path: str | None
    how: str | None = None


class ImageLookup:
    """Finds images below one folder. The folder is listed once, when it is first needed.

    root: the folder. plain_only: True if nothing below other folders than the named ones may be taken.
    """

    def __init__(self, root):
        self.root = Path(os.path.abspath(root))
        self._paths = None

    def find(self, name, size=None):
        """`Found` for a name in the annotations; size: bytes that the file should have, to choose between several."""
        name = plain_name(name)
        if not name:
            return Found(None)
        if posixpath.isabs(name) and os.path.isfile(name):
            return Found(name)
        self._list()
        if name in self._paths:
            return Found(self._paths[name])
        return self._find_by_last_part(name, size)

    def others_beside(self, used):
        """Image files in the folders of the used ones that are not used themselves, sorted; used: absolute paths."""
        self._list()
        folders = {os.path.dirname(path) for path in used}
        paths = [path for path in self._paths.values() if path.lower().endswith(IMAGE_ENDINGS)]
        keys = [os.path.normcase(path) for path in paths]
        return sorted(path for path, key in zip(paths, keys) if key not in used and os.path.dirname(key) in folders)

    def _find_by_last_part(self, name, size):
        last = name.rpartition("/")[2]
        candidates = self._by_last_part.get(last, [])
        how = "prefix"
        if not candidates:
            candidates = self._by_lower_case.get(last.lower(), [])
            how = "its name differs in upper and lower case"
        if not candidates:
            stem = (posixpath.splitext(last)[0] if last.lower().endswith(IMAGE_ENDINGS) else last).lower()
            candidates = [path for path in self._by_stem.get(stem, []) if path.lower().endswith(IMAGE_ENDINGS)]
            # Tables of Kaggle give names without any ending.
            how = "its name ends differently" if last.lower().endswith(IMAGE_ENDINGS) else "prefix"
        if len(candidates) > 1 and size is not None:
            candidates = [path for path in candidates if os.path.getsize(self._paths[path]) == size] or candidates
        if len(candidates) > 1:
            best = max(_common_end(path, name) for path in candidates)
            candidates = [path for path in candidates if _common_end(path, name) == best]
        if len(candidates) > 1:
            names = ", ".join(repr(path) for path in sorted(candidates)[:3])
            return Found(
                None, f"there are {len(candidates)} files of that name ({names}), and nothing says which is meant"
            )
        return Found(self._paths[candidates[0]], how) if candidates else Found(None)

    def _list(self):
        if self._paths is not None:
            return
        self._paths = {}
        self._by_last_part, self._by_lower_case, self._by_stem = {}, {}, {}
        begin = len(str(self.root).rstrip(os.sep)) + 1
        for path in _files_below(str(self.root)):
            name = path[begin:].replace(os.sep, "/")
            self._paths[name] = path
            last = name.rpartition("/")[2]
            self._by_last_part.setdefault(last, []).append(name)
            self._by_lower_case.setdefault(last.lower(), []).append(name)
            self._by_stem.setdefault(posixpath.splitext(last)[0].lower(), []).append(name)


def image_lookup(images, annotation_folder, names):
    """The `ImageLookup` for an annotation file.

    images: the folder that the user gave, or None to look in the usual places around `annotation_folder`.
    names: of images in the annotation file; the place that has most of them is taken.
    Raises `DatasetError` if the given folder does not exist.
    """
    if images is not None:
        if not os.path.isdir(images):
            raise DatasetError(
                f"expected the folder of the images, received images={str(images)!r}, which is no folder."
            )
        return ImageLookup(images)
    folder = Path(annotation_folder)
    step = max(1, len(names) // _SAMPLE)
    sample = [plain_name(name) for name in names[::step]]

    def hits(root):
        return sum((root / name).is_file() for name in sample)

    roots = [folder / place for place in _USUAL_FOLDERS]
    best = max(roots, key=hits)  # the first of equals
    if hits(best):
        return ImageLookup(os.path.normpath(best))
    for root in (folder, folder.parent):
        lookup = ImageLookup(root)
        if any(lookup.find(name).path for name in sample):
            return lookup
    return ImageLookup(folder)


def plain_name(name):
    """The name with forward slashes, without a drive, an address or "./" before it."""
    name = str(name).strip().replace("\\", "/")
    if "://" in name:
        name = unquote(urlparse(name).path)
    if len(name) > 1 and name[1] == ":":
        name = name[2:]
    name = posixpath.normpath(name) if name else ""
    return "" if name == "." else name


def _files_below(root):
    """Paths of all files below a folder; links to folders are followed, each folder once."""
    seen, found = set(), 0
    for folder, folders, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            yield os.path.join(folder, name)
        found += len(files)
        if found > _MOST_FILES:
            raise DatasetError(
                f"{str(root)!r} holds over {_MOST_FILES} files. Give the folder of the images: images=..."
            )


def _common_end(path, name):
    """How many parts two paths share, counted from the end."""
    count = 0
    for one, other in zip(reversed(path.lower().split("/")), reversed(name.lower().split("/"))):
        if one != other:
            break
        count += 1
    return count
