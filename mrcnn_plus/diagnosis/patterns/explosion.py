"""Losses that are not finite, explode, rise or jump; rates that are too high; gradients that explode or vanish."""

import math

import numpy as np

from mrcnn_plus.diagnosis import reading, signs
from mrcnn_plus.diagnosis.history import LOSSES
from mrcnn_plus.diagnosis.trends import change, falls, finite, level, rises, trend
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import HISTORY, Violation, rule

_LOWER = "Lower LEARNING_RATE to a tenth, give WARMUP_STEPS = 500, clip by GRADIENT_CLIP_BY = 'global'."


@rule(
    "RUN001",
    ERROR,
    needs=HISTORY,
    why="From the first value that is not finite on, the weights are useless; no later step repairs them.",
    example="mrcnn_mask_loss is nan at epoch 3",
    fix="Go back to the checkpoint before, and lower LEARNING_RATE to a tenth; `mrcnn-plus replay` names the layer.",
)
def loss_not_finite(facts):
    """A loss, or its gradient, is NaN or infinite."""
    history = facts.history
    failure = history.run.get("failure")
    bad, epoch = _not_finite(history)
    if not bad and not failure:
        return
    if failure:
        epoch, step = failure.get("epoch", len(history) + 1), failure.get("step")
        values = {name: _as_float(value) for name, value in (failure.get("losses") or {}).items()}
        bad = [name for name in LOSSES if not math.isfinite(values.get(name, 0.0))] or bad
        norms = {name: _as_float(value) for name, value in (failure.get("gradient_norms") or {}).items()}
        at = f"epoch {epoch}, step {step}"
        evidence = [f"losses of that step: {_listed(values)}", f"gradient norms: {_listed(norms)}"]
    else:
        at, evidence = f"epoch {epoch}", []
    evidence += reading.courses(history, *(bad or ["loss"]), "gradient_norm_max", "learning_rate")
    what = " and ".join(bad) if bad else "the gradient"
    message = f"{what} {'are' if len(bad) > 1 else 'is'} not finite at {at}."
    early = epoch == 1 and failure is not None and (failure.get("step") or 99) <= 3
    data = "images or boxes of these steps are broken: sides of 0, masks without a pixel, values beyond 0 to 255"
    rate = f"the learning rate{signs.rate_text(history)} is too high: losses and gradient norms grow before they break"
    causes = [data, rate] if early else [rate, data]
    causes = [*reading.lint_causes(history, "CFG090", "CFG098", "DAT030", "DAT012"), *causes]
    causes.append("16-bit floats overflow (PRECISION = 'mixed_float16'): take 'mixed_bfloat16' or 'float32'")
    experiment = reading.FIRST_BATCH if early else reading.LR_RANGE
    yield Violation(
        message,
        where=bad[0] if bad else "loss",
        value=epoch,
        evidence=[text for text in evidence if text],
        causes=causes,
        experiment=experiment,
        epoch=epoch,
    )


def _not_finite(history):
    """Losses with a value that is not finite, and the first epoch at which one is."""
    found = {}
    for name in ("loss", *LOSSES):
        for epoch, row in zip(history.epochs, history.rows, strict=True):
            if name in row and not math.isfinite(row[name]):
                found.setdefault(name, epoch)
    parts = {name: epoch for name, epoch in found.items() if name != "loss"} or found
    return list(parts), min(parts.values(), default=None)


