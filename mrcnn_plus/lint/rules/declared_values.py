"""What annotation files declare about an object, against its outline: coordinates, box, area, iscrowd."""

import numpy as np

from mrcnn_plus.lint.findings import INFO, WARNING
from mrcnn_plus.lint.grouping import counted
from mrcnn_plus.lint.measuring.image_facts import draws_annotations
from mrcnn_plus.lint.registry import OBJECTS, PIXELS, Violation, rule


@rule(
    "DAT015",
    WARNING,
    needs=OBJECTS,
    why="The part outside is cut off. If much is outside, the annotation belongs to another image or another size.",
    example="a polygon point at y=1281 in an image of 1280 rows",
    fix="Clip the outlines to the image, or annotate the image that is there.",
)
def outline_leaves_image(facts, *, pixels=2.0):
    """An outline leaves its image by more than `pixels`."""
    for split, table in facts.splits_with_objects:
        if table.from_masks:
            continue
        beyond = _beyond(table.boxes, split.images.sizes[table.image])
        rows = np.flatnonzero(beyond > pixels)
        if rows.size:
            worst = rows[beyond[rows].argmax()]
            height, width = split.images.sizes[table.image[worst]]
            y1, x1, y2, x2 = table.boxes[worst]
            yield Violation(
                f"{rows.size:,} of {len(table):,} outlines leave the image, by up to {beyond[worst]:.3g} "
                f"pixels ({table.places(worst)}: x {x1:.6g} to {x2:.6g}, y {y1:.6g} to {y2:.6g} in an image of "
                f"{width:.0f} x {height:.0f}, width x height).",
                value=float(beyond[worst]),
                places=split.object_places(rows),
            )


@rule(
    "DAT041",
    WARNING,
    needs=OBJECTS,
    why="Boxes are made from the masks here, but other programs and COCO's tools use the declared ones; where both "
    "disagree, one of them belongs to another object.",
    example="a bbox 60 pixels beside its polygon",
    fix="Make the boxes from the outlines, or correct the outline that is wrong.",
)
def box_off_its_outline(facts, *, least_iou=0.7, pixels=2.0):
    """The declared box and the outline overlap by an IoU under `least_iou`, and differ by more than `pixels`."""
    for split, table in facts.splits_with_objects:
        declared, outlines = table.declared_boxes, table.boxes
        known = ~np.isnan(declared).any(axis=1) & ~np.isnan(outlines).any(axis=1) & ~table.crowd
        sizes = np.tile(split.images.sizes[table.image], 2)
        clipped = np.where(np.isnan(sizes), outlines, np.clip(outlines, 0, np.nan_to_num(sizes, nan=np.inf)))
        iou = np.maximum(_iou(declared, outlines), _iou(declared, clipped))
        apart = np.minimum(_largest_step(declared, outlines), _largest_step(declared, clipped))
        rows = np.flatnonzero(known & (iou < least_iou) & (apart > pixels))
        if rows.size:
            yield _box_violation(split, table, rows, iou)


def _box_violation(split, table, rows, iou):
    y1, x1, y2, x2 = table.declared_boxes[rows].T
    corners = np.stack([y1, x1, y2 - y1, x2 - x1], axis=1)  # if x, y, x2, y2 was written in place of x, y, w, h
    as_corners = (_iou(corners, table.boxes[rows]) > 0.9).mean()
    empty = ((y2 - y1 <= 0) | (x2 - x1 <= 0)).sum()
    cause, fix = "", None
    if as_corners > 0.5:
        cause = " They fit if they are read as x1, y1, x2, y2: COCO's bbox is x, y, width, height."
        fix = "Write bbox as [x, y, width, height]."
    elif empty:
        cause = f" {counted(int(empty), 'box', 'boxes')} of no width or height."
    first = rows[iou[rows].argmin()]
    return Violation(
        f"{rows.size:,} of {len(table):,} declared boxes do not fit their outline, e.g. "
        f"{_xywh(table.declared_boxes[first])} (x, y, width, height) where the outline spans "
        f"{_xywh(table.boxes[first])}, IoU {iou[first]:.2f}.{cause}",
        value=_xywh(table.declared_boxes[first]),
        fix=fix,
        places=split.object_places(rows),
    )


