"""Line charts over epochs as inline SVG: no script, colours from the page's style, so that they follow light and dark.

The view is 480 units wide; the page shows it at 350 to 480 pixels, where letters of 13 units can be read. Over the plot
lies a band for each epoch, whose tooltip has the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

_WIDTH, _HEIGHT = 480, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 12, 22, 36
_MOST_BANDS = 150  # tooltips of more epochs would make the file large
_MOST_LABELS = 6
_LOG_FROM = 30.0  # largest divided by smallest value
_CONSTANT = 1e-3  # range of the values divided by the largest, up to which they count as one


@dataclass(frozen=True)
class Series:
    """A line. values: float `[epochs]`, NaN where there is none. color: 1 to 8, of the style. dashed: of validation.

    smoothing: 0 to 1, as in TensorBoard; the values themselves are then drawn faintly. dots: for values that only some
    epochs have.
    """

    label: str
    values: np.ndarray
    color: int
    dashed: bool = False
    smoothing: float = 0.0
    dots: bool = False


@dataclass(frozen=True)
class Axes:
    """How numbers become places: x from the epochs, y from the values, with their ticks."""

    epochs: np.ndarray
    low: float
    high: float
    is_log: bool
    ticks: Sequence[float] = field(default_factory=tuple)

    def x(self, epoch: float) -> float:
        first, last = self.epochs[0] - 0.5, self.epochs[-1] + 0.5
        return _LEFT + (epoch - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high, value = (
            map(math.log10, (self.low, self.high, value)) if self.is_log else (self.low, self.high, value)
        )
        share = min(max((value - low) / (high - low), -0.02), 1.02)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)


def line_chart(
    title: str,
    epochs: Sequence[int],
    series: Sequence[Series],
    *,
    borders: Sequence[tuple[int, str]] = (),
    log: bool | None = None,
    limits: tuple[float | None, float | None] = (None, None),
    percent: bool = False,
    note: str = "",
) -> str:
    """A figure as HTML; "" where no series has a value.

    epochs: their numbers, rising. borders: `(epoch, name)`, the first epoch of each stage. log: None chooses by the
    values. limits: least and largest value to show, None for those of the values. note: a line below the title.
    """
    series = [one for one in series if np.isfinite(one.values).any()]
    if not series or not len(epochs):
        return ""
    epochs = np.asarray(epochs, float)
    axes = _axes(epochs, series, log, limits, percent)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title, quote=True)}">',
        *_grid(axes, percent),
        *_borders(axes, borders),
        *(part for one in series for part in _line(axes, one)),
        *_bands(axes, series, percent),
        "</svg>",
    ]
    legend = "".join(
        f'<span><i class="c{one.color}{" dashed" if one.dashed else ""}"></i>{escape(one.label)} '
        f"<b>{_format(_last(one.values), percent)}</b></span>"
        for one in series
    )
    words = f'<p class="dim">{escape(note)}</p>' if note else ""
    return f'<figure><h3>{escape(title)}</h3>{words}<p class="legend">{legend}</p>{"".join(parts)}</figure>'


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """Exponential moving average without the pull to 0 at its beginning; NaN stays NaN and is passed over."""
    result, average, norm = np.full(len(values), np.nan), 0.0, 0.0
    for i, value in enumerate(values):
        if np.isfinite(value):
            average = weight * average + (1 - weight) * value
            norm = weight * norm + (1 - weight)
            result[i] = average / norm
    return result


def _last(values):
    finite = values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else math.nan


def _axes(epochs, series, log, limits, percent):
    values = np.concatenate([one.values[np.isfinite(one.values)] for one in series])
    low = float(values.min()) if limits[0] is None else limits[0]
    high = float(values.max()) if limits[1] is None else limits[1]
    is_log = (low > 0 and high / low > _LOG_FROM) if log is None else (log and low > 0)
    if is_log:
        if high / low < 10:  # a constant, say: one decade around it
            middle = math.sqrt(low * high)
            low, high = middle / 3.2, middle * 3.2
        return Axes(epochs, low / 1.1, high * 1.1, True, _log_ticks(low / 1.1, high * 1.1))
    if high - low <= _CONSTANT * max(abs(low), abs(high)):  # drawn in the middle
        low, high = (min(0.0, 2 * low), max(0.0, 2 * low)) if low else (0.0, 1.0)
    low = 0.0 if limits[0] is None and 0 <= low < 0.6 * high else low
    ticks = _ticks(low, high)
    return Axes(epochs, min(low, ticks[0]), max(high, ticks[-1]), False, ticks)


def _ticks(low, high, most=6):
    """Round numbers from at most `low` to about `high`."""
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(start, end + 1)]


def _log_ticks(low, high):
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(decades) > 4 else (1, 3) if len(decades) > 3 else (1, 2, 5)
    ticks = [factor * 10.0**power for power in decades for factor in factors]
    ticks = [tick for tick in ticks if low <= tick <= high]
    return ticks[:: max(1, math.ceil(len(ticks) / 8))]


def _grid(axes, percent):
    bottom = _HEIGHT - _BOTTOM
    for tick, label in zip(axes.ticks, _tick_labels(axes, percent), strict=True):
        y = axes.y(tick)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    count = len(axes.epochs)
    step = max(1, round(_ticks(0, max(axes.epochs[-1] - axes.epochs[0], 1), 7)[1]))
    for epoch in (
        np.arange(math.ceil(axes.epochs[0] / step) * step, axes.epochs[-1] + 1, step) if count > 1 else axes.epochs
    ):
        yield f'<text x="{axes.x(epoch):.1f}" y="{bottom + 16}" text-anchor="middle">{epoch:g}</text>'
    yield f'<path class="axis" d="M{_LEFT} {bottom}H{_WIDTH - _RIGHT}"/>'
    yield f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">epoch</text>'


def _borders(axes, borders):
    shown = [(epoch, name) for epoch, name in borders if axes.epochs[0] <= epoch <= axes.epochs[-1]]
    for number, (epoch, name) in enumerate(shown):
        x = axes.x(epoch - 0.5)
        if number:
            yield f'<path class="border" d="M{x:.1f} {_TOP - 14}V{_HEIGHT - _BOTTOM}"/>'
        room = (axes.x(shown[number + 1][0] - 0.5) if number + 1 < len(shown) else _WIDTH) - x
        if name and len(shown) <= _MOST_LABELS and room > 24:
            text = name if len(name) * 7 < room else name[: max(int(room / 7) - 1, 1)] + "…"
            yield f'<text class="stage" x="{x + 4:.1f}" y="{_TOP - 8}">{escape(text)}</text>'


def _line(axes, one):
    smooth = smoothed(one.values, one.smoothing) if one.smoothing else one.values
    style = f"c{one.color}{' dashed' if one.dashed else ''}"
    if one.smoothing:
        yield f'<path class="line faint {style}" d="{_path(axes, one.values, one.dots)}"/>'
    yield f'<path class="line {style}" d="{_path(axes, smooth, one.dots)}"/>'
    finite = np.flatnonzero(np.isfinite(one.values))
    if one.dots or len(finite) == 1:
        for i in finite:
            yield f'<circle class="dot {style}" cx="{axes.x(axes.epochs[i]):.1f}" cy="{axes.y(smooth[i]):.1f}" r="3"/>'


def _path(axes, values, connect):
    """Places of the finite values; a gap interrupts the line unless `connect`. Neighbours in a pixel are one place."""
    steps, pen = [], "M"
    for epoch, value in zip(axes.epochs, values, strict=True):
        if not np.isfinite(value) or (axes.is_log and value <= 0):
            pen = "L" if connect and steps else "M"
            continue
        steps.append(f"{pen}{axes.x(epoch):.1f} {axes.y(value):.1f}")
        pen = "L"
    return "".join(steps)


def _bands(axes, series, percent):
    step = max(1, math.ceil(len(axes.epochs) / _MOST_BANDS))
    width = (axes.x(axes.epochs[0] + 1) - axes.x(axes.epochs[0])) * step
    for i in range(0, len(axes.epochs), step):
        told = [f"{one.label} {_format(one.values[i], percent)}" for one in series if not np.isnan(one.values[i])]
        x = axes.x(axes.epochs[i]) - width / 2
        yield (
            f'<rect class="band" x="{x:.1f}" y="{_TOP}" width="{width:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}">'
            f"<title>epoch {axes.epochs[i]:g}&#10;{escape(chr(10).join(told))}</title></rect>"
        )


def _tick_labels(axes, percent):
    """Numbers of one kind for all ticks of an axis, with as many digits as tell neighbours apart."""
    largest = max(map(abs, axes.ticks), default=0.0)
    power = 0 if percent or largest == 0 or 0.01 <= largest < 1e4 else math.floor(math.log10(largest) + 1e-9)
    if axes.is_log:
        return [f"{tick:.0e}".replace("e-0", "e-") if power < 0 else _format(tick, percent) for tick in axes.ticks]
    values = [100 * tick if percent else tick / 10.0**power for tick in axes.ticks]
    step = abs(values[1] - values[0]) if len(values) > 1 else 1.0
    digits = max(0, 1 - math.floor(math.log10(step)))  # one more than the step's first, for steps of 2.5
    labels = [f"{value:.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:.0f}" for value in values]
    end = "%" if percent else f"e{power}" if power else ""
    return [label if label in ("0", "-0") and not percent else label + end for label in labels]


def _format(value, percent=False):
    """A number short enough for an axis."""
    if math.isnan(value):
        return ""
    if percent:
        return f"{100 * value:.3g}%"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.1e}".replace(".0e", "e").replace("e-0", "e-").replace("e+0", "e")
