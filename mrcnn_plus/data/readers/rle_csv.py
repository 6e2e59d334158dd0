"""Tables of run-length encoded masks as in Kaggle's competitions: a row for each object (or each class of an image).

Runs are pairs "start length", down the columns, the first pixel is number 1. An empty cell means no object.
"""

import csv
import io
import logging
import re
from pathlib import Path

import numpy as np

from mrcnn_plus.data.annotations import Annotation
from mrcnn_plus.data.readers.building import DatasetBuilder, declared_size
from mrcnn_plus.data.readers.photo_frames import read_header
from mrcnn_plus.data.readers.rle import runs_from_starts
from mrcnn_plus.data.readers.text_files import read_text
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

DESCRIPTION = "RLE table: a csv with the columns ImageId, EncodedPixels and, if there are several classes, ClassId"
ONLY_CLASS = "object"
_IMAGE_COLUMNS = ("imageid", "image_id", "image", "filename", "file_name", "img", "img_id", "id", "imageid_classid")
_RLE_COLUMNS = ("encodedpixels", "encoded_pixels", "rle", "rle_mask", "mask_rle", "encoded_mask", "annotation")
_CLASS_COLUMNS = ("classid", "class_id", "class", "class_name", "label", "category", "category_id", "cell_type")
# iMaterialist: the class, followed by attributes.
_WITH_ATTRIBUTES = re.compile(r"(\d+)(_\d+)+")
_NOTHING = ("", "-1", "nan", "none", "null")


def is_rle_header(columns):
    """Whether the first line of a table names an image and an RLE."""
    return _column(columns, _IMAGE_COLUMNS) is not None and _column(columns, _RLE_COLUMNS) is not None


def read_rle_csv(path, options, data=None):
    """The prepared `AnnotatedDataset` of a table."""
    path = Path(path)
    build = DatasetBuilder("rle_csv", path, options)
    header, rows = _rows(path, build)
    if not is_rle_header(header):
        raise DatasetError(f"{str(path)!r} has the columns {header}; expected {DESCRIPTION}.")
    images = _group(header, rows, build)
    build.look_for_images(path.parent, list(images))
    for name, (annotations, size) in images.items():
        width, height = declared_size(*size)
        if width is None:
            _state_size(annotations, build.find(name))
        build.add_named_image(name, name, annotations, place=f"image {name!r}", width=width, height=height)
    return build.finish()


def _rows(path, build):
    """`(columns, [(line, cells)])`."""
    text = read_text(path, build.encoding_note)
    first = text.splitlines()[0] if text.strip() else ""
    separator = max(",;\t", key=first.count)
    limit = csv.field_size_limit(2**31 - 1)  # a mask may take more than the 128 kB that a cell has by default
    try:
        table = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        header = [cell.strip() for cell in next(table, [])]
        return header, [(table.line_num, cells) for cells in table if any(cells)]
    except csv.Error as error:
        raise DatasetError(
            f"{str(path)!r}, line {table.line_num}: no valid table ({error}). Save it as csv again."
        ) from None
    finally:
        csv.field_size_limit(limit)


def _group(header, rows, build):
    """`{image: ([Annotation, ...], (width, height))}` in the order of the table."""
    image_column, rle_column = _column(header, _IMAGE_COLUMNS), _column(header, _RLE_COLUMNS)
    class_column = _class_column(header, build)
    size_columns = [_column(header, (name,)) for name in ("width", "height")]
    combined = header[image_column].lower() == "imageid_classid"
    images = {}
    for line, cells in rows:
        if len(cells) < len(header):
            message = f"expected {len(header)} cells, received {len(cells)}; the row is not used"
            build.problem("DAT024", f"line {line}", message, cells, skipped=True)
            continue
        name = cells[image_column].strip()
        class_name = cells[class_column].strip() if class_column is not None else ""
        if combined:
            name, _, class_name = name.rpartition("_")
        size = tuple(cells[column] if column is not None else None for column in size_columns)
        annotations, known = images.setdefault(name, ([], size))
        if known != size:
            build.problem("DAT025", f"image {name!r}, line {line}", "width and height differ between its rows", size)
        text = cells[rle_column].strip()
        if text.lower() not in _NOTHING:
            annotation = _annotation(text, class_name, line, name, size, build)
            if annotation is not None:
                annotations.append(annotation)
    return images


def _annotation(text, class_name, line, name, size, build):
    place = f"line {line}"
    if _WITH_ATTRIBUTES.fullmatch(class_name):
        class_name = class_name.split("_")[0]
    options = build.options
    if not class_name:
        only = options.class_names[0] if options.class_names and len(options.class_names) == 1 else ONLY_CLASS
        class_name = options.default_class or only
    try:
        runs = runs_from_starts(text).astype(np.int64)
    except DatasetError as error:
        build.problem("DAT035", f"image {name!r}, {place}", f"not trained on: {error}. Make it again", skipped=True)
        runs = np.zeros([0], np.int64)
    annotation = Annotation(build.class_number(class_name), place, "rle", {"size": None, "counts": runs})
    width, height = declared_size(*size)
    if width is not None:
        _fill(annotation, height, width)
    return annotation


def _class_column(header, build):
    wanted = build.options.class_attribute
    if wanted is None:
        column = _column(header, _CLASS_COLUMNS)
        if column is not None:
            logger.info("%s: the class is taken from the column %r.", build.dataset.source_path, header[column])
        return column
    wanted = wanted if isinstance(wanted, str) else wanted[0]
    if wanted not in header:
        raise DatasetError(
            f"{build.dataset.source_path!r}: expected a column of the table, received class_attribute={wanted!r}. "
            f"It has {header}."
        )
    return header.index(wanted)


def _state_size(annotations, path):
    """Give runs of unknown size that of the stored image, so that they can be measured without drawing."""
    if path is None or not annotations:
        return
    try:
        header = read_header(path)
    except DatasetError:
        return
    for annotation in annotations:
        _fill(annotation, header.height, header.width)


def _fill(annotation, height, width):
    """State the size, with the run after the last object pixel; runs beyond the image stay as they are, too long."""
    runs = annotation.geometry["counts"]
    rest = height * width - int(runs.sum())
    if rest > 0:
        runs = np.append(runs, rest)
    annotation.geometry = {"size": [height, width], "counts": runs}


def _column(header, names):
    """Position of the first column with one of the names, or None."""
    lower = [name.lower().replace(" ", "") for name in header]
    return next((lower.index(name) for name in names if name in lower), None)
