"""What `load_image` and `load_mask` answer. DAT008 to DAT011 say what also stops training, by the same functions."""

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.grouping import (
    by_kind,
    counted,
    listed,
    problems_of,
    refused_answers,
    severity_if_skipped,
    violations_of,
)
from mrcnn_plus.lint.registry import PIXELS, Violation, rule


def _refused(facts, code):
    """A violation for each kind of answer that training would refuse by this code."""
    for split in facts.splits:
        problems = problems_of(split, code, read=True)
        refused = refused_answers(split, code)
        severity = severity_if_skipped(facts, split, len(problems) + len(refused))
        yield from violations_of(split, problems, severity=lambda problem, severity=severity: severity)
        for message, pairs in by_kind(refused):
            several = f"{len(pairs):,} of {counted(len(split.pixels), 'image')} read, e.g.: " if len(pairs) > 1 else ""
            places = [place for place, _ in pairs]
            yield Violation(several + message, value=pairs[0][1], places=places, severity=severity)


@rule(
    "DAT008",
    ERROR,
    needs=PIXELS,
    why="Masks have to lie on the image pixel by pixel, one plane for each instance.",
    example="masks of shape [1080, 1618, 5] for an image of 1618 x 1080 (height x width)",
    fix="Return (masks, class_ids) with masks [height, width, instances] of the size that load_image returns.",
)
def mask_does_not_fit_image(facts):
    """`load_mask` returns no pair, no array `[H, W, N]`, or one of another height and width than the image."""
    yield from _refused(facts, "DAT008")


@rule(
    "DAT009",
    ERROR,
    needs=PIXELS,
    why="Each plane of the masks is one instance and needs one class id.",
    example="11 masks, 10 class ids",
    fix="Return one mask for each object and one class id for each mask, in the same order.",
)
def number_of_masks_and_class_ids(facts):
    """The number of masks differs from the number of class ids."""
    yield from _refused(facts, "DAT009")


@rule(
    "DAT010",
    ERROR,
    needs=PIXELS,
    why="Class ids are numbers of classes; names or nested lists cannot be trained on.",
    example="class_ids = ['bolt', 'nut']",
    fix="Return np.array(ids, dtype=np.int32) with one id for each mask.",
)
def class_ids_are_no_row_of_numbers(facts):
    """`load_mask` returns class ids that are not one row of whole numbers."""
    yield from _refused(facts, "DAT010")


@rule(
    "DAT011",
    ERROR,
    needs=PIXELS,
    why="A class id beyond the registered classes has no output in the network; id 0 is the background.",
    example="class id 7 in a data set of 4 classes",
    fix="Map ids of the source by map_source_class_id('source.id'), or register the missing classes.",
)
def class_id_unknown(facts):
    """`load_mask` returns class ids that are no class of the data set."""
    yield from _refused(facts, "DAT011")


@rule(
    "DAT040",
    ERROR,
    needs=PIXELS,
    why="The same happens while training, in the middle of an epoch.",
    example="load_mask raised KeyError: 'polygons'",
    fix="Correct load_image or load_mask; calling it with the image number repeats the failure.",
)
def loading_fails(facts):
    """`load_image` or `load_mask` raises an exception, or ends the process."""
    yield from _refused(facts, "DAT040")


@rule(
    "DAT012",
    WARNING,
    needs=PIXELS,
    why="Every value but 0 counts as inside. Soft rims and JPEG noise then belong to the object, and the ids of an "
    "image of ids melt into one object.",
    example="masks of uint8 with the values 0, 1, 2, ..., 255",
    fix="Return bool masks, e.g. masks > 127, or ids == number for each instance of an image of ids.",
)
def mask_has_several_values(facts):
    """Masks hold more than two values (warning), NaN (error), or two of which one is not 1 (info)."""
    for violation in _refused(facts, "DAT012"):
        yield Violation(violation.message, value=violation.value, places=violation.places, severity=ERROR)
    for split in facts.splits:
        several = [scanned for scanned in split.pixels if scanned.num_mask_values > 2]
        if several:
            yield _several_values(split, several)
        two = [facts_ for facts_ in split.pixels if facts_.mask_values and set(facts_.mask_values) - {0.0, 1.0}]
        two = [scanned for scanned in two if scanned.num_mask_values <= 2]
        if two:
            yield Violation(
                f"masks hold the values {listed(two[0].mask_values)} in {counted(len(two), 'image')}; all but 0 is "
                "taken as inside.",
                value=two[0].mask_values,
                fix="Nothing to do here; bool masks are the plain form, and other programs ask for == 1.",
                severity=INFO,
                places=split.places(two),
            )


