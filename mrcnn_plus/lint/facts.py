"""What rules look at: `Facts`, with everything that is costly computed when it is first asked for, and once.

Two tables describe a data set. `ImageTable` has a row for each image, `ObjectTable` one for each object. Where the data
set keeps annotations (every reader of `mrcnn_plus.data` does), objects come from those, all of them, without reading
a pixel. The objects of any other `Dataset` come from the masks of the images that were read: a sample, or all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

HEADERS_DEPTH = "headers"
PIXELS_DEPTH = "pixels"


@dataclass
class ImageTable:
    """A row for each image of a prepared data set, N rows; NaN or None where something is unknown.

    names: words that let a person find the image, e.g. its file name; paths: as registered.
    declared: float `[N, (height, width)]`, what the annotation file says.
    stored: float `[N, (height, width)]`, what the header of the file says, before any EXIF rotation.
    orientation: int `[N]`, the EXIF tag, 1 where there is none.
    modes: Pillow's mode of the pixels, e.g. "RGB", "I;16"; formats: of the content, e.g. "JPEG".
    errors: why the file cannot be read, or None.
    loaded: float `[N, (height, width)]` of the arrays that `load_image` returned, for the images that were read.
    """

    names: list[str]
    paths: list[str | None]
    declared: np.ndarray
    stored: np.ndarray
    orientation: np.ndarray
    modes: list[str | None]
    formats: list[str | None]
    errors: list[str | None]
    loaded: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sizes(self) -> np.ndarray:
        """float `[N, (height, width)]`: what training will see; loaded, or else stored, or else declared, or NaN."""
        sizes = np.where(np.isnan(self.loaded), self.stored, self.loaded)
        return np.where(np.isnan(sizes), self.declared, sizes)


@dataclass
class ObjectTable:
    """A row for each object, M rows; coordinates in pixels of the image before resizing.

    image: int `[M]`, row in the `ImageTable`. class_id: int `[M]`, class of the data set, from 1. crowd: bool `[M]`.
    boxes: float `[M, (y1, x1, y2, x2)]`, around the outline or mask; y2 and x2 exclusive; may leave the image where it
    comes from an outline; NaN where it has no extent. areas: float `[M]`, pixels inside the outline or mask, or NaN.
    declared_boxes: float `[M, (y1, x1, y2, x2)]`, declared_areas: float `[M]`: what the annotation file says, or NaN.
    places: `row -> words`, e.g. "a.png, annotations[17] (id 4711)".
    complete: True if all objects of the data set are in the table, False for a sample of the images.
    from_masks: True if the rows were measured on masks, False if on annotations.
    """

    image: np.ndarray
    class_id: np.ndarray
    crowd: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    declared_boxes: np.ndarray
    declared_areas: np.ndarray
    places: Callable[[int], str]
    complete: bool
    from_masks: bool

    def __len__(self) -> int:
        return len(self.image)

    @property
    def heights(self) -> np.ndarray:
        return self.boxes[:, 2] - self.boxes[:, 0]

    @property
    def widths(self) -> np.ndarray:
        return self.boxes[:, 3] - self.boxes[:, 1]

    def counts_by_class(self, num_classes: int) -> np.ndarray:
        """int `[num_classes]`: objects of each class, crowds left out; ids out of range are not counted."""
        ids = self.class_id[~self.crowd]
        return np.bincount(ids[(ids > 0) & (ids < num_classes)], minlength=num_classes)

    def counts_by_image(self, num_images: int) -> np.ndarray:
        """int `[num_images]`: objects in each image, crowds left out."""
        return np.bincount(self.image[~self.crowd], minlength=num_images)


@dataclass
class Split:
    """A data set in its role. `images`, `objects` and `pixels` are computed when first asked for.

    role: "train" or "val". depth: "headers" or "pixels". sample: images whose pixels are read at depth "headers".
    workers: processes that read pixels; None takes all cores. progress: show a bar on the terminal.
    """

    role: str
    dataset: Any
    depth: str = HEADERS_DEPTH
    sample: int = 32
    workers: int | None = None
    progress: bool = False

    @property
    def name(self) -> str:
        """For messages: `train` or `val`."""
        return self.role

    @property
    def num_images(self) -> int:
        return len(self.dataset.image_info)

    @property
    def class_names(self) -> list[str]:
        """Names of all classes, the background first."""
        return [str(info["name"]) for info in self.dataset.class_info]

    @property
    def problems(self) -> list:
        """What a reader of `mrcnn_plus.data` met in the annotation file, list of `data.annotations.Problem`."""
        return list(getattr(self.dataset, "problems", ()))

    @cached_property
    def images(self) -> ImageTable:
        from mrcnn_plus.lint.image_facts import read_image_table

        return read_image_table(self)

    @cached_property
    def objects(self) -> ObjectTable | None:
        """None if the data set has no annotations and no pixels were read."""
        from mrcnn_plus.lint.object_facts import read_object_table

        return read_object_table(self)

    @cached_property
    def pixels(self) -> list:
        """`pixel_scan.PixelFacts` of each image that was read: a sample of them, or all at depth "pixels"."""
        from mrcnn_plus.lint.pixel_scan import scan_pixels

        return scan_pixels(self)

    @property
    def sampled_image_ids(self) -> list[int]:
        """Images whose pixels are read: all at depth "pixels", else `sample` of them spread over the data set."""
        if self.depth == PIXELS_DEPTH or self.num_images <= self.sample:
            return list(range(self.num_images))
        return np.unique(np.linspace(0, self.num_images - 1, self.sample).astype(int)).tolist() if self.sample else []


@dataclass
class Run:
    """How a program trains, as far as it is known; None where it is not.

    mode: "training" or "inference". learning_rate, epochs, layers, augmentation, no_augmentation_sources: arguments of
    `train`; stages: list of `(learning_rate, epochs, layers)`, where the program trains several times.
    start_epoch: epochs that the model has trained before. pretrained: True or False for weights loaded or not.
    weights: path or words for the weights, e.g. "coco". model_dir: where runs are stored.
    """

    mode: str | None = None
    learning_rate: float | None = None
    epochs: int | None = None
    layers: str | None = None
    augmentation: Any = None
    no_augmentation_sources: Any = None
    stages: list[tuple[float | None, int | None, str | None]] = field(default_factory=list)
    start_epoch: int | None = None
    pretrained: bool | None = None
    weights: str | None = None
    model_dir: str | None = None
    model: Any = None


@dataclass
class Facts:
    """What a rule may look at. config: an instance of `Config`, or None where only data are checked."""

    config: Any = None
    train: Split | None = None
    val: Split | None = None
    run: Run = field(default_factory=Run)
    failures: list = field(default_factory=list)  # (rule, exception) of rules that failed

    @property
    def splits(self) -> Iterator[Split]:
        """The data sets that were given, train first; one that stands in both roles only once."""
        if self.train:
            yield self.train
        if self.val and not (self.train and self.val.dataset is self.train.dataset):
            yield self.val

    @property
    def splits_with_objects(self) -> Iterator[tuple[Split, ObjectTable]]:
        """The data sets of which at least one object is known."""
        for split in self.splits:
            if split.objects is not None and len(split.objects):
                yield split, split.objects
