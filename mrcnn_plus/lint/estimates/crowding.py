"""Objects whose boxes overlap, in all images of a data set at once."""

from __future__ import annotations

import numpy as np

from mrcnn_plus.lint.facts import ObjectTable

SAME = 0.9  # boxes that overlap by this IoU or more are those of one object, or cannot be told apart


def suppressed_objects(objects: ObjectTable, threshold: float) -> np.ndarray:
    """bool `[M]`: objects that non-maximum suppression would drop though they are found perfectly.

    An object is dropped where a kept one of its image and class overlaps it by more than `threshold`; larger ones
    come first. Boxes that are nearly the same (by `SAME` and more) are left out: no threshold tells them apart. Crowds
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
        above = (common > threshold * either) & (common < SAME * either)
        pairs.append(np.stack([first[above], first[above] + distance]))
    if not pairs:
        return np.zeros(0, int), np.zeros(0, int)
    found = np.concatenate(pairs, axis=1)
    found = found[:, np.lexsort((found[1], found[0]))]
    return order[found[0]], order[found[1]]
