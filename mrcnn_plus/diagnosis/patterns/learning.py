"""A network, or a part of it, that learns next to nothing: stuck, flat, at the level of guessing."""

import math

import numpy as np

from mrcnn_plus.diagnosis import reading, signs
from mrcnn_plus.diagnosis.history import LOSSES
from mrcnn_plus.diagnosis.trends import change, falls, finite, is_flat, level, stays_below
from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.registry import HISTORY, Violation, rule


@rule(
    "RUN010",
    ERROR,
    needs=HISTORY,
    why="All losses stand where an answer stands that is the same for every image. Then it is no matter of one head: "
    "what all of them depend on is wrong.",
    example="after 240 steps all five losses are where guessing is",
    fix="Overfit four images first; as long as that fails, no other setting helps.",
)
def nothing_is_learnt(facts, *, most_learnt=1):
    """All losses but `most_learnt` are at the level of an answer that is the same for every image, and stay there."""
    history = facts.history
    if not reading.can_judge_learning(history, least_steps=reading.STEPS_TO_LEARN):
        return
    if reading.has_skills(history):
        known = [name for name in LOSSES if not math.isnan(reading.skill(history, name))]
        low = [name for name in known if _stays_low(history, name)]
        if len(known) < 3 or len(known) - len(low) > most_learnt:
            return
        evidence = [reading.skills_text(history), *reading.courses(history, "loss")]
    else:
        low = [name for name in LOSSES if _at_guessing(history, name)]
        if len(low) < 3:
            return
        evidence = reading.courses(history, "loss", *low)
    yield Violation(
        f"after {_so_far(history)} the network has learnt next to nothing: "
        f"{', '.join(reading.WORDS[name] for name in low)} stand where guessing stands.",
        where="loss",
        value=history.last("loss"),
        evidence=[text for text in (*evidence, *_movement_text(history)) if text],
        causes=list(_why_nothing(history)),
        experiment=reading.OVERFIT,
    )


def _why_nothing(history):
    """Causes, those first that the run shows."""
    yield from reading.lint_causes(history, "DAT0", "TRN0", "WGT0", "CFG07", "CFG09")
    yield from (
        *signs.rate_too_low(history),
        *signs.stored_statistics_on_random_weights(history),
        *signs.pixels_out_of_scale(history),
        *signs.anchors_misfit(history),
    )
    random = reading.random_parts(history)
    if random:
        yield f"no weights were loaded for {', '.join(random)}: from random weights a network needs thousands of steps"
    yield "masks and boxes do not lie on the objects: images and annotations are moved, turned or exchanged"
    yield f"the learning rate{signs.rate_text(history)} is too high or too low"
    yield "most objects are not annotated, or their classes are wrong"


@rule(
    "RUN011",
    WARNING,
    needs=HISTORY,
    why="Random weights that hardly move stay random. Rates for fine-tuning are meant for weights that are good "
    "already.",
    example="in 240 steps no part has moved by more than 0.4% of the size of its weights",
    fix="Load weights before training (`load_weights`), or raise LEARNING_RATE ten times; `lr-range` finds the rate.",
)
def hardly_moves(facts, *, least_distance=signs.LEAST_DISTANCE):
    """Little is learnt, and a part that has to learn has moved by no more than `least_distance` of its size in all
    epochs together."""
    history = facts.history
    seen = signs.rate_too_low(history, least_distance=least_distance)
    if not seen or not reading.can_judge_learning(history):
        return
    random = reading.random_parts(history)
    began = f"{', '.join(random)} began at random, and " if random else ""
    began = "no weights were loaded, and " if history.run.get("pretrained") is False else began
    rate = history.last("learning_rate")
    yield Violation(
        f"{began}the learning rate{signs.rate_text(history)} is too low to get anywhere: after {_so_far(history)} "
        f"{seen[0]}.",
        where="LEARNING_RATE",
        value=rate if math.isfinite(rate) else None,
        evidence=[*seen, reading.skills_text(history), *reading.courses(history, "loss")],
        causes=[
            *(
                ["weights were to be loaded and were not: `load_weights` is missing or took another file"]
                if random
                else []
            ),
            *reading.lint_causes(history, "WGT", "TRN020", "TRN021", "CFG099"),
            f"the learning rate{signs.rate_text(history)}, or its schedule, is too low for weights that have to change",
            f"gradients are clipped too far (GRADIENT_CLIP_NORM = {history.settings.get('GRADIENT_CLIP_NORM')})",
        ],
        experiment=reading.WEIGHTS,
        changes={"LEARNING_RATE": float(f"{10 * rate:.2g}")} if math.isfinite(rate) and rate else {},
    )


