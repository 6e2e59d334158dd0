"""A size for the network's input that suits the images and the objects in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mrcnn_plus.constants import SIZE_STEP, round_up
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.resizing import ResizeSettings
from mrcnn_plus.lint.estimates.molded import clip_to_image, mold_sizes
from mrcnn_plus.lint.facts import HEADERS_DEPTH, Facts, Split

_SMALL_OBJECTS = 0.1  # this share of the objects decides, not the single smallest one
_LEAST_SIDE = 16  # pixels that a small object should have in the network's input
_MOST_ENLARGED = 2.0  # more adds no detail that a network could use
_USUAL_SIZE = 1024  # larger inputs only for objects that need them
_LARGEST_SIZE = 2048
_MUCH_PADDING = 0.5


class SizeSuggestion(NamedTuple):
    """Settings of the image size for a data set, with what they lead to."""

    min_dim: int
    max_dim: int
    mode: str
    scale: float  # median factor by which images are resized
    padding_share: float  # mean share of the input that is padding
    megapixels: float  # mean area of the input

    @property
    def changes(self) -> dict:
        """The suggestion as settings."""
        return {"IMAGE_MIN_DIM": self.min_dim, "IMAGE_MAX_DIM": self.max_dim, "IMAGE_RESIZE_MODE": self.mode}

    def __str__(self) -> str:
        return "\n".join(f"{name} = {value!r}" for name, value in self.changes.items()) + (
            f"\n# factor {self.scale:.2f}, {self.padding_share:.0%} padding, {self.megapixels:.2f} megapixels per image"
        )


def suggest_image_size(dataset) -> SizeSuggestion:
    """Settings of the image size that suit a data set.

        print(lint.suggest_image_size(dataset_train))

    Images keep their own size where it is not above 1024 and the smallest tenth of the objects has 16 pixels; they are
    enlarged, at most twice, or shrunk less, for smaller objects. Raises `DatasetError` if no image size is known.
    """
    split = Split("train", dataset, HEADERS_DEPTH)
    suggestion = choose_image_size(split.images.sizes, object_sides(split))
    if suggestion is None:
        raise DatasetError(
            f"suggest_image_size: expected images that can be read, found none in {type(dataset).__name__}. "
            "lint.check(None, dataset) says why."
        )
    return suggestion


def suggested_changes(split: Split | None, *names: str) -> dict:
    """The suggestion for a data set as settings, only those of `names`; empty if there is no data or size."""
    suggestion = choose_image_size(split.images.sizes, object_sides(split)) if split else None
    return {name: suggestion.changes[name] for name in names} if suggestion else {}


def object_sides(split: Split) -> np.ndarray:
    """`[M]`, sides in pixels of the images' own size, of squares of the area of the objects' boxes, without crowds."""
    parts = [np.zeros(0)]
    for known, objects in Facts(train=split).splits_with_objects:
        boxes = clip_to_image(objects.boxes[~objects.crowd], known.images.sizes[objects.image[~objects.crowd]])
        sides = np.sqrt(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1))
        parts.append(sides[sides > 0])  # NaN is not above 0 either
    return np.concatenate(parts)


def choose_image_size(sizes, sides=()) -> SizeSuggestion | None:
    """sizes: `[N, (height, width)]` of the images, NaN where unknown; sides: `[M]` of the objects, in their pixels."""
    sizes = np.asarray(sizes, float).reshape(-1, 2)
    sizes = sizes[~np.isnan(sizes).any(axis=1)]
    if not len(sizes):
        return None
    small = float(np.quantile(sides, _SMALL_OBJECTS)) if len(sides) else np.inf
    wanted = min(_LEAST_SIDE / small, _MOST_ENLARGED)  # factor at which small objects have enough pixels
    longer = float(np.quantile(sizes.max(axis=1), 0.75))
    # Smaller than the images only if they are large, and then as little as the objects need.
    scale = max(wanted, min(1.0, _USUAL_SIZE / longer))
    max_dim = int(min(_to_step(longer * scale), _LARGEST_SIZE))
    # Of IMAGE_MIN_DIM only enlarging comes, so rather less than the short side.
    shorter = float(np.median(sizes.min(axis=1))) * max_dim / longer
    min_dim = int(np.clip(shorter // SIZE_STEP * SIZE_STEP, SIZE_STEP, max_dim))
    square = _try(sizes, ResizeSettings(min_dim, max_dim, 0, "square"))
    if square.padding_share > _MUCH_PADDING:
        free = _try(sizes, ResizeSettings(min_dim, max_dim, 0, "pad64"))
        if free.megapixels < 1.1 * square.megapixels:
            return free
    return square


def _to_step(length):
    """The multiple of 64 below a length if that costs 5% of it at most, else the one above."""
    lower = length // SIZE_STEP * SIZE_STEP
    return lower if lower and length - lower <= 0.05 * length else round_up(length)


def _try(sizes, resize) -> SizeSuggestion:
    molded = mold_sizes(sizes, resize)
    return SizeSuggestion(
        resize.min_dim,
        resize.max_dim,
        resize.mode,
        scale=float(np.median(molded.scale)),
        padding_share=float(molded.padding_share.mean()),
        megapixels=float(molded.shape.prod(axis=1).mean() / 1e6),
    )
