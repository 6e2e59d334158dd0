"""Photos that viewers turn, and images of another size than declared: which pixels the annotations belong to."""

import numpy as np

from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.grouping import counted, problems_of, violations_of
from mrcnn_plus.lint.measuring.image_facts import keeps_annotations, loads_by_path
from mrcnn_plus.lint.measuring.picture_fit import fits_better
from mrcnn_plus.lint.registry import HEADERS, PIXELS, Violation, rule

# The EXIF orientation that turns a picture back.
_BACK = {6: 8, 8: 6}


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
                places=_places(split, [item.image_id for item in items]),
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
            places=_places(split, rows),
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
            places=_places(split, rows),
        )


def _places(split, rows):
    return [f"{split.name}: {split.images.names[row]}" for row in rows]
