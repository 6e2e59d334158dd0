"""Do annotations lie where the objects are: photos that viewers turn, other sizes, x and y swapped, other images."""

import numpy as np

from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.grouping import counted, problems_of, violations_of
from mrcnn_plus.lint.measuring.image_facts import keeps_annotations, loads_by_path
from mrcnn_plus.lint.measuring.picture_fit import ORIENTATIONS, best_orientation, fits_better
from mrcnn_plus.lint.registry import HEADERS, OBJECTS, PIXELS, Violation, rule

# The EXIF orientation that turns a picture back.
_BACK = {6: 8, 8: 6}
_SWAPPED = 5


@rule(
    "DAT016",
    ERROR,
    needs=(HEADERS, PIXELS),
    why="Masks that belong to another frame than the pixels lie beside the objects, and the network learns nothing. "
    "Photos with an EXIF orientation are turned by some programs and not by others, in detection too.",
    example="a photo stored as 4032 x 3024 with EXIF orientation 6, annotated as 3024 x 4032",
    fix="Store the photos as they are annotated (PIL.ImageOps.exif_transpose turns them), for training and detection.",
)
def frame_of_annotations_differs(facts):
    """A photo that viewers turn (warning), or a declared size that the file does not have (error).

    It is an error too if the masks lie on what is to be seen only in the other one of the two frames of the photo.
    """
    for split in facts.splits:
        images = split.images
        for orientation in np.unique(images.orientation[images.orientation != 1]):
            yield from _beside(split, int(orientation))
        problems = problems_of(split, "DAT016", read=True)
        yield from violations_of(split, problems, severity=_severity)
        if not keeps_annotations(split.dataset):
            yield from _turned_photos(split, images)
            yield from _other_sizes(split, images)


def _severity(problem):
    """An orientation that was decided works here; a size that differs cannot be right."""
    return WARNING if problem.value in ("upright", "stored") else None


def _beside(split, orientation):
    """Photos of an orientation whose masks would fit the picture if the other of its two frames were taken."""
    found = {True: [], False: []}
    for item in split.pixels:
        if len(item.fits) and split.images.orientation[item.image_id] == orientation:
            found[_is_upright(split, item)].append(item)
    for upright, items in found.items():
        other = _BACK.get(orientation, orientation) if upright else orientation
        if items and fits_better(np.concatenate([item.fits for item in items]), other):
            frames = ("upright", "stored") if upright else ("stored", "upright")
            yield Violation(
                f"{counted(len(items), 'photo')} with EXIF orientation {orientation}: masks are put on the {frames[0]} "
                f"pixels, but they lie on what the {frames[1]} ones show.",
                value=orientation,
                places=split.places(items),
            )


def _is_upright(split, item):
    """True if the photo was turned by its EXIF orientation when it was loaded."""
    frame = split.dataset.photo_frame(item.image_id) if keeps_annotations(split.dataset) else None
    return frame is not None and frame.orientation != 1


def _turned_photos(split, images):
    rows = np.flatnonzero(images.orientation != 1)
    if rows.size:
        taken = "load_image takes the pixels as they are stored" if loads_by_path(split.dataset) else "check load_image"
        yield Violation(
            f"{len(rows):,} of {counted(len(images), 'photo')} have an EXIF orientation that turns them in viewers; "
            f"{taken}, so masks must have been drawn on the stored, unturned pixels.",
            value=int(images.orientation[rows[0]]),
            severity=WARNING,
            places=[split.place(row) for row in rows],
        )


def _other_sizes(split, images):
    """Sizes that the program registered itself, as `add_image(..., width=, height=)`."""
    known = ~np.isnan(images.declared).any(axis=1) & ~np.isnan(images.stored).any(axis=1)
    rows = np.flatnonzero(known & (images.declared != images.stored).any(axis=1))
    if rows.size and loads_by_path(split.dataset):
        (height, width), (real_height, real_width) = images.declared[rows[0]], images.stored[rows[0]]
        yield Violation(
            f"{len(rows):,} of {counted(len(images), 'image')} have another size than was registered: {width:.0f} x "
            f"{height:.0f} (width x height) registered, {real_width:.0f} x {real_height:.0f} in the file.",
            value=(int(width), int(height)),
            fix="Register the size of the file; masks made from another size do not fit.",
            places=[split.place(row) for row in rows],
        )


