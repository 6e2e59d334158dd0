"""What rules look at: `Facts`, with everything that is costly computed when it is first asked for, and once.

Two tables describe a data set (`tables.py`), one of its images and one of its objects. Where the data
set keeps annotations (every reader of `mrcnn_plus.data` does), objects come from those, all of them, without reading
a pixel. The objects of any other `Dataset` come from the masks of the images that were read: a sample, or all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mrcnn_plus.lint.measuring.tables import ImageTable, ObjectTable

HEADERS_DEPTH = "headers"
PIXELS_DEPTH = "pixels"


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
        from mrcnn_plus.lint.measuring.image_facts import read_image_table

        return read_image_table(self)

    @cached_property
    def objects(self) -> ObjectTable | None:
        """None if the data set has no annotations and no pixels were read."""
        from mrcnn_plus.lint.measuring.object_facts import read_object_table

        return read_object_table(self)

    @cached_property
    def pixels(self) -> list:
        """`pixel_facts.PixelFacts` of each image that was read: a sample of them, or all at depth "pixels"."""
        from mrcnn_plus.lint.measuring.pixel_facts import scan_pixels

        return scan_pixels(self)

    def place(self, image_id: int) -> str:
        """Words by which a person finds an image: `train: a.png`."""
        return f"{self.name}: {self.images.names[image_id]}"

    def places(self, scanned) -> list[str]:
        """The places of images that were read. scanned: `PixelFacts` of each."""
        return [self.place(item.image_id) for item in scanned]

    def object_places(self, rows) -> list[str]:
        """Words for rows of `objects`: `train: a.png, annotations[17] (id 4711)`."""
        return [f"{self.name}: {self.objects.places(int(row))}" for row in rows]

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
    weights: path or words for the weights, e.g. "coco". model_dir: where runs are stored. model: the `MaskRCNN`.
    environment: `environment_facts.Environment` of the machine that trains; None for this one.
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
    environment: Any = None


@dataclass
class Facts:
    """What a rule may look at.

    config: an instance of `Config`, or None where only data are checked. history: `diagnosis.history.History` of a
    training run; experiment: the result of an experiment; both None before training.
    """

    config: Any = None
    train: Split | None = None
    val: Split | None = None
    run: Run = field(default_factory=Run)
    failures: list = field(default_factory=list)  # (rule, exception) of rules that failed
    history: Any = None
    experiment: Any = None

    @property
    def splits(self) -> Iterator[Split]:
        """The data sets that were given, train first; one that stands in both roles only once."""
        if self.train:
            yield self.train
        if self.val and not (self.train and self.val.dataset is self.train.dataset):
            yield self.val

    @cached_property
    def environment(self):
        """`environment_facts.Environment`: packages, devices and processes of the machine."""
        from mrcnn_plus.lint.measuring.environment_facts import read_environment

        return self.run.environment or read_environment()

    @cached_property
    def augmentation(self):
        """`augmentation_check.AugmentationFacts` of the run's augmentation, tried on images; None without one."""
        from mrcnn_plus.lint.measuring.augmentation_check import observe_run

        return observe_run(self)

    @property
    def splits_with_objects(self) -> Iterator[tuple[Split, ObjectTable]]:
        """The data sets of which at least one object is known."""
        for split in self.splits:
            if split.objects is not None and len(split.objects):
                yield split, split.objects
