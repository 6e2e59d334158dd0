"""The class head: everything background, only the most frequent class, classes that cannot be told apart."""

import math

import numpy as np

from mrcnn_plus.diagnosis import reading
from mrcnn_plus.diagnosis.trends import finite, stays_below
from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.registry import HISTORY, Violation, rule


@rule(
    "RUN020",
    ERROR,
    needs=HISTORY,
    why="A head that calls every ROI background has a low loss where most ROIs are background, and finds nothing.",
    example="of the positive ROIs 0.4% are taken for an object",
    fix="More positive ROIs (ROI_POSITIVE_RATIO = 0.5, more proposals), ROI_POSITIVE_WEIGHT = 3.0, LOSS_NORMALIZATION "
    "= {'mrcnn_class_loss': 'sampled'}.",
)
def all_background(facts, *, most_found=0.05):
    """Under `most_found` of the positive ROIs are taken for an object of any class, and it does not get better."""
    history = facts.history
    values = reading.stage_values(history, "roi_recall")
    if not reading.can_judge_learning(history) or reading.steps_of(history, stage=True) < 150:
        return
    if not stays_below(values, most_found, epochs=3, improving=0.02):
        return
    if "class_head" in reading.frozen_parts(history):
        return
    positive = reading.recent(history, "positive_rois")
    sampled = reading.recent(history, "sampled_rois")
    yield Violation(
        f"the class head takes everything for background: {finite(values)[-1]:.1%} of the positive ROIs are called an "
        "object.",
        where="mrcnn_class_loss",
        value=float(finite(values)[-1]),
        evidence=[
            *reading.courses(history, "roi_recall", "mrcnn_class_loss", "skill_mrcnn_class_loss", "anchor_recall"),
            f"{reading.number(positive)} of {reading.number(sampled)} ROIs in an image are positive",
        ],
        causes=[
            "few ROIs are positive, so that background is nearly always right"
            + (f" ({positive / sampled:.0%} of them)" if sampled > 0 else ""),
            "padding rows count as background: LOSS_NORMALIZATION = {'mrcnn_class_loss': 'sampled'}",
            "the RPN does not find the objects yet",
            "the learning rate was too high and the head answers the same for every ROI",
        ],
        experiment=reading.FUNNEL,
        changes={"ROI_POSITIVE_WEIGHT": 3.0},
    )


@rule(
    "RUN021",
    WARNING,
    needs=HISTORY,
    why="With one class far more frequent than the others, calling everything by its name has a low loss, and the "
    "curve flattens there.",
    example="97% of the objects are squares, 100% are called squares, of the discs 0% are right",
    fix="CLASS_WEIGHTS = 'balanced', or SAMPLER = 'class_balanced', which shows images with rare classes more often.",
)
def majority_class_only(facts, *, least_share=0.7, most_beyond=0.04):
    """Nearly all objects are called by the name of the most frequent class, and others are right hardly ever.

    That class is `least_share` of the positive ROIs or more; all but `most_beyond` of them are called by its name.
    """
    history = facts.history
    majority, predicted = reading.recent(history, "majority_share"), reading.recent(history, "majority_predicted")
    classes, recall = reading.recent(history, "classes_seen"), reading.recent(history, "label_recall", 3)
    if not reading.can_judge_learning(history) or not majority >= least_share or classes < 2 or math.isnan(recall):
        return
    chance = 1.0 / classes
    beyond = (recall - chance) / (1.0 - chance)
    latest = finite(reading.stage_values(history, "label_recall"))
    if predicted < majority or not stays_below(latest, chance + 0.25 * (1 - chance), improving=0.15):
        return
    if beyond > 0.15 and predicted < 1.0 - most_beyond:
        return
    by_class = [
        f"{name}: {row['right']} of {row['rois']} positive ROIs right, {row['taken_for']} taken for it"
        for name, row in (history.run.get("classes") or {}).items()
    ]
    yield Violation(
        f"the network knows the most frequent class alone: {majority:.0%} of the objects are of it, {predicted:.0%} "
        f"are taken for it, and a class is right in {recall:.0%} of its cases on average ({chance:.0%} is chance).",
        where="mrcnn_class_loss",
        value=float(recall),
        evidence=[
            *reading.courses(history, "label_recall", "majority_predicted", "majority_share", "label_accuracy"),
            *by_class[:10],
        ],
        causes=[
            *reading.lint_causes(history, "DAT022", "DAT058"),
            "the classes are unbalanced: rare ones hardly count in the loss",
            "the rare classes look like the frequent one, or carry its label by mistake",
        ],
        experiment=reading.FIRST_BATCH,
        changes={"CLASS_WEIGHTS": "balanced"},
    )


