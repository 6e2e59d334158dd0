"""Images and boxes as the network sees them, after resizing; for all images of a data set at once.

The arithmetic of `geometry.resizing.resize_image` without the pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mrcnn_plus.config_values import resize_settings
from mrcnn_plus.constants import round_up
from mrcnn_plus.lint.facts import ObjectTable, Split
from mrcnn_plus.lint.setting_types import fits


class MoldedImages(NamedTuple):
    """A row for each image; NaN where its size is not known. Sizes in pixels."""

    scale: np.ndarray  # [N], factor on both sides
    content: np.ndarray  # [N, (height, width)] of the resized image
    shape: np.ndarray  # [N, (height, width)] of the network's input, with padding, or cropped
    offset: np.ndarray  # [N, (y, x)] of the content in the input

    @property
    def known(self) -> np.ndarray:
        """bool `[N]`: images whose size is known."""
        return ~np.isnan(self.scale)

    @property
    def padding_share(self) -> np.ndarray:
        """`[N]`, the share of the input that is padding, 0 to 1."""
        return np.maximum(1 - self.content.prod(axis=1) / self.shape.prod(axis=1), 0)


class MoldedObjects(NamedTuple):
    """Objects (no crowds) of images whose size is known; a row for each."""

    row: np.ndarray  # [M], in the ObjectTable
    image: np.ndarray  # [M], in the ImageTable
    class_id: np.ndarray  # [M]
    boxes: np.ndarray  # [M, (y1, x1, y2, x2)], pixels of the network's input, within the image
    shape: np.ndarray  # [M, (height, width)] of the input that the object is in

    @property
    def heights(self) -> np.ndarray:
        return self.boxes[:, 2] - self.boxes[:, 0]

    @property
    def widths(self) -> np.ndarray:
        return self.boxes[:, 3] - self.boxes[:, 1]

    @property
    def short_sides(self) -> np.ndarray:
        return np.minimum(self.heights, self.widths)

    @property
    def sides(self) -> np.ndarray:
        """Side of the square of the same area."""
        return np.sqrt(self.heights * self.widths)


def can_resize(config) -> bool:
    """Whether the settings of the image size allow resizing at all; other rules report what is wrong with them."""
    if not fits(config, "IMAGE_RESIZE_MODE", "IMAGE_MIN_DIM", "IMAGE_MAX_DIM", "IMAGE_MIN_SCALE"):
        return False
    needed = {"square": config.IMAGE_MAX_DIM, "crop": config.IMAGE_MIN_DIM}
    return bool(needed.get(config.IMAGE_RESIZE_MODE, True))


def mold_sizes(sizes, resize) -> MoldedImages:
    """How images of these sizes `[N, (height, width)]` are resized with `ResizeSettings`."""
    sizes = np.asarray(sizes, float).reshape(-1, 2)
    sizes = np.where((sizes > 0).all(axis=1, keepdims=True), sizes, np.nan)
    min_dim, max_dim, min_scale, mode = resize
    scale = np.where(np.isnan(sizes[:, 0]), np.nan, 1.0)
    if mode != "none":
        if min_dim:
            scale = np.maximum(scale, min_dim / sizes.min(axis=1))
        if min_scale:
            scale = np.maximum(scale, min_scale)
    if mode == "square":
        longer = sizes.max(axis=1)
        scale = np.where(np.round(longer * scale) > max_dim, max_dim / longer, scale)
    content = np.maximum(np.round(sizes * scale[:, np.newaxis]), 1)
    if mode == "square":
        shape = np.where(np.isnan(content), np.nan, float(max_dim))
    elif mode == "crop":
        shape = np.where(np.isnan(content), np.nan, float(min_dim))
    else:
        shape = round_up(content)
    centered = mode in ("square", "pad64")
    offset = (shape - content) // 2 if centered else np.zeros_like(content)
    return MoldedImages(scale, content, shape, offset)


def mold_images(split: Split, config) -> MoldedImages:
    """How the images of a data set are resized for training."""
    return mold_sizes(split.images.sizes, resize_settings(config))


def mold_objects(split: Split, objects: ObjectTable, config) -> MoldedObjects:
    """Objects with their boxes in the network's input. In mode "crop" boxes are in the image before it is cut.

    Computed once for a split and the settings of the image size.
    """
    cache = vars(split).setdefault("_molded_objects", {})
    resize = resize_settings(config)
    if resize not in cache:
        cache[resize] = _mold_objects(split, objects, config)
    return cache[resize]


def _mold_objects(split, objects, config):
    images = mold_images(split, config)
    sizes = split.images.sizes[objects.image]
    boxes = clip_to_image(objects.boxes, sizes)
    kept = ~objects.crowd & images.known[objects.image] & ~np.isnan(boxes).any(axis=1)
    kept &= (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    row = np.flatnonzero(kept)
    image = objects.image[row]
    molded = boxes[row] * images.scale[image, np.newaxis] + np.tile(images.offset[image], 2)
    shape = images.content if config.IMAGE_RESIZE_MODE == "crop" else images.shape
    return MoldedObjects(row, image, objects.class_id[row], molded, shape[image])


def clip_to_image(boxes, sizes) -> np.ndarray:
    """Boxes `[M, (y1, x1, y2, x2)]` cut at the border of their images `[M, (height, width)]`, in pixels."""
    return np.clip(boxes, 0, np.tile(sizes, 2))
