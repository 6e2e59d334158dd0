"""How well anchors cover objects, and anchors that cover them better.

For one shape of anchor the best of all its places is the one whose center is nearest to the object's, so nothing has to
be searched: an exact answer for 800,000 objects takes seconds.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from mrcnn_plus.constants import RPN_POSITIVE_IOU
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.lint.estimates.molded import MoldedObjects, can_resize, mold_objects
from mrcnn_plus.lint.facts import HEADERS_DEPTH, Facts, Split
from mrcnn_plus.lint.setting_types import fits, received

HALF = 0.5  # an object that no anchor overlaps by half is hardly proposed

_DEFAULT_RATIOS = (0.5, 1, 2)
_FINEST_SCALES = (4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
_ELONGATIONS = (1.5, 2, 2.5, 3, 4, 5)
_MOST_STRIDES = 16  # an anchor of more cells than that is larger than what a cell sees
_CHUNK = 200_000


class AnchorSettings(NamedTuple):
    """What decides where anchors are and how large; scales in pixels of the network's input."""

    scales: tuple[float, ...]  # one for each level, RPN_ANCHOR_SCALES
    ratios: tuple[float, ...]  # width / height, RPN_ANCHOR_RATIOS
    strides: tuple[int, ...]  # one for each level, BACKBONE_STRIDES
    anchor_stride: int = 1  # RPN_ANCHOR_STRIDE


class AnchorSuggestion(NamedTuple):
    """Anchors for a data set, with what they and the present ones reach on its objects."""

    scales: tuple[int, ...]
    ratios: list[float]
    recall_50: float  # share of the objects that an anchor overlaps by an IoU of 0.5 or more
    recall_70: float  # by 0.7 or more: these are certain to train the RPN as positive
    present_recall_50: float
    present_recall_70: float

    @property
    def changes(self) -> dict:
        """The suggestion as settings."""
        return {"RPN_ANCHOR_SCALES": self.scales, "RPN_ANCHOR_RATIOS": self.ratios}

    def __str__(self) -> str:
        return (
            f"RPN_ANCHOR_SCALES = {self.scales}\nRPN_ANCHOR_RATIOS = {self.ratios}\n"
            f"# objects overlapped by half: {self.recall_50:.0%} (now {self.present_recall_50:.0%}), "
            f"by {RPN_POSITIVE_IOU}: {self.recall_70:.0%} (now {self.present_recall_70:.0%})"
        )


def can_match(config) -> bool:
    """Whether settings of image size and anchors allow to compare anchors with objects."""
    names = ("RPN_ANCHOR_SCALES", "RPN_ANCHOR_RATIOS", "BACKBONE_STRIDES", "RPN_ANCHOR_STRIDE")
    return can_resize(config) and fits(config, *names) and len(config.RPN_ANCHOR_SCALES) == len(config.BACKBONE_STRIDES)


def anchor_settings(config) -> AnchorSettings:
    """The settings of a configuration."""
    return AnchorSettings(
        tuple(float(scale) for scale in config.RPN_ANCHOR_SCALES),
        tuple(float(ratio) for ratio in config.RPN_ANCHOR_RATIOS),
        tuple(int(stride) for stride in config.BACKBONE_STRIDES),
        int(config.RPN_ANCHOR_STRIDE),
    )


