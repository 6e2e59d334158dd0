"""VGG Image Annotator: exports and project files of VIA 1, 2 and 3, as JSON, and the CSV export.

All layouts become a list of `Entry`; shapes are in `via_shapes`, the choice of the class attribute in `via_classes`.
"""

import csv
import io
import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

from mrcnn_plus.data.annotations import Annotation
from mrcnn_plus.data.readers.building import DatasetBuilder
from mrcnn_plus.data.readers.text_files import read_json, read_text
from mrcnn_plus.data.readers.via_classes import choose_attribute, class_of
from mrcnn_plus.data.readers.via_shapes import BadShape, read_shape, shape_of_numbers
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

DESCRIPTION = (
    'VIA: one json {"<file name><size>": {"filename": ..., "regions": [{"shape_attributes": ..., "region_attributes": '
    "...}]}}, or a VIA project file, or VIA's csv export"
)
_CSV_COLUMNS = {"filename", "region_shape_attributes", "region_attributes"}
_PROJECT_3 = ("metadata", "file", "view")
# VIA 3's types of user input whose values are numbers of options: checkbox, radio, select.
_TYPES_WITH_OPTIONS = (2, 3, 4)
_CHECKBOX = 2


class Region(NamedTuple):
    """place: words; shape: VIA 2's "shape_attributes"; attributes: {name: value}."""

    place: str
    shape: Any
    attributes: Any


class Entry(NamedTuple):
    """One image: name as stored, bytes of the file (or None), {attribute: value} of the file, and its regions."""

    name: Any
    size: Any
    attributes: Any
    regions: list


def is_via(data):
    """Whether the content of a JSON file has a layout of VIA."""
    if isinstance(data, dict):
        if "_via_img_metadata" in data or all(isinstance(data.get(key), dict) for key in _PROJECT_3):
            return True
        data = list(data.values())[:50]
    elif not isinstance(data, list):
        return False
    return any(isinstance(value, dict) and "filename" in value and "regions" in value for value in data[:50])


def is_via_header(columns):
    """Whether the columns of a table are those of VIA's csv export."""
    return {column.lstrip("#") for column in columns} >= _CSV_COLUMNS


def read_via(path, options, data=None):
    """The prepared `AnnotatedDataset` of a VIA file. data: its content, if it was read already."""
    path = Path(path)
    build = DatasetBuilder("via", path, options, polygon_rule="closed", upright_by_custom=True)
    if path.suffix.lower() in (".csv", ".tsv"):
        entries = _entries_of_csv(path, build)
    else:
        if data is None:
            data = read_json(path, build.encoding_note)
        if not is_via(data):
            raise DatasetError(f"{str(path)!r} is no VIA file; expected {DESCRIPTION}.")
        entries = _entries_of_json(data, build)
    attribute = choose_attribute(entries, build)
    build.look_for_images(path.parent, [str(entry.name) for entry in entries])
    for entry in entries:
        place = f"image {entry.name!r}"
        annotations = [
            annotation
            for region in entry.regions
            if (annotation := _annotation(region, entry, attribute, place, build)) is not None
        ]
        size = entry.size if isinstance(entry.size, int) and entry.size > 0 else None
        build.add_named_image(entry.name, entry.name, annotations, place=place, size=size)
    return build.finish()


def _annotation(region, entry, attribute, image_place, build):
    """The `Annotation` of a region, or None if it has no class; problems are listed."""
    place = f"{image_place}, {region.place}"
    name, why = class_of(region, entry, attribute, build.options)
    if name is None:
        build.problem(
            "DAT023",
            place,
            f"not trained on: {why}. Give it a class in VIA, or all such regions one, e.g. default_class='weed'",
            region.attributes,
            skipped=True,
        )
        return None
    number = build.class_number(name)
    try:
        kind, geometry, stroke, note = read_shape(region.shape, build.options)
    except BadShape as bad:
        build.problem(bad.code, place, f"not trained on: {bad}", bad.value, skipped=True)
        return Annotation(number, region.place, "polygon", [])
    if note:
        build.problem("DAT023", place, note)
    return Annotation(number, region.place, kind, geometry, stroke=stroke)


def _entries_of_json(data, build):
    if isinstance(data, dict) and "_via_img_metadata" in data:
        logger.info("%s is a VIA project file; its _via_img_metadata is read.", build.dataset.source_path)
        data = data["_via_img_metadata"]
        if not isinstance(data, dict) or not data:
            raise DatasetError(
                f"{build.dataset.source_path!r}: the VIA project has no images (_via_img_metadata is empty). Add "
                "images in VIA and save the project again."
            )
    elif isinstance(data, dict) and all(isinstance(data.get(key), dict) for key in _PROJECT_3):
        return _entries_of_project_3(data, build)
    return _entries_of_export(data, build)