@rule(
    "DAT047",
    ERROR,
    needs=(HEADERS, OBJECTS, PIXELS),
    why="Arrays are indexed [y, x], annotations are written x first. Swapped masks lie beside all objects, and the "
    "network learns nothing, without any error.",
    example="skimage.draw.polygon(x, y) in place of polygon(y, x)",
    fix="Swap x and y of the annotations, or of the call that draws them: polygon(rows=y, columns=x).",
)
def x_and_y_swapped(facts, *, pixels=2.0, margin=0.01, least_share=0.05):
    """x and y are swapped, by one of three signs.

    Outlines leave their images by more than `pixels` and `margin` of the side, `least_share` of them or more, and
    would not if swapped; or outlines fit their declared boxes only if swapped; or the pictures differ inside and
    around the masks clearly more if masks are swapped.
    """
    for split in facts.splits:
        seen = best_orientation(_fits(split))
        if seen == _SWAPPED:
            yield Violation(
                f"the masks of {counted(len(_looked_at(split)), 'image')} lie beside what the pictures show, and on it "
                "if x and y are swapped.",
                value="x and y swapped",
                places=_looked_at(split),
            )
            continue
        table = split.objects
        if table is None or table.from_masks or not len(table) or _right_as_they_are(_fits(split)):
            continue
        rows = _leave_unless_swapped(table, split.images.sizes[table.image], pixels, margin, least_share)
        sign = "leave their image, and would not"
        if not rows.size:
            rows = _fit_box_if_swapped(table, least_share)
            sign = "do not fit their declared box, and would"
        if rows.size:
            yield Violation(
                f"{rows.size:,} of {len(table):,} outlines {sign} if x and y were swapped.",
                value="x and y swapped",
                places=split.object_places(rows),
            )


def _leave_unless_swapped(table, sizes, pixels, margin, least_share):
    """Rows of outlines outside their image, if nearly all of them, and of the others, would be inside when swapped."""
    allowed = pixels + margin * sizes
    outside = _leaves(table.boxes, sizes, allowed)
    outside_if_swapped = _leaves(table.boxes[:, [1, 0, 3, 2]], sizes, allowed)
    enough = outside.sum() >= max(2, least_share * len(table))
    return np.flatnonzero(outside & (enough and outside_if_swapped.sum() <= 0.1 * outside.sum()))


def _leaves(boxes, sizes, allowed):
    with np.errstate(invalid="ignore"):
        return ((boxes[:, :2] < -allowed) | (boxes[:, 2:] > sizes + allowed)).any(axis=1)


def _fit_box_if_swapped(table, least_share):
    """Rows whose declared box is that of the swapped outline and not that of the outline."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(table.declared_boxes - table.boxes).max(axis=1)
        swapped = np.abs(table.declared_boxes - table.boxes[:, [1, 0, 3, 2]]).max(axis=1)
        rows = np.flatnonzero((apart > 5) & (swapped <= 1.5))
    return rows if rows.size >= max(3, least_share * len(table)) else rows[:0]


@rule(
    "DAT049",
    WARNING,
    needs=PIXELS,
    why="Masks of a turned or mirrored picture lie beside the objects; the network learns nothing, without any error.",
    example="masks counted from the bottom row; photos that a viewer turned by their EXIF tag before annotation",
    fix="Turn the masks or the images, so that both are in one frame; look at some with both drawn together.",
)
def masks_of_turned_pictures(facts):
    """The pictures differ inside and around the masks clearly more if masks are turned or mirrored."""
    for split in facts.splits:
        best = best_orientation(_fits(split))
        if best not in (None, _SWAPPED):
            yield Violation(
                f"the masks of {counted(len(_looked_at(split)), 'image')} lie beside what the pictures show, and on it "
                f"if they are {ORIENTATIONS[best]}.",
                value=ORIENTATIONS[best],
                places=_looked_at(split),
            )


@rule(
    "DAT057",
    WARNING,
    needs=PIXELS,
    why="Masks that belong to other images teach nothing. Lists of images and masks that are sorted in different ways, "
    "or of which one lacks a file, are paired wrongly from there on.",
    example="zip(sorted(images), sorted(masks)) where mask 10.png stands before 9.png",
    fix="Pair images and masks by their names; look at some with both drawn together.",
)
def masks_lie_on_nothing(facts, *, most_share=0.6, least_instances=30, least_structure=2.0):
    """Masks are no better placed than chance.

    Under `most_share` of at least `least_instances` instances differ more from what is around them than the same shapes
    at other places of the picture do. Pictures of noise (under `least_structure`) are left out.
    """
    for split in facts.splits:
        fits = _fits(split, least_structure)
        fits = fits[~np.isnan(fits[:, 0]) & (np.isnan(fits).sum(axis=1) <= 4)]
        if len(fits) < least_instances or best_orientation(fits):
            continue
        elsewhere = np.nanmedian(fits[:, 1:], axis=1)
        share = float((fits[:, 0] > elsewhere).mean())
        if share < most_share:
            yield Violation(
                f"only {share:.0%} of {len(fits)} instances stand out from what is around them more than other places "
                "of the picture do; by chance it would be 50%.",
                value=round(share, 2),
                places=_looked_at(split),
            )


def _fits(split, least_structure=0.0):
    fits = [item.fits for item in split.pixels if item.structure >= least_structure]
    return np.concatenate([np.zeros([0, len(ORIENTATIONS)], np.float32), *fits])


def _right_as_they_are(fits):
    """True if the pictures say clearly that x and y are not swapped: the columns 1 and 5 change their parts."""
    return best_orientation(fits[:, [_SWAPPED - 1] * 4 + [0] + [_SWAPPED - 1] * 3]) == _SWAPPED


def _looked_at(split):
    return split.places(item for item in split.pixels if len(item.fits))