def best_anchor_iou(boxes, shapes, anchors: AnchorSettings) -> np.ndarray:
    """float32 `[M]`: of each box the largest overlap with an anchor.

    boxes: `[M, (y1, x1, y2, x2)]`, shapes: `[M, (height, width)]` of the network's input, in its pixels.
    """
    parts = [
        _best_iou(np.asarray(boxes[start : start + _CHUNK], np.float32), shapes[start : start + _CHUNK], anchors)
        for start in range(0, len(boxes), _CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _best_iou(boxes, shapes, anchors):
    y1, x1, y2, x2 = boxes.T.copy()
    heights, widths = np.asarray(shapes, np.float32).T.copy()
    area = (y2 - y1) * (x2 - x1)
    best = np.zeros(len(boxes), np.float32)
    for scale, stride in zip(anchors.scales, anchors.strides, strict=True):
        distance_y = _distance_to_anchor((y1 + y2) / 2, heights, stride, anchors.anchor_stride)
        distance_x = _distance_to_anchor((x1 + x2) / 2, widths, stride, anchors.anchor_stride)
        for ratio in anchors.ratios:
            height, width = np.float32(scale / np.sqrt(ratio)), np.float32(scale * np.sqrt(ratio))
            common = _common_length(y2 - y1, height, distance_y) * _common_length(x2 - x1, width, distance_x)
            np.maximum(best, common / (area + height * width - common), out=best)
    return best


def _distance_to_anchor(center, length, stride, anchor_stride):
    """How far the nearest anchor's center is along one side of the image; they stand on the corners of cells."""
    step = np.float32(stride * anchor_stride)
    last = np.ceil(np.ceil(length / np.float32(stride)) / np.float32(anchor_stride)) - 1
    return np.abs(center - np.clip(np.round(center / step), 0, last) * step)


def _common_length(length, anchor, distance):
    """The part of a side of `length` that an anchor of this side covers, its center `distance` away."""
    return np.maximum(np.minimum(np.minimum(length, anchor), (length + anchor) / 2 - distance), 0)


def suggest_anchors(config, dataset, *, num_ratios: int = 3, sample: int = 5000, seed: int = 0) -> AnchorSuggestion:
    """Anchors that overlap the objects of a data set well, at the image size of the configuration.

        suggestion = lint.suggest_anchors(config, dataset_train)
        print(suggestion)

    dataset: a prepared `Dataset`; one without annotations of its own has the masks of some images read.
    num_ratios: how many ratios; published weights need three. sample: objects that candidates are compared on.

    Returns an `AnchorSuggestion`: the present anchors if nothing is clearly better. Raises `ConfigError` if the
    settings are contradictory and `DatasetError` if no object is found.
    """
    if not can_match(config):
        names = ("IMAGE_RESIZE_MODE", "IMAGE_MAX_DIM", "RPN_ANCHOR_SCALES", "RPN_ANCHOR_RATIOS", "BACKBONE_STRIDES")
        values = ", ".join(received(config, name) for name in names)
        raise ConfigError(
            f"suggest_anchors: expected settings that anchors can be made from, received: {values}. "
            "lint.check(config) says what is wrong."
        )
    facts = Facts(config, Split("train", dataset, HEADERS_DEPTH))
    found = [mold_objects(split, objects, config) for split, objects in facts.splits_with_objects]
    if not found or not len(found[0].row):
        raise DatasetError(
            f"suggest_anchors: expected a data set with objects, found none in {type(dataset).__name__}. "
            "lint.check(config, dataset) says why."
        )
    return choose_anchors(found[0], anchor_settings(config), num_ratios=num_ratios, sample=sample, seed=seed)


def choose_anchors(
    objects: MoldedObjects, present: AnchorSettings, *, num_ratios: int = 3, sample: int = 5000, seed: int = 0
) -> AnchorSuggestion:
    """The best of many candidates: scales that double from level to level or follow the objects' sizes, with ratios
    that are symmetric or follow the objects' proportions."""
    chosen = np.random.default_rng(seed).permutation(len(objects.row))[:sample]
    boxes, shapes = objects.boxes[chosen], objects.shape[chosen]

    def quality(scales, ratios):
        iou = best_anchor_iou(boxes, shapes, present._replace(scales=tuple(scales), ratios=tuple(ratios)))
        return float((iou >= HALF).mean()), float((iou >= RPN_POSITIVE_IOU).mean())

    now = quality(present.scales, present.ratios)
    best, best_quality = (present.scales, present.ratios), now
    sides, proportions = objects.sides[chosen], objects.widths[chosen] / objects.heights[chosen]
    # In order of preference: what comes later has to be clearly better.
    for ratios, margin in _candidate_ratios(proportions, num_ratios):
        for scales, further in _candidate_scales(sides, present.strides):
            reached = quality(scales, ratios)
            if sum(reached) > sum(best_quality) + 0.01 + (margin + further if best_quality != now else 0):
                best, best_quality = (scales, ratios), reached
    scales, ratios = best
    return AnchorSuggestion(_plain(scales), list(_plain(ratios)), *best_quality, *now)


def _candidate_scales(sides, strides):
    """`(scales, how much better they have to be)`."""
    levels = len(strides)
    for finest in _FINEST_SCALES:
        yield tuple(finest * 2**level for level in range(levels)), 0.0
    quantiles = np.quantile(sides, (np.arange(levels) + 0.5) / levels)
    fitted = np.unique(np.maximum(np.round(quantiles / 2) * 2, 4))
    if len(fitted) == levels and (fitted <= _MOST_STRIDES * np.array(strides)).all():
        yield tuple(fitted.astype(int)), 0.02


def _candidate_ratios(proportions, count):
    """`(ratios, how much better they have to be)`."""
    if count == 3:
        yield _DEFAULT_RATIOS, 0.0
    pairs = (count - 1) // 2
    for long in itertools.combinations(_ELONGATIONS, pairs):
        middle = (1,) if count % 2 else ()
        yield tuple(sorted(round(1 / ratio, 2) for ratio in long)) + middle + long, 0.02
    quantiles = np.quantile(np.log(proportions), (np.arange(count) + 0.5) / count)
    fitted = np.unique(np.round(np.exp(quantiles), 2))
    if len(fitted) == count and fitted.min() > 0:
        yield tuple(fitted), 0.02


def _plain(values) -> tuple:
    """Whole numbers as int, the others as float."""
    return tuple(int(value) if value == int(value) else float(value) for value in values)
