"""The table of objects: from annotations where a reader keeps them, or else from the masks that were read."""

from __future__ import annotations

import numpy as np

from mrcnn_plus.lint.measuring.image_facts import draws_annotations
from mrcnn_plus.lint.measuring.tables import ObjectTable


def read_object_table(split) -> ObjectTable | None:
    """`ObjectTable` of a split, or None if nothing about objects could be learned."""
    if draws_annotations(split.dataset):
        return _from_annotations(split)
    return _from_masks(split)


def _from_annotations(split) -> ObjectTable:
    """Every annotation, drawable or not, measured by its coordinates alone.

    A mask file says nothing of its object before it is read; those are measured on the masks that were read.
    """
    from mrcnn_plus.data.annotations import outline_areas, outline_boxes
    from mrcnn_plus.data.readers.outlines import LARGEST_COORDINATE

    dataset = split.dataset
    counts = [len(info["annotations"]) for info in dataset.image_info]
    annotations = [annotation for info in dataset.image_info for annotation in info["annotations"]]
    image = np.repeat(np.arange(len(counts)), counts)
    declared_areas = [np.nan if annotation.area is None else annotation.area for annotation in annotations]

    def place(row):
        return f"{split.images.names[image[row]]}, {annotations[row].place}"

    boxes, areas = outline_boxes(annotations)[:, [1, 0, 3, 2]], outline_areas(annotations)
    beyond = ~(np.abs(boxes) <= LARGEST_COORDINATE).all(axis=1)
    boxes[beyond], areas[beyond] = np.nan, np.nan
    if beyond.any():
        _measure_by_masks(split, counts, boxes, areas)
    return ObjectTable(
        image=image,
        class_id=np.array([annotation.class_id for annotation in annotations], np.int64).reshape(-1),
        crowd=np.array([annotation.crowd for annotation in annotations], bool).reshape(-1),
        boxes=boxes,
        areas=areas,
        declared_boxes=_declared_boxes(annotations),
        declared_areas=np.array(declared_areas, float).reshape(-1),
        places=place,
        complete=True,
        from_masks=False,
    )


def _measure_by_masks(split, counts, boxes, areas):
    """Fill the unknown rows of images of which every annotation was drawn: masks come in the order of annotations."""
    starts = np.cumsum([0, *counts])
    for facts in split.pixels:
        rows = np.arange(starts[facts.image_id], starts[facts.image_id + 1])
        if not facts.measured or len(facts.areas) != len(rows):
            continue
        unknown = np.isnan(boxes[rows]).any(axis=1) & (facts.areas > 0)
        boxes[rows[unknown]] = facts.boxes[unknown]
        areas[rows[unknown]] = facts.areas[unknown]


def _from_masks(split) -> ObjectTable | None:
    """The instances of the images that were read; nothing is known of an image that could not be measured."""
    scanned = [facts for facts in split.pixels if facts.measured]
    if not scanned:
        return None
    counts = [len(facts.class_ids) for facts in scanned]
    image = np.repeat([facts.image_id for facts in scanned], counts)
    number = np.concatenate([np.arange(count) for count in counts])
    class_ids = np.concatenate([facts.class_ids for facts in scanned])
    areas = np.concatenate([facts.areas for facts in scanned]).astype(float)
    boxes = np.concatenate([facts.boxes for facts in scanned]).astype(float)
    boxes[areas == 0] = np.nan

    def place(row):
        return f"{split.images.names[image[row]]}, instance {number[row]}"

    return ObjectTable(
        image=image.astype(np.int64),
        class_id=np.abs(class_ids).astype(np.int64),
        crowd=class_ids < 0,
        boxes=boxes,
        areas=areas,
        declared_boxes=np.full_like(boxes, np.nan),
        declared_areas=np.full_like(areas, np.nan),
        places=place,
        complete=len(scanned) == split.num_images,
        from_masks=True,
    )


def _declared_boxes(annotations):
    """float `[M, (y1, x1, y2, x2)]`, NaN for annotations without a box."""
    unknown = (np.nan,) * 4
    boxes = np.array([unknown if item.box is None else item.box for item in annotations], float).reshape(-1, 4)
    x, y, width, height = boxes.T
    return np.stack([y, x, y + height, x + width], axis=1)