def _entries_of_export(data, build):
    """VIA 1 (regions {"0": ...}) and VIA 2 (regions [...])."""
    entries = []
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if not isinstance(value, dict) or not isinstance(value.get("filename"), str) or not value["filename"].strip():
            message = "expected an entry with filename and regions; it is not used"
            build.problem("DAT024", f"entry {key!r}", message, value, skipped=True)
            continue
        regions = value.get("regions")
        if isinstance(regions, dict):
            regions = list(regions.items())
        elif isinstance(regions, list):
            regions = list(enumerate(regions))
        else:
            if regions is not None:
                message = "expected regions as a list; the image is taken to have none"
                build.problem("DAT024", f"image {value['filename']!r}", message, regions)
            regions = []
        found = []
        for number, region in regions:
            if isinstance(region, dict):
                shape, attributes = region.get("shape_attributes"), region.get("region_attributes")
                found.append(Region(f"region {number}", shape, attributes))
            else:
                place = f"image {value['filename']!r}, region {number}"
                build.problem("DAT024", place, "expected an object with shape_attributes", region, skipped=True)
        entries.append(Entry(value["filename"], value.get("size"), value.get("file_attributes"), found))
    return entries


def _entries_of_project_3(data, build):
    """VIA 3: metadata belong to views, views to files; attributes and their options are numbered."""
    logger.info("%s is a VIA 3 project file.", build.dataset.source_path)
    attributes = data.get("attribute") if isinstance(data.get("attribute"), dict) else {}
    entries = {}
    for number, file in data["file"].items():
        name = (file.get("fname") or file.get("src")) if isinstance(file, dict) else None
        if not name:
            build.problem(
                "DAT024", f"file {number}", "expected an object with fname; it is not used", file, skipped=True
            )
            continue
        # fname may be shortened to the last part; src keeps the folder.
        source = file.get("src")
        plain = isinstance(source, str) and not source.startswith(("data:", "blob:")) and source.strip()
        entries[str(number)] = Entry(source if plain else name, None, {}, [])
    for key, metadata in data["metadata"].items():
        place = f"metadata {key!r}"
        entry = _file_of_metadata(metadata, data["view"], entries)
        if entry is None:
            message = "its view shows no file of the project; the region is not trained on"
            build.problem("DAT024", place, message, metadata, skipped=True)
            continue
        values = _named_values(metadata.get("av"), attributes)
        xy = metadata.get("xy")
        if not xy:
            if not metadata.get("z"):
                entry.attributes.update(values)
            continue
        if metadata.get("z"):
            message = "a region in a frame of a video; not trained on. Export the frame as an image"
            build.problem("DAT024", f"image {entry.name!r}, {place}", message, metadata["z"], skipped=True)
            continue
        entry.regions.append(Region(place, shape_of_numbers(xy), values))
    return list(entries.values())


def _file_of_metadata(metadata, views, entries):
    view = views.get(str(metadata.get("vid"))) if isinstance(metadata, dict) else None
    files = view.get("fid_list") if isinstance(view, dict) else None
    return entries.get(str(files[0])) if isinstance(files, list) and files else None


def _named_values(values, attributes):
    """{attribute name: value} of VIA 3's {attribute number: option number or text}."""
    named = {}
    for number, value in values.items() if isinstance(values, dict) else ():
        attribute = attributes.get(str(number))
        if not isinstance(attribute, dict):
            named[str(number)] = value
            continue
        options = attribute.get("options") or {}
        if attribute.get("type") in _TYPES_WITH_OPTIONS and isinstance(options, dict):
            chosen = str(value).split(",") if attribute["type"] == _CHECKBOX else [str(value)]
            chosen = [str(options.get(option.strip(), option)) for option in chosen if option.strip()]
            value = dict.fromkeys(chosen, True) if len(chosen) > 1 else "".join(chosen)
        named[str(attribute.get("aname", number))] = value
    return named


def _entries_of_csv(path, build):
    """VIA's csv: a row for each region, shapes and attributes as JSON in their cells."""
    text = read_text(path, build.encoding_note)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in text.splitlines()[0] else ",")
    rows.fieldnames = [name.lstrip("#").strip() for name in rows.fieldnames]
    entries = {}
    for row in rows:
        name = row.get("filename")
        if not name:
            build.problem("DAT024", f"line {rows.line_num}", "the row has no filename; it is not used", skipped=True)
            continue
        size = row.get("file_size") or ""
        cells = {}
        for column in ("file_attributes", "region_shape_attributes", "region_attributes"):
            try:
                cells[column] = json.loads(row.get(column) or "{}")
            except json.JSONDecodeError:
                message = f"the cell {column} is no JSON; spreadsheets damage such cells when they save"
                build.problem("DAT024", f"image {name!r}, line {rows.line_num}", message, row[column])
                cells[column] = {}
        number = int(size) if size.lstrip("-").isdigit() else None
        entry = entries.setdefault(name, Entry(name, number, cells["file_attributes"], []))
        if cells["region_shape_attributes"]:
            place = f"region {row.get('region_id') or len(entry.regions)} (line {rows.line_num})"
            entry.regions.append(Region(place, cells["region_shape_attributes"], cells["region_attributes"]))
    return list(entries.values())
