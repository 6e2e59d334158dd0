"""The objects one by one: empty, tiny, double, in several parts, cut by the border, filling the image, noise."""

import numpy as np

from mrcnn_plus.lint.findings import INFO, WARNING
from mrcnn_plus.lint.grouping import counted, problems_of, violations_of
from mrcnn_plus.lint.registry import OBJECTS, PIXELS, Violation, rule


@rule(
    "DAT013",
    WARNING,
    needs=(OBJECTS, PIXELS),
    why="An instance without a pixel has no box; it is left out of training. Often the mask was drawn for another "
    "image or another size.",
    example="a mask of zeros; an outline that lies outside the image",
    fix="Remove the instance, or draw its mask.",
)
def instance_without_pixels(facts):
    """An instance has no pixel in its image."""
    for split in facts.splits:
        met = problems_of(split, "DAT013", read=True)
        yield from violations_of(split, met)
        empty = [
            f"{split.place(item.image_id)}, instance {number}"
            for item in split.pixels
            for number in np.flatnonzero((item.areas == 0) & (item.class_ids != 0))
        ]
        if empty:
            message = f"{counted(len(empty), 'mask')} without a pixel; such instances are left out of training."
            yield Violation(message, value=0, places=empty)
        outside = _outside(split, {problem.where for problem in met})
        if outside:
            message = f"{counted(len(outside), 'outline')} outside the image; they are left out of training."
            yield Violation(message, value=len(outside), places=outside)


def _outside(split, known):
    """Places of annotations that do not touch their image at all, but for those that were met while drawing."""
    table = split.objects
    if table is None or table.from_masks:
        return []
    sizes = split.images.sizes[table.image]
    rows = np.flatnonzero((table.boxes[:, :2] >= sizes).any(axis=1) | (table.boxes[:, 2:] <= 0).any(axis=1))
    if not rows.size:
        return []
    infos = split.dataset.image_info
    annotations = [(image, item) for image, info in enumerate(infos) for item in info["annotations"]]
    places = [split.dataset.place_of(*annotations[row]) for row in rows]
    return [f"{split.name}: {place}" for place in places if place not in known]


@rule(
    "DAT027",
    WARNING,
    needs=(OBJECTS, PIXELS),
    why="The network is punished for finding the object once, and objects are counted double.",
    example="the same polygon in the file twice",
    fix="Remove one of the two.",
)
def instance_twice(facts):
    """Two instances of an image cover nearly the same pixels (IoU over 0.9)."""
    for split in facts.splits:
        found = {}
        for item in split.pixels:
            for one, other, iou in item.twins:
                if _surrounds(item)[[one, other]].all():
                    continue  # the background twice, which is another rule's
                names = [split.class_names[abs(item.class_ids[number])] for number in (one, other)]
                key = (item.image_id, *sorted(map(tuple, item.boxes[[one, other]].tolist())))
                found[key] = (f"{split.place(item.image_id)}, instances {one} and {other}", iou, names)
        read = {item.image_id for item in split.pixels if item.measured}
        for image, place, names in _same_outlines(split):
            if image not in read:
                found[image, place] = (place, 1.0, names)
        if found:
            place, iou, names = next(iter(found.values()))
            same = f"both {names[0]!r}" if names[0] == names[1] else f"{names[0]!r} and {names[1]!r}"
            yield Violation(
                f"{counted(len(found), 'pair')} of instances cover the same pixels, e.g. IoU {iou:.2f}, {same}.",
                value=round(iou, 3),
                places=[f"{split.name}: {place.removeprefix(split.name + ': ')}" for place, _, _ in found.values()],
            )


def _same_outlines(split):
    """Annotations of an image with the same bounds and area, in all images: `(image, place, class names)`."""
    table = split.objects
    if table is None or table.from_masks or not len(table):
        return
    keys = np.column_stack([table.image, np.round(table.boxes, 2), np.round(table.areas, 1)])
    usable = np.flatnonzero(~np.isnan(keys).any(axis=1))
    order = usable[np.lexsort(keys[usable].T[::-1])]
    same = (np.diff(keys[order], axis=0) == 0).all(axis=1)
    for one, other in zip(order[:-1][same], order[1:][same], strict=True):
        second = table.places(other).partition(", ")[2]
        names = [split.class_names[table.class_id[row]] for row in (one, other)]
        yield int(table.image[one]), f"{table.places(one)} and {second}", names


