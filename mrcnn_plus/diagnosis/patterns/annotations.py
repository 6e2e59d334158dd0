"""Annotations that do not say what the images show, as far as training can tell: off their objects, missing, blurred by
the augmentation; images in another range of values than the network expects."""

import math

import numpy as np

from mrcnn_plus.diagnosis import reading, signs
from mrcnn_plus.diagnosis.trends import finite, stays_below
from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.registry import HISTORY, Violation, rule

_WHERE = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_mask_loss")


@rule(
    "RUN040",
    ERROR,
    needs=HISTORY,
    why="A network with weights that move, anchors that fit and images in range learns at least where objects are. If "
    "it does not, what it is told does not follow from the images.",
    example="after 240 steps: RPN 0.02, boxes 0.03, masks 0.04 learnt, and the weights have moved by 60% of their size",
    fix="Look at images with their masks as they enter the network: `mrcnn-plus preview program.py`.",
)
def annotations_off_their_objects(facts, *, least_steps=reading.STEPS_TO_LEARN, most_learnt=0.25, least_distance=0.1):
    """Neither outlines nor the way from a ROI to its object are learnt, though weights move and anchors fit.

    Both answers see the object, and are what a healthy network learns first: skills stay below `most_learnt`, in
    validation if there is one, because places can be learnt by heart. least_steps: of the stage, half as many where the
    linter or validation point to it. least_distance: how far weights must have moved in all, as a share of their size.
    """
    history = facts.history
    better = _learns_better_on_validation(history)
    steps = least_steps / 2 if better or reading.annotation_findings(history) else least_steps
    if not reading.can_judge_learning(history) or reading.steps_of(history, stage=True) < steps:
        return
    if not all(_not_learnt(history, name, most_learnt) for name in ("mrcnn_mask_loss", "mrcnn_bbox_loss")):
        return
    if reading.recent(history, "roi_iou") > 0.8 or not _must_learn(history, least_distance):
        return
    names = ("mrcnn_mask_loss", "mrcnn_bbox_loss", "rpn_bbox_loss")
    yield Violation(
        "masks and boxes do not lie on the objects: neither outlines (learnt: "
        f"{reading.skill(history, names[0]):.2f}) nor boxes ({reading.skill(history, names[1]):.2f}) follow from the "
        "images, and nothing else keeps the network from learning them.",
        where="annotations",
        value={name: reading.skill(history, name) for name in names},
        evidence=[
            reading.skills_text(history),
            *reading.courses(history, *(f"val_{reading.SKILLS[name]}" for name in names)),
            *reading.courses(history, "mask_iou", "val_mask_iou", "roi_iou", "box_iou", "loss"),
            f"the weights have moved by {reading.distance_moved(history):.0%} of their size, positive anchors overlap "
            f"their object by {reading.recent(history, 'anchor_iou'):.2f}",
            *better,
        ],
        causes=_why_off(history, better),
        experiment=reading.OVERFIT,
    )


def _not_learnt(history, name, most_learnt):
    """The skill is low and stays low, on images that it was not trained on if there are such."""
    values = reading.stage_values(history, reading.SKILLS[name])
    if finite(values)[-2:].max(initial=-1.0) > 1.4 * most_learnt:
        return False
    on_new = reading.stage_values(history, f"val_{reading.SKILLS[name]}")
    return stays_below(np.fmin(values, on_new), most_learnt, epochs=3, improving=0.1)


def _must_learn(history, least_distance):
    """Nothing that the run shows keeps the network from learning."""
    moved = reading.distance_moved(history)
    return (
        (math.isnan(moved) or moved >= least_distance)
        and not signs.rate_too_high(history)
        and not signs.anchors_misfit(history)
        and not signs.few_positives(history, "anchors")  # too few ROIs are what annotations off their objects lead to
        and not signs.pixels_out_of_scale(history)
        and not signs.stored_statistics_on_random_weights(history)
        and not {"rpn", "mask_head"} & set(reading.frozen_parts(history))
        and not set(reading.never_trained_parts(history)) & set(reading.random_parts(history))
    )


