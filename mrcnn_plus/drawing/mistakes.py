"""A picture of what the network got wrong in one image: missed objects, false detections, wrong classes.

| outcome                    | drawn                                                                     |
|----------------------------|---------------------------------------------------------------------------|
| detection `"correct"`      | green outline, no label                                                   |
| detection `"wrong class"`  | violet, "bus 83%, is car"                                                 |
| detection `"false"`        | orange, "false: car 83%"                                                  |
| detection `"duplicate"`    | blue, "again: car 62%": the object was found by a better detection        |
| detection `"in crowd"`     | grey outline, no label: it counts neither for nor against                 |
| detection `"below score"`  | nothing                                                                   |
| ground truth `"found"`     | nothing: its detection shows it                                           |
| ground truth `"missed"`    | red, dashed, "missed: car"; no label where a wrong class was found there  |
| ground truth `"crowd"`     | grey, dashed, "crowd: car": a region that counts neither for nor against  |
"""

from typing import Any, NamedTuple

import cv2
import numpy as np

from mrcnn_plus.drawing.canvas import MaskPart, apply_mask, check_instances, class_labels, mask_parts, to_rgb_pixels
from mrcnn_plus.drawing.labels import font_for, paint_labels, place_labels
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.boxes import compute_overlaps

DETECTION_OUTCOMES = ("correct", "wrong class", "false", "duplicate", "in crowd", "below score")
TRUTH_OUTCOMES = ("found", "missed", "crowd")

# Colours in 0..255, and how strongly the inside is tinted. Told apart in brightness and form too: missed is dashed.
_COLORS = {
    "correct": (60, 220, 110),
    "wrong class": (190, 120, 255),
    "false": (255, 165, 40),
    "duplicate": (70, 180, 255),
    "missed": (255, 70, 80),
    "crowd": (170, 170, 170),
    "in crowd": (170, 170, 170),
}
_OPACITY = {"wrong class": 0.35, "false": 0.35, "duplicate": 0.2, "missed": 0.35, "crowd": 0.15}
_NOT_DRAWN = ("found", "below score")
_DASHED = ("missed", "crowd")
# From top to bottom: what is worst is drawn last and labelled first.
_ORDER = ("missed", "wrong class", "false", "duplicate", "crowd", "in crowd", "correct")
_LEGEND_BACK, _LEGEND_INK = (28, 32, 37), (235, 238, 241)


class _Thing(NamedTuple):
    """A detection or object to draw. part: its `MaskPart`, or None. text: its label, or ""."""

    outcome: str
    roi: np.ndarray
    part: MaskPart | None
    text: str


def draw_mistakes(
    image: Any,
    ground_truth: dict,
    detections: dict,
    outcome: dict,
    class_names: Any,
    *,
    longer_side: int | None = None,
    legend: bool = True,
) -> np.ndarray:
    """Draw the mistakes of one image.

    image: [H, W, C] or [H, W]; not changed.
    ground_truth: `{"rois": [G, (y1, x1, y2, x2)] pixels, "class_ids": [G] int, "masks": [H, W, G] bool or None}`; the
        class id of a crowd may be negative.
    detections: the same with "scores", as `MaskRCNN.detect` returns it for an image; D of them.
    outcome: `{"detections": D labels of DETECTION_OUTCOMES, "ground_truth": G labels of TRUTH_OUTCOMES}`, in the order
        of the arrays above.
    class_names: names by class id, the background first.
    longer_side: scale the picture to this many pixels first; lines and letters are made for that size. None: as it is.
        Pictures below 200 pixels have no room for labels.
    legend: add a strip below the picture with the number of each outcome, so that it becomes a little taller.

    Returns uint8 [H, W, 3]. Raises DatasetError if arrays and outcomes do not belong together.
    """
    pixels = to_rgb_pixels(image)
    truth = _instances("ground_truth", ground_truth, image, outcome, allowed=TRUTH_OUTCOMES)
    found = _instances("detections", detections, image, outcome, allowed=DETECTION_OUTCOMES)
    things = _things(truth, found, class_names)
    counts = {name: sum(thing.outcome == name for thing in things) for name in _COLORS}
    if longer_side is not None:
        pixels, things = _scaled(pixels, things, longer_side)
    # The worst last, and of one outcome small things on top of large ones.
    things.sort(key=lambda thing: (-_ORDER.index(thing.outcome), -_area(thing.roi)))
    thickness = max(1, round(min(pixels.shape[:2]) / 220))
    for thing in things:
        _paint(pixels, thing, thickness)
    pixels = _with_labels(pixels, [thing for thing in reversed(things) if thing.text])
    return np.concatenate([pixels, _legend(counts, pixels.shape)]) if legend else pixels


class _Instances(NamedTuple):
    """The arrays of one side, checked. parts: one `MaskPart` each, or None. outcomes: the labels."""

    rois: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray | None
    parts: list | None
    outcomes: list


def _instances(side, arrays, image, outcome, *, allowed):
    rois, class_ids = np.asarray(arrays["rois"], float).reshape(-1, 4), np.asarray(arrays["class_ids"], int)
    scores, masks, outcomes = arrays.get("scores"), arrays.get("masks"), [str(label) for label in outcome[side]]
    if len(rois) == 0:
        masks = None  # whatever their shape
    check_instances(f"draw_mistakes, {side}", image, boxes=rois, masks=masks, class_ids=class_ids, scores=scores)
    if len(outcomes) != len(rois) or not set(outcomes) <= set(allowed):
        raise DatasetError(
            f"draw_mistakes: expected outcome[{side!r}] to hold one of {allowed} for each of {len(rois)} rows, "
            f"received {len(outcomes)}: {sorted(set(outcomes))}."
        )
    return _Instances(rois, class_ids, scores, None if masks is None else mask_parts(masks), outcomes)


