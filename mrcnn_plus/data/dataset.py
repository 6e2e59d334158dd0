"""`Dataset`, the class that a user derives from to describe images, classes and masks.

A program registers what it has (`add_class`, `add_image`), calls `prepare()` once and overrides `load_mask`. Inside,
images and classes are numbered from 0 (class 0 is the background "BG"); `source` and `id` are the names that they have
where they come from, so that several sources can stand in one data set.
"""

import logging

import numpy as np

from mrcnn_plus.data.image_files import read_image
from mrcnn_plus.data.notices import warn_once
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

_MADE_BY_PREPARE = (
    *("num_classes", "class_ids", "class_names", "num_images", "sources"),
    *("class_from_source_map", "image_from_source_map"),
)


class Dataset:
    """Images with instance masks. Subclass it and override `load_mask`; the other methods may be overridden too.

    image_info: list of dicts, one for each image: "id", "source", "path" and whatever was given to `add_image`.
    class_info: list of dicts "source", "id", "name"; entry 0 is the background.

    `prepare()` makes the rest: `num_classes`, `class_ids`, `class_names`, `num_images`, `image_ids`, `sources`,
    `source_class_ids`, `class_from_source_map` and `image_from_source_map`.
    """

    def __new__(cls, *_args, **_kwargs):
        """Start empty even where a subclass has an `__init__` that does not call this one."""
        dataset = super().__new__(cls)
        _start_empty(dataset)
        return dataset

    def __init__(self, class_map=None):
        """`class_map` has no effect (compat: Dataset.__init__)."""
        _start_empty(self)

    def __getattr__(self, name):
        if name in _MADE_BY_PREPARE:
            raise AttributeError(
                f"{type(self).__name__}.{name} does not exist yet: prepare() makes it. Call prepare() once, after the "
                "last add_class and add_image."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def add_class(self, source, class_id, class_name):
        """Register a class. The order of these calls gives the class ids that the network sees, from 1.

        source: the collection that the class belongs to, e.g. "coco"; a str without a dot.
        class_id: its id within that source. Registering source and id a second time changes nothing.
        Raises `DatasetError` for a source that is not such a str.
        """
        if not isinstance(source, str) or "." in source:
            raise DatasetError(
                f"{type(self).__name__}.add_class: expected a source name without a dot (the dot separates source and "
                f"id in map_source_class_id), received source={source!r} for class {class_name!r}. Rename the source."
            )
        for info in self.class_info:
            if info["source"] == source and info["id"] == class_id:
                if info["name"] != class_name:
                    logger.warning(
                        "%s.add_class: class id %r of source %r is already named %r; %r is ignored. "
                        "Give each class an id of its own.",
                        *(type(self).__name__, class_id, source, info["name"], class_name),
                    )
                return
        self.class_info.append({"source": source, "id": class_id, "name": class_name})

    def add_image(self, source, image_id, path, **kwargs):
        """Register an image.

        source: the collection that it belongs to; the same str as for its classes.
        image_id: its id within that source; any value.
        path: file or URL, or None where `load_image` is overridden.
        kwargs: anything that `load_mask` needs, e.g. polygons; kept in `image_info`.
        """
        self.image_info.append({"id": image_id, "source": source, "path": path, **kwargs})

    def image_reference(self, image_id):
        """A link or some words that help a person to find the image. Override it; here it is empty."""
        return ""

    def prepare(self, class_map=None):
        """Number classes and images. Call it after the last `add_class` and `add_image`, again if more follow.

        `class_map` has no effect (compat: Dataset.prepare).
        """
        self.num_classes = len(self.class_info)
        self.class_ids = np.arange(self.num_classes)
        self.class_names = [str(info["name"]).split(",")[0] for info in self.class_info]
        self.num_images = len(self.image_info)
        self._image_ids = np.arange(self.num_images)
        self.class_from_source_map = _numbers_by_source_and_id(self.class_info, self.class_ids)
        self.image_from_source_map = _numbers_by_source_and_id(self.image_info, self._image_ids)
        # The background has the source "" and belongs to every other source too.
        self.sources = list(dict.fromkeys(info["source"] for info in self.class_info))
        self.source_class_ids = {
            source: [i for i, info in enumerate(self.class_info) if i == 0 or info["source"] == source]
            for source in self.sources
        }

    def map_source_class_id(self, source_class_id):
        """The class id of this data set for "source.id": `map_source_class_id("coco.12")` may be 23.

        Raises `DatasetError` if `prepare()` was not called or there is no such class.
        """
        known = self.__dict__.get("class_from_source_map")
        if known is None:
            raise DatasetError(_prepare_first(self, "map_source_class_id"))
        if source_class_id not in known:
            raise DatasetError(
                f"{type(self).__name__}.map_source_class_id: expected '<source>.<id>' of a registered class, received "
                f"source_class_id={source_class_id!r}. Registered: {_some(known)}. Register it with add_class before "
                "prepare()."
            )
        return known[source_class_id]

    def get_source_class_id(self, class_id, source):
        """The id within `source` of class `class_id`, the inverse of `map_source_class_id`.

        Raises `DatasetError` if the class does not exist or belongs to another source.
        """
        place = f"{type(self).__name__}.get_source_class_id"
        if not 0 <= class_id < len(self.class_info):
            raise DatasetError(
                f"{place}: expected a class id from 0 to {len(self.class_info) - 1}, received class_id={class_id!r}. "
                "Class ids are counted in the order of add_class, 0 is the background."
            )
        info = self.class_info[class_id]
        if info["source"] != source:
            raise DatasetError(
                f"{place}: class {class_id} ({info['name']!r}) belongs to source {info['source']!r}, received "
                f"source={source!r}. Ask with the source that the class was registered for."
            )
        return info["id"]

    @property
    def image_ids(self):
        """The numbers of all images, `[num_images]`; empty before `prepare()`."""
        return self._image_ids

    def source_image_link(self, image_id):
        """Path or URL of the image. Override it where a web address helps more."""
        return self.image_info[image_id]["path"]

    def load_image(self, image_id):
        """The image as RGB, uint8 `[H, W, 3]`, whatever the file is (the rules stand in `image_decoding`).

        Override it for pictures that are made or kept in memory, or of another number of channels
        (`IMAGE_CHANNEL_COUNT`). Raises `DatasetError` that names the image if it cannot be read.
        """
        try:
            info = self.image_info[image_id]
        except (IndexError, TypeError):
            raise DatasetError(
                f"{type(self).__name__}.load_image: expected an image id from 0 to {len(self.image_info) - 1}, "
                f"received image_id={image_id!r}. {len(self.image_info)} images were added; ids are those of image_ids."
            ) from None
        try:
            return read_image(info.get("path"))
        except DatasetError as error:
            raise DatasetError(f"image {image_id} ({_source_and_id(info)}): {error}") from error

    def check(self, config=None, *, val=None, depth="headers", select=None, ignore=None, progress=False, **options):
        """Look for mistakes in the data set: files, masks, classes, annotations. Returns a `lint.Report`.

        config: check the settings against the data too. val: the validation data set, checked along with this one.
        depth: "headers" reads all annotations and file headers, and the pixels of some images; "pixels" reads all.
        select, ignore: codes of rules, or their beginnings. options: those of `mrcnn_plus.lint.check`.

            print(dataset.check(depth="pixels", progress=True))
        """
        from mrcnn_plus import lint

        chosen = {"depth": depth, "select": select, "ignore": ignore, "progress": progress}
        return lint.check(config, self, val, **chosen, **options)

    def load_mask(self, image_id):
        """The instances of an image: override it.

        Returns `(masks, class_ids)`: masks bool `[H, W, N]`, one plane for each instance, of the size of the image;
        class_ids int32 `[N]`, ids of this data set, negative for a crowd (several objects under one mask).
        This one has no instance and says so in the log.
        """
        source = self.image_info[image_id]["source"]
        warn_once(
            logger,
            ("base load_mask", type(self).__qualname__, source),
            "%s: load_mask of the base class was called for image %s of source %r; it has no instances. Override "
            "load_mask (check the indentation and the name of the method, and the source that it compares with).",
            *(type(self).__name__, image_id, source),
        )
        return np.empty([0, 0, 0]), np.empty([0], np.int32)


def describe_image(dataset, image_id):
    """Words that let a person find the image: its number, source, id and path. Works for any kind of data set."""
    try:
        info = dataset.image_info[image_id]
        return f"image {image_id} ({_source_and_id(info)}, path {_quoted(info.get('path'))})"
    except (AttributeError, LookupError, TypeError):
        return f"image {image_id}"


def describe_dataset(dataset, role=""):
    """The class of the data set, after the part that it has in a call: `val_dataset (NucleusDataset)`."""
    name = type(dataset).__name__
    return f"{role} ({name})" if role else name


def check_prepared(dataset, role=""):
    """Raise `DatasetError` if the data set has no image, or `prepare()` was not called; warn of images added later.

    role: what the data set is in the call that asks, such as "val_dataset".
    """
    name = describe_dataset(dataset, role)
    added, prepared = len(dataset.image_info), len(dataset.image_ids)
    if added == 0 and prepared == 0:
        raise DatasetError(
            f"{name} has no images: expected at least one call of add_image before prepare(), received num_images=0. "
            "Check the folder or annotation file that it reads."
        )
    if prepared == 0 or not hasattr(dataset, "num_classes"):
        raise DatasetError(_prepare_first(dataset, "Training", role))
    if added > prepared:
        warn_once(
            logger,
            ("added after prepare", id(dataset), added),
            "%s: %d images were added after prepare() and will not be used. Call prepare() after the last add_image.",
            *(name, added - prepared),
        )


def _start_empty(dataset):
    dataset._image_ids = []
    dataset.image_info = []
    dataset.class_info = [{"source": "", "id": 0, "name": "BG"}]
    dataset.source_class_ids = {}


def _numbers_by_source_and_id(infos, numbers):
    """{"source.id": number}; the last one counts where source and id occur twice (compat: Dataset.prepare)."""
    return {f"{info['source']}.{info['id']}": number for info, number in zip(infos, numbers, strict=True)}


def _prepare_first(dataset, place, role=""):
    return (
        f"{describe_dataset(dataset, role)}: {place} needs a prepared data set, received one with "
        f"{len(dataset.image_info)} images and {len(dataset.class_info) - 1} classes on which prepare() was not "
        "called. Call dataset.prepare() after the last add_class and add_image."
    )


def _source_and_id(info):
    return f"source {info.get('source')!r}, id {_quoted(info.get('id'))}"


def _quoted(value):
    return repr(value) if isinstance(value, str | int | None) else repr(str(value))


def _some(names, limit=10):
    names = [repr(str(name)) for name in names]
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
