"""Pascal VOC with masks: JPEGImages, SegmentationObject, SegmentationClass, Annotations; also CVAT, labelme2voc.

SegmentationObject numbers the instances, 255 (the pale rim) belongs to none. The class of an instance is that of its
object in the xml, or else of its pixels in SegmentationClass.
"""

import logging
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mrcnn_plus.data.annotations import Annotation
from mrcnn_plus.data.readers.building import DatasetBuilder, declared_size
from mrcnn_plus.data.readers.mask_images import (
    VOID,
    MaskFile,
    color_number,
    connected_parts,
    read_many,
    read_mask_with_palette,
)
from mrcnn_plus.data.readers.text_files import read_text
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "Pascal VOC: a folder with JPEGImages/x.jpg, SegmentationObject/x.png (value = instance), SegmentationClass/x.png "
    "and Annotations/x.xml"
)
# The order of the classes in VOC 2012 itself.
_VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog"),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
_VOID_COLOR = color_number((224, 224, 192))
_SAME_OBJECT = 0.5


class XmlObject(NamedTuple):
    """An object of an xml file: class name, box (x, y, width, height) or None, its number in the file from 1."""

    name: str
    box: tuple | None
    number: int


def voc_root(folder):
    """The folder with the masks: the given one, or VOCdevkit/VOC20.. in it; None if it is no Pascal VOC.

    Raises `DatasetError` for Pascal VOC without masks.
    """
    places = [folder, *sorted(folder.glob("VOC*")), *sorted(folder.glob("VOCdevkit/*"))]
    for place in places:
        if any((place / name).is_dir() for name in ("SegmentationObject", "SegmentationClass")):
            return place
    for place in places:
        if (place / "Annotations").is_dir() and any((place / "Annotations").glob("*.xml")):
            raise DatasetError(
                f"{str(place)!r} is a Pascal VOC set with boxes only (Annotations/*.xml): it has no masks, expected "
                "SegmentationObject/*.png. Mask R-CNN needs the outline of each object: annotate polygons, or export "
                "the masks too."
            )
    return None


def read_pascal_voc(path, options, data=None):
    """The prepared `AnnotatedDataset` of a VOC folder."""
    reader = _VocReader(Path(path), options)
    return reader.read()


