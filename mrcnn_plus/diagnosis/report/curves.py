"""Which charts a history has: losses, shares, rates, gradients, precision, and how well the heads fit."""

from __future__ import annotations

import numpy as np

from mrcnn_plus.diagnosis.history import LOSSES, History
from mrcnn_plus.diagnosis.report.charts import Series, line_chart

PARTS = ("backbone", "fpn", "rpn", "class_head", "mask_head")
_SMOOTHING, _MASK_SMOOTHING = 0.6, 0.3
_LEAST_TO_SMOOTH = 20  # epochs; of fewer, the mean would hide the newest ones
_FIT = {"label_accuracy": "class right", "box_iou": "box IoU", "mask_iou": "mask IoU"}
_SKILL = "0: the same answer for every image. 1: always right."
_PRECISION = (
    ("box_AP", "box AP", 1),
    ("mask_AP", "mask AP", 2),
    ("box_AP50", "box AP50", 3),
    ("mask_AP50", "mask AP50", 4),
)


def loss_charts(history: History) -> list[str]:
    """Total, the five together, the mask loss alone, and the shares of the total."""
    total = [
        _series(history, "loss", "train", 1, _SMOOTHING),
        _series(history, "val_loss", "validation", 2, _SMOOTHING, True),
    ]
    five = [_series(history, name, name, color, _SMOOTHING) for color, name in enumerate(LOSSES, start=1)]
    five_val = [
        _series(history, f"val_{name}", name, color, _SMOOTHING, True) for color, name in enumerate(LOSSES, start=1)
    ]
    mask = [
        _series(history, LOSSES[4], "train", 5, _MASK_SMOOTHING),
        _series(history, f"val_{LOSSES[4]}", "validation", 2, _MASK_SMOOTHING, True),
    ]
    shares = [Series(name, history.values(f"share_{name}"), color) for color, name in enumerate(LOSSES, start=1)]
    return _charts(
        history,
        ("Total loss: train and validation", total, {"note": _not_finite(history, "loss", "val_loss")}),
        ("The five losses, train", five, {"note": _not_finite(history, *LOSSES)}),
        ("The five losses, validation", five_val, {}),
        ("Mask loss", mask, {"note": _not_finite(history, LOSSES[4])}),
        ("Share of the total", shares, {"percent": True, "limits": (0.0, None), "log": False}),
    )


def precision_charts(history: History) -> list[str]:
    """AP by epoch, and what the heads have learnt (`training.statistics`)."""
    precision = [Series(label, history.values(f"val_{name}"), color, dots=True) for name, label, color in _PRECISION]
    train = [
        Series(f"{label}, train", history.values(name), color) for color, (name, label) in enumerate(_FIT.items(), 1)
    ]
    val = [
        Series(f"{label}, validation", history.values(f"val_{name}"), color, dashed=True)
        for color, (name, label) in enumerate(_FIT.items(), 1)
    ]
    prefix = "val_" if history.has(f"val_skill_{LOSSES[0]}") else ""
    skills = [
        Series(name, history.values(f"{prefix}skill_{name}"), color) for color, name in enumerate(LOSSES, start=1)
    ]
    return _charts(
        history,
        ("Average precision on the validation data", precision, {"limits": (0.0, None), "log": False}),
        (
            f"Skill of each head, {'validation' if prefix else 'train'}",
            skills,
            {"limits": (None, 1.0), "log": False, "note": _SKILL},
        ),
        ("What the heads reach on their positive ROIs", [*train, *val], {"limits": (0.0, None), "log": False}),
    )


def steering_charts(history: History) -> list[str]:
    """Learning rates, gradient norms, and what the steps had to learn from."""
    rates = [Series("learning rate", history.values("learning_rate"), 1)]
    rates += [
        Series(part, history.values(f"learning_rate_{part}"), color)
        for color, part in enumerate(PARTS, start=2)
        if _differs(history.values(f"learning_rate_{part}"), rates[0].values)
    ]
    norms = [
        Series("all", history.values("gradient_norm"), 1),
        Series("largest", history.values("gradient_norm_max"), 7),
    ]
    norms += [Series(part, history.values(f"gradient_norm_{part}"), color) for color, part in enumerate(PARTS, start=2)]
    targets = [
        Series("positive anchors", history.values("positive_anchors"), 1),
        Series("positive ROIs", history.values("positive_rois"), 2),
        Series("objects", history.values("objects"), 3),
    ]
    speed = [Series("images per second", history.values("images_per_second"), 3)]
    waiting = [Series("share of the time", history.values("data_wait"), 4)]
    return _charts(
        history,
        ("Learning rate", rates, {}),
        ("Gradient norm, before clipping", norms, {}),
        ("Positives per image", targets, {"limits": (0.0, None), "log": False}),
        ("Speed", speed, {"limits": (0.0, None), "log": False}),
        ("Waiting for images", waiting, {"limits": (0.0, 1.0), "log": False, "percent": True}),
    )


def _differs(values, base):
    """Whether a part has another rate than the base somewhere; lines upon each other tell nothing."""
    return bool(np.any(np.abs(values - base) > 1e-3 * base))


def _series(history, name, label, color, smoothing, dashed=False):
    values = history.values(name)
    enough = np.isfinite(values).sum() >= _LEAST_TO_SMOOTH
    return Series(label, values, color, dashed, smoothing if enough else 0.0)


def _charts(history, *charts):
    borders = [(history.epochs[i], stage_name(history, i)) for i in history.stage_starts]
    drawn = (line_chart(title, history.epochs, series, borders=borders, **options) for title, series, options in charts)
    return [chart for chart in drawn if chart]


def stage_name(history: History, position: int) -> str:
    """The layers that trained in an epoch, as far as known."""
    layers = history.layers[position] if position < len(history.layers) else None
    if layers is None:
        stages = [s for s in history.run.get("stages") or () if s.get("first_epoch", 1) <= history.epochs[position]]
        layers = stages[-1].get("layers") if stages else None
    return str(layers or "")


def _not_finite(history, *names):
    """Says what became NaN or infinite, which no line can show."""
    for epoch, row in zip(history.epochs, history.rows, strict=True):
        bad = [name for name in names if name in row and not np.isfinite(row[name])]
        if bad:
            return f"In epoch {epoch}, {', '.join(bad)} {'was' if len(bad) == 1 else 'were'} not finite."
    return ""