def _why_off(history, mirrored):
    found = [
        f"the linter said so before training, {entry['code']}: {entry['message'].rstrip('.')}"
        for entry in reading.annotation_findings(history)
    ]
    augmentation = "the augmentation moves images and not their masks"
    shifted = "images and annotations are of other sizes, shifted, turned (EXIF), mirrored, or x and y are swapped"
    exchanged = "masks belong to other images: lists of files in another order"
    rest = [augmentation, shifted, exchanged] if mirrored else [shifted, exchanged, augmentation]
    return [*found, *rest, "objects too small for the size at which images enter (IMAGE_MAX_DIM)"]


def _learns_better_on_validation(history):
    """Validation, which is not augmented, does clearly better: the training targets are what is wrong."""
    better = []
    for name in _WHERE:
        known, on_new = reading.skill(history, name), reading.skill(history, name, val=True)
        if on_new - known > 0.15 and on_new > 0.15:
            better.append(f"{reading.WORDS[name]} {on_new:.2f} in validation, {known:.2f} in training")
    return [f"better in validation, which is not augmented: {'; '.join(better)}"] if better else []


@rule(
    "RUN041",
    WARNING,
    needs=HISTORY,
    why="An object without annotation counts as background: what the network learns from one object it is punished for "
    "at the next. It ends unsure of all of them, and finds few.",
    example="of the ROIs called objects 9% overlap no annotated object at all, in validation 0%",
    fix="Annotate all objects of an image; mark regions of many as crowd (iscrowd=1), which is left out of training.",
)
def objects_without_annotation(facts, *, most_false=0.06, least_learnt=0.3):
    """The network insists on objects where no annotation is near.

    Of what it calls an object, `most_false` or more overlap no annotated one at all, in each of the last epochs, and it
    does not become less, while outlines and boxes are learnt (`least_learnt`). What looks like an object by mistake is
    soon learnt; what is one stays.
    """
    history = facts.history
    false = finite(reading.stage_values(history, "false_alarms"))
    if not reading.can_judge_learning(history, least_steps=reading.STEPS_TO_LEARN) or len(false) < 4:
        return
    share, before = false[-3:].mean(), false[-4:-2].mean()
    learnt = min(reading.skill(history, name) for name in ("mrcnn_mask_loss", "mrcnn_bbox_loss"))
    if share < most_false or false[-3:].min() < most_false / 2 or false[-2:].mean() < 0.6 * before:
        return
    if not learnt > least_learnt or signs.rate_too_high(history):
        return  # what is called an object has to be one
    on_new = reading.recent(history, "val_false_alarms", 3)
    yield Violation(
        f"the network sees objects where none is annotated: {share:.0%} of the ROIs that it calls an object overlap no "
        "annotated one, and it does not become less, while boxes and outlines are learnt"
        + (f"; in validation it is {on_new:.0%}." if not math.isnan(on_new) else "."),
        where="annotations",
        value=float(share),
        evidence=reading.courses(
            history,
            *("false_alarms", "val_false_alarms", "roi_recall", "anchor_recall", "mask_iou", "objects"),
            *("skill_mrcnn_class_loss", "skill_mrcnn_mask_loss"),
        ),
        causes=[
            *reading.lint_causes(history, "DAT037", "DAT024", "DAT025", "DAT019"),
            "not all objects are annotated, or only some regions of the images",
            "annotations are lost on the way: MAX_GT_INSTANCES, a class or shape that the loader skips",
            "things that look like the objects are not meant to be found: annotate more images that show them",
        ],
        experiment=reading.FUNNEL,
    )