class _VocReader:
    def __init__(self, root, options):
        self.root, self.options = root, options
        self.build = DatasetBuilder("pascal_voc", root, options)
        self.problem = self.build.problem
        self.by_object = (root / "SegmentationObject").is_dir()
        self.names_by_value, self.names_by_color = _class_lists(root, self.build.encoding_note)

    def read(self):
        folder = self.root / ("SegmentationObject" if self.by_object else "SegmentationClass")
        if not self.by_object:
            logger.warning(
                "%s has no SegmentationObject: connected parts of a class become instances, objects that touch one.",
                self.root,
            )
        names = self._names(folder)
        masks = {name: folder / f"{name}.png" for name in names}
        facts = read_many(masks.values())
        images = self.root / "JPEGImages"
        if self.options.images is None and not images.is_dir():
            images = next((self.root / name for name in ("images", "Images") if (self.root / name).is_dir()), self.root)
        self.build.look_for_images(images, [f"{name}.jpg" for name in names])
        for name, mask in masks.items():
            self._add(name, mask, facts[mask])
        return self.build.finish()

    def _names(self, folder):
        """Names of the images to read: of the list for the subset, or of all masks."""
        if self.options.subset is None:
            names = sorted(path.stem for path in folder.glob("*.png"))
            if not names:
                raise DatasetError(f"{str(folder)!r} has no png masks. Expected {DESCRIPTION}.")
            return names
        lists = self.root / "ImageSets" / "Segmentation"
        chosen = lists / f"{self.options.subset}.txt"
        if not chosen.is_file():
            known = sorted(path.stem for path in lists.glob("*.txt")) if lists.is_dir() else []
            raise DatasetError(
                f"{str(self.root)!r}: expected a list in ImageSets/Segmentation, received "
                f"subset={self.options.subset!r}. There are {known or 'none'}."
            )
        return [line.split()[0] for line in read_text(chosen).splitlines() if line.strip()]

    def _add(self, name, mask, facts):
        place = f"image {name!r}"
        if isinstance(facts, DatasetError):
            self.problem("DAT017", place, f"not trained on: {facts}", skipped=True)
            return
        objects, size = self._read_xml(name, place)
        annotations = self._instances(mask, facts, objects, place) if self.by_object else self._parts(mask, facts)
        if self.by_object and objects and len(annotations) != len(objects):
            message = f"the xml has {len(objects)} objects, the mask has {len(annotations)} instances; the mask is used"
            self.problem("DAT025", place, message, (len(objects), len(annotations)))
        width, height = size if size[0] is not None else (facts.width, facts.height)
        self.build.add_named_image(name, f"{name}.jpg", annotations, place=place, width=width, height=height)

    def _instances(self, mask, facts, objects, place):
        """An annotation for each value of SegmentationObject."""
        values = {v: fact for v, fact in facts.values.items() if not _is_void(v, facts)}
        matched = _match(values, objects)
        classes, palette = self._class_pixels(mask.name, facts, place)
        pixels = None if classes is None else read_mask_with_palette(mask)[0]
        found = []
        for value, fact in values.items():
            known = matched.get(value)
            by_pixels = None if classes is None else self._class_of(_most_common(classes[pixels == value]), palette)
            name = known.name if known else by_pixels
            if name is None:
                if self.options.default_class is None:
                    message = "instance without a class: neither xml nor SegmentationClass names it; not trained on"
                    self.problem("DAT023", f"{place}, {self._place(mask, value, None)}", message, skipped=True)
                    continue
                name = self.options.default_class
            elif known and by_pixels and by_pixels != name and name in self._names_in_lists():
                message = f"the xml calls it {name!r}, SegmentationClass {by_pixels!r}; the xml is used"
                self.problem("DAT025", f"{place}, {self._place(mask, value, known)}", message)
            geometry = MaskFile(str(mask), value, fact.bounds, fact.pixels)
            number = self.build.class_number(name)
            box = known.box if known else None
            found.append(Annotation(number, self._place(mask, value, known), "mask_file", geometry, box))
        return found

    def _parts(self, mask, facts):
        """An annotation for each connected part of each class, where there is no SegmentationObject."""
        pixels, palette = read_mask_with_palette(mask)
        found = []
        for value in facts.values:
            name = None if _is_void(value, facts) else self._class_of(value, palette)
            for number, runs in enumerate(connected_parts(pixels, value) if name else [], 1):
                place = f"SegmentationClass/{mask.name}, value {value}, part {number}"
                geometry = {"size": [facts.height, facts.width], "counts": runs}
                found.append(Annotation(self.build.class_number(name), place, "rle", geometry))
        return found

    def _class_pixels(self, name, facts, place):
        """Values of SegmentationClass with its palette, or (None, None)."""
        path = self.root / "SegmentationClass" / name
        if not path.is_file():
            return None, None
        try:
            values, palette = read_mask_with_palette(path)
        except DatasetError as error:
            self.problem("DAT017", f"{place}, SegmentationClass/{name}", f"{error}; classes are those of the xml")
            return None, None
        if values.shape != (facts.height, facts.width):
            message = "SegmentationClass has another size than SegmentationObject; classes are those of the xml"
            self.problem("DAT008", f"{place}, SegmentationClass/{name}", message, values.shape)
            return None, None
        return values, palette

    def _class_of(self, value, palette):
        """Class name of a value in SegmentationClass, or None for background and rim."""
        color = palette.get(value) if palette else value
        if value is None or value in (0, VOID, _VOID_COLOR) or color == _VOID_COLOR:
            return None
        if color in self.names_by_color:
            return self.names_by_color[color]
        if value in self.names_by_value:
            return self.names_by_value[value]
        wanted = self.options.class_names
        if wanted is not None and value <= len(wanted):
            return wanted[value - 1]
        if self.names_by_color or self.names_by_value or value > len(_VOC_CLASSES):
            return f"value {value}"
        return _VOC_CLASSES[value - 1]

    def _names_in_lists(self):
        return {*self.names_by_color.values(), *self.names_by_value.values()} or set(_VOC_CLASSES)

    def _read_xml(self, name, place):
        """`([XmlObject, ...], (width, height))`; empty where there is no xml."""
        path = self.root / "Annotations" / f"{name}.xml"
        if not path.is_file():
            return [], (None, None)
        try:
            tree = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            message = f"the xml is damaged or cut off ({error}); classes are those of SegmentationClass"
            self.problem("DAT024", f"{place}, Annotations/{name}.xml", message)
            return [], (None, None)
        objects = []
        for number, element in enumerate(tree.iter("object"), 1):
            label = (element.findtext("name") or "").strip("\0")
            if label.strip():
                objects.append(XmlObject(label, _box(element.find("bndbox")), number))
        return objects, declared_size(tree.findtext("size/width"), tree.findtext("size/height"))

    def _place(self, mask, value, known):
        xml = f", object {known.number} of Annotations/{mask.stem}.xml" if known else ""
        return f"SegmentationObject/{mask.name}, value {value}{xml}"


