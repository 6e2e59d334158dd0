"""Which format a file or folder has, judged by its content and not by its name alone."""

import csv
import io
import logging
from collections import Counter

from mrcnn_plus.data.readers.building import ReadOptions
from mrcnn_plus.data.readers.coco import DESCRIPTION as COCO
from mrcnn_plus.data.readers.coco import is_coco
from mrcnn_plus.data.readers.coco_segmentation import pack_polygons
from mrcnn_plus.data.readers.image_lookup import IMAGE_ENDINGS
from mrcnn_plus.data.readers.labelme import DESCRIPTION as LABELME
from mrcnn_plus.data.readers.labelme import is_labelme
from mrcnn_plus.data.readers.mask_folders import DESCRIPTION as MASK_FOLDERS
from mrcnn_plus.data.readers.mask_folders import is_mask_folder
from mrcnn_plus.data.readers.pascal_voc import DESCRIPTION as PASCAL_VOC
from mrcnn_plus.data.readers.pascal_voc import voc_root
from mrcnn_plus.data.readers.rle_csv import DESCRIPTION as RLE_CSV
from mrcnn_plus.data.readers.rle_csv import is_rle_header
from mrcnn_plus.data.readers.text_files import read_json, read_text
from mrcnn_plus.data.readers.via import DESCRIPTION as VIA
from mrcnn_plus.data.readers.via import is_via, is_via_header
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

FORMATS = {
    "coco": COCO,
    "via": VIA,
    "labelme": LABELME,
    "pascal_voc": PASCAL_VOC,
    "mask_folders": MASK_FOLDERS,
    "rle_csv": RLE_CSV,
}
_JSON_TESTS = {"coco": is_coco, "via": is_via, "labelme": is_labelme}
_MASK_WORDS = ("mask", "label", "segment", "annot", "gt")
_SAMPLED_FILES = 8


def detect(path, format, options):
    """`(format, path that its reader takes, content if it was read)`.

    path: existing `Path`; format: name of a format or "auto". Raises `DatasetError` if none fits, or several do.
    """
    if options.subset is not None and (path / options.subset).is_dir():
        path = path / options.subset
    if path.is_dir():
        return _detect_folder(path, format, options)
    if format in ("pascal_voc", "mask_folders"):
        raise DatasetError(f"{str(path)!r} is a file; format={format!r} reads a folder: {FORMATS[format]}.")
    found, data = _classify_file(path)
    if found is None or format not in ("auto", found):
        if format == "auto" or found is None:
            raise DatasetError(_explain_file(path, data))
        raise DatasetError(
            f"{str(path)!r} has the layout of {found!r}, received format={format!r}. Leave the format out, or give the "
            f"right file: {FORMATS[format]}."
        )
    return found, path, data


def _classify_file(path):
    """`(format or None, content or None)` of a file."""
    ending = path.suffix.lower()
    if ending in (
        *IMAGE_ENDINGS,
        ".zip",
        ".gz",
        ".tar",
        ".rar",
        ".7z",
        ".xml",
        ".txt",
        ".yaml",
        ".yml",
        ".npy",
        ".npz",
    ):
        return None, None
    text = read_text(path) if path.stat().st_size < 1_000_000 else None
    if ending in (".csv", ".tsv") or (text is not None and ending != ".json" and text.lstrip()[:1] not in "{["):
        head = text if text is not None else _first_line(path)
        columns = _header(head)
        found = "via" if is_via_header(columns) else "rle_csv" if is_rle_header(columns) else None
        return found, (None if found else columns)
    notes = []
    data = read_json(path, lambda *note: notes.append(note), object_hook=pack_polygons)
    found = next((format for format, test in _JSON_TESTS.items() if test(data)), None)
    # Read again by the reader where there is something to say about the encoding.
    return found, (None if notes and found else data)


