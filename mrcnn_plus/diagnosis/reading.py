"""What the rules ask of a history: how far the stage is, what each part has learnt, what is known of weights and data.

A skill is the share of what can be known without looking at the image that looking at it adds (`training.statistics`):
0 for an answer that is always the same, 1 for a perfect one. Runs of other programs have none; rules then look at the
losses alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mrcnn_plus.diagnosis.history import LOSSES, History
from mrcnn_plus.diagnosis.trends import finite

#: What each loss is about, in words.
WORDS = {
    "rpn_class_loss": "RPN, object or background",
    "rpn_bbox_loss": "RPN, boxes",
    "mrcnn_class_loss": "classes",
    "mrcnn_bbox_loss": "boxes of the head",
    "mrcnn_mask_loss": "masks",
}
#: The part of the network that a loss trains first.
PART_OF_LOSS = {
    "rpn_class_loss": "rpn",
    "rpn_bbox_loss": "rpn",
    "mrcnn_class_loss": "class_head",
    "mrcnn_bbox_loss": "class_head",
    "mrcnn_mask_loss": "mask_head",
}
#: Below these a skill is that of a network which has learnt next to nothing of it.
LOW_SKILL = {
    "rpn_class_loss": 0.12,
    "rpn_bbox_loss": 0.12,
    "mrcnn_class_loss": 0.08,
    "mrcnn_bbox_loss": 0.06,
    "mrcnn_mask_loss": 0.08,
}
SKILLS = {name: f"skill_{name}" for name in LOSSES}

#: What to run to decide between the causes of a verdict.
_EXPERIMENT = "mrcnn-plus experiment {} program.py"
FIRST_BATCH, FUNNEL = _EXPERIMENT.format("first-batch"), _EXPERIMENT.format("funnel")
LR_RANGE, OVERFIT = _EXPERIMENT.format("lr-range"), _EXPERIMENT.format("overfit")
RPN, SELF_CONSISTENCY = _EXPERIMENT.format("rpn"), _EXPERIMENT.format("self-consistency")
WEIGHTS = _EXPERIMENT.format("weights")
EVALUATION = "mrcnn-plus evaluate program.py"

_STEPS_TO_JUDGE = 80
#: What has not been learnt by then, from random weights on small images, is late. One healthy run of
#: benchmarks/gauntlet.py has confirmed it so far.
STEPS_TO_LEARN = 150
_EPOCHS_TO_JUDGE = 4  # where the number of steps is not known
_ANNOTATION_RULES = ("DAT049", "DAT057", "DAT047", "DAT056", "DAT016", "TRN004", "DAT041")


def stage_values(history: History, name: str) -> np.ndarray:
    """The values of the newest stage, NaN where nothing was recorded."""
    start = history.stage_starts[-1] if len(history) else 0
    return history.values(name)[start:]


def stage_epochs(history: History) -> np.ndarray:
    """The numbers of its epochs."""
    start = history.stage_starts[-1] if len(history) else 0
    return np.array(history.epochs[start:], int)


def recent(history: History, name: str, epochs: int = 2) -> float:
    """Mean of the last epochs of the stage in which it was recorded; NaN without any."""
    values = finite(stage_values(history, name))
    return float(values[-epochs:].mean()) if len(values) else math.nan


def steps_of(history: History, *, stage: bool = False) -> float:
    """Training steps so far, of all stages or the newest one; NaN where that is not known."""
    values = stage_values(history, "steps") if stage else history.values("steps")
    if len(finite(values)):
        return float(np.nansum(values))
    per_epoch = history.settings.get("STEPS_PER_EPOCH")
    return float(per_epoch) * len(values) if per_epoch else math.nan


def can_judge_learning(history: History, *, least_steps: int = _STEPS_TO_JUDGE) -> bool:
    """Enough steps and epochs in this stage for a network that learns to have shown it.

    least_steps: fewer where something was measured that speaks for itself, more where only learning fails.
    """
    epochs, steps = len(stage_epochs(history)), steps_of(history, stage=True)
    if math.isnan(steps):
        return epochs >= _EPOCHS_TO_JUDGE
    return epochs >= 2 and steps >= least_steps


def has_skills(history: History) -> bool:
    return any(history.has(name) for name in SKILLS.values())


def skill(history: History, loss: str, *, val: bool = False) -> float:
    """Of the last two epochs; NaN where it is not known."""
    return recent(history, f"{'val_' if val else ''}{SKILLS[loss]}")


def total_without_l2(history: History) -> np.ndarray:
    """The weighted sum of the five losses by epoch, or the total where they are not all there."""
    if not history.has(*LOSSES):
        return history.values("loss")
    weights = history.settings.get("LOSS_WEIGHTS") or {}
    parts = []
    for name in LOSSES:
        weight = history.values(f"weight_{name}") if history.has(f"weight_{name}") else float(weights.get(name, 1.0))
        parts.append(history.values(name) * weight)
    return np.sum(parts, axis=0)


def loss_weight(history: History, loss: str) -> float:
    """The factor of a loss in the total; 1 where it is not known."""
    if history.has(f"weight_{loss}"):
        return history.last(f"weight_{loss}")
    return float((history.settings.get("LOSS_WEIGHTS") or {}).get(loss, 1.0))


def images_of(history: History, role: str) -> int | None:
    """How many images the data set "train" or "val" has; None where that is not known."""
    return ((history.run.get("data") or {}).get(role) or {}).get("images")


# ---- weights ----------------------------------------------------------------------------------------------------


def parts(history: History) -> dict[str, dict[str, int]]:
    """`{part: {"trainable": ..., "parameters": ...}}` of the newest stage; empty where it is not known."""
    return dict(history.stage.get("parts") or {})


def frozen_parts(history: History) -> list[str]:
    """Parts of which nothing trains in the newest stage."""
    return [part for part, count in parts(history).items() if count["parameters"] and not count["trainable"]]


def never_trained_parts(history: History) -> list[str]:
    """Parts that no stage so far has trained."""
    frozen = set(frozen_parts(history))
    for stage in history.run.get("stages") or ():
        frozen &= {part for part, count in (stage.get("parts") or {}).items() if not count["trainable"]}
    return [part for part in parts(history) if part in frozen]


def random_parts(history: History) -> list[str]:
    """Parts of which no layer was loaded from a file before the run. Empty where that is not known."""
    known = parts(history)
    if history.run.get("pretrained") is False:
        return list(known)
    loads = history.run.get("weights") or ()
    if not loads:
        return []
    counts = {part: max(load["parts"].get(part, {}).get("loaded", 0) for load in loads) for part in known}
    return [part for part, loaded in counts.items() if not loaded]


def partly_loaded(history: History) -> dict[str, tuple[int, int]]:
    """`{part: (layers loaded, layers left)}` of parts of which a file gave some layers and not others."""
    found = {}
    for load in history.run.get("weights") or ():
        for part, count in load["parts"].items():
            if count["loaded"] and count["initial"]:
                found[part] = (count["loaded"], count["initial"])
    return found


def movement(history: History, part: str) -> np.ndarray:
    """How far the weights of a part moved in each epoch of the stage, as a share of their size, per root of a step.

    Weights that are drawn here and there by noise move as the root of the number of steps.
    """
    steps = stage_values(history, "steps")
    return stage_values(history, f"moved_{part}") / np.sqrt(np.maximum(steps, 1.0))


def largest_movement(history: History) -> tuple[str, float]:
    """The part that moves most, by the median over its epochs, and how much; `("", nan)` where it is not known."""
    found = {part: finite(movement(history, part)) for part in parts(history)}
    medians = {part: float(np.median(values)) for part, values in found.items() if len(values)}
    part = max(medians, key=medians.get, default="")
    return part, medians.get(part, math.nan)


def distance_moved(history: History, part: str | None = None) -> float:
    """Sum over all epochs of the change of a part, or of the one that moved most; NaN where it is not known."""
    names = [f"moved_{name}" for name in ([part] if part else parts(history))]
    sums = [np.nansum(history.values(name)) for name in names if history.has(name)]
    return float(max(sums)) if sums else math.nan


# ---- causes and findings of the linter ------------------------------------------------------------------------------


def lint_findings(history: History, *codes: str) -> list[dict]:
    """What the linter found before training, of rules whose code begins so."""
    findings = {(found["code"], found["message"]): found for found in history.run.get("lint") or ()}
    return [found for found in findings.values() if str(found.get("code", "")).startswith(codes)]


def lint_causes(history: History, *codes: str) -> Iterator[str]:
    """The same as sentences for the causes of a verdict."""
    for found in lint_findings(history, *codes):
        if found.get("severity") != "info":
            yield f"the linter said so before training, {found['code']}: {found['message'].rstrip('.')}"


def annotation_findings(history: History) -> list[dict]:
    """Findings by which images and masks do not belong together."""
    return [found for found in lint_findings(history, *_ANNOTATION_RULES) if found.get("severity") != "info"]


# ---- evidence in words ----------------------------------------------------------------------------------------------


def course_of(history: History, name: str, label: str | None = None) -> str:
    """`mrcnn_mask_loss 0.69 (epoch 1), 0.68 (epoch 4), 0.69 (epoch 8)`; empty where nothing was recorded."""
    values = history.values(name)
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return ""
    chosen = sorted({known[0], known[len(known) // 2], known[-1]})
    told = ", ".join(f"{number(values[index])} (epoch {history.epochs[index]})" for index in chosen)
    return f"{label or name} {told}"


def courses(history: History, *names: str) -> list[str]:
    """`course_of` each that was recorded."""
    return [text for text in (course_of(history, name) for name in names) if text]


def skill_courses(history: History, *losses: str) -> list[str]:
    """`courses` of the skills of these losses, each in training and in validation."""
    return courses(history, *(f"{split}{SKILLS[loss]}" for loss in losses for split in ("", "val_")))


def skills_text(history: History) -> str:
    """The skills of the last two epochs in one line; empty where there are none."""
    found = [f"{WORDS[name]} {number(skill(history, name))}" for name in LOSSES if not math.isnan(skill(history, name))]
    return f"learnt from the images (0 nothing, 1 all): {', '.join(found)}" if found else ""


def number(value: float) -> str:
    """Three digits."""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.3g}" if abs(value) >= 0.01 else f"{value:.2g}"