@rule(
    "RUN042",
    WARNING,
    needs=HISTORY,
    why="Validation images are not augmented. If they are clearly easier than the images of training, the augmentation "
    "makes training images that do not fit their masks, or hardly resemble real ones.",
    example="masks: 0.15 learnt in training, 0.52 in validation",
    fix="`mrcnn-plus preview program.py` shows images as they are trained on; train some epochs with "
    "augmentation=None.",
)
def training_harder_than_validation(facts, *, least_gap=0.15):
    """Places and outlines are known better in validation than in training, by `least_gap` or more."""
    history = facts.history
    better = []
    for name in _WHERE:
        known = finite(reading.stage_values(history, reading.SKILLS[name]))[-3:]
        on_new = finite(reading.stage_values(history, f"val_{reading.SKILLS[name]}"))[-3:]
        if len(known) == 3 and len(on_new) == 3 and np.min(on_new - known) > least_gap and on_new.mean() > 0.15:
            better.append(name)
    if len(better) < 2 or not reading.can_judge_learning(history):
        return
    told = ", ".join(
        f"{reading.WORDS[name]} {reading.skill(history, name):.2f} and {reading.skill(history, name, val=True):.2f}"
        for name in better
    )
    yield Violation(
        f"training images are harder than validation images: learnt in training and in validation: {told}.",
        where="augmentation",
        value=float(reading.skill(history, better[0])),
        evidence=reading.skill_courses(history, *better),
        causes=[
            *reading.lint_causes(history, "TRN004", "TRN012", "TRN013", "TRN014", "TRN017"),
            "the augmentation moves images and not their masks",
            "the augmentation is stronger than anything in real images",
            "training annotations are worse than those of validation",
        ],
        experiment=reading.OVERFIT,
    )


@rule(
    "RUN043",
    ERROR,
    needs=HISTORY,
    why="What the linter calls an error makes training learn something else than is meant, however well the losses "
    "fall.",
    example="the linter found TRN004 before training: the augmentation moves images and not their masks",
    fix="Mend what the linter found; `mrcnn-plus lint --explain CODE` says more about it.",
)
def error_passed_over(facts):
    """The linter found an error in data, augmentation or weights before training, and training was started anyway."""
    history = facts.history
    for found in reading.lint_findings(history, "DAT", "TRN", "WGT"):
        if found.get("severity") != ERROR:
            continue
        yield Violation(
            f"the linter found {found['code']} before training: {found['message']}",
            where=found.get("where") or found["code"],
            value=found.get("value"),
            evidence=[found["message"], reading.skills_text(history), *reading.courses(history, "loss")],
            causes=[f"{found['code']}: {found['message'].rstrip('.')}"],
            experiment=reading.FIRST_BATCH,
            fix=found.get("fix") or None,
        )


@rule(
    "RUN044",
    ERROR,
    needs=HISTORY,
    why="Weights and learning rates are made for pixels from 0 to 255 less their mean. In another range an image is "
    "one colour for the network, or drowns everything.",
    example="the values of the images have a standard deviation of 0.25 around -115",
    fix="`load_image` has to return uint8 from 0 to 255; MEAN_PIXEL is then the mean color of the images.",
)
def pixels_out_of_range(facts):
    """The values of the images, MEAN_PIXEL subtracted, hardly vary, or vary far too much."""
    history = facts.history
    seen = signs.pixels_out_of_scale(history)
    if seen:
        yield Violation(
            f"the images are in another range of values than 0 to 255: {seen[0]}.",
            where="MEAN_PIXEL",
            value=history.settings.get("MEAN_PIXEL"),
            evidence=[*reading.courses(history, "input_mean", "input_std"), reading.skills_text(history)],
            causes=[
                *reading.lint_causes(history, "DAT030", "DAT050", "CFG073", "CFG070"),
                "`load_image` returns values from 0 to 1, or 16-bit ones",
                "the images are nearly black",
            ],
            experiment=reading.FIRST_BATCH,
        )


