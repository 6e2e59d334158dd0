"""The two tables that describe a data set: `ImageTable` has a row for each image, `ObjectTable` one for each object."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


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
    file_sizes: int `[N]`, bytes of the file, -1 where there is none.
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
    file_sizes: np.ndarray

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
