"""How the losses stand to each other: boxes good and masks bad, shares of the total, mask loss and mask precision."""

import math

import numpy as np

from mrcnn_plus.diagnosis import reading
from mrcnn_plus.diagnosis.history import LOSSES
from mrcnn_plus.diagnosis.trends import finite, is_flat
from mrcnn_plus.lint.findings import INFO, WARNING
from mrcnn_plus.lint.registry import HISTORY, Violation, rule

#: Usual shares of the weighted total in well trained runs, as practitioners give them.
USUAL_SHARES = {
    "rpn_class_loss": (0.05, 0.10),
    "rpn_bbox_loss": (0.10, 0.15),
    "mrcnn_class_loss": (0.20, 0.30),
    "mrcnn_bbox_loss": (0.15, 0.25),
    "mrcnn_mask_loss": (0.30, 0.40),
}


@rule(
    "RUN050",
    WARNING,
    needs=HISTORY,
    why="Boxes are found and outlines are not: the parts before the mask head do their work, and the mask head is "
    "behind by its own rate, weight or data.",
    example="epoch 10: losses .05 .03 .08 .06, and masks .40",
    fix="LR_MULTIPLIERS = {'mask_head': 2.0}, or LOSS_WEIGHTS with 0.5 for class and box and 1.0 for the mask.",
)
def boxes_good_masks_bad(facts, *, least_box_iou=0.8, most_mask_iou=0.65, most_loss=0.15, least_mask_loss=0.35):
    """Boxes fit (mean IoU `least_box_iou`), masks do not (`most_mask_iou`), and do not improve. Without these numbers:
    the four other losses are below `most_loss` and the mask loss is above `least_mask_loss`."""
    history = facts.history
    masks, boxes = reading.recent(history, "mask_iou"), reading.recent(history, "box_iou")
    if not reading.can_judge_learning(history):
        return
    if math.isnan(masks):
        others = [reading.recent(history, name) for name in LOSSES[:4]]
        now = reading.recent(history, "mrcnn_mask_loss")
        if any(math.isnan(value) for value in others) or max(others) > most_loss or not now > least_mask_loss:
            return
        message = f"the four losses of boxes and classes are at {max(others):.2g} or below, that of masks at {now:.2g}."
    else:
        values = finite(reading.stage_values(history, "mask_iou"))
        if boxes < least_box_iou or masks > most_mask_iou or len(values) < 3 or values[-1] > values[-3] + 0.02:
            return
        message = f"boxes are good (IoU {boxes:.2f}), masks are not (IoU {masks:.2f})."
    yield Violation(
        message,
        where="mrcnn_mask_loss",
        value=history.last("mrcnn_mask_loss"),
        evidence=reading.courses(history, "box_iou", "mask_iou", "skill_mrcnn_mask_loss", *LOSSES),
        causes=[
            *reading.lint_causes(history, "DAT053", "DAT049", "CFG062", "CFG064", "CFG094"),
            "rates are unbalanced: the mask head learns too slowly",
            f"the weight of the mask loss is too low (LOSS_WEIGHTS, now {reading.loss_weight(history, LOSSES[4]):g})",
            "masks are imprecise: drawn roughly, scaled down (MINI_MASK_SHAPE), or noisy",
        ],
        experiment=reading.OVERFIT,
        changes={"LR_MULTIPLIERS": {"mask_head": 2.0}},
    )