@rule(
    "RUN022",
    ERROR,
    needs=HISTORY,
    why="Objects are found and outlined, so the network sees them well; if their kinds cannot be told apart at all, "
    "the labels do not follow from what is in the image.",
    example="masks 0.62 learnt, classes of the objects 0.01; accuracy 51%, the frequent class is 50%",
    fix="Look at crops sorted by class (`mrcnn-plus preview`), and at the way from the annotation file to class ids.",
)
def labels_at_chance(facts, *, most_learnt=0.03, least_elsewhere=0.2, most_by_heart=0.75):
    """The kinds of objects are told apart no better than by chance, while where and how large they are is learnt.

    most_learnt: what no epoch may exceed; their mean is below 0, where answers drawn by lot are. Or training answers
    are right up to `most_by_heart` and those of validation worse than chance.
    """
    history = facts.history
    if not reading.can_judge_learning(history) or reading.recent(history, "classes_seen") < 2:
        return
    values = reading.stage_values(history, "skill_labels")
    # Kinds are learnt after outlines: only epochs count in which objects were seen well enough to be told apart.
    seen = (reading.stage_values(history, "skill_mrcnn_mask_loss") > 0.3) & np.isfinite(values)
    since_seen = values[seen]
    if len(since_seen) < 3 or not reading.steps_of(history, stage=True) >= 150:
        return
    at_chance = stays_below(since_seen, most_learnt, epochs=3) and since_seen[-3:].mean() < -0.005
    accuracy = reading.recent(history, "label_accuracy")
    by_heart = reading.recent(history, "val_skill_labels", 3) < -0.1 and len(since_seen) >= 6
    if not (at_chance or (by_heart and accuracy < most_by_heart)):
        return
    elsewhere = {name: reading.skill(history, name) for name in ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_mask_loss")}
    good = {name: value for name, value in elsewhere.items() if value > least_elsewhere}
    if len(good) < 2 or "class_head" in reading.frozen_parts(history):
        return
    majority = reading.recent(history, "majority_share")
    if majority > 0.85:
        return  # too few of the others to say anything
    told = ", ".join(f"{reading.WORDS[name]} {value:.2f}" for name, value in good.items())
    yield Violation(
        "the classes of the objects cannot be told apart: the network calls "
        f"{accuracy:.0%} of them right, {majority:.0%} are of the most frequent class, while objects are found and "
        f"outlined (learnt: {told}).",
        where="mrcnn_class_loss",
        value=float(accuracy),
        evidence=reading.courses(
            history, "skill_labels", "label_accuracy", "val_skill_labels", "val_label_accuracy", "majority_share"
        ),
        causes=[
            *reading.lint_causes(history, "DAT020", "DAT011", "DAT036", "DAT004"),
            "the labels are wrong: mixed up by order, by an index that starts at 1, or between images",
            "the classes look the same at this size (IMAGE_MAX_DIM), or differ by something the crop does not show",
            "the learning rate of the class head is too low (LR_MULTIPLIERS)",
        ],
        experiment=reading.OVERFIT,
    )


@rule(
    "RUN023",
    WARNING,
    needs=HISTORY,
    why="Classes that are right in training and wrong in validation, while boxes and masks are as good there, point to "
    "labels that mean something else in the validation data.",
    example="classes: 96% right in training, 49% in validation; masks as good in both",
    fix="Compare the class ids and the order of classes of both data sets (DAT020), and look at both by `preview`.",
)
def validation_labels_differ(facts, *, least_gap=0.2, most_lost_boxes=0.6):
    """Classes are told apart in training and not in validation, where boxes and masks are as good as in training."""
    history = facts.history
    if not reading.can_judge_learning(history) or reading.recent(history, "classes_seen") < 2:
        return
    known, on_new = reading.recent(history, "skill_labels"), reading.recent(history, "val_skill_labels")
    accuracy, val_accuracy = (reading.recent(history, f"{split}label_accuracy") for split in ("", "val_"))
    masks, val_masks = (reading.recent(history, f"{split}mask_iou") for split in ("", "val_"))
    seen = reading.recent(history, "val_positive_rois")
    if any(math.isnan(value) for value in (known, on_new, accuracy, val_accuracy, masks, val_masks)):
        return
    boxes, val_boxes = (reading.skill(history, "rpn_bbox_loss", val=val) for val in (False, True))
    if val_boxes < boxes - most_lost_boxes:
        return  # nothing of what was learnt holds for new images
    if known < 0.3 or on_new > -0.1 or accuracy - val_accuracy < least_gap or val_masks < masks - 0.1 or seen < 0.3:
        return
    yield Violation(
        f"classes are right in {accuracy:.0%} of the cases in training and in {val_accuracy:.0%} in validation, while "
        f"masks are as good there (IoU {masks:.2f} and {val_masks:.2f}).",
        where="val_mrcnn_class_loss",
        value=float(val_accuracy),
        evidence=reading.courses(
            history, "skill_labels", "val_skill_labels", "val_label_accuracy", "mask_iou", "val_mask_iou"
        ),
        causes=[
            *reading.lint_causes(history, "DAT020", "DAT022"),
            "the class ids mean something else in the validation data, or its labels are wrong",
            "the training labels were learnt by heart: they are wrong, and there are few images",
            "the objects of the validation data look different",
        ],
        experiment=reading.FIRST_BATCH,
    )


@rule(
    "RUN024",
    WARNING,
    needs=HISTORY,
    why="A class that no training image shows is never learnt: in validation it is a growing loss and an average "
    "precision of 0, which look like over-fitting.",
    example="the objects of training are of 1 class in every epoch, those of validation of 2",
    fix="Divide the images anew, so that every class is in both sets (`mrcnn-plus check-data` counts them), or leave "
    "the class out of both.",
)
def class_only_in_validation(facts, *, least_epochs=2, least_rois=100, least_share=0.1):
    """In no epoch does training meet as many classes as validation, though it meets objects and images enough.

    least_rois: positive ROIs of the last epoch of training, below which a class may be missing by chance. So it may
    where an epoch shows less than half the images. least_share: of the classes, that are missing.
    """
    history = facts.history
    trained, validated = (finite(history.values(name)) for name in ("classes_seen", "val_classes_seen"))
    if min(len(trained), len(validated)) < least_epochs or max(trained) > (1 - least_share) * max(validated):
        return
    by_class = {name: row["rois"] for name, row in (history.run.get("classes") or {}).items()}
    never = [name for name, rois in by_class.items() if not rois]
    if sum(by_class.values()) < least_rois or not never or not _shows_most_images(history):
        return
    yield Violation(
        f"validation has objects of {max(validated):.0f} classes, and training meets no more than {max(trained):.0f} "
        "in any epoch.",
        where="val_mrcnn_class_loss",
        value=int(max(trained)),
        evidence=[
            *reading.courses(history, "classes_seen", "val_classes_seen", "mrcnn_class_loss", "val_mrcnn_class_loss"),
            f"without a positive ROI in the last epoch of training: {', '.join(never[:20])}",
        ],
        causes=[
            *reading.lint_causes(history, "DAT020", "DAT022"),
            "the images were divided by class or by place: some classes are in the validation images alone",
            "the class is so rare, or so small, that no epoch of training meets it (SAMPLER = 'class_balanced')",
        ],
        experiment=reading.FIRST_BATCH,
    )


def _shows_most_images(history):
    """Whether an epoch shows at least half of the training images."""
    images, settings = reading.images_of(history, "train"), history.settings
    batch = settings.get("BATCH_SIZE") or settings.get("IMAGES_PER_GPU") or 1
    return images is not None and 2 * batch * (settings.get("STEPS_PER_EPOCH") or 0) >= images
