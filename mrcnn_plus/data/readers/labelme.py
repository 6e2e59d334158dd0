"""labelme: a json for each image, with "shapes" (label, points, shape_type) and "imagePath".

Shapes with the same label and group_id are parts of one object, as in labelme's own converters.
"""

import base64
import io
import logging
import os
from pathlib import Path, PureWindowsPath

import numpy as np
from PIL import Image

from mrcnn_plus.data.annotations import Annotation
from mrcnn_plus.data.readers.building import DatasetBuilder, declared_size
from mrcnn_plus.data.readers.mask_images import mask_values
from mrcnn_plus.data.readers.rle import encode_mask
from mrcnn_plus.data.readers.text_files import read_json
from mrcnn_plus.data.readers.via_shapes import BadShape
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

DESCRIPTION = 'labelme: a folder with a json for each image {"shapes": [...], "imagePath": ..., "imageHeight": ...}'
# Corners of the polygon that stands for a circle among the parts of an object.
_CORNERS_OF_CIRCLE = 72


def is_labelme(data):
    """Whether the content of a JSON file is that of labelme."""
    return isinstance(data, dict) and isinstance(data.get("shapes"), list) and "regions" not in data


def read_labelme(path, options, data=None):
    """The prepared `AnnotatedDataset` of a labelme file, or of all in a folder (with the folders in it)."""
    path = Path(path)
    build = DatasetBuilder("labelme", path, options, polygon_rule="closed", upright_by_custom=True)
    records = [(path, data)] if path.is_file() else [(file, None) for file in _json_files(path)]
    names = []
    for number, (file, content) in enumerate(records):
        records[number] = (file, _read(file, content, build))
        names.append(str(_image_name(records[number][1], file)))
    build.look_for_images(path.parent if path.is_file() else path, names)
    for file, content in records:
        if content is not None:
            _add(file, content, build)
    return build.finish()


def _json_files(folder):
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".json")
    return files or sorted(file for file in folder.rglob("*.json"))


def _read(file, content, build):
    """The content without imageData, which is large; None for a file that cannot be used."""
    if content is None:
        try:
            content = read_json(
                file, lambda message, value: build.problem("DAT039", f"file {file.name!r}", message, value)
            )
        except DatasetError as error:
            build.problem("DAT024", f"file {file.name!r}", f"not trained on: {error}", skipped=True)
            return None
    if not is_labelme(content):
        build.problem("DAT024", f"file {file.name!r}", "it is no labelme file and is not used", skipped=True)
        return None
    content["imageData"] = bool(content.get("imageData"))
    return content


def _add(file, content, build):
    place = f"file {file.name!r}"
    width, height = declared_size(content.get("imageWidth"), content.get("imageHeight"))
    annotations = _annotations(content["shapes"], place, (width, height), build)
    name = _image_name(content, file)
    beside = file.parent / name
    if build.options.images is None and beside.is_file():  # imagePath counts from the json file
        build.add_found_image(name, os.path.abspath(beside), annotations, place=place, width=width, height=height)
    elif build.find(name) is None and content["imageData"]:
        build.add_image(
            *(name, None, annotations),
            **dict(width=width, height=height, place=place, embedded_in=str(file)),
        )
    else:
        build.add_named_image(name, name, annotations, place=place, width=width, height=height)


def _image_name(content, file):
    name = content.get("imagePath") if content else None
    if not isinstance(name, str) or not name.strip():
        return file.stem + ".jpg"
    return PureWindowsPath(name).as_posix() if "\\" in name else name


def _annotations(shapes, image_place, size, build):
    groups = {}
    annotations = []
    for number, shape in enumerate(shapes):
        place = f"shapes[{number}]"
        try:
            label, kind, geometry, stroke = _read_shape(shape, size, build.options)
        except BadShape as bad:
            build.problem(bad.code, f"{image_place}, {place}", f"not trained on: {bad}", bad.value, skipped=True)
            continue
        annotation = Annotation(build.class_number(label), place, kind, geometry, stroke=stroke)
        group = shape.get("group_id")
        if group is None:
            annotations.append(annotation)
            continue
        first = groups.setdefault((label, str(group)), annotation)
        if first is annotation:
            annotations.append(annotation)
        elif not _join(first, annotation):
            message = f"group {group!r} holds shapes that cannot be joined; they stay objects of their own"
            build.problem("DAT023", f"{image_place}, {place}", message, f"{first.kind} and {kind}")
            annotations.append(annotation)
    return annotations