@rule(
    "RUN002",
    ERROR,
    needs=HISTORY,
    why="One part of the network diverges and drags along the layers that it shares with the others.",
    example="mrcnn_mask_loss 0.4 (epoch 1), 2.1 (epoch 5)",
    fix="Lower the rate of that part, LR_MULTIPLIERS = {part: 0.1}, and clip by GRADIENT_CLIP_BY = 'global'.",
)
def one_loss_explodes(facts, *, times=2.5):
    """A loss is `times` what it was, while the others stay about where they were."""
    history = facts.history
    now = {
        name: reading.recent(history, name) for name in LOSSES if len(finite(reading.stage_values(history, name))) >= 3
    }
    grown = {}
    for name, value in now.items():
        values = finite(reading.stage_values(history, name))
        before = level(values[:-1], end=False)
        # The least so far, smoothed: a loss that first fell and then explodes counts from its floor.
        floor = min(before, float(np.median(np.sort(values)[: max(1, len(values) // 2)])))
        if floor > 0 and value > times * floor and value > before and value > 0.3 and values[-1] >= 0.8 * values.max():
            grown[name] = value / floor
    if not grown or len(grown) > 2 or len(now) < 3:
        return
    for name, factor in grown.items():
        part = reading.PART_OF_LOSS[name]
        yield Violation(
            f"{name} ({reading.WORDS[name]}) is {factor:.1f} times what it was, and the other losses are not.",
            where=name,
            value=now[name],
            evidence=[*reading.courses(history, name, f"gradient_norm_{part}", "gradient_norm_max", "loss")],
            causes=[
                f"the learning rate{signs.rate_text(history)} is too high for this part",
                "its targets are broken in some images: boxes without area, masks off their box",
                f"its weight in the total is too high (LOSS_WEIGHTS, now {reading.loss_weight(history, name):g})",
            ],
            experiment=reading.LR_RANGE,
            fix=f"LR_MULTIPLIERS = {{{part!r}: 0.1}} lowers the rate of this part alone; GRADIENT_CLIP_BY = 'global'.",
            changes={"LR_MULTIPLIERS": {part: 0.1}},
        )


@rule(
    "RUN003",
    ERROR,
    needs=HISTORY,
    why="A total that rises over epochs means that each step does harm; waiting does not turn it.",
    example="loss 1.9 (epoch 1), 2.4 (epoch 3), 3.1 (epoch 6)",
    fix=_LOWER,
)
def total_rises(facts, *, least=0.15):
    """The weighted sum of the losses rises over a stage, by `least` or more."""
    history = facts.history
    values = finite(reading.total_without_l2(history)[-len(reading.stage_epochs(history)) :])
    if not rises(values, least=least) or values[-1] < np.median(values):
        return
    growing = [name for name in LOSSES if trend(reading.stage_values(history, name)) > 1.6]
    most = max(growing, key=lambda name: change(reading.stage_values(history, name)), default=None)
    yield Violation(
        f"the total of the losses rises: {reading.number(level(values, end=False))} at the beginning of the stage, "
        f"{reading.number(level(values, end=True))} now" + (f"; most of all {most}." if most else "."),
        where="loss",
        value=float(values[-1]),
        evidence=reading.courses(history, "loss", *growing, "gradient_norm"),
        causes=[
            *reading.lint_causes(history, "CFG090", "CFG098"),
            f"the learning rate{signs.rate_text(history)} is too high, or a stage began with the rate of the one "
            "before",
            "boxes or masks of some images are broken: no area, off their object, another size than the image",
            "the augmentation, or the resizing, moves images and not their masks",
            "a part that was trained before is destroyed by a new one with random weights: train the heads first",
        ],
        experiment=reading.LR_RANGE,
    )


@rule(
    "RUN004",
    ERROR,
    needs=HISTORY,
    why="With steps that are too large the weights are thrown about, and activations die for good: ReLUs that answer 0 "
    "get no gradient any more. Lowering the rate later does not bring them back.",
    example="in an epoch of 30 steps the weights of rpn change by 9 times their size",
    fix=f"Start anew from the weights before. {_LOWER}",
)
def learning_rate_too_high(facts, *, most_movement=signs.MOST_MOVEMENT):
    """The weights move by far more than their size, or what was learnt is lost, and the network has learnt little.

    most_movement: change of a part's weights in an epoch, as a share of their size, divided by the root of the steps.
    """
    history = facts.history
    seen = signs.rate_too_high(history, most_movement=most_movement)
    if not seen:
        return
    rate = history.last("learning_rate")
    changes = {"LEARNING_RATE": float(f"{rate / 10:.2g}")} if math.isfinite(rate) else {}
    yield Violation(
        f"the learning rate{signs.rate_text(history)} is too high: {seen[0]}.",
        where="LEARNING_RATE",
        value=rate if math.isfinite(rate) else None,
        evidence=[*seen, reading.skills_text(history), *reading.courses(history, "loss", "gradient_norm_max")],
        causes=[
            *reading.lint_causes(history, "CFG090", "CFG098"),
            f"the learning rate{signs.rate_text(history)}",
            "no warm-up: the first steps of new heads are the largest (WARMUP_STEPS)",
            "values of images or targets far out of range make the gradients large",
        ],
        experiment=reading.LR_RANGE,
        changes=changes,
    )


@rule(
    "RUN005",
    INFO,
    needs=HISTORY,
    why="A single step whose loss is a multiple of the usual one is most often an image with a broken annotation.",
    example="4 steps of epoch 3 jumped, the largest to 41 (usual is 1.2)",
    fix="The log names the images of such steps; `mrcnn-plus lint --depth pixels` looks at all annotations.",
)
def loss_jumps(facts, *, least=3):
    """Single steps have a loss of several times the usual one, `least` times or more in the last three epochs."""
    history = facts.history
    jumps = finite(reading.stage_values(history, "loss_jumps"))[-3:]
    if jumps.sum() < least or not history.has("loss_max"):
        return
    yield Violation(
        f"{int(jumps.sum())} steps of the last {len(jumps)} epochs jumped to a multiple of the usual loss, the largest "
        f"to {reading.number(np.nanmax(history.values('loss_max')))}.",
        where="loss",
        value=int(jumps.sum()),
        evidence=reading.courses(history, "loss_jumps", "loss_max", "gradient_norm_max"),
        causes=[
            "broken annotations in some images, which the log names",
            f"the learning rate{signs.rate_text(history)} is near the limit",
        ],
        experiment=reading.FIRST_BATCH,
    )


@rule(
    "RUN006",
    WARNING,
    needs=HISTORY,
    why="Growing gradients announce a divergence before the losses show it.",
    example="gradient_norm 3 (epoch 1), 40 (epoch 3), 900 (epoch 5)",
    fix="Clip the norm of the whole gradient: GRADIENT_CLIP_BY = 'global' with GRADIENT_CLIP_NORM = 5.0; lower the "
    "rate.",
)
def gradients_explode(facts, *, times=10.0):
    """The mean gradient norm of an epoch has grown `times` over the stage, and goes on growing."""
    history = facts.history
    values = finite(reading.stage_values(history, "gradient_norm"))
    if len(values) < 3 or not rises(values, least=times - 1) or values[-1] < 1.0:
        return
    if reading.can_judge_learning(history) and falls(finite(reading.total_without_l2(history)), least=0.2):
        return  # losses that fall well are proof enough
    parts = [f"gradient_norm_{part}" for part in ("backbone", "fpn", "rpn", "class_head", "mask_head")]
    yield Violation(
        f"the gradient norm has grown from {reading.number(values[0])} to {reading.number(values[-1])}.",
        where="gradient_norm",
        value=float(values[-1]),
        evidence=reading.courses(history, "gradient_norm", "gradient_norm_max", "loss", *parts),
        causes=[f"the learning rate{signs.rate_text(history)} is too high", "broken annotations in some images"],
        experiment=reading.LR_RANGE,
        changes={"GRADIENT_CLIP_BY": "global"},
    )


@rule(
    "RUN007",
    WARNING,
    needs=HISTORY,
    why="A part without a gradient does not learn, whatever its learning rate.",
    example="gradient_norm_mask_head 2e-09 (epoch 4)",
    fix="See the causes: a part whose loss has weight 0, dead activations after a rate that was too high, 16-bit "
    "floats.",
)
def gradients_vanish(facts, *, least=1e-6):
    """The gradient of a part that trains is all but zero, a millionth of that of the whole network."""
    history = facts.history
    whole = reading.recent(history, "gradient_norm")
    for part, count in reading.parts(history).items():
        norm = reading.recent(history, f"gradient_norm_{part}")
        if math.isnan(norm) and any(history.has(f"gradient_norm_{other}") for other in reading.parts(history)):
            norm = 0.0  # norms that are 0 are not logged
        if not count["trainable"] or math.isnan(norm) or math.isnan(whole) or norm > least * max(whole, 1.0):
            continue
        silent = [
            name for name in LOSSES if reading.PART_OF_LOSS[name] == part and not reading.loss_weight(history, name)
        ]
        yield Violation(
            f"no gradient reaches {part}: its norm is {reading.number(norm)}, of all {reading.number(whole)}.",
            where=part,
            value=norm,
            evidence=reading.courses(history, f"gradient_norm_{part}", "gradient_norm", f"moved_{part}"),
            causes=[
                *([f"LOSS_WEIGHTS gives {' and '.join(silent)} the weight 0"] if silent else []),
                "no ROI or anchor is positive, so that its losses are 0",
                "a learning rate that was too high has left it with activations that are always 0",
                "16-bit floats round small gradients to 0 (PRECISION)",
            ],
            experiment=reading.FIRST_BATCH,
        )


def _listed(values):
    return ", ".join(f"{name} {reading.number(value)}" for name, value in values.items())


def _as_float(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
