"""Signs of a cause that several rules ask for: each function gives what was seen, as sentences, or an empty list."""

from __future__ import annotations

import math

import numpy as np

from mrcnn_plus.diagnosis import reading
from mrcnn_plus.diagnosis.history import LOSSES, History
from mrcnn_plus.diagnosis.trends import change, finite

#: Change of a part's weights over an epoch, as a share of their size and per root of a step; see RUN004.
MOST_MOVEMENT = 0.25
#: Below this sum of changes over all epochs weights that began at random are where they began.
LEAST_DISTANCE = 0.03
#: Positive anchors that overlap their object less, on average, are the best of bad ones.
LEAST_ANCHOR_IOU = 0.38
_LOST = 0.3


def rate_text(history: History) -> str:
    """` 0.01`, or nothing where the rate is not known."""
    rate = history.last("learning_rate")
    return f" {rate:.3g}" if math.isfinite(rate) else ""


def low_skills(history: History) -> list[str]:
    """Losses of which next to nothing was learnt, by the last two epochs; empty where no skills are known."""
    return [name for name in LOSSES if reading.skill(history, name) < reading.LOW_SKILL[name]]


def rate_too_high(history: History, *, most_movement: float = MOST_MOVEMENT) -> list[str]:
    """Weights thrown about, or skills lost again; only where the network has learnt little."""
    seen = []
    part, moved = reading.largest_movement(history)
    low = low_skills(history)
    if moved > most_movement and (len(low) >= 2 or moved > 4 * most_movement):
        values = finite(reading.stage_values(history, f"moved_{part}"))
        steps = finite(reading.stage_values(history, "steps"))
        seen.append(
            f"in an epoch of {int(np.median(steps))} steps the weights of {part} change by "
            f"{reading.number(float(np.median(values)))} times their size"
        )
    lost = _lost_skills(history)
    if len(lost) >= 2:
        told = ", ".join(
            f"{reading.WORDS[name]} {reading.number(best)} and now {reading.number(now)}" for name, best, now in lost
        )
        seen.append(f"what was learnt is lost again: {told}")
    return seen


def _lost_skills(history):
    """`(loss, best skill, skill now)` of what was learnt in this stage or before and is gone."""
    lost = []
    for name in LOSSES:
        values = finite(history.values(reading.SKILLS[name]))
        if len(values) < 3:
            continue
        best, now = float(np.max(values[:-2])), float(np.max(values[-2:]))
        if best > _LOST and now < best / 4:
            lost.append((name, best, now))
    return lost


def rate_too_low(history: History) -> list[str]:
    """The weights have hardly moved, though there is much to learn."""
    distance = reading.distance_moved(history)
    if math.isnan(distance) or distance >= LEAST_DISTANCE or len(low_skills(history)) < 2:
        return []
    return [f"in all epochs together no part has moved by more than {distance:.1%} of the size of its weights"]


def anchors_misfit(history: History) -> list[str]:
    """Positive anchors are few and overlap their objects badly: they are positive as the best of bad ones only."""
    overlap, scale = reading.recent(history, "anchor_iou"), reading.recent(history, "anchor_scale")
    if math.isnan(overlap) or overlap >= LEAST_ANCHOR_IOU:
        return []
    text = f"positive anchors overlap their object by an IoU of {overlap:.2f} on average"
    if scale > 1.4 or scale < 0.7:
        text += f", and are {scale:.1f} times as large as it" if scale > 1 else f", and {1 / scale:.1f} times smaller"
    return [text]


def few_positives(history: History) -> list[str]:
    """Hardly any anchor or ROI is positive, though there are objects."""
    seen = []
    objects = reading.recent(history, "objects")
    for name, what in (("positive_anchors", "anchors"), ("positive_rois", "ROIs")):
        found = reading.recent(history, name)
        if not math.isnan(found) and found < 0.2 * max(objects if math.isfinite(objects) else 1.0, 0.5):
            seen.append(f"{found:.2f} positive {what} in an image, which has {reading.number(objects)} objects")
    return seen


def pixels_out_of_scale(history: History) -> list[str]:
    """Images that are nearly of one colour for the network, as those of values from 0 to 1 are."""
    spread, mean = reading.recent(history, "input_std"), reading.recent(history, "input_mean")
    if math.isnan(spread):
        return []
    if spread < 3.0:
        return [
            f"after subtraction of MEAN_PIXEL the values of the images have a standard deviation of {spread:.2g} "
            f"around {mean:.3g}; photos have 40 to 70"
        ]
    if spread > 1000:
        return [f"the values of the images have a standard deviation of {spread:.3g}; photos have 40 to 70"]
    return []


def far_from_zero(history: History) -> list[str]:
    """Images are brighter or darker than MEAN_PIXEL says by more than they vary themselves."""
    spread, mean = reading.recent(history, "input_std"), reading.recent(history, "input_mean")
    if math.isnan(spread) or abs(mean) < max(50.0, spread):
        return []
    return [
        f"after subtraction of MEAN_PIXEL the mean value of the images is {mean:.0f}, with a spread of {spread:.0f}"
    ]


def stored_statistics_on_random_weights(history: History) -> list[str]:
    """Batch norm that normalizes nothing: mean 0 and variance 1 are stored in new layers."""
    settings = history.settings
    if settings.get("NORMALIZATION", "group") != "batch" or settings.get("TRAIN_BN") is not False:
        return []
    if "backbone" not in reading.random_parts(history):
        return []
    return [
        "TRAIN_BN=False uses the stored statistics of batch norm, and those of random weights are mean 0, variance 1"
    ]


def total_is_falling(history: History, *, least: float = 0.08) -> bool:
    """The total has come down in this stage."""
    values = finite(reading.total_without_l2(history)[-len(reading.stage_epochs(history)) :])
    return len(values) >= 2 and change(values) <= -least
