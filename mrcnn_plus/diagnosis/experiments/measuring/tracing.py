"""Follows the objects of one image through detection, in NumPy; no graph is needed for that.

It does again what `network/detections.py` does, because there the boxes that are left out leave no trace.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mrcnn_plus.diagnosis.experiments.funnel import FOUND
from mrcnn_plus.geometry.boxes import apply_box_deltas, compute_overlaps, denorm_boxes, non_max_suppression
from mrcnn_plus.geometry.masks import compute_overlaps_masks, unmold_mask

HALF = 0.5


class ImageAnswer(NamedTuple):
    """What the network said about one image; boxes `[N, (y1, x1, y2, x2)]`, normalized."""

    proposals: np.ndarray  # [R, 4], zeros are padding
    probabilities: np.ndarray  # [R, C]
    deltas: np.ndarray  # [R, C, 4]
    detections: np.ndarray  # [D, (y1, x1, y2, x2, class_id, score)], zeros are padding
    masks: np.ndarray  # [D, h, w, C]


class DetectionSettings(NamedTuple):
    """As the settings of the same names; window: of the image inside its padding, normalized `[4]`."""

    min_confidence: float
    nms_threshold: float
    max_instances: int
    bbox_std_dev: Any
    window: np.ndarray


class Trace(NamedTuple):
    """How far an object came: as in `funnel.TracedObject`."""

    lost_at: str
    reason: str
    score: float | None
    mask_iou: float | None


class _Candidates(NamedTuple):
    """Proposals with their best class, refined; the kept ones in order of their score."""

    class_ids: np.ndarray  # [R], 0 for background
    scores: np.ndarray  # [R]
    boxes: np.ndarray  # [R, 4], refined and clipped
    kept: np.ndarray  # indices of those that non-maximum suppression leaves, best first, without a limit


def trace_objects(
    boxes, class_ids, masks, *, anchors: np.ndarray, answer: ImageAnswer, settings: DetectionSettings, class_names
) -> list[Trace]:
    """Where each object of an image is lost.

    boxes: `[G, (y1, x1, y2, x2)]` normalized, class_ids: `[G]`, masks: bool `[H, W, G]`. anchors: `[A, 4]` normalized.
    """
    real = answer.proposals.any(axis=1)
    answer = answer._replace(
        proposals=answer.proposals[real], probabilities=answer.probabilities[real], deltas=answer.deltas[real]
    )
    found = _candidates(answer, settings)
    owners = _assign(boxes, class_ids, found, settings.max_instances)
    traces = []
    for number, (box, class_id) in enumerate(zip(boxes, class_ids, strict=True)):
        trace = _before_suppression(box, class_id, anchors, answer, found, settings, class_names)
        if trace.lost_at == FOUND:
            trace = _after_suppression(number, boxes, masks, found, owners, answer, settings, trace)
        traces.append(trace)
    return traces


def count_false(boxes, class_ids, detections) -> tuple[int, int]:
    """`(detections, those that overlap no object of their class by half)` of an image."""
    detections = detections[detections[:, 4] > 0]
    if not len(boxes) or not len(detections):
        return len(detections), len(detections)
    right = compute_overlaps(detections[:, :4], boxes) >= HALF
    right &= detections[:, 4].astype(int)[:, None] == np.asarray(class_ids)
    return len(detections), int((~right.any(axis=1)).sum())


def _candidates(answer, settings):
    class_ids = answer.probabilities.argmax(axis=1)
    rows = np.arange(len(class_ids))
    scores = answer.probabilities[rows, class_ids]
    deltas = answer.deltas[rows, class_ids] * np.asarray(settings.bbox_std_dev, np.float32)
    boxes = apply_box_deltas(answer.proposals, deltas)
    window = np.asarray(settings.window)
    boxes = np.clip(boxes, np.tile(window[:2], 2), np.tile(window[2:], 2))
    sure = (class_ids > 0) & (scores >= settings.min_confidence)
    kept = []
    for class_id in np.unique(class_ids[sure]):
        indices = np.flatnonzero(sure & (class_ids == class_id))
        kept += indices[non_max_suppression(boxes[indices], scores[indices], settings.nms_threshold)].tolist()
    kept = np.array(sorted(kept, key=lambda index: -scores[index]), int)
    return _Candidates(class_ids, scores, boxes, kept)


def _assign(boxes, class_ids, found, limit):
    """`{object: place among the kept candidates}`: every kept box belongs to one object at most, and those within the
    limit are given away first, the best overlap first."""
    owners, taken = {}, set()
    if not len(found.kept) or not len(boxes):
        return owners
    overlaps = compute_overlaps(found.boxes[found.kept], boxes)
    right = found.class_ids[found.kept][:, None] == np.asarray(class_ids)
    pairs = np.argwhere((overlaps >= HALF) & right)
    for place, number in sorted(pairs.tolist(), key=lambda pair: (pair[0] >= limit, -overlaps[tuple(pair)])):
        if place not in taken and number not in owners:
            owners[number] = place
            taken.add(place)
    return owners


def _before_suppression(box, class_id, anchors, answer, found, settings, class_names):
    """The `Trace` of an object up to the threshold of the score; "found" if it came so far."""
    overlaps = compute_overlaps(answer.proposals, box[None])[:, 0] if len(answer.proposals) else np.zeros(1)
    if overlaps.max() < HALF:
        anchor_iou = compute_overlaps(anchors, box[None]).max()
        if anchor_iou < HALF:
            return Trace("anchor", f"best overlap with an anchor {anchor_iou:.2f}", None, None)
        return Trace("proposal", f"best overlap with a proposal {overlaps.max():.2f}", None, None)
    near = np.flatnonzero(overlaps >= HALF)
    own = near[found.class_ids[near] == class_id]
    if not len(own):
        return Trace("class", _instead(near, class_id, answer, found, class_names), None, None)
    score = float(found.scores[own].max())
    refined = compute_overlaps(found.boxes[own], box[None])[:, 0]
    if refined.max() < HALF:
        return Trace(
            "box", f"overlap {refined.max():.2f} after refinement, {overlaps[own].max():.2f} before", score, None
        )
    score = float(found.scores[own[refined >= HALF]].max())
    if score < settings.min_confidence:
        return Trace("score", f"score {score:.3f}, threshold {settings.min_confidence:g}", score, None)
    return Trace(FOUND, "", score, None)


def _instead(near, class_id, answer, found, class_names):
    """What the proposals near an object were taken for."""
    best = near[answer.probabilities[near, class_id].argmax()]
    other = int(found.class_ids[best])
    name = str(class_names[other]) if other else "background"
    own = answer.probabilities[best, class_id]
    return f"taken for {name} ({found.scores[best]:.2f}; its own class {own:.2f})"


def _after_suppression(number, boxes, masks, found, owners, answer, settings, trace):
    """The `Trace` of an object that passed the threshold."""
    place = owners.get(number)
    if place is None:
        neighbours = [other for other in owners if other != number]
        overlaps = compute_overlaps(boxes[number][None], boxes[neighbours])[0] if neighbours else np.zeros(1)
        words = (
            f"; it overlaps object {neighbours[overlaps.argmax()]} by {overlaps.max():.2f}" if overlaps.any() else ""
        )
        return trace._replace(lost_at="nms", reason=f"its box was suppressed by a better one{words}")
    if place >= settings.max_instances:
        return trace._replace(lost_at="limit", reason=f"{place + 1}. by score of {len(found.kept)}")
    index = found.kept[place]
    detections = answer.detections[answer.detections[:, 4] > 0]
    same = compute_overlaps(detections[:, :4], found.boxes[index][None])[:, 0] if len(detections) else np.zeros(1)
    row, class_id = int(same.argmax()), int(found.class_ids[index])
    box = denorm_boxes(found.boxes[index], masks.shape[:2])
    mask = unmold_mask(answer.masks[row, :, :, class_id], box, masks.shape[:2])
    iou = float(compute_overlaps_masks(mask[..., None], masks[..., number : number + 1])[0, 0])
    if iou < HALF:
        return trace._replace(lost_at="mask", reason=f"its mask overlaps by {iou:.2f}", mask_iou=iou)
    return trace._replace(mask_iou=iou)
