"""What all readers share: options, classes by name, images found on disk, the last checks, the line in the log."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrcnn_plus.data.annotations import AnnotatedDataset, undrawable
from mrcnn_plus.data.readers.class_names import alike_names, nearest_name
from mrcnn_plus.data.readers.image_lookup import image_lookup
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

_LARGEST_SIDE = 1_000_000


@dataclass(frozen=True)
class ReadOptions:
    """The options of `open_dataset`; see there."""

    images: Any = None
    class_attribute: Any = None
    class_names: Any = None
    default_class: str | None = None
    subset: str | None = None
    point_radius: float | None = None
    line_width: float | None = None
    mask_values: str | None = None
    colors: Any = None


class DatasetBuilder:
    """Collects classes, images and annotations of one file or folder, and makes the prepared data set.

    Annotations are added with the number that `class_number` gave; `finish` puts the classes in their final order.
    """

    def __init__(self, format, source_path, options, **dataset_options):
        self.dataset = AnnotatedDataset(source_path, format, **dataset_options)
        self.options = options
        self.file = Path(source_path).name or str(source_path)
        self.classes = {}  # (source id, name) -> number, in the order in which they were met
        self._lookup = None
        self._users = {}  # file -> the entry that uses it
        self._without_file = []
        self._other_folder = 0

    def problem(self, code, place, message, value=None, *, skipped=False):
        """List a problem at a place within the file or folder that is read."""
        where = f"{self.file}, {place}" if place else self.file
        self.dataset.add_problem(code, where, message, value, skipped=skipped)

    def encoding_note(self, message, value):
        """For `read_text` and `read_json`."""
        self.problem("DAT039", "", message, value)
        logger.warning("%s: %s.", self.dataset.source_path, message)

    def class_number(self, name, source_id=None):
        """The provisional number of a class, from 1; the same for the same name and id."""
        return self.classes.setdefault((source_id, name), len(self.classes) + 1)

    def look_for_images(self, folder, names):
        """Find out where the images are; names: all of them, as the annotations call them."""
        self._lookup = image_lookup(self.options.images, folder, names)
        return self._lookup

    def add_image(self, image_id, path, annotations, *, width=None, height=None, place, **more):
        """Add an image whose file is known. annotations: list of `Annotation`."""
        width, height = declared_size(width, height)
        self.dataset.add_image(
            *(self.dataset.format, image_id, path),
            **dict(width=width, height=height, annotations=annotations, place=f"{self.file}, {place}", **more),
        )

    def add_named_image(self, image_id, name, annotations, *, place, size=None, **more):
        """Add an image by the name that the annotations give it, if its file is found; or else list it.

        size: bytes of the file, to choose between several of the same name.
        """
        found = self._lookup.find(name, size)
        if found.path is None:
            path = os.path.join(self._lookup.root, str(name))
            self._without_file.append((image_id, path, annotations, dict(more, place=place), found.how))
            return
        if found.how == "prefix":
            self._other_folder += 1
        elif found.how:
            message = f"the image was taken from {found.path!r}: {found.how}. Correct the name"
            self.problem("DAT038", place, message, name)
        self.add_found_image(image_id, found.path, annotations, place=place, **more)

    def add_found_image(self, image_id, path, annotations, *, place, **more):
        """Add an image whose file was found, path: absolute; two entries of the same file are listed."""
        key = os.path.normcase(path)
        if key in self._users:
            self.problem(
                "DAT025",
                place,
                f"the file {path!r} is also that of {self._users[key]}; both entries are used, each with its own "
                "objects, and each lacks those of the other. Unite the entries",
                path,
            )
        self._users.setdefault(key, place)
        self.add_image(image_id, path, annotations, place=place, **more)

    def find(self, name):
        """The path of an image by the name that the annotations give it, or None."""
        return self._lookup.find(name).path

    def finish(self, *, sort_classes=True, suspects=None):
        """The prepared data set.

        sort_classes: by name, unless the user gave an order; False keeps the file's order.
        suspects: the only annotations that may not be drawable, where the reader knows; default: any.
        """
        self._list_images_without_file()
        self._list_images_without_entry()
        self._number_classes(sort_classes)
        self._list_undrawable(suspects)
        dataset = self.dataset
        if not dataset.image_info:
            raise DatasetError(
                f"{dataset.source_path!r} ({dataset.format}) holds no image that can be used. "
                + "; ".join(str(problem) for problem in dataset.problems[:3])
            )
        dataset.prepare()
        self._say_what_was_read()
        return dataset

    def _list_images_without_file(self):
        missing = self._without_file
        if not missing:
            return
        root = str(self._lookup.root)
        if not self.dataset.image_info:
            # The annotations can still be checked, so that all is listed at once and not this alone.
            message = f"none of the {len(missing)} images was found below {root!r}: say where they are, images=FOLDER"
            self.problem("DAT017", "", message, root)
            logger.warning("%s: %s.", self.dataset.source_path, message)
            for image_id, path, annotations, more, _ in missing:
                self.add_image(image_id, path, annotations, **more)
            return
        for _, path, annotations, more, how in missing:
            reason = how or f"no such file below {root!r}"
            self.problem(
                "DAT017",
                more["place"],
                f"entry without an image: {reason}; its {len(annotations)} objects are not trained on. Put the file "
                "there, or remove the entry",
                path,
                skipped=True,
            )

    def _list_images_without_entry(self):
        if self._lookup is None or not self._users:
            return
        for path in self._lookup.others_beside(self._users):
            self.dataset.add_problem(
                "DAT037",
                path,
                "image without an entry in the annotations: it is not trained on. Annotate it, or leave it if it "
                "belongs to another set",
                skipped=True,
            )

    def _number_classes(self, sort_classes):
        """Give the data set its classes, and the annotations their final numbers."""
        found = list(self.classes)
        for name, other, why in alike_names(list(dict.fromkeys(name for _, name in found))):
            both = "class name" if other is None else f"two class names, the other is {other!r}"
            self.problem("DAT036", f"class {name!r}", f"{both}: {why}. Both are kept as they are; unite them", name)
        order = self._order_of_classes(found, sort_classes)
        final = {}
        for position, (source_id, name) in enumerate(order, 1):
            self.dataset.add_class(self.dataset.format, position if source_id is None else source_id, name)
            final.setdefault(name, position)
        numbers = dict(zip(self.classes.values(), (final.get(name) for _, name in found)))
        if self.options.class_names is None:
            numbers = {self.classes[key]: position for position, key in enumerate(order, 1)}
        self._renumber(numbers, found)

    def _order_of_classes(self, found, sort_classes):
        wanted = self.options.class_names
        if wanted is None:
            return sorted(found, key=lambda key: (key[1].casefold(), key[1])) if sort_classes else found
        wanted = list(wanted)
        ids = {name: source_id for source_id, name in found}
        for name in wanted:
            if name not in ids:
                near = nearest_name(name, list(ids))
                hint = f", is {near!r} meant?" if near else ""
                logger.warning("%s has no class %r of class_names%s", self.dataset.source_path, name, hint)
        # Source ids only where all classes have one: a number must not stand for two classes.
        known = all(ids.get(name) is not None for name in wanted)
        return [(ids[name] if known else None, name) for name in wanted]

    def _renumber(self, numbers, found):
        names = {self.classes[key]: key[1] for key in found}
        unwanted = {}
        if all(number == final for number, final in numbers.items()):
            return
        for info in self.dataset.image_info:
            kept = []
            for annotation in info["annotations"]:
                number = numbers[annotation.class_id]
                if number is None:
                    unwanted.setdefault(names[annotation.class_id], []).append((info, annotation))
                else:
                    annotation.class_id = number
                    kept.append(annotation)
            info["annotations"] = kept
        for name, places in unwanted.items():
            self._list_unwanted_class(name, places)

    def _list_unwanted_class(self, name, places):
        near = nearest_name(name, list(self.options.class_names))
        hint = f"is {near!r} meant? " if near else ""
        info, annotation = places[0]
        self.problem(
            "DAT025",
            f"class {name!r}",
            f"{len(places)} objects have a class that is not in class_names; {hint}They are not trained on. The first: "
            f"{info['place']}, {annotation.place}. Add the name to class_names, or correct it in the annotations",
            [f"{info['place']}, {annotation.place}" for info, annotation in places],
            skipped=True,
        )

    def _list_undrawable(self, suspects):
        advice = {
            "DAT013": "Draw it again or remove it",
            "DAT023": "",
            "DAT033": "Draw it again or remove it",
            "DAT034": "Correct the coordinates, or remove it",
            "DAT035": "Make the RLE again from a mask of the size of the image",
        }
        only = None if suspects is None else {id(annotation) for annotation in suspects}
        rows = [
            (info, annotation)
            for info in self.dataset.image_info
            for annotation in info["annotations"]
            if only is None or id(annotation) in only
        ]
        for row, code, reason in undrawable([annotation for _, annotation in rows]):
            info, annotation = rows[row]
            self.dataset.add_problem(
                code,
                f"{info['place']}, {annotation.place}",
                f"not trained on: {reason}. {advice[code]}".rstrip(" ."),
                skipped=True,
            )

    def _say_what_was_read(self):
        dataset = self.dataset
        objects = sum(len(info["annotations"]) for info in dataset.image_info)
        if self._other_folder:
            logger.info(
                "%s: %d images were found in another folder than their entry says, below %s.",
                *(dataset.source_path, self._other_folder, self._lookup.root),
            )
        logger.info(
            "%s: read as %s, %d images, %d objects, classes %s.",
            *(dataset.source_path, dataset.format, dataset.num_images, objects, dataset.class_names[1:]),
        )
        if dataset.problems:
            skipped = sum(problem.skipped for problem in dataset.problems)
            logger.warning(
                "%s: %d problem(s), by %d of them something is not trained on; see dataset.problems. The first: %s",
                *(dataset.source_path, len(dataset.problems), skipped, dataset.problems[0]),
            )


def declared_size(width, height):
    """Width and height as ints, or None for both if one is missing or cannot be a number of pixels."""
    try:
        width, height = int(width), int(height)
    except (TypeError, ValueError, OverflowError):
        return None, None
    return (width, height) if 0 < width < _LARGEST_SIDE and 0 < height < _LARGEST_SIDE else (None, None)
