"""Limits on what is detected, and the objects that they cut off."""

from __future__ import annotations

import itertools

import numpy as np

from mrcnn_plus.lint.facts import ObjectTable
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, OBJECTS, RUN, Violation, rule
from mrcnn_plus.lint.setting_types import EXPECTED, fits, received

_LIMITS = ("MAX_GT_INSTANCES", "DETECTION_MAX_INSTANCES")
_SAME = 0.9  # boxes that overlap by this IoU or more are those of one object, or cannot be told apart


@rule(
    "CFG056",
    ERROR,
    needs=CONFIG,
    why="It is a probability. Above 1 nothing is ever reported; at 0 every proposal is, up to DETECTION_MAX_INSTANCES.",
    example="DETECTION_MIN_CONFIDENCE = 90",
    fix="Use 0.5 to 0.9 to look at results, 0.05 or less to compute average precision.",
)
def min_confidence_out_of_range(facts):
    """`DETECTION_MIN_CONFIDENCE` is not between 0 and 1; an info at 0, which switches the filter off."""
    config, name = facts.config, "DETECTION_MIN_CONFIDENCE"
    value = config.DETECTION_MIN_CONFIDENCE
    if not fits(config, name):
        percent = isinstance(value, int | float) and 1 < value <= 100
        message = f"expected {EXPECTED[name].text}, received {received(config, name)}."
        yield Violation(message, setting=name, changes={name: value / 100 if percent else 0.7})
    elif not value and config.is_overridden(name):
        yield Violation(
            f"{received(config, name)} switches the filter off: up to {config.DETECTION_MAX_INSTANCES} detections are "
            "reported for every image.",
            setting=name,
            severity=INFO,
        )


@rule(
    "CFG057",
    INFO,
    needs=(CONFIG, RUN),
    why="A network that has trained for a while gives lower probabilities; with a high threshold it seems to detect "
    "nothing.",
    example="DETECTION_MIN_CONFIDENCE = 0.95 while training",
    fix="Use 0.5 while training and looking for causes; raise it for the finished model.",
)
def high_min_confidence(facts, *, high=0.9):
    """`DETECTION_MIN_CONFIDENCE` is `high` or above, and the program does not only detect."""
    config = facts.config
    if facts.run.mode == "inference" or not fits(config, "DETECTION_MIN_CONFIDENCE"):
        return
    if (config.DETECTION_MIN_CONFIDENCE or 0) >= high:
        yield Violation(
            f"detections under {config.DETECTION_MIN_CONFIDENCE:.0%} are not reported; a weak model seems to find "
            "nothing.",
            setting="DETECTION_MIN_CONFIDENCE",
        )


@rule(
    "CFG058",
    WARNING,
    needs=CONFIG,
    why="Every detection comes from a proposal, so there cannot be more of them.",
    example="DETECTION_MAX_INSTANCES = 500 with POST_NMS_ROIS_INFERENCE = 300",
    fix="Raise POST_NMS_ROIS_INFERENCE to several times DETECTION_MAX_INSTANCES.",
)
def more_detections_than_proposals(facts):
    """`DETECTION_MAX_INSTANCES` is larger than `POST_NMS_ROIS_INFERENCE`."""
    config = facts.config
    if not fits(config, "DETECTION_MAX_INSTANCES", "POST_NMS_ROIS_INFERENCE"):
        return
    if config.DETECTION_MAX_INSTANCES > config.POST_NMS_ROIS_INFERENCE:
        yield Violation(
            f"DETECTION_MAX_INSTANCES={config.DETECTION_MAX_INSTANCES} cannot be reached from "
            f"POST_NMS_ROIS_INFERENCE={config.POST_NMS_ROIS_INFERENCE} proposals.",
            setting="DETECTION_MAX_INSTANCES",
            changes={"POST_NMS_ROIS_INFERENCE": 2 * config.DETECTION_MAX_INSTANCES},
        )


@rule(
    "CFG067",
    WARNING,
    needs=(CONFIG, OBJECTS),
    why="Of two detections of a class that overlap by more than DETECTION_NMS_THRESHOLD the weaker one is dropped. "
    "Where the objects themselves overlap that much, the weaker one can never be reported, however well it is found.",
    example="Overlapping leaves with DETECTION_NMS_THRESHOLD = 0.3",
    fix="Raise DETECTION_NMS_THRESHOLD.",
)
def objects_suppressed_as_duplicates(facts, *, most_share=0.05, share_to_mention=0.02, min_objects=5):
    """More than `most_share` of the objects overlap a larger one of their class by more than the threshold of NMS.

    Measured on the boxes of the annotations; those that are nearly the same are not counted, as duplicates. From
    `share_to_mention` on it is an info; fewer than `min_objects` such objects are not mentioned.
    """
    config = facts.config
    if not fits(config, "DETECTION_NMS_THRESHOLD"):
        return
    for split, objects in itertools.islice(facts.splits_with_objects, 1):
        threshold = config.DETECTION_NMS_THRESHOLD
        dropped = suppressed_objects(objects, threshold)
        counted = (~objects.crowd).sum()
        share = dropped.sum() / max(counted, 1)
        if share <= share_to_mention or dropped.sum() < min_objects:
            continue
        higher = next(
            (
                value
                for value in (0.4, 0.5, 0.6, 0.7)
                if value > threshold and suppressed_objects(objects, value).sum() < dropped.sum() / 2
            ),
            None,
        )
        yield Violation(
            f"{split.name}: the boxes of {dropped.sum()} of {counted} objects ({share:.1%}) overlap another one of "
            f"their class by more than DETECTION_NMS_THRESHOLD={threshold:g}: at most one of the two is reported.",
            setting="DETECTION_NMS_THRESHOLD",
            severity=WARNING if share > most_share else INFO,
            places=split.object_places(np.flatnonzero(dropped)),
            changes={"DETECTION_NMS_THRESHOLD": higher} if higher else {},
        )


