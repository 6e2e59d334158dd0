"""Augmentation, tried: whether masks follow the image, and what is left of the objects. See `augmentation_check.py`."""

import re

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import RUN, Violation, rule

_PLACE = "train: augmentation"
_CHANGED_SIZE = re.compile(r"changed the (image|masks) from shape")
_PREVIEW = "Look at it: `mrcnn-plus preview program.py`."


@rule(
    "TRN004",
    ERROR,
    needs=RUN,
    why="Boxes and masks teach the network where objects are. If the image moves and they do not, every augmented "
    "image teaches it something wrong; losses then climb, or stay where they are.",
    example="def augment(image, masks): return numpy.fliplr(image), masks",
    fix="Move both by the same random choice: draw the numbers once and apply them to image and masks.",
)
def masks_do_not_follow_the_image(facts, *, most_astray=0.06):
    """A square painted into a picture is not where its mask is, in more than `most_astray` of the cases."""
    seen = facts.augmentation
    if seen is None or seen.astray < 2 or seen.astray <= most_astray * seen.compared:
        return
    if seen.masks_stayed == seen.astray:
        what = "it moves the image and leaves the masks where they were"
    elif seen.image_stayed == seen.astray:
        what = "it leaves the image as it is and moves the masks, or changes their order"
    else:
        what = "it moves image and masks differently, as if it drew its random numbers for each of them"
    yield Violation(
        f"{_name(facts)}: {what}: in {seen.astray} of {seen.compared} tries a painted square was not under its mask.",
        where=_PLACE,
        value=f"{seen.astray} of {seen.compared}",
        fix=f"Move both by the same random choice: draw the numbers once and apply them to both. {_PREVIEW}",
    )


@rule(
    "TRN005",
    ERROR,
    needs=RUN,
    why="Image and masks have the size that the network takes when they are augmented, one plane of masks for each "
    "object; training stops at the first image that comes back with another shape.",
    example="iaa.Crop(percent=0.1, keep_size=False), or numpy.rot90 on images that are not square",
    fix="Use keep_size=True, or scale back to the size that came in.",
)
def augmentation_changes_size(facts):
    """The augmentation returns an image, or masks, of another shape than it was given."""
    for error in _errors(facts):
        if _CHANGED_SIZE.search(error):
            yield Violation(_without_prefix(error), where=_PLACE, value=_name(facts))
            return


@rule(
    "TRN012",
    ERROR,
    needs=RUN,
    why="Training stops at the first image for which the augmentation fails.",
    example="albumentations.Compose([..., Normalize()]): the network wants grey levels of 0 to 255",
    fix="Give an imgaug augmenter, an Albumentations transform, Keras layers for image augmentation, or a function "
    "(image, masks) -> (image, masks), that keep sizes and dtype.",
)
def augmentation_fails(facts):
    """The augmentation raises an exception, or returns something that cannot be used, for one of the images tried."""
    for error in _errors(facts):
        if not _CHANGED_SIZE.search(error):
            yield Violation(_without_prefix(error), where=_PLACE, value=_name(facts), fix=_advice(facts))
            return


@rule(
    "TRN013",
    WARNING,
    needs=RUN,
    why="An object without a pixel is left out of training, and an image without any object is replaced by another; "
    "what is cut off is not learnt.",
    example="iaa.Affine(translate_percent=(-0.6, 0.6))",
    fix="Make shifts, crops and enlargements milder.",
)
def augmentation_loses_objects(facts, *, most_lost=0.4, most_empty=0.3):
    """More than `most_lost` of the objects lose all pixels, or more than `most_empty` of the images all objects."""
    seen = facts.augmentation
    if seen is None or not seen.objects or not seen.emptied:
        return
    if seen.emptied > most_lost * seen.objects or seen.left_empty > most_empty * seen.images:
        images = f", and {seen.left_empty} of {seen.images} images all of them" if seen.left_empty else ""
        yield Violation(
            f"{_name(facts)}: {seen.emptied / seen.objects:.0%} of the objects have no pixel left afterwards "
            f"({seen.emptied} of {seen.objects}{images}).",
            where=_PLACE,
            value=round(seen.emptied / seen.objects, 3),
            fix=f"Make shifts, crops and enlargements milder. {_PREVIEW}",
        )