@rule(
    "RUN012",
    WARNING,
    needs=HISTORY,
    why="A stage that changes nothing costs time. Either there is nothing left to learn with these layers, or the rate "
    "or the features they get do not allow it.",
    example="layers='heads': loss 1.62 (epoch 4), 1.63 (epoch 9)",
    fix="Go to the next stage (more layers, a tenth of the rate), or see the causes.",
)
def stage_is_stuck(facts, *, least_epochs=6, most_change=0.03):
    """The total of a stage has not changed by more than `most_change` in at least `least_epochs`, and is not low."""
    history = facts.history
    values = finite(reading.total_without_l2(history)[-len(reading.stage_epochs(history)) :])
    if len(values) < least_epochs or not is_flat(values, most=most_change):
        return
    if reading.has_skills(history):
        if len(signs.low_skills(history)) < 2:
            return
    elif level(values, end=True) < 0.8:
        return
    layers = history.layers[-1] if history.layers else None
    of_stage = f"the stage layers={layers!r}" if layers else "training"
    yield Violation(
        f"{of_stage} is stuck: the total is {reading.number(values[0])} at its first epoch and "
        f"{reading.number(values[-1])} after {len(values)}.",
        where="loss",
        value=float(values[-1]),
        evidence=[*reading.courses(history, "loss", *LOSSES), reading.skills_text(history), *_movement_text(history)],
        causes=[
            *(
                f"{', '.join(frozen)} do not train in this stage"
                for frozen in [reading.frozen_parts(history)]
                if frozen
            ),
            *signs.rate_too_low(history),
            "the features of the backbone do not suit this domain: train deeper parts, slowly",
            f"the learning rate{signs.rate_text(history)} is too low for this stage, or too high and has destroyed it",
            "proposals are poor: look at their recall",
        ],
        experiment=reading.RPN,
    )


@rule(
    "RUN013",
    WARNING,
    needs=HISTORY,
    why="Where four losses fall and the masks do not, the mask head is held back by itself: by its rate, its weight, "
    "by being frozen, or by masks that do not show the objects.",
    example="mrcnn_mask_loss 0.40 (epoch 1), 0.38 (epoch 10), 0.37 (epoch 20)",
    fix="LR_MULTIPLIERS = {'mask_head': 2.0}, or LOSS_WEIGHTS = {'mrcnn_mask_loss': 2.0}, once the masks are checked.",
)
def mask_loss_flat(facts, *, most_fall=0.1, least_epochs=4):
    """The mask loss falls by less than `most_fall` in `least_epochs` or more, while most other losses fall clearly."""
    history = facts.history
    masks = finite(reading.stage_values(history, "mrcnn_mask_loss"))
    if len(masks) < least_epochs or not reading.can_judge_learning(history, least_steps=reading.STEPS_TO_LEARN):
        return
    others = [name for name in LOSSES[:4] if falls(reading.stage_values(history, name), least=0.2)]
    if len(others) < 2 or change(masks) < -most_fall:
        return
    learnt = reading.skill(history, "mrcnn_mask_loss")
    if learnt > 0.25 or (math.isnan(learnt) and masks[-1] < 0.25):
        return  # good already
    frozen = "mask_head" in reading.frozen_parts(history)
    yield Violation(
        f"the mask loss does not fall ({change(masks):+.0%} in {len(masks)} epochs), while {', '.join(others)} do.",
        where="mrcnn_mask_loss",
        value=float(masks[-1]),
        evidence=[
            *reading.courses(history, "mrcnn_mask_loss", "skill_mrcnn_mask_loss", "mask_iou", *others),
            *reading.courses(history, "moved_mask_head", "gradient_norm_mask_head"),
        ],
        causes=[
            *(["the mask head does not train in this stage"] if frozen else []),
            *reading.lint_causes(history, "DAT053", "DAT055", "DAT049", "CFG094", "DAT012"),
            *(
                ["LOSS_WEIGHTS gives the mask loss the weight 0"]
                * (not reading.loss_weight(history, "mrcnn_mask_loss"))
            ),
            "the learning rate of the mask head is too low",
            "the masks do not show the objects: noise, filled boxes, or shifted within their boxes",
        ],
        experiment=reading.OVERFIT,
    )