def _detect_folder(folder, format, options):
    """As `detect`; a folder that holds nothing but one data set stands for it."""
    found = _format_of_folder(folder, format, options)
    if found is not None:
        return found
    parts = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and _is_data_set(entry, format)]
    if len(parts) == 1:
        logger.info("%s: the data set in its folder %r is read.", folder, parts[0].name)
        return detect(parts[0], format, options)
    raise DatasetError(_explain_folder(folder, format, [entry.name for entry in parts]))


def _format_of_folder(folder, format, options):
    if format in ("auto", "pascal_voc"):
        root = voc_root(folder)
        if root is not None:
            return "pascal_voc", root, None
    if format in ("auto", "coco", "via", "labelme", "rle_csv"):
        candidates = _annotation_files(folder, format)
        if candidates:
            return _choose(folder, candidates, options)
    if format in ("auto", "mask_folders") and is_mask_folder(folder, options):
        return "mask_folders", folder, None
    return None


def _annotation_files(folder, format):
    """`[(format, path, content)]` of the annotation files of a folder; labelme's many are one entry, the folder."""
    places = [
        folder,
        *(folder / name for name in ("annotations", "Annotations", "annotation", "labels", "ann", "json")),
    ]
    for place in places:
        if not place.is_dir():
            continue
        files = sorted(p for p in place.iterdir() if p.suffix.lower() in (".json", ".csv") and p.name[0] != ".")
        found = _classified(files, format)
        if any(kind == "labelme" for kind, _, _ in found):
            return [("labelme", place, None)]
        if found:
            return found
    if format in ("auto", "labelme"):
        first = next(
            (p for p in sorted(folder.rglob("*.json"))[:_SAMPLED_FILES] if _classify_quietly(p) == "labelme"), None
        )
        if first is not None:
            return [("labelme", folder, None)]
    return []


def _classified(files, format):
    found, errors = [], []
    # Many files are labelme's, one for each image: some of them tell.
    for path in files[:_SAMPLED_FILES] if len(files) > 3 * _SAMPLED_FILES else files:
        try:
            kind, data = _classify_file(path)
        except DatasetError as error:
            errors.append(error)
            continue
        if kind is not None and format in ("auto", kind):
            found.append((kind, path, data))
            if kind == "labelme":
                break
    if errors and not found:
        raise errors[0]
    return found


def _classify_quietly(path):
    try:
        return _classify_file(path)[0]
    except DatasetError:
        return None


def _choose(folder, candidates, options):
    """The one candidate that is meant."""
    if options.subset is not None:
        named = [c for c in candidates if options.subset.lower() in c[1].name.lower()]
        candidates = named or candidates
    if len(candidates) > 1:
        names = ", ".join(f"{path.name!r} ({kind})" for kind, path, _ in candidates[:8])
        raise DatasetError(
            f"{str(folder)!r} holds {len(candidates)} annotation files: {names}. Give the path of the one to read, or "
            "a part of its name, e.g. subset='train'."
        )
    return candidates[0]


def _first_line(path):
    with open(path, encoding="utf-8-sig", errors="replace") as stream:
        return stream.readline(100_000)


def _header(text):
    """Cells of the first line of a table."""
    line = text.lstrip("\ufeff").splitlines()[0] if text.strip() else ""
    separator = max(",;\t", key=line.count)
    return [cell.strip() for cell in next(csv.reader(io.StringIO(line), delimiter=separator), [])]