@rule(
    "TRN014",
    WARNING,
    needs=RUN,
    why="From a picture without contrast nothing can be learnt. The usual cause is an image divided by 255 and turned "
    "back to whole numbers.",
    example="def augment(image, masks): return (image / 255).astype(numpy.uint8), masks",
    fix="Keep grey levels of 0 to 255; the mean pixel is subtracted later.",
)
def augmentation_leaves_nothing_to_see(facts, *, most_blank=0.1):
    """More than `most_blank` of the images are of nearly one colour afterwards, which they were not before."""
    seen = facts.augmentation
    if seen is not None and seen.images and seen.blank > most_blank * seen.images:
        yield Violation(
            f"{_name(facts)}: {seen.blank} of {seen.images} augmented images are of nearly one colour.",
            where=_PLACE,
            value=seen.blank,
            fix=f"Keep grey levels of 0 to 255. {_PREVIEW}",
        )


@rule(
    "TRN015",
    INFO,
    needs=RUN,
    why="An augmentation that changes nothing helps nothing.",
    example="iaa.Sequential([]), or iaa.Fliplr(0.0)",
    fix="Give it something to do, or leave it out.",
)
def augmentation_does_nothing(facts):
    """The augmentation has returned every image and its masks as they were."""
    seen = facts.augmentation
    if seen is not None and seen.does_nothing:
        yield Violation(f"{_name(facts)} changed nothing in {seen.tries} tries.", where=_PLACE, value=seen.tries)


@rule(
    "TRN016",
    INFO,
    needs=RUN,
    why="A change without chance adds no variety. It is also made in training only, so validation and detection see "
    "other images than the network has learnt.",
    example="iaa.Fliplr(1.0) in place of iaa.Fliplr(0.5)",
    fix="Give it a probability or a range; what all images need belongs into load_image of the Dataset.",
)
def augmentation_is_always_the_same(facts):
    """The augmentation has changed an image in exactly the same way each time."""
    seen = facts.augmentation
    if seen is not None and seen.always_same:
        yield Violation(f"{_name(facts)} did the same in all of {seen.tries} tries.", where=_PLACE, value=seen.tries)


@rule(
    "TRN017",
    INFO,
    needs=RUN,
    why="Objects mirrored or repeated at the border have no mask, so they count as background and teach the network to "
    "overlook such objects.",
    example='iaa.Affine(rotate=(-30, 30), mode="reflect")',
    fix='Fill the border with one colour: mode="constant".',
)
def augmentation_copies_objects(facts, *, most_copies=0.1):
    """A painted square was in the image a second time, without a mask, in more than `most_copies` of the tries."""
    seen = facts.augmentation
    if seen is not None and not seen.astray and seen.copies > most_copies * max(seen.compared, 1):
        yield Violation(
            f"{_name(facts)} leaves copies of objects without a mask in the image ({seen.copies} in {seen.compared} "
            "tries).",
            where=_PLACE,
            value=seen.copies,
        )


def _errors(facts):
    return facts.augmentation.errors if facts.augmentation is not None else []


def _name(facts) -> str:
    """The augmenter's or function's name."""
    augmentation = facts.run.augmentation
    name = getattr(augmentation, "__qualname__", None) or type(augmentation).__name__
    return name.rpartition("<locals>.")[2]


def _without_prefix(error: str) -> str:
    """One line, without the name of the argument, which stands in `where` already."""
    return " ".join(error.removeprefix("augmentation: ").split())


def _advice(facts) -> str | None:
    """What to do about an augmentation of a kind that is not known; None for the rule's own words."""
    kinds = {base.__module__.split(".")[0] for base in type(facts.run.augmentation).__mro__}
    if kinds & {"tensorflow", "torch", "torchvision"}:
        return "Wrap it in a function (image, masks) -> (image, masks) that hands arrays in and out."
    return None