@rule(
    "RUN014",
    WARNING,
    needs=HISTORY,
    why="A loss at this level is that of an answer that is the same for every image, e.g. ln 2 = 0.69 for two outcomes "
    "that are equally frequent, ln K for K classes.",
    example="rpn_class_loss 0.70 (epoch 1), 0.69 (epoch 8); ln 2 is 0.69",
    fix="See the causes for the loss that is named; `first-batch` shows what its targets are.",
)
def loss_at_trivial_level(facts):
    """One or two losses stay at the level of guessing, while others are learnt."""
    history = facts.history
    if not reading.can_judge_learning(history, least_steps=reading.STEPS_TO_LEARN):
        return
    if reading.has_skills(history):
        low = [name for name in LOSSES if _stays_low(history, name)]
        known = [name for name in LOSSES if not math.isnan(reading.skill(history, name))]
    else:
        low = [name for name in LOSSES if _at_guessing(history, name)]
        known = [name for name in LOSSES if history.has(name)]
    if not low or len(known) - len(low) < 2:
        return
    for name in low:
        if _is_poor_but_precise(history, name):
            continue
        yield Violation(
            f"{name} ({reading.WORDS[name]}) stays at the level of guessing, "
            f"{_level_text(history, name)}, after {_so_far(history)}.",
            where=name,
            value=history.last(name),
            evidence=reading.courses(history, name, reading.SKILLS[name], *_DETAILS.get(name, ())),
            causes=[*_lint_of(history, name), *_CAUSES[name]],
            experiment=_EXPERIMENTS.get(name, reading.FIRST_BATCH),
            details={"skill": reading.skill(history, name)},
        )


_DETAILS = {
    "rpn_class_loss": ("positive_anchors", "anchor_recall", "anchor_iou"),
    "rpn_bbox_loss": ("positive_anchors", "anchor_iou", "anchor_scale"),
    "mrcnn_class_loss": ("positive_rois", "roi_recall", "label_accuracy"),
    "mrcnn_bbox_loss": ("roi_iou", "box_iou"),
    "mrcnn_mask_loss": ("mask_iou",),
}
_CAUSES = {
    "rpn_class_loss": (
        "anchors do not fit the objects (RPN_ANCHOR_SCALES, RPN_ANCHOR_RATIOS)",
        "many objects are not annotated, so that anchors on them count as background",
        "the backbone's features are random, or unsuited to this domain",
    ),
    "rpn_bbox_loss": (
        "anchors do not fit the objects (RPN_ANCHOR_SCALES, RPN_ANCHOR_RATIOS)",
        "boxes are annotated loosely, or lie beside their objects",
    ),
    "mrcnn_class_loss": (
        "hardly any ROI is positive, and background is always right",
        "one class is so frequent that it is always right",
        "the classes of the annotations are wrong",
    ),
    "mrcnn_bbox_loss": (
        "boxes are annotated loosely, or lie beside their objects",
        "the box head does not train, or its rate is too low",
    ),
    "mrcnn_mask_loss": (
        "masks do not show the objects: noise, filled boxes, or shifted within their boxes",
        "the mask head does not train, or its rate is too low",
    ),
}
_EXPERIMENTS = {
    "rpn_class_loss": reading.RPN,
    "rpn_bbox_loss": reading.RPN,
    "mrcnn_mask_loss": reading.OVERFIT,
}
_LINT = {
    "rpn_class_loss": ("DAT031", "DAT032", "CFG04"),
    "rpn_bbox_loss": ("DAT031", "DAT032", "CFG04", "DAT041"),
    "mrcnn_class_loss": ("DAT022", "DAT020"),
    "mrcnn_bbox_loss": ("DAT041",),
    "mrcnn_mask_loss": ("DAT053", "DAT055", "DAT049"),
}


def _lint_of(history, name):
    return reading.lint_causes(history, *_LINT[name])


def _stays_low(history, name):
    values = reading.stage_values(history, reading.SKILLS[name])
    return stays_below(values, reading.LOW_SKILL[name])


def _is_poor_but_precise(history, name):
    """The box head has little left to explain where proposals are as good as boxes get."""
    return name == "mrcnn_bbox_loss" and reading.recent(history, "roi_iou") > 0.8


def _at_guessing(history, name):
    """For a run without skills: the loss stays within 5% of ln 2, or ln K for classes."""
    values = finite(reading.stage_values(history, name))
    if len(values) < 4 or name in ("rpn_bbox_loss", "mrcnn_bbox_loss"):
        return False
    levels = [math.log(2)]
    if name == "mrcnn_class_loss":
        classes = history.settings.get("NUM_CLASSES")
        levels = [math.log(classes)] if classes else [math.log(2), math.log(3), math.log(81)]
    now = level(values, end=True)
    return abs(change(values)) < 0.05 and any(abs(now - guess) < 0.05 * guess for guess in levels)


def _level_text(history, name):
    learnt = reading.skill(history, name)
    if math.isnan(learnt):
        return f"{reading.number(history.last(name))}"
    return f"of which it has learnt {max(learnt, 0.0):.0%} from the images"


def _so_far(history):
    steps = reading.steps_of(history)
    return f"{len(history)} epochs" + (f" and {int(steps)} steps" if math.isfinite(steps) else "")


def _movement_text(history):
    part, _ = reading.largest_movement(history)
    if part:
        value = float(np.nanmedian(history.values(f"moved_{part}")))
        yield f"the weights move, most of all those of {part}: by {value:.2%} of their size in an epoch"