@rule(
    "DAT044",
    WARNING,
    needs=OBJECTS,
    why="An object of so few pixels has no outline to learn. Single ones are slips of the mouse; if all are so small, "
    "coordinates were probably scaled down, or points were meant.",
    example="all objects are 3 x 3 pixels",
    fix="Remove slips; for small objects enlarge the image or cut it into tiles; check the scale of the coordinates.",
)
def tiny_objects(facts, *, side=4, most_share=0.1, slip_area=4.0, slip_below=0.01):
    """Objects of a few pixels.

    Reported if more than `most_share` of the objects have no side over `side` pixels, or for single objects of at most
    `slip_area` pixels and under `slip_below` of the median area.
    """
    for split, table in facts.splits_with_objects:
        longest = np.maximum(table.heights, table.widths)
        known = np.flatnonzero(~np.isnan(longest) & ~table.crowd & (longest > 0))
        small = known[longest[known] <= side]
        if known.size and small.size > most_share * known.size:
            largest = np.nanmax(np.abs(table.boxes[known]))
            scaled = " All coordinates are at most 1: multiply them by width and height." if largest <= 1 else ""
            yield Violation(
                f"{small.size:,} of {known.size:,} objects are at most {side} x {side} pixels; the median object "
                f"measures {np.median(table.heights[known]):.3g} x {np.median(table.widths[known]):.3g}.{scaled}",
                value=float(np.median(longest[known])),
                places=split.object_places(small),
            )
            continue
        known = known[~np.isnan(table.areas[known])]
        slips = known[table.areas[known] <= slip_area]
        if slips.size and slip_area <= slip_below * np.median(table.areas[known]):
            yield Violation(
                f"{counted(slips.size, 'object')} of at most {slip_area:g} pixels, where the median object has "
                f"{np.median(table.areas[known]):,.0f}: probably slips of the mouse.",
                value=float(table.areas[slips[0]]),
                places=split.object_places(slips),
            )


@rule(
    "DAT045",
    INFO,
    needs=PIXELS,
    why="Objects behind others are in parts rightly; but forgotten pixels, or two objects in one mask, look the same.",
    example="a mask with a second part of 400 pixels",
    fix="Look at some of them; split masks that hold several objects.",
)
def instance_in_parts(facts, *, least_share=0.05):
    """More than `least_share` of the instances that were read consist of several separate parts."""
    for split in facts.splits:
        masks = sum(len(item.class_ids) for item in split.pixels)
        places = _instances(split, lambda item: (item.parts > 1) & (item.class_ids > 0))
        if len(places) > least_share * masks:
            yield Violation(f"{len(places):,} of {masks:,} instances are in parts.", value=len(places), places=places)


@rule(
    "DAT046",
    INFO,
    needs=OBJECTS,
    why="What is seen of such an object is not its whole shape; if images are tiles, larger ones cut fewer objects.",
    example="a tile of an aerial photo whose objects end at its border",
    fix="Nothing, if photos show it so; else cut tiles with an overlap.",
)
def instance_cut_by_border(facts, *, least_share=0.2):
    """More than `least_share` of the objects touch the border of their image."""
    for split, table in facts.splits_with_objects:
        sizes = split.images.sizes[table.image]
        cut = (table.boxes[:, :2] <= 0).any(axis=1) | (table.boxes[:, 2:] >= sizes).any(axis=1)
        rows = np.flatnonzero(cut & ~table.crowd)
        if rows.size > least_share * len(table):
            message = f"{rows.size:,} of {len(table):,} objects touch the border of their image."
            yield Violation(message, value=int(rows.size), places=split.object_places(rows))


