"""What training tells of an epoch: a table of its losses with what belongs to it, or one line.

Both are made from the logs of the epoch and of the one before; names are those of `losses.csv`.
"""

import math

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.training.parts import PARTS

_ROWS = (*LOSS_NAMES, "l2_loss", "loss")
_PRECISIONS = ("AP", "AP50", "AP75")
_TARGETS = {"positive_anchors": "positive anchors", "positive_rois": "positive ROIs"}
_FIT = {"label_accuracy": "class right", "box_iou": "box IoU", "mask_iou": "mask IoU"}
_FALLS, _RISES = "green", "red"


def short_name(loss):
    """'mask' for 'mrcnn_mask_loss', 'rpn_bbox' for 'rpn_bbox_loss'."""
    return loss.removesuffix("_loss").removeprefix("mrcnn_")


def epoch_table(logs, before=None):
    """A `rich.table.Table` of the losses: train, validation, how they changed, weight and share of the total.

    logs: of the epoch. before: of the one before, for the change in per cent; None for none.
    """
    from rich import box
    from rich.table import Table

    before = before or {}
    validated = "val_loss" in logs
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("loss")
    for heading in ("train", "change", *(("val", "change") if validated else ()), "weight", "share"):
        table.add_column(heading, justify="right")
    for name in _ROWS:
        if name not in logs:
            continue
        cells = [number(logs[name]), _change(logs[name], before.get(name))]
        if validated:
            value = logs.get(f"val_{name}")
            cells += [number(value), _change(value, before.get(f"val_{name}"))]
        weight, share = logs.get(f"weight_{name}"), logs.get(f"share_{name}")
        cells += ["" if weight is None else f"{weight:.3g}", "" if share is None else f"{share:.0%}"]
        label = "total" if name == "loss" else name
        table.add_row(label, *cells, style="bold" if name == "loss" else None)
    return table


def epoch_lines(logs, before=None, *, metrics=()):
    """What stands below the table: average precision, learning rates, gradient norms, targets, speed.

    metrics: names of metrics of the model, which are told if they are none of those above. What else is logged stands
    in `losses.csv`.
    """
    lines = [
        _precision_line(logs, before or {}),
        _rate_line(logs),
        _norm_line(logs),
        _targets_line(logs),
        _speed_line(logs),
    ]
    others = [name for metric in metrics if metric not in _ROWS for name in (metric, f"val_{metric}") if name in logs]
    return [line for line in [*lines, ", ".join(f"{name} {number(logs[name])}" for name in others)] if line]


def one_line(logs):
    """The epoch in one line: losses with those of validation in brackets, average precision, seconds."""
    told = []
    for name in ("loss", *LOSS_NAMES):
        if name in logs:
            validation = f" ({number(logs[f'val_{name}'])})" if f"val_{name}" in logs else ""
            told.append(f"{short_name(name)} {number(logs[name])}{validation}")
    for kind in ("box", "mask"):
        if f"val_{kind}_AP" in logs:
            told.append(f"{kind} AP {logs[f'val_{kind}_AP']:.3f}")
    if "seconds" in logs:
        told.append(duration(logs["seconds"]))
    return ", ".join(told)


def number(value):
    """Four digits that matter; "" for nothing."""
    if value is None:
        return ""
    value = float(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    return f"{value:.4f}" if 0.01 <= abs(value) < 100 else f"{value:.4g}" if abs(value) >= 100 else f"{value:.2e}"


def duration(seconds):
    """'48 s', '3 min 20 s', '2 h 05 min'."""
    seconds = round(seconds)
    if seconds < 100:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} min {seconds:02} s" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def _change(value, before):
    """The change in per cent, green where a loss falls."""
    from rich.text import Text

    if value is None or not before or not math.isfinite(value) or not math.isfinite(before):
        return ""
    change = (value - before) / abs(before)
    text = f"{change:+.1%}" if abs(change) < 10 else f"x {value / before:.0f}"
    return Text(text, style="" if abs(change) < 0.0005 else _FALLS if change < 0 else _RISES)


def _precision_line(logs, before):
    parts = []
    for kind in ("box", "mask"):
        values = {name: logs.get(f"val_{kind}_{name}") for name in _PRECISIONS}
        if values["AP"] is None:
            continue
        last = before.get(f"val_{kind}_AP")
        change = f" ({values['AP'] - last:+.3f})" if last is not None else ""
        finer = ", ".join(f"{name} {values[name]:.3f}" for name in _PRECISIONS[1:] if values[name] is not None)
        parts.append(f"{kind} AP {values['AP']:.3f}{change}" + (f" [{finer}]" if finer else ""))
    return "; ".join(parts)


def _rate_line(logs):
    if "learning_rate" not in logs:
        return ""
    rate = logs["learning_rate"]
    others = {name: value for name, value in logs.items() if not math.isclose(value, rate, rel_tol=1e-3)}
    return f"learning rate {rate:.3g}" + _by_part(others, "learning_rate_")


def _norm_line(logs):
    if "gradient_norm" not in logs:
        return ""
    largest = f", largest {logs['gradient_norm_max']:.3g}" if "gradient_norm_max" in logs else ""
    return f"gradient norm {logs['gradient_norm']:.3g}{largest}" + _by_part(logs, "gradient_norm_")


def _by_part(logs, beginning):
    values = [f"{part} {logs[beginning + part]:.3g}" for part in PARTS if beginning + part in logs]
    return f" ({', '.join(values)})" if values else ""


def _targets_line(logs):
    """What the step learns from, and how well it fits (`training.statistics`)."""
    per_image = [f"{logs[name]:.3g} {words}" for name, words in _TARGETS.items() if name in logs]
    fit = [f"{words} {logs[name]:.2f}" for name, words in _FIT.items() if name in logs]
    parts = [", ".join(per_image) + " per image" if per_image else "", "on these " + ", ".join(fit) if fit else ""]
    return "; ".join(part for part in parts if part)


def _speed_line(logs):
    parts = []
    if "seconds" in logs:
        parts.append(duration(logs["seconds"]))
    if "images_per_second" in logs:
        parts.append(f"{logs['images_per_second']:.3g} images/s")
    if "data_wait" in logs:
        parts.append(f"{logs['data_wait']:.0%} of the time waiting for images")
    return ", ".join(parts)
