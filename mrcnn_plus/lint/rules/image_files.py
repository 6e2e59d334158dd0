"""The image files: can they be read, what kind are they, do entries and files belong together."""

import os

import numpy as np

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.grouping import by_kind, counted, problems_met, problems_of, severity_if_skipped, violations_of
from mrcnn_plus.lint.measuring.image_facts import loads_by_path
from mrcnn_plus.lint.registry import DATA, HEADERS, PIXELS, Violation, rule

# Endings of names for the kinds of content that Pillow tells apart.
_ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
    "MPO": (".jpg", ".jpeg", ".jpe", ".mpo"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
_KNOWN_ENDINGS = {ending for endings in _ENDINGS.values() for ending in endings}
_MODES = {
    "P": "palette images; the colors of the palette are used",
    "PA": "palette images with transparency, which is dropped",
    "RGBA": "images with an alpha channel, which is dropped",
    "RGBA;16": "images of 16 bits with an alpha channel; values are divided by 257, alpha is dropped",
    "LA": "grey images with an alpha channel, which is dropped",
    "L": "grey images; the three channels become equal",
    "1": "black and white images of 1 bit; they become 0 and 255",
    "CMYK": "CMYK images; they are converted to RGB",
    "RGB;16": "images of 16 bits; values are divided by 257",
    "I;16": "grey images of 16 bits; values are divided by 257",
    "I;16B": "grey images of 16 bits; values are divided by 257",
    "I": "grey images of 32 bits; 16 of them are used, divided by 257",
    "F": "images of float values; 0..1 becomes 0..255",
}


@rule(
    "DAT017",
    ERROR,
    needs=(HEADERS, PIXELS),
    why="Training stops at the first file that it cannot read, possibly after hours.",
    example="add_image(..., path='images/0007.jpg') without such a file, or with one that was cut off",
    fix="Restore the files, or leave their entries out of the data set.",
)
def file_cannot_be_read(facts):
    """An image file is missing, empty, cut off, damaged or no image."""
    for split in facts.splits:
        images = split.images
        problems = problems_of(split, "DAT017", read=True)
        errors = dict(enumerate(images.errors))
        for facts_of_image in split.pixels:
            for code, message in facts_of_image.problems:
                if code == "DAT017":
                    errors[facts_of_image.image_id] = errors[facts_of_image.image_id] or message
        unread = [(split.place(row), error) for row, error in errors.items() if error]
        severity = severity_if_skipped(facts, split, len(problems) + len(unread))
        yield from violations_of(split, problems, severity=lambda problem, severity=severity: severity)
        if len(problems) == 1 and len(unread) == len(images) > 1:
            continue  # one wrong folder was said already, not each of its files
        for message, pairs in by_kind(unread):
            several = f"{len(pairs):,} of {len(images):,} images, e.g.: " if len(pairs) > 1 else ""
            places = [place for place, _ in pairs]
            yield Violation(several + message, value=pairs[0][0], places=places, severity=severity)


@rule(
    "DAT029",
    INFO,
    needs=HEADERS,
    why="These files are converted by a fixed rule while they are loaded; what is dropped should not be what tells the "
    "objects apart.",
    example="RGBA screenshots, palette GIFs, CMYK scans",
    fix="Nothing to do if that is meant; else convert the files, or override load_image.",
)
def unusual_kind_of_image(facts):
    """Images with a palette, transparency, one channel, CMYK colors or 16 bits."""
    for split in facts.splits:
        if not loads_by_path(split.dataset):
            continue
        modes = np.array([mode or "" for mode in split.images.modes])
        for mode in sorted(set(modes) & set(_MODES)):
            rows = np.flatnonzero(modes == mode)
            message = f"{len(rows):,} of {len(modes):,} are {_MODES[mode]}."
            yield Violation(message, value=mode, places=[split.place(row) for row in rows])


@rule(
    "DAT037",
    WARNING,
    needs=DATA,
    why="An image that was forgotten in the annotations is not trained on, though it lies with the others.",
    example="images/0007.jpg beside images/0006.jpg, with an entry for 0006.jpg only",
    fix="Annotate them (an entry without objects is fine), or move them elsewhere.",
)
def image_without_entry(facts, *, most_share=0.5):
    """Image files lie beside those of the annotations and have no entry.

    Files of the other data set are left out. If more than `most_share` of the files have no entry, the folder is
    probably shared by several sets, and it is told as info.
    """
    used = {os.path.abspath(str(info["path"])) for split in facts.splits for info in _infos(split)}
    for split in facts.splits:
        problems = [
            problem for problem in problems_of(split, "DAT037") if os.path.abspath(str(problem.where)) not in used
        ]
        if problems:
            shared = len(problems) > most_share * (len(problems) + split.num_images)
            yield Violation(
                f"{counted(len(problems), 'image file')} beside the {split.num_images:,} annotated ones have no entry.",
                value=len(problems),
                severity=INFO if shared else None,
                places=[f"{split.name}: {os.path.basename(str(problem.where))}" for problem in problems],
            )


@rule(
    "DAT038",
    WARNING,
    needs=DATA,
    why="A file that was found by a similar name may be another picture than the one that was annotated.",
    example="file_name 'IMG_7.JPG' where the file is 'img_7.jpg'",
    fix="Correct the names in the annotation file.",
)
def image_found_under_another_name(facts):
    """An image was found under another name than the annotations give it, e.g. in another case."""
    yield from problems_met(facts, "DAT038")


@rule(
    "DAT048",
    WARNING,
    needs=HEADERS,
    why="This package goes by the content, but other programs go by the name and fail, or show nothing.",
    example="a JPEG file with the name 0007.png",
    fix="Rename the files, or convert them.",
)
def name_ends_wrongly(facts):
    """The ending of a file name is that of another format than the content."""
    for split in facts.splits:
        images, rows = split.images, {}
        for row, (path, kind) in enumerate(zip(images.paths, images.formats, strict=True)):
            ending = os.path.splitext(path or "")[1].lower()
            if kind in _ENDINGS and ending in _KNOWN_ENDINGS and ending not in _ENDINGS[kind]:
                rows.setdefault((kind, ending), []).append(row)
        for (kind, ending), found in rows.items():
            message = f"{counted(len(found), 'file')} named *{ending} hold {kind} images."
            yield Violation(message, value=ending, places=[split.place(row) for row in found])


def _infos(split):
    return [info for info in split.dataset.image_info if info.get("path") is not None]
