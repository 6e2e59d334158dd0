"""Does a series of noisy numbers fall, rise or stay? By ranks and medians, so that one odd epoch decides nothing.

The test for a trend is that of Mann and Kendall: of all pairs of epochs, how many go up and how many down
(M. G. Kendall, Rank Correlation Methods, 1975). It needs at least four values to say anything.
"""

from __future__ import annotations

import math

import numpy as np

_SURE = 1.6  # standard deviations of the test statistic; about one false alarm in twenty for one direction


def finite(values) -> np.ndarray:
    """The values that are numbers, in their order."""
    values = np.asarray(values, np.float64)
    return values[np.isfinite(values)]


def trend(values) -> float:
    """The statistic of Mann and Kendall in standard deviations: above 1.6 the series rises, below -1.6 it falls."""
    values = finite(values)
    count = len(values)
    if count < 3:
        return 0.0
    signs = np.sign(values[None, :] - values[:, None])[np.triu_indices(count, 1)]
    score, variance = signs.sum(), count * (count - 1) * (2 * count + 5) / 18
    return float((score - np.sign(score)) / math.sqrt(variance))


def level(values, *, end: bool) -> float:
    """Median of the first or last third of the values, at least of one; NaN without any."""
    values = finite(values)
    if not len(values):
        return float("nan")
    count = max(1, len(values) // 3)
    return float(np.median(values[-count:] if end else values[:count]))


def change(values) -> float:
    """By how much the end lies above the beginning, as a share of the beginning: -0.5 is half as much."""
    start, stop = level(values, end=False), level(values, end=True)
    return (stop - start) / abs(start) if start else float("nan")


def rises(values, *, least: float = 0.1) -> bool:
    """A trend upwards by at least this share."""
    values = finite(values)
    if len(values) == 3:
        return bool(np.all(np.diff(values) > 0)) and change(values) >= 2 * least
    return trend(values) > _SURE and change(values) >= least


def falls(values, *, least: float = 0.1) -> bool:
    """A trend downwards by at least this share."""
    values = finite(values)
    if len(values) == 3:
        return bool(np.all(np.diff(values) < 0)) and change(values) <= -2 * least
    return trend(values) < -_SURE and change(values) <= -least


def is_flat(values, *, most: float = 0.05) -> bool:
    """Neither end is far from the other, and no trend; for at least four values."""
    values = finite(values)
    return len(values) >= 4 and abs(change(values)) <= most and abs(trend(values)) <= 2 * _SURE


def stays_below(values, limit: float, *, epochs: int = 2, improving: float = 0.04) -> bool:
    """The last epochs are below the limit and are not on their way up. For at least `epochs` values.

    improving: a rise from the middle of the series to its end that counts as on the way up.
    """
    values = finite(values)
    if len(values) < epochs or not (values[-epochs:] < limit).all():
        return False
    half = values[: max(1, (len(values) + 1) // 2)]
    return bool(values[-epochs:].mean() - np.median(half) < improving or values[-1] < limit / 2)