@rule(
    "DAT019",
    WARNING,
    needs=(CONFIG, OBJECTS),
    why="Of an image with more objects than MAX_GT_INSTANCES a random selection is trained, and the others count as "
    "background. Beyond DETECTION_MAX_INSTANCES nothing is reported.",
    example="312 objects in an image, with the limits at 100",
    fix="Raise the limits together: they cost memory.",
)
def more_objects_than_limits(facts):
    """An image has more objects than `MAX_GT_INSTANCES` (training) or `DETECTION_MAX_INSTANCES` allow."""
    config = facts.config
    if not fits(config, *_LIMITS):
        return
    for split, objects in facts.splits_with_objects:
        counts = objects.counts_by_image(split.num_images)
        most, limits = int(counts.max()), {name: getattr(config, name) for name in _LIMITS}
        exceeded = {name: limit for name, limit in limits.items() if most > limit}
        if split.role != "train":
            exceeded.pop("MAX_GT_INSTANCES", None)
        if not exceeded:
            continue
        images = np.flatnonzero(counts > min(exceeded.values()))
        words = " and ".join(f"{name}={limit}" for name, limit in exceeded.items())
        yield Violation(
            f"{split.name}: {len(images)} of {split.num_images} images have more objects than {words}; the most is "
            f"{most}, nine in ten images have {np.quantile(counts, 0.9):.0f} or fewer.",
            setting=next(iter(exceeded)),
            fix=f"Raise {' and '.join(exceeded)} to {most}" + _with_proposals(config, most),
            places=[f"{split.place(image)} ({counts[image]} objects)" for image in images],
            changes={**dict.fromkeys(exceeded, most), **_proposal_changes(config, most)},
        )


def _proposal_changes(config, objects):
    """Numbers of proposals that are needed for so many objects, where they are above the present ones."""
    wanted = {
        "POST_NMS_ROIS_TRAINING": 4 * objects,
        "POST_NMS_ROIS_INFERENCE": 4 * objects,
        "PRE_NMS_LIMIT": 12 * objects,
    }
    return {name: value for name, value in wanted.items() if fits(config, name) and getattr(config, name) < value}


def _with_proposals(config, objects):
    changes = _proposal_changes(config, objects)
    return ", and " + ", ".join(f"{name} to {value}" for name, value in changes.items()) + "." if changes else "."


def suppressed_objects(objects: ObjectTable, threshold: float) -> np.ndarray:
    """bool `[M]`: objects that non-maximum suppression would drop though they are found perfectly.

    An object is dropped where a kept one of its image and class overlaps it by more than `threshold`; larger ones
    come first. Boxes that are nearly the same (by `_SAME` and more) are left out: no threshold tells them apart. Crowds
    and objects without extent take no part.
    """
    boxes = objects.boxes.astype(float)
    sizes = boxes[:, 2:] - boxes[:, :2]
    area = np.where((sizes > 0).all(axis=1), sizes.prod(axis=1), np.nan)
    taking_part = np.flatnonzero(~objects.crowd & ~np.isnan(area))
    order = taking_part[np.lexsort((-area[taking_part], objects.class_id[taking_part], objects.image[taking_part]))]
    larger, smaller = _overlapping_pairs(objects, boxes, area, order, threshold)
    dropped = np.zeros(len(boxes), bool)
    for first, second in zip(larger.tolist(), smaller.tolist(), strict=True):  # in order of size: as NMS goes
        if not dropped[first]:
            dropped[second] = True
    return dropped


def _overlapping_pairs(objects, boxes, area, order, threshold):
    """Rows of the larger and the smaller object of each pair in one image and class with an IoU above the threshold.

    The n-th neighbour of every object is compared at once, for n = 1, 2, ... until no group is that large.
    """
    image, class_id = objects.image[order], objects.class_id[order]
    pairs = []
    first = np.arange(len(order))
    for distance in range(1, len(order)):
        first = first[first + distance < len(order)]
        second = first + distance
        first = first[(image[first] == image[second]) & (class_id[first] == class_id[second])]
        if not len(first):
            break
        rows, others = order[first], order[first + distance]
        common = np.minimum(boxes[rows, 2:], boxes[others, 2:]) - np.maximum(boxes[rows, :2], boxes[others, :2])
        common = np.maximum(common, 0).prod(axis=1)
        either = area[rows] + area[others] - common
        above = (common > threshold * either) & (common < _SAME * either)
        pairs.append(np.stack([first[above], first[above] + distance]))
    if not pairs:
        return np.zeros(0, int), np.zeros(0, int)
    found = np.concatenate(pairs, axis=1)
    found = found[:, np.lexsort((found[1], found[0]))]
    return order[found[0]], order[found[1]]
