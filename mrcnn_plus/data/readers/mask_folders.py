"""Folders of images and masks, without an annotation file.

| layout                                             | meaning                                                       |
|----------------------------------------------------|---------------------------------------------------------------|
| `<id>/images/x.png`, `<id>/masks/*.png`            | a mask for each instance (Matterport's nucleus sample)         |
| `images/x.jpg`, `masks/x_1.png`, `masks/x_2.png`   | a mask for each instance; also in a folder, `masks/x/1.png`    |
| `images/x.jpg`, `masks/x.png`                      | all instances in one mask, by value or color                  |
| `masks/<class>/...` with either of these           | class from the folder                                         |
| `x.jpg`, `x_mask.png` side by side                 | as above                                                      |
"""

import logging
from pathlib import Path

from mrcnn_plus.data.annotations import Annotation
from mrcnn_plus.data.readers.building import DatasetBuilder
from mrcnn_plus.data.readers.mask_images import (
    MaskFacts,
    MaskFile,
    color_number,
    connected_parts,
    is_void,
    read_many,
    read_mask_file,
    values_mean_classes,
)
from mrcnn_plus.data.readers.mask_layouts import find_layout
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

DESCRIPTION = (
    "mask folders: images/x.jpg with masks/x.png (values = instances) or masks/x_1.png, x_2.png, ... (one for each "
    "instance), or <id>/images/x.png with <id>/masks/*.png"
)
ONLY_CLASS = "object"


def is_mask_folder(folder, options):
    """Whether the folder has one of the layouts. options: `ReadOptions`."""
    layout = find_layout(folder, options.images, options.subset)
    return layout is not None and bool(layout.pairs)


def read_mask_folders(path, options, data=None):
    """The prepared `AnnotatedDataset` of a folder of images and masks."""
    path = Path(path)
    layout = find_layout(path, options.images, options.subset)
    if layout is None or not layout.pairs:
        raise DatasetError(f"{str(path)!r}: no image has a mask. Expected {DESCRIPTION}.")
    build = DatasetBuilder("mask_folders", path, options)
    for mask in layout.masks_without_image:
        message = "mask without an image: it is not trained on. Put the image there, or remove the mask"
        build.problem(
            "DAT017", str(mask.relative_to(path)) if mask.is_relative_to(path) else str(mask), message, skipped=True
        )
    for image in layout.images_without_mask:
        message = "image without a mask: it is not trained on. An image without objects needs an empty mask"
        build.dataset.add_problem("DAT037", str(image), message, skipped=True)
    _MaskFolderReader(build, path, layout).read()
    return build.finish()


class _MaskFolderReader:
    def __init__(self, build, root, layout):
        self.build, self.root, self.layout = build, root, layout
        self.options = build.options
        self.whole = sorted({mask.path for pair in layout.pairs for mask in pair.masks if not mask.one_instance})

    def read(self):
        meaning = self._meaning()
        facts = read_many(self.whole)
        for pair in self.layout.pairs:
            annotations, size, unreadable = [], (None, None), 0
            for mask in pair.masks:
                if mask.one_instance:
                    annotations.append(self._one(mask))
                    continue
                fact = facts[mask.path]
                if not isinstance(fact, MaskFacts):
                    unreadable += 1
                    place = f"image {pair.image.name!r}, {self._name(mask.path)}"
                    self.build.problem("DAT017", place, f"not trained on: {fact}", skipped=True)
                    continue
                size = (fact.width, fact.height)
                annotations += self._several(mask, fact, meaning)
            place = f"image {self._name(pair.image)!r}"
            if unreadable and unreadable == len(pair.masks):
                self.build.problem("DAT017", place, "its mask cannot be read, so it is not trained on", skipped=True)
                continue
            width, height = size
            self.build.add_image(pair.name, str(pair.image), annotations, place=place, width=width, height=height)

    def _meaning(self):
        """What values of masks mean: "instances" or "classes"; said, unless the user did."""
        if not self.whole:
            return "instances"
        if self.options.mask_values is not None:
            return self.options.mask_values
        if self.options.colors is not None:
            return "classes"
        classes = values_mean_classes(self.whole)
        meaning = "classes" if classes else "instances"
        logger.warning(
            "%s: the values of its masks are taken to mean %s, because most of them are %s. Say it with "
            "mask_values='instances' or 'classes'.",
            self.root,
            "classes, and connected parts to be instances (objects that touch become one)" if classes else "instances",
            "scattered over several parts" if classes else "in one piece",
        )
        return meaning

    def _one(self, mask):
        number = self.build.class_number(self._class_name(mask))
        return Annotation(number, self._name(mask.path), "mask_file", MaskFile(str(mask.path)))

    def _several(self, mask, facts, meaning):
        """Annotations of a mask that holds several instances."""
        name = self._name(mask.path)
        values = {number: value for number, value in facts.values.items() if not is_void(number, facts)}
        if meaning == "instances":
            number = self.build.class_number(self._class_name(mask))
            return [
                Annotation(
                    number,
                    f"{name}, value {_value_name(value)}",
                    "mask_file",
                    MaskFile(str(mask.path), value, fact.bounds, fact.pixels),
                )
                for value, fact in values.items()
            ]
        pixels = read_mask_file(mask.path)
        annotations = []
        for value, fact in values.items():
            class_name = self._class_of_value(mask, value, facts)
            if class_name is None:
                place = f"{name}, value {_value_name(value)}"
                message = f"no class of colors=... has this value: {fact.pixels} pixels are not trained on"
                self.build.problem("DAT023", place, message, _value_name(value), skipped=True)
                continue
            number = self.build.class_number(class_name)
            for part, runs in enumerate(connected_parts(pixels, value), 1):
                geometry = {"size": [facts.height, facts.width], "counts": runs}
                place = f"{name}, value {_value_name(value)}, part {part}"
                annotations.append(Annotation(number, place, "rle", geometry))
        return annotations

    def _class_name(self, mask):
        if mask.class_name is not None:
            return mask.class_name
        wanted = self.options.class_names
        if self.options.default_class is not None:
            return self.options.default_class
        return wanted[0] if wanted is not None and len(wanted) == 1 else ONLY_CLASS

    def _class_of_value(self, mask, value, facts):
        """Class of a value that means a class: by the user's colors, the order of class_names, or the value itself."""
        color = facts.palette.get(value) if facts.palette else None
        if self.options.colors is not None:
            for name, wanted in self.options.colors.items():
                number = wanted if isinstance(wanted, int) else color_number(wanted)
                if number in ((value,) if isinstance(wanted, int) else (value, color)):
                    return name
            return None
        if mask.class_name is not None or len(self._values_in_use()) == 1:
            return self._class_name(mask)
        wanted = self.options.class_names
        if wanted is not None and 1 <= value <= len(wanted):
            return wanted[value - 1]
        return f"value {_value_name(value)}"

    def _values_in_use(self):
        if not hasattr(self, "_in_use"):
            facts = [fact for fact in read_many(self.whole).values() if isinstance(fact, MaskFacts)]
            self._in_use = {number for fact in facts for number in fact.values if not is_void(number, fact)}
        return self._in_use

    def _name(self, path):
        path = Path(path)
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name


def _value_name(value):
    """A value as people know it: a number, or a color as #rrggbb."""
    return value if value < 65536 else f"#{value:06x}"