def _explain_file(path, data):
    """Why no reader takes the file."""
    ending = path.suffix.lower()
    where = repr(str(path))
    if ending in IMAGE_ENDINGS:
        found = f"{where} is an image. Give the annotation file, or the folder of the data set."
    elif ending in (".zip", ".gz", ".tar", ".rar", ".7z"):
        found = f"{where} is an archive. Unpack it and give the folder."
    elif ending == ".xml":
        found = (
            f"{where} is an xml file. Pascal VOC is read by its folder; boxes alone (without SegmentationObject) have "
            "no masks. From CVAT, export 'COCO 1.0' or 'Segmentation mask'."
        )
    elif ending in (".txt", ".yaml", ".yml"):
        found = f"{where} may be of YOLO or Darknet, which are not read. Export COCO json from your annotation tool."
    elif isinstance(data, dict):
        found = f"{where} is a JSON object with the keys {_some(data)}: no known layout.{_guess_tool(data)}"
    elif isinstance(data, list) and ending in (".csv", ".tsv"):
        found = f"{where} is a table with the columns {_some(data)}: none of them holds run-length encoded masks."
    elif isinstance(data, list):
        keys = f" The first has the keys {_some(data[0])}." if data and isinstance(data[0], dict) else ""
        tool = _guess_tool(data[0]) if data else ""
        found = f"{where} is a JSON list of {len(data)} entries: no known layout.{keys}{tool}"
    else:
        found = f"{where} has no known layout."
    return f"{found}\n{_formats(_near_formats(ending, data))}"


def _guess_tool(data):
    """What the keys remind of, for layouts that are not read."""
    keys = set(data) if isinstance(data, dict) else set()
    if {"segmentation", "bbox"} & keys and "image_id" in keys:
        return (
            " These are annotations, or results, of COCO without the images: wrap them with 'images' and 'categories'."
        )
    if "images" in keys:
        return " COCO's 'images' without 'annotations': is it the file of a test set?"
    if {"Label", "data_row"} & keys or {"External ID"} & keys:
        return " It looks like Labelbox: export COCO."
    if {"objects", "size"} <= keys or "classTitle" in keys:
        return " It looks like Supervisely: export COCO."
    if {"regions"} & keys:
        return " It looks like one entry of a VIA file: {name: entry} is expected."
    return ""


def _explain_folder(folder, format, parts):
    """Why no reader takes the folder: what is in it, parts that could be opened, and what is expected."""
    entries = sorted(folder.iterdir())
    folders = [entry for entry in entries if entry.is_dir() and entry.name[0] != "."]
    endings = Counter(entry.suffix.lower() or "no ending" for entry in entries if entry.is_file())
    held = [f"{count} files {ending}" for ending, count in endings.most_common(5)]
    held += [f"folders {_some([entry.name for entry in folders])}"] if folders else []
    text = f"{str(folder)!r} has no layout that is known: it holds {' and '.join(held) or 'nothing'}."
    if format != "auto":
        text = f"{str(folder)!r} has not the layout of format={format!r}: it holds {' and '.join(held) or 'nothing'}."
    if parts:
        text += f" Data sets are in {_some(parts)}: open each by itself, e.g. subset={parts[0]!r}."
    elif folders and any(word in entry.name.lower() for entry in folders for word in _MASK_WORDS):
        text += " Masks and images must stand in folders named 'images' and 'masks'; or give images=FOLDER."
    elif endings.keys() & set(IMAGE_ENDINGS) and not folders:
        text += " Images alone have no masks: give the annotation file, with images=FOLDER if it stands elsewhere."
    near = ["mask_folders"] if folders else []
    return f"{text}\n{_formats([format] if format != 'auto' else near)}"


def _is_data_set(folder, format):
    try:
        return _format_of_folder(folder, format, ReadOptions()) is not None
    except DatasetError:
        return False


def _near_formats(ending, data):
    keys = set(data) if isinstance(data, dict) else set()
    if ending == ".csv":
        return ["rle_csv", "via"]
    if keys & {"images", "annotations", "categories", "info", "licenses"}:
        return ["coco"]
    if keys & {"shapes", "imagePath", "version", "flags"}:
        return ["labelme"]
    return ["via"] if any(str(key).startswith("_via") for key in keys) else []


def _formats(near):
    names = [*near, *(name for name in FORMATS if name not in near)]
    return "What can be read:\n" + "\n".join(f"  {name}: {FORMATS[name]}" for name in names)


def _some(names, limit=8):
    names = [repr(str(name)) for name in names]
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
