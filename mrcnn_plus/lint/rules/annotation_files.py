"""What a reader met in the annotation file: layout, ids, shapes, coordinates, encoding."""

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.grouping import problems_met, problems_of, violations_of
from mrcnn_plus.lint.measuring.image_facts import draws_annotations
from mrcnn_plus.lint.registry import DATA, HEADERS, OBJECTS, PIXELS, Violation, rule


def _left_out_is_an_error(problem):
    return ERROR if problem.skipped else WARNING


@rule(
    "DAT023",
    ERROR,
    needs=DATA,
    why="A shape without an area, or an object without a class, cannot be trained on and is left out. What it shows is "
    "then learned as background.",
    example="a VIA point without a stated radius; a region without the attribute that holds the class",
    fix="Give the option that the message names to open_dataset, or complete the annotations.",
)
def shape_or_class_missing(facts):
    """Annotations whose shape has no area, or for which no class is stated."""
    yield from problems_met(facts, "DAT023", severity=_left_out_is_an_error)


@rule(
    "DAT024",
    ERROR,
    needs=DATA,
    why="What does not have the layout of its format is not read.",
    example="a VIA project saved without images, a labelme file that is cut off",
    fix="Export the annotations again.",
)
def layout_of_annotations(facts):
    """A part of the annotation file or folder does not have the layout of its format."""
    yield from problems_met(facts, "DAT024", severity=_left_out_is_an_error)


@rule(
    "DAT025",
    ERROR,
    needs=DATA,
    why="Objects whose image or category does not exist are left out of training; ids that occur twice make "
    "evaluation with COCO's tools wrong.",
    example="annotation 17 with category_id 9, which is not in categories",
    fix="Correct the ids and fields in the annotation file.",
)
def ids_do_not_belong_together(facts):
    """Unknown category or image ids, ids that occur twice, empty segmentations, fields of a wrong kind."""
    yield from problems_met(facts, "DAT025", severity=_left_out_is_an_error)


@rule(
    "DAT033",
    WARNING,
    needs=(OBJECTS, PIXELS),
    why="It encloses no area, so it is left out of training. Usually it is a slip of the mouse.",
    example='"segmentation": [[10, 10, 50, 50]]',
    fix="Draw the outline again, or remove the annotation.",
)
def outline_with_too_few_points(facts):
    """An outline of fewer than three points, with an odd number of coordinates, or a shape of no size."""
    yield from problems_met(facts, "DAT033", read=True)


@rule(
    "DAT034",
    ERROR,
    needs=(OBJECTS, PIXELS),
    why="Drawing such an outline takes all memory or crashes the program in other systems; here it is left out.",
    example='"segmentation": [[10, 10, NaN, 50, 30, 90]]',
    fix="Correct the coordinates, or remove the annotation.",
)
def coordinates_not_finite_or_huge(facts):
    """Coordinates that are NaN, infinite, or far beyond any image."""
    yield from problems_met(facts, "DAT034", read=True)


@rule(
    "DAT035",
    ERROR,
    needs=(OBJECTS, PIXELS, HEADERS),
    why="Runs of another size than the image would draw a mask that is sheared beyond recognition; it is left out.",
    example='"size": [160, 160] for an image of 160 x 200 pixels',
    fix="Encode the mask again, at the size of the image, as [height, width].",
)
def rle_does_not_fit(facts):
    """A run-length encoded mask is damaged, or has another size than its image."""
    for split in facts.splits:
        met = problems_of(split, "DAT035", read=True)
        yield from violations_of(split, met)
        yield from _sizes_that_differ(split, {problem.where for problem in met})


def _sizes_that_differ(split, known):
    """RLEs of images that were not drawn, by the size that they state."""
    if not draws_annotations(split.dataset):
        return
    places, first = [], None
    for row, (info, size) in enumerate(zip(split.dataset.image_info, split.images.sizes, strict=True)):
        for annotation in info["annotations"]:
            stated = annotation.geometry.get("size") if annotation.kind == "rle" else None
            if stated and tuple(stated) != tuple(size) and size[0] == size[0]:
                place = split.dataset.place_of(row, annotation)
                if place not in known:
                    first = first or (stated, size)
                    places.append(f"{split.name}: {place}")
    if places:
        stated, size = first
        yield Violation(
            f"{len(places)} RLE masks have another size than their image, e.g. size={list(stated)} [height, width] for "
            f"an image of [{size[0]:.0f}, {size[1]:.0f}]; they are left out.",
            value=list(stated),
            places=places,
        )


@rule(
    "DAT039",
    INFO,
    needs=DATA,
    why="Letters of another encoding come out wrong in class names and file names.",
    example="a VIA file saved as Windows-1252",
    fix="Save the annotation file as UTF-8.",
)
def encoding_of_annotations(facts):
    """The annotation file is not in UTF-8, or its JSON needed mending."""
    yield from problems_met(facts, "DAT039")