@rule(
    "RUN045",
    WARNING,
    needs=HISTORY,
    why="First layers that were trained on images around 0 answer to brightness instead of structure.",
    example="after subtraction of MEAN_PIXEL the mean value of the images is 118, with a spread of 45; masks 0.03 "
    "learnt",
    fix="MEAN_PIXEL = the mean color of the training images, in the order of the channels.",
)
def mean_not_subtracted(facts):
    """The images lie far from 0 after subtraction of MEAN_PIXEL, and it is 0, or the network learns little from weights
    that were loaded: random ones get used to it."""
    history = facts.history
    seen = signs.far_from_zero(history)
    mean = history.settings.get("MEAN_PIXEL") or []
    is_nothing = bool(mean) and max(abs(float(value)) for value in mean) < 1.5
    learns_little = reading.can_judge_learning(history) and len(signs.low_skills(history)) >= 2
    learns_little = learns_little and "backbone" not in reading.random_parts(history)
    if not seen or not (is_nothing or learns_little):
        return
    yield Violation(
        f"the images are not centred: {seen[0]}" + ("; and little is learnt." if learns_little else "."),
        where="MEAN_PIXEL",
        value=history.settings.get("MEAN_PIXEL"),
        evidence=[*reading.courses(history, "input_mean", "input_std", "loss"), reading.skills_text(history)],
        causes=[
            "MEAN_PIXEL is not that of these images (microscopy, infrared, X-ray), or 0",
            *reading.lint_causes(history, "CFG073", "CFG070", "DAT050"),
            "a preprocessing of the program subtracts the mean a second time",
        ],
        experiment=reading.FIRST_BATCH,
    )


@rule(
    "RUN046",
    WARNING,
    needs=HISTORY,
    why="Boxes that are right show that objects are seen. Outlines that cannot be learnt then are no outlines.",
    example="boxes 0.55 learnt, IoU 0.84; masks 0.01, IoU 0.49",
    fix="Look at single masks enlarged; `mrcnn-plus lint --depth pixels` looks for crumbs (DAT053) and filled boxes.",
)
def masks_show_no_shape(facts, *, most_learnt=0.06, least_boxes=0.25, most_by_heart=0.25):
    """Boxes are learnt, and masks not more than their mean, by a mask head that trains.

    Or up to `most_by_heart` of them, where none of it holds in validation.
    """
    history = facts.history
    if not reading.can_judge_learning(
        history, least_steps=reading.STEPS_TO_LEARN
    ) or "mask_head" in reading.frozen_parts(history):
        return
    learnt, holds = (reading.stage_values(history, f"{split}skill_mrcnn_mask_loss") for split in ("", "val_"))
    by_heart = finite(learnt)[-3:].max(initial=-1.0) < most_by_heart and stays_below(holds, -0.1, epochs=3)
    if not stays_below(learnt, most_learnt, epochs=3) and not by_heart:
        return
    boxes = reading.skill(history, "rpn_bbox_loss")
    if boxes < least_boxes or not reading.loss_weight(history, "mrcnn_mask_loss") or math.isnan(boxes):
        return
    yield Violation(
        f"the masks show no shape that can be learnt: boxes {boxes:.2f} learnt, masks "
        f"{reading.skill(history, 'mrcnn_mask_loss'):.2f} (IoU {reading.recent(history, 'mask_iou'):.2f}).",
        where="mrcnn_mask_loss",
        value=reading.skill(history, "mrcnn_mask_loss"),
        evidence=reading.courses(history, "mrcnn_mask_loss", "skill_mrcnn_mask_loss", "mask_iou", "box_iou"),
        causes=[
            *reading.lint_causes(history, "DAT053", "DAT012", "DAT035", "DAT049"),
            "the pixels of the masks are broken: noise, another data type, crumbs of a lossy file",
            "masks are shifted or exchanged within their boxes",
            "the learning rate of the mask head is too low (LR_MULTIPLIERS)",
        ],
        experiment=reading.OVERFIT,
    )