def _things(truth, found, class_names):
    """Everything to draw, with its label."""
    truth_names = class_labels("draw_mistakes", np.abs(truth.class_ids), class_names)
    found_names = class_labels("draw_mistakes", found.class_ids, class_names)
    overlaps = compute_overlaps(found.rois, truth.rois)
    things, explained = [], set()
    for i, (name, label) in enumerate(zip(found_names, found.outcomes, strict=True)):
        score = "" if found.scores is None else f" {100 * found.scores[i]:.0f}%"
        if label in _NOT_DRAWN:
            continue
        text = {"false": f"false: {name}{score}", "duplicate": f"again: {name}{score}"}.get(label, "")
        if label == "wrong class":
            text = f"{name}{score}"
            if overlaps.shape[1] and overlaps[i].max() > 0:
                on = int(overlaps[i].argmax())
                explained.add(on)
                text += f", is {truth_names[on]}"
        things.append(_Thing(label, found.rois[i], found.parts and found.parts[i], text))
    for i, (name, label) in enumerate(zip(truth_names, truth.outcomes, strict=True)):
        if label not in _NOT_DRAWN:
            text = "" if label == "missed" and i in explained else f"{label}: {name}"
            things.append(_Thing(label, truth.rois[i], truth.parts and truth.parts[i], text))
    return things


def _area(roi):
    return (roi[2] - roi[0]) * (roi[3] - roi[1])


def _scaled(pixels, things, longer_side):
    """Image and things with a longer side of so many pixels."""
    height, width = pixels.shape[:2]
    factor = longer_side / max(height, width)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    scaled = [
        thing._replace(roi=thing.roi * factor, part=thing.part and _scaled_part(thing.part, factor, pixels.shape))
        for thing in things
    ]
    return pixels, scaled


def _scaled_part(part, factor, image_shape):
    if part.inside.size == 0:
        return part._replace(top=0, left=0)
    height, width = part.inside.shape
    top, left = min(int(part.top * factor), image_shape[0] - 1), min(int(part.left * factor), image_shape[1] - 1)
    bottom = min(max(round((part.top + height) * factor), top + 1), image_shape[0])
    right = min(max(round((part.left + width) * factor), left + 1), image_shape[1])
    shares = cv2.resize(part.inside.astype(np.float32), (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return MaskPart(top, left, shares >= min(0.5, shares.max()))  # something is left of the thinnest object


def _paint(pixels, thing, thickness):
    """Tint and outline of a thing, in place."""
    color = _COLORS[thing.outcome]
    if thing.part is not None and thing.part.inside.any():
        apply_mask(thing.part.of(pixels), thing.part.inside, np.array(color) / 255, _OPACITY.get(thing.outcome, 0.0))
        outlines, _ = cv2.findContours(
            np.ascontiguousarray(thing.part.inside, np.uint8),
            *(cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE),
            offset=(thing.part.left, thing.part.top),
        )
        outlines = [outline[:, 0] for outline in outlines]
    else:
        y1, x1, y2, x2 = (round(float(side)) for side in thing.roi)
        outlines = [_rectangle(y1, x1, max(y2 - 1, y1), max(x2 - 1, x1))]
    for outline in outlines:
        lines = _dashes(outline, 6 * thickness + 2) if thing.outcome in _DASHED else [outline]
        cv2.polylines(pixels, lines, thing.outcome not in _DASHED, color, thickness)


def _rectangle(y1, x1, y2, x2):
    """The pixels of a frame in order, [V, (x, y)]."""
    xs, ys = np.arange(x1, x2 + 1), np.arange(y1, y2 + 1)
    sides = (
        np.stack([xs, np.full_like(xs, y1)], axis=1),
        np.stack([np.full_like(ys, x2), ys], axis=1),
        np.stack([xs[::-1], np.full_like(xs, y2)], axis=1),
        np.stack([np.full_like(ys, x1), ys[::-1]], axis=1),
    )
    return np.concatenate(sides).astype(np.int32)


def _dashes(outline, length):
    """Every second stretch of an outline [V, (x, y)] that names each of its pixels."""
    return [outline[start : start + length] for start in range(0, len(outline), 2 * length)]


def _with_labels(pixels, things):
    if not things:
        return pixels
    parts = None if any(thing.part is None for thing in things) else [thing.part for thing in things]
    labels = place_labels([thing.text for thing in things], [thing.roi for thing in things], parts, pixels.shape)
    return paint_labels(pixels, labels, [_COLORS[thing.outcome] for thing in things])


def _legend(counts, image_shape):
    """A strip as wide as the image: a spot of colour and the number of each outcome, in as many lines as they need."""
    from PIL import Image, ImageDraw

    width = image_shape[1]
    font = font_for(image_shape)
    shown = [(name, f"{counts[name]} {name}") for name in _COLORS if counts[name]] or [(None, "no objects")]
    line, gap = round(1.7 * font.size), font.size
    places, x, y = [], gap // 2, 0
    for name, text in shown:
        needed = int(font.getlength(text)) + (0 if name is None else line)
        if x > gap // 2 and x + needed > width:
            x, y = gap // 2, y + line
        places.append((name, text, x, y))
        x += needed + gap
    strip = Image.new("RGB", (width, y + line), _LEGEND_BACK)
    draw = ImageDraw.Draw(strip)
    for name, text, x, y in places:
        top = y + (line - font.size) // 2
        if name is not None:
            draw.rectangle((x, top, x + font.size - 1, top + font.size - 1), fill=_COLORS[name])
            x += round(1.4 * font.size)
        draw.text((x, y + line // 2), text, font=font, fill=_LEGEND_INK, anchor="lm")
    return np.array(strip)