def _read_shape(shape, size, options):
    """`(label, kind, geometry, stroke)` of one shape. Raises `BadShape`."""
    if not isinstance(shape, dict):
        raise BadShape("DAT024", "expected an object with label and points", shape)
    label = shape.get("label")
    label = options.default_class if label is None or not str(label).strip() else str(label)
    if label is None:
        raise BadShape("DAT023", "the shape has no label. Give it one, or default_class=...", shape.get("label"))
    kind = str(shape.get("shape_type") or "polygon")
    points = _points(shape.get("points"))
    if kind in ("polygon", "rotation"):  # the second is that of labelme's relatives: four corners
        return label, "polygon", [points], None
    if kind == "mask":
        return label, "rle", _pasted_mask(shape.get("mask"), points, size), None
    if kind in ("point", "points"):
        return label, "point", points, options.point_radius
    if kind in ("line", "linestrip"):
        return label, "polyline", points, options.line_width
    needed = {"rectangle": 2, "circle": 2}.get(kind)
    if needed is None:
        known = "polygon, rectangle, circle, line, linestrip, point, points and mask"
        raise BadShape("DAT023", f"unknown shape_type; {known} can be drawn", kind)
    if len(points) < needed or (kind == "circle" and len(points) != 2):
        raise BadShape("DAT033", f"expected {needed} points for a {kind}, received {len(points)}. Draw it again")
    if kind == "circle":  # its center and a point on it
        return label, "circle", (*map(float, points[0]), float(np.hypot(*(points[1] - points[0])))), None
    low, high = points.min(axis=0), points.max(axis=0)
    return label, "rectangle", (*map(float, low), *map(float, high - low)), None


def _points(points):
    if not isinstance(points, list):
        raise BadShape("DAT033", "expected points [[x, y], ...]", points)
    try:
        array = np.array(points, np.float64)
    except (TypeError, ValueError, OverflowError):
        raise BadShape("DAT033", "expected points [[x, y], ...], each of two numbers", points) from None
    if not array.size:
        return np.zeros([0, 2])
    if array.ndim != 2 or array.shape[1] != 2:
        raise BadShape("DAT033", "expected points [[x, y], ...], each of two numbers", points)
    return array


def _pasted_mask(text, points, size):
    """The RLE of a "mask" shape: a small PNG whose corner pixels lie at the two points."""
    width, height = size
    if width is None or len(points) != 2 or not np.isfinite(points).all():
        raise BadShape("DAT033", "a mask needs two points, and imageHeight and imageWidth in the file", points.tolist())
    try:
        image = Image.open(io.BytesIO(base64.b64decode(text)))
        image.load()
    except Exception as error:  # base64 and decoders raise many kinds
        raise BadShape("DAT017", f"its mask is no base64 PNG ({error}). Draw it again") from None
    part = mask_values(image, "mask") != 0
    x, y = (round(float(value)) for value in points.min(axis=0))
    full = np.zeros((height, width), bool)
    top, left = max(y, 0), max(x, 0)
    part = part[top - y :, left - x :][: max(height - top, 0), : max(width - left, 0)]
    full[top : top + part.shape[0], left : left + part.shape[1]] = part
    return {"size": [height, width], "counts": encode_mask(full)}


def _join(first, other):
    """Make `other` a part of `first`; False if their kinds cannot be joined."""
    if first.kind == "rle" or other.kind == "rle" or "polyline" in (first.kind, other.kind):
        return False
    if "point" in (first.kind, other.kind):
        return False
    first.geometry = _as_parts(first) + _as_parts(other)
    first.kind = "polygon"
    first.place += f" + {other.place.removeprefix('shapes')}"
    return True


def _as_parts(annotation):
    if annotation.kind == "polygon":
        return annotation.geometry
    if annotation.kind == "rectangle":
        x, y, width, height = annotation.geometry
        # The last row and column of pixels inside, as a rectangle by itself is drawn.
        right, bottom = x + max(width - 1, 0), y + max(height - 1, 0)
        return [np.array([[x, y], [right, y], [right, bottom], [x, bottom]])]
    x, y, radius = annotation.geometry
    angles = np.linspace(0, 2 * np.pi, _CORNERS_OF_CIRCLE, endpoint=False)
    return [np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)]
