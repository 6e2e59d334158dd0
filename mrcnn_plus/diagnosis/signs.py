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
    low = low_skills(history)
    part, position = _largest_leap(history, least=2 * most_movement)
    if part and len(low) >= 2:
        leap = reading.stage_values(history, f"moved_{part}")[position]
        seen.append(
            f"in epoch {reading.stage_epochs(history)[position]} the weights of {part} changed by "
            f"{reading.number(float(leap))} times their size, and next to nothing has been learnt since"
        )
    part, moved = reading.largest_movement(history)
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


def _largest_leap(history, *, least):
    """`(part, position)` of the epoch of the stage in which a part moved most, by more than `least`; else `("", 0)`.

    One epoch is enough to spoil a network: afterwards it may hardly move at all.
    """
    leaps = {part: np.nan_to_num(reading.movement(history, part)) for part in reading.parts(history)}
    part = max(leaps, key=lambda name: leaps[name].max(initial=0.0), default="")
    return (part, int(leaps[part].argmax())) if part and leaps[part].max(initial=0.0) > least else ("", 0)


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


def rate_too_low(history: History, *, least_distance: float = LEAST_DISTANCE) -> list[str]:
    """The weights of a part have hardly moved, though it and others have much to learn."""
    low = low_skills(history)
    distances = {part: reading.distance_moved(history, part) for part in {reading.PART_OF_LOSS[name] for name in low}}
    stuck = sorted(part for part, distance in distances.items() if distance < least_distance)
    if len(low) < 2 or not stuck:
        return []
    most = max(distances[part] for part in stuck)
    return [f"{' and '.join(stuck)} moved by no more than {most:.1%} of the size of the weights"]


def anchors_misfit(history: History) -> list[str]:
    """Positive anchors are few and overlap their objects badly: they are positive as the best of bad ones only."""
    overlap, scale = reading.recent(history, "anchor_iou"), reading.recent(history, "anchor_scale")
    if math.isnan(overlap) or overlap >= LEAST_ANCHOR_IOU:
        return []
    text = f"positive anchors overlap their object by an IoU of {overlap:.2f} on average"
    if scale > 1.4 or scale < 0.7:
        text += f", and are {scale:.1f} times as large as it" if scale > 1 else f", and {1 / scale:.1f} times smaller"
    return [text]


def few_positives(history: History, *kinds: str) -> list[str]:
    """Hardly any anchor or ROI is positive, though there are objects. kinds: "anchors", "ROIs"; both without."""
    seen = []
    objects = reading.recent(history, "objects")
    names = {"anchors": "positive_anchors", "ROIs": "positive_rois"}
    for what in kinds or names:
        found = reading.recent(history, names[what])
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