@rule(
    "DAT053",
    WARNING,
    needs=PIXELS,
    why="Masks of hundreds of crumbs come from noise, JPEG compression or a threshold, and cannot be learned.",
    example="a mask with 350 parts of one or two pixels",
    fix="Store masks without loss (PNG), apply a threshold in the middle, remove parts under some pixels.",
)
def mask_like_noise(facts, *, crumbs=30, least_share=0.1, ragged=0.3, least_area=100):
    """Masks of many crumbs, or of pixels that know nothing of their neighbours.

    Crumbs: more than `crumbs` separate parts, and `least_share` of the pixels in parts under 2% of the mask.
    Neighbours: more than `ragged` of their pairs in its box differ, of a mask of `least_area` pixels or more.
    """

    def noisy(item):
        crumbled = (item.components > crumbs) & (item.dust >= least_share * item.areas)
        return (crumbled | ((item.ragged > ragged) & (item.areas >= least_area))) & (item.class_ids > 0)

    for split in facts.splits:
        places = _instances(split, noisy)
        if places:
            masks = sum(len(item.class_ids) for item in split.pixels)
            most, share = (
                max(float(getattr(item, name).max()) for item in split.pixels if item.areas.size)
                for name in ("components", "ragged")
            )
            yield Violation(
                f"{len(places):,} of {masks:,} masks look like noise: up to {most:.0f} separate parts, and up to "
                f"{share:.0%} of neighbouring pixels differ.",
                value=round(share, 3),
                places=places,
            )


@rule(
    "DAT054",
    WARNING,
    needs=PIXELS,
    why="A mask of all pixels, or of all but the objects, is usually that of the background, and inverted.",
    example="masks where 255 means background",
    fix="Invert the mask, or remove the instance.",
)
def mask_of_background(facts, *, full=0.995, least_share=0.01, most_share=0.5, least_images=3):
    """An instance covers all of its image, or many cover all but the objects.

    At least `least_share` of the instances cover more than `full` of the image; or, in more than `most_share` of at
    least `least_images` images, one covers most of it with all four corners.
    """
    for split in facts.splits:
        masks = sum(len(item.class_ids) for item in split.pixels)
        filling = _instances(split, lambda item: (item.areas > full * item.image_area) & (item.class_ids > 0))
        if filling and len(filling) >= least_share * masks:
            message = f"{len(filling):,} of {masks:,} instances cover more than {full:.1%} of the image."
            yield Violation(message, value=len(filling), places=filling)
        around = _instances(split, _surrounds)
        images = sum(bool(len(item.class_ids)) for item in split.pixels)
        if not filling and images >= least_images and len(around) > most_share * images:
            message = f"{len(around)} masks in {images} images reach all four corners: they look inverted."
            yield Violation(message, value=len(around), places=around)


def _surrounds(item):
    """bool `[N]`: covers most of the image, with all four corners."""
    return (item.corners == 4) & (item.areas > 0.5 * item.image_area) & (item.class_ids > 0)


@rule(
    "DAT055",
    INFO,
    needs=PIXELS,
    why="Where masks are made from boxes, the network learns to draw boxes.",
    example="VIA rectangles, or COCO annotations whose segmentation repeats the bbox",
    fix="Nothing, if the objects are rectangles; else draw outlines.",
)
def masks_are_rectangles(facts, *, least_share=0.95, least_instances=10):
    """At least `least_share` of the masks, and `least_instances` of them, fill their box completely."""
    for split in facts.splits:
        full = _instances(split, lambda item: (item.areas > 4) & (item.areas >= _box_areas(item)))
        masks = sum(int((item.areas > 4).sum()) for item in split.pixels)
        if len(full) >= least_instances and len(full) >= least_share * masks:
            yield Violation(f"{len(full):,} of {masks:,} masks are plain rectangles.", value=len(full), places=full)


def _box_areas(item):
    return np.prod(item.boxes[:, 2:] - item.boxes[:, :2], axis=1)


def _instances(split, chosen):
    """Places of the instances for which `chosen(PixelFacts)` is true."""
    return [
        f"{split.place(item.image_id)}, instance {number}"
        for item in split.pixels
        if item.measured and item.shape and len(item.class_ids)
        for number in np.flatnonzero(chosen(item))
    ]