@rule(
    "DAT042",
    WARNING,
    needs=OBJECTS,
    why="COCO's evaluation sorts objects into small, medium and large by it; training does not use it.",
    example='"area": 0 for a polygon of 5000 pixels',
    fix="Compute the areas from the masks.",
)
def declared_area_is_wrong(facts, *, factor=2.0, pixels=20.0):
    """The declared area differs from that of the outline by more than `factor`; info where it is that of the box."""
    for split, table in facts.splits_with_objects:
        declared, areas = table.declared_areas, table.areas
        apart = np.abs(declared - areas) > pixels
        wrong = apart & ((declared > factor * areas) | (declared * factor < areas)) & ~table.crowd
        boxes = np.prod(table.declared_boxes[:, 2:] - table.declared_boxes[:, :2], axis=1)
        of_box = wrong & (np.abs(declared - boxes) <= 0.05 * np.abs(boxes) + 1)
        for rows, severity, cause in (
            (np.flatnonzero(wrong & ~of_box), WARNING, ""),
            (np.flatnonzero(of_box), INFO, " They are width x height of the box."),
        ):
            if rows.size:
                row = rows[0]
                yield Violation(
                    f"{rows.size:,} of {len(table):,} declared areas are more than {factor:g} times off, e.g. "
                    f"{declared[row]:,.0f} where the outline holds {areas[row]:,.0f} pixels.{cause}",
                    value=float(declared[row]),
                    severity=severity,
                    places=split.object_places(rows),
                )


@rule(
    "DAT028",
    INFO,
    needs=(OBJECTS, PIXELS),
    why="Crowd regions hold several objects under one outline. Training neither rewards nor punishes what is found "
    "there.",
    example='"iscrowd": 1; load_mask with the class id -3',
    fix="Nothing, if they hold groups of objects; a single object should have iscrowd=0.",
)
def crowd_regions(facts):
    """Some instances are crowds: iscrowd=1, or a negative class id."""
    for split, table in facts.splits_with_objects:
        rows = np.flatnonzero(table.crowd)
        if rows.size:
            message = f"{rows.size:,} of {len(table):,} instances are crowds and are not learned as objects."
            yield Violation(message, value=int(rows.size), places=split.object_places(rows))


@rule(
    "DAT043",
    WARNING,
    needs=OBJECTS,
    why="A crowd gets no box and no mask loss, so an ordinary object that is marked as one is never learned.",
    example='"iscrowd": 1 on all annotations',
    fix="Set iscrowd to 0 for single objects.",
)
def ordinary_objects_as_crowd(facts, *, most_share=0.5, least_objects=4):
    """Crowds that are drawn as one polygon, or over `most_share` of the objects of a class marked as crowd."""
    for split, table in facts.splits_with_objects:
        suspect = table.crowd & _single_outlines(split, table)
        for class_id in np.unique(table.class_id[table.crowd]):
            members = table.class_id == class_id
            if members.sum() >= least_objects and table.crowd[members].mean() > most_share:
                suspect |= members & table.crowd
        rows = np.flatnonzero(suspect)
        if rows.size:
            names = sorted({split.class_names[number] for number in table.class_id[rows] if number >= 0})
            yield Violation(
                f"{rows.size:,} of {counted(int(table.crowd.sum()), 'crowd')} look like ordinary objects (of "
                f"{', '.join(names[:4])}); they are not learned.",
                value=int(rows.size),
                places=split.object_places(rows),
            )


def _single_outlines(split, table):
    """bool `[M]`: drawn as one outline. COCO's crowds are RLEs, of several parts."""
    if not draws_annotations(split.dataset):
        return np.zeros([len(table)], bool)
    return np.array(
        [
            item.kind in ("rectangle", "circle", "ellipse") or (item.kind == "polygon" and len(item.geometry) == 1)
            for info in split.dataset.image_info
            for item in info["annotations"]
        ],
        bool,
    )


def _beyond(boxes, sizes):
    """float `[M]`: pixels by which boxes leave their images; 0 where that is unknown."""
    beyond = np.concatenate([-boxes[:, :2], boxes[:, 2:] - sizes], axis=1)
    return np.nan_to_num(np.max(np.where(np.isnan(beyond), 0, beyond), axis=1, initial=0), posinf=0)


def _iou(one, other):
    """float `[M]`: IoU of boxes row by row; 0 for boxes of no size."""
    sides = np.clip(np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2]), 0, None)
    shared = sides.prod(axis=1)
    both = sum(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (one, other)) - shared
    return np.divide(shared, both, out=np.zeros_like(shared), where=both > 0)


def _largest_step(one, other):
    return np.abs(one - other).max(axis=1)


def _xywh(box):
    y1, x1, y2, x2 = (round(float(value), 1) for value in box)
    return [x1, y1, round(x2 - x1, 1), round(y2 - y1, 1)]