def _match(values, objects):
    """{value: XmlObject}: in order if there are as many, as VOC numbers them; or else by the overlap of the boxes."""
    if len(values) == len(objects) and all(
        known.box is None or _overlap(fact.bounds, known.box) > 0
        for (_, fact), known in zip(sorted(values.items()), objects)
    ):
        return dict(zip(sorted(values), objects))
    overlaps = [
        (_overlap(fact.bounds, known.box), value, known)
        for value, fact in values.items()
        for known in objects
        if known.box is not None
    ]
    matched, used = {}, set()
    for overlap, value, known in sorted(overlaps, key=lambda entry: -entry[0]):
        if overlap >= _SAME_OBJECT and value not in matched and known.number not in used:
            matched[value] = known
            used.add(known.number)
    return matched


def _overlap(bounds, box):
    """Intersection over union of (x1, y1, x2, y2) and (x, y, width, height)."""
    x, y, width, height = box
    across = min(bounds[2], x + width) - max(bounds[0], x)
    down = min(bounds[3], y + height) - max(bounds[1], y)
    if across <= 0 or down <= 0:
        return 0.0
    area = (bounds[2] - bounds[0]) * (bounds[3] - bounds[1])
    return across * down / (area + width * height - across * down)


def _box(element):
    """(x, y, width, height) of a bndbox, whose pixels count from 1 and include the last; None if it is damaged."""
    try:
        x1, y1, x2, y2 = (float(element.findtext(name)) for name in ("xmin", "ymin", "xmax", "ymax"))
    except (AttributeError, TypeError, ValueError):
        return None
    return x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1


def _class_lists(root, note):
    """`({value: name}, {color: name})` of labelmap.txt (CVAT) and class_names.txt (labelme2voc)."""
    by_value, by_color = {}, {}
    if (root / "labelmap.txt").is_file():
        for line in read_text(root / "labelmap.txt", note).splitlines():
            fields = line.split(":")
            channels = fields[1].split(",") if len(fields) > 1 and not line.startswith("#") else []
            if len(channels) == 3 and all(re.fullmatch(r"\s*[0-9]{1,3}\s*", channel) for channel in channels):
                by_color[color_number(channels)] = fields[0]
    elif (root / "class_names.txt").is_file():
        lines = read_text(root / "class_names.txt", note).splitlines()
        names = [line for line in lines if line.strip() not in ("", "__ignore__")]
        by_value = {value: name for value, name in enumerate(names) if value > 0}
    return by_value, by_color


def _is_void(value, facts):
    return value == _VOID_COLOR or (value == VOID and (facts.palette is not None or len(facts.values) > 1))


def _most_common(values):
    """The commonest value but background and rim, or None."""
    values = values[(values != 0) & (values != VOID)]
    return int(np.unique_counts(values).values[np.unique_counts(values).counts.argmax()]) if values.size else None