def _several_values(split, several):
    worst = max(several, key=lambda scanned: scanned.num_mask_values)
    values = f": {listed(f'{value:g}' for value in worst.mask_values)}" if worst.mask_values else ""
    single = [scanned for scanned in several if len(scanned.class_ids) == 1]
    ids = len(single) == len(several) and worst.mask_values is not None and len(several) > 1
    ids = ids and all(value == int(value) for value in worst.mask_values)
    cause = (
        "They look like images of ids: one plane, a value for each object." if ids else "All but 0 is taken as inside."
    )
    return Violation(
        f"masks of {worst.mask_dtype} hold {worst.num_mask_values} values{values}, in {len(several):,} of "
        f"{counted(len(split.pixels), 'image')} read. {cause}",
        value=worst.mask_values or worst.num_mask_values,
        places=split.places(several),
    )


@rule(
    "DAT026",
    WARNING,
    needs=PIXELS,
    why="With one mask for all objects of a class the network learns boxes around groups and cannot tell them apart.",
    example="three balloons in one plane, class_ids = [1]",
    fix="Return one plane for each object; scipy.ndimage.label splits a mask into its connected parts.",
)
def one_mask_for_each_class(facts, *, least_share=0.5, least_images=3):
    """Looks like one mask for each class, not for each object.

    No class occurs twice in an image, and at least `least_share` of the masks, in `least_images` images, have several
    parts of some size.
    """
    for split in facts.splits:
        scanned = [item for item in split.pixels if len(item.class_ids) and item.num_mask_values <= 2]
        if any(len(set(item.class_ids.tolist())) < len(item.class_ids) for item in scanned):
            continue
        several = [item for item in scanned if _in_parts(item).any()]
        masks = sum(len(item.class_ids) for item in scanned)
        in_parts = sum(int(_in_parts(item).sum()) for item in scanned)
        if len(several) >= least_images and in_parts >= least_share * masks:
            most = max(int(item.parts.max()) for item in several)
            yield Violation(
                f"{in_parts} of {masks} masks have several separate parts (up to {most}), and no class occurs twice in "
                f"any of {len(scanned)} images.",
                value=in_parts,
                places=split.places(several),
            )


def _in_parts(item):
    """bool `[N]`: masks of several parts that hold nearly all of their pixels, unlike those of noise."""
    return (item.parts > 1) & (item.dust < 0.1 * item.areas)


@rule(
    "DAT052",
    WARNING,
    needs=PIXELS,
    why="Masks that change from call to call belong to different pictures, or hold noise; image and mask are asked for "
    "one after the other.",
    example="np.random in load_mask",
    fix="Return the same answer for the same image id; random changes belong into augmentation=.",
)
def answers_change(facts):
    """`load_image` or `load_mask` gives another answer when it is called a second time for an image."""
    for split in facts.splits:
        changed = [scanned for scanned in split.pixels if scanned.changed]
        if changed:
            asked = sum(scanned.repeats is not None for scanned in split.pixels)
            yield Violation(
                f"{changed[0].changed} gave another answer at a second call, for {len(changed)} of "
                f"{counted(asked, 'image')} tried.",
                value=changed[0].changed,
                places=split.places(changed),
            )


@rule(
    "DAT056",
    WARNING,
    needs=PIXELS,
    why="Different pictures with the same masks mean that load_mask does not look at the image id.",
    example="load_mask uses self.current in place of image_id",
    fix="Make load_mask read the masks of the image that it is asked for.",
)
def same_masks_for_all_images(facts, *, least_images=4):
    """Images differ, but their masks are all the same."""
    for split in facts.splits:
        scanned = [item for item in split.pixels if item.measured and len(item.class_ids) and item.digest]
        masks = {item.mask_digest for item in scanned}
        pictures = {item.digest for item in scanned}
        if len(pictures) >= least_images and len(masks) == 1:
            message = f"{len(pictures)} different images have exactly the same masks."
            yield Violation(message, value=len(pictures), places=split.places(scanned))