@rule(
    "RUN051",
    INFO,
    needs=HISTORY,
    why="In well trained runs masks make 30 to 40% of the total, classes 20 to 30%, boxes 15 to 25%, RPN boxes 10 to "
    "15%, RPN classes 5 to 10%. A loss far beyond gets most of the gradient.",
    example="rpn_bbox_loss makes 46% of the total, 10 to 15% is usual",
    fix="LOSS_WEIGHTS: halve what is too large and look again after some epochs.",
)
def shares_unusual(facts, *, least_epochs=10, least_steps=2000, times=2.0):
    """The share of a loss in the total is more than `times` the usual range, or less than it divided by `times`, in a
    run of `least_epochs` and `least_steps` whose total falls no more."""
    history = facts.history
    steps = reading.steps_of(history)
    total = finite(reading.total_without_l2(history)[-len(reading.stage_epochs(history)) :])
    if len(history) < least_epochs or steps < least_steps or len(total) < 6 or not history.has(*LOSSES):
        return
    if not is_flat(total[-max(6, len(total) // 3) :], most=0.1):
        return
    now = {name: reading.recent(history, name, 3) * reading.loss_weight(history, name) for name in LOSSES}
    everything = sum(now.values())
    if not everything > 0:
        return
    for name, (low, high) in USUAL_SHARES.items():
        share = now[name] / everything
        if low / times <= share <= min(high * times, 0.6):
            continue
        known = reading.skill(history, name)
        if share < low and (known > 0.4 or math.isnan(known)):
            continue  # small because it is learnt
        yield Violation(
            f"{name} ({reading.WORDS[name]}) makes {share:.0%} of the total; {low:.0%} to {high:.0%} is usual in runs "
            "that are trained well.",
            where=name,
            value=share,
            evidence=[
                *reading.courses(history, name, f"share_{name}", reading.SKILLS[name]),
                "shares now: " + ", ".join(f"{loss} {value / everything:.0%}" for loss, value in now.items()),
            ],
            causes=[
                f"LOSS_WEIGHTS (now {reading.loss_weight(history, name):g})",
                "this part learns more slowly than the others, or its targets are harder here: small or crowded "
                "objects",
            ],
            experiment=reading.OVERFIT,
        )


@rule(
    "RUN052",
    WARNING,
    needs=HISTORY,
    why="The precision of masks is far below that of boxes. Whether the mask loss is high or low tells head from data.",
    example="box AP50 0.89, mask AP50 0.46, mask loss 0.38",
    fix="With a high loss: weight, rate and epochs of the mask head. With a low one: look at the masks, of both "
    "data sets.",
)
def mask_precision_behind(facts, *, least_box=0.4, most_ratio=0.6, high_loss=0.25):
    """AP50 of the masks is below `most_ratio` of that of the boxes, which is `least_box` or more."""
    history = facts.history
    pair = next(
        (pair for pair in (("val_box_AP50", "val_mask_AP50"), ("val_box_AP", "val_mask_AP")) if history.has(*pair)),
        None,
    )
    if pair is None:
        return
    boxes, masks = (_precision(history, name) for name in pair)
    if not boxes >= least_box or masks >= most_ratio * boxes:
        return
    loss, val_loss = history.last("mrcnn_mask_loss"), history.last("val_mrcnn_mask_loss")
    is_high = loss > high_loss
    if is_high:
        causes = [
            "the mask head is undertrained: its weight, its rate, or too few epochs",
            "masks are imprecise or noisy",
        ]
        what = f"and the mask loss is high ({reading.number(loss)})"
    else:
        causes = [
            "the masks of the validation data are drawn by another rule than those of training",
            "masks are wrong in the same way in all training data: filled boxes, convex hulls, shifted",
            "the masks are scaled back wrongly before they are compared (MINI_MASK_SHAPE, a resizing of the program)",
        ]
        what = f"though the mask loss is low ({reading.number(loss)})"
    if val_loss > 2 * loss:
        causes.insert(0, "the mask head has learnt the training images by heart")
    yield Violation(
        f"masks are far behind boxes: {pair[1]} {masks:.2f}, {pair[0]} {boxes:.2f}, {what}.",
        where=pair[1],
        value=float(masks),
        evidence=reading.courses(history, *pair, "mrcnn_mask_loss", "val_mrcnn_mask_loss", "mask_iou", "val_mask_iou"),
        causes=[*reading.lint_causes(history, "DAT053", "DAT055", "DAT049", "CFG062", "CFG064"), *causes],
        experiment=reading.OVERFIT if is_high else reading.SELF_CONSISTENCY,
    )


def _precision(history, name):
    """The last value as a share; some programs write per cent."""
    values = finite(history.values(name))
    value = float(np.max(values[-2:])) if len(values) else math.nan
    return value / 100 if value > 1 else value
