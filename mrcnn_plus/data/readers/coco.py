"""COCO json: "images", "annotations" and "categories" in one file.

Masks are those of pycocotools. Classes are numbered in the order of their category ids, as in Matterport's sample.
"""

import logging
from pathlib import Path

from mrcnn_plus.data.readers.building import DatasetBuilder, declared_size
from mrcnn_plus.data.readers.coco_segmentation import SegmentationReader, pack_polygons
from mrcnn_plus.data.readers.text_files import read_json, without_garbage_collection
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

DESCRIPTION = 'COCO: one json {"images": [...], "annotations": [...], "categories": [...]}'


def is_coco(data):
    """Whether the content of a JSON file has COCO's layout."""
    return isinstance(data, dict) and isinstance(data.get("images"), list) and "annotations" in data


def read_coco(path, options, data=None):
    """The prepared `AnnotatedDataset` of a COCO file. data: its content, if it was read already."""
    reader = _CocoReader(path, options)
    with without_garbage_collection():
        return reader.read(data)


class _CocoReader:
    def __init__(self, path, options):
        self.path = Path(path)
        self.build = DatasetBuilder("coco", path, options, polygon_rule="coco")
        self.problem = self.build.problem

    def read(self, data):
        if data is None:
            data = read_json(self.path, self.build.encoding_note, object_hook=pack_polygons)
        if not is_coco(data):
            raise DatasetError(f"{str(self.path)!r} is no COCO file; expected {DESCRIPTION}.")
        self._check_lists(data)
        categories = self._categories(data.get("categories") or [])
        images = self._images(data["images"])
        annotations = self._annotations(data.pop("annotations"), images, categories)
        names = [image["file_name"] for image in images.values()]
        self.build.look_for_images(self.path.parent, names)
        for image_id, image in images.items():
            width, height = declared_size(image.get("width"), image.get("height"))
            self.build.add_named_image(
                image_id,
                image["file_name"],
                annotations.get(image_id, []),
                place=f"image {image['file_name']!r} (id {image_id})",
                **dict(width=width, height=height),
            )
        return self.build.finish(sort_classes=False, suspects=self.suspects)

    def _check_lists(self, data):
        for key in ("annotations", "categories"):
            if not isinstance(data.get(key, []), list):
                raise DatasetError(
                    f"{str(self.path)!r}: expected {key!r} to be a list of objects, received "
                    f"{type(data[key]).__name__}. Export the file again as COCO instances (object detection)."
                )

    def _categories(self, records):
        """`{category id: provisional class number}` in the order of the ids."""
        names = {}
        for number, record in enumerate(records):
            place = f"categories[{number}]"
            if not isinstance(record, dict) or "id" not in record:
                self.problem(
                    "DAT025", place, "expected an object with id and name; it is not used", record, skipped=True
                )
                continue
            identity, name = record["id"], str(record.get("name", record["id"]))
            if not _hashable(identity):
                self.problem("DAT025", place, "expected a number as id; it is not used", identity, skipped=True)
            elif identity in names:
                self.problem(
                    "DAT025",
                    place,
                    f"category id {identity!r} occurs twice, as {names[identity]!r} and {name!r}; the first is used. "
                    "Give each category an id of its own",
                    identity,
                )
            else:
                if name in names.values():
                    self.problem("DAT036", place, "two categories have the same name; they stay two classes", name)
                names[identity] = name
        try:
            order = sorted(names)
        except TypeError:  # numbers and texts mixed
            order = list(names)
        return {identity: self.build.class_number(names[identity], identity) for identity in order}

    def _images(self, records):
        """`{image id: record}`, in the order of the file."""
        images, by_name = {}, {}
        for number, record in enumerate(records):
            place = f"images[{number}]"
            if not isinstance(record, dict) or not _hashable(record.get("id", [])):
                self.problem(
                    "DAT025", place, "expected an object with id and file_name; it is not used", record, skipped=True
                )
                continue
            identity, name = record["id"], record.get("file_name")
            if not isinstance(name, str) or not name.strip():
                address = record.get("coco_url") or record.get("flickr_url") or record.get("path")
                if not isinstance(address, str) or not address:
                    message = "expected file_name to be a text; the image is not used"
                    self.problem("DAT025", f"{place} (id {identity})", message, name, skipped=True)
                    continue
                record["file_name"] = address
            if identity in images:
                self.problem(
                    "DAT025",
                    f"{place} (id {identity})",
                    f"image id {identity!r} occurs twice, for {images[identity]['file_name']!r} and "
                    f"{record['file_name']!r}; the second is not used, because nothing says whose the annotations are. "
                    "Give each image an id of its own",
                    identity,
                    skipped=True,
                )
                continue
            images[identity] = record
            by_name.setdefault(record["file_name"], identity)
            if "\\" in record["file_name"]:
                self.problem(
                    "DAT038", f"{place} (id {identity})", "file_name has back-slashes; read as /", record["file_name"]
                )
        return images

    def _annotations(self, records, images, categories):
        """`{image id: [Annotation, ...]}`. Empties the list while reading, so that memory is freed."""
        by_image, identities = {}, []
        reader = SegmentationReader(self._problem_in_image)
        records.reverse()
        number = -1
        while records:
            record = records.pop()
            number += 1
            if not isinstance(record, dict):
                message = "expected an object {...}; it is not used"
                self.problem("DAT025", f"annotations[{number}]", message, record, skipped=True)
                continue
            identity = record.get("id")
            place = f"annotations[{number}] (id {identity})"
            image_id, category = record.get("image_id"), record.get("category_id")
            self.image = _get(images, image_id)
            if self.image is None:
                self._list_unknown(place, "image", image_id, images)
                continue
            class_id = _get(categories, category)
            if class_id is None:
                self._list_unknown(self._where(place), "category", category, categories)
                continue
            identities.append((identity, number, image_id))
            by_image.setdefault(image_id, []).append(reader.read(record, place, class_id))
        self._list_same_ids(identities, images)
        self.suspects = reader.suspects
        return by_image

    def _list_unknown(self, where, kind, identity, known):
        """An image_id or category_id that nothing in the file has."""
        listed = "categories" if kind == "category" else "images"
        message = f"{kind}_id {identity!r} is not in {listed!r}: the object is not trained on."
        same = next((other for other in known if str(other) == str(identity)), None)
        if same is not None:
            message += f" The file has {same!r}, a {type(same).__name__}: write ids in the same way in both places"
        else:
            message += f" Correct the id, or add the {kind}"
        self.problem("DAT025", where, message, identity, skipped=True)

    def _list_same_ids(self, identities, images):
        """identities: `(id, number of the annotation, image id)`."""
        if len({identity for identity, _, _ in identities if _hashable(identity)}) == len(identities):
            return
        first = {}
        for identity, number, image_id in identities:
            if _hashable(identity) and first.setdefault(identity, number) != number:
                self.image = images[image_id]
                self._problem_in_image(
                    "DAT025",
                    f"annotations[{number}] (id {identity})",
                    f"annotation id {identity!r} occurs twice, first at annotations[{first[identity]}]; both are used, "
                    "but COCO's tools keep one. Give each annotation an id of its own",
                    identity,
                )

    def _where(self, place):
        """Words for a place in an annotation of the image that is being read."""
        return f"image {self.image['file_name']!r} (id {self.image['id']}), {place}"

    def _problem_in_image(self, code, place, message, value=None, *, skipped=False):
        self.problem(code, self._where(place), message, value, skipped=skipped)


def _get(known, identity):
    """The entry of an id, or None; ids may be anything in a damaged file."""
    try:
        return known.get(identity)
    except TypeError:
        return None


def _hashable(value):
    return isinstance(value, int | str | float) and not isinstance(value, bool)
