"""Areas and boxes that the annotations of an image declare, where it is certain to which mask they belong.

COCO sorts objects into small, medium and large by the area in its annotation file, and measures boxes against the box
there. Both differ a little from what the pixels of a mask say, so numbers that shall equal those of other programs have
to be taken from the file.
"""

import math
from typing import NamedTuple


class Declared(NamedTuple):
    """area: pixels, or None. box: [x, y, width, height] in pixels, or None."""

    area: float | None
    box: list | None


def declared_values(dataset, image_id, class_ids, image_size):
    """A `Declared` for each mask that `load_mask` gave, or None where masks and annotations cannot be paired.

    class_ids: [N] of `load_mask`, negative for crowds. image_size: (height, width) of the loaded image.

    Looks at `image_info[image_id]["annotations"]`: those of the readers of `mrcnn_plus.data`, and the dicts of COCO
    that Matterport's sample keeps there. They have to be as many as the masks, of the same classes in the same order.
    Where some could not be drawn, `load_instances` of the data set says which.
    """
    info = dataset.image_info[image_id]
    annotations = info.get("annotations")
    declared_size = (info.get("height"), info.get("width"))
    if not isinstance(annotations, list) or (all(declared_size) and declared_size != tuple(image_size)):
        return None
    if len(annotations) != len(class_ids) and hasattr(dataset, "load_instances"):
        annotations = dataset.load_instances(image_id).annotations
    entries = [_entry(annotation, dataset, info["source"]) for annotation in annotations]
    if [signed for signed, _ in entries] != list(class_ids):
        return None
    return [declared for _, declared in entries]


def _entry(annotation, dataset, source):
    """(class id, negative for a crowd; `Declared`) of an annotation; class id None if it is of an unknown form."""
    if isinstance(annotation, dict):  # a record of a COCO file
        class_id = _class_of_source(dataset, source, annotation.get("category_id"))
        crowd, area, box = annotation.get("iscrowd"), annotation.get("area"), annotation.get("bbox")
    elif hasattr(annotation, "class_id"):  # mrcnn_plus.data.annotations.Annotation
        class_id, crowd = annotation.class_id, annotation.crowd
        # Only COCO declares areas; boxes of other formats are rounded, or count from 1.
        area, box = annotation.area, annotation.box if annotation.area is not None else None
    else:
        return None, Declared(None, None)
    signed = -class_id if crowd and class_id is not None else class_id
    return signed, Declared(_positive(area), _as_box(box))


def _class_of_source(dataset, source, identity):
    for class_id, info in enumerate(dataset.class_info):
        if class_id and info["source"] == source and info["id"] == identity:
            return class_id
    return None


def _positive(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number and value > 0 else None


def _as_box(box):
    """[x, y, width, height] as floats; None unless it has a size."""
    try:
        box = [float(number) for number in box]
    except (TypeError, ValueError):
        return None
    usable = len(box) == 4 and all(map(math.isfinite, box)) and min(box[2:]) > 0
    return box if usable else None
