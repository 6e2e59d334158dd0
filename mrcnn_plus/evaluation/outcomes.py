"""What became of every object and every detection of an image: found, missed, false, wrong class.

Two steps, both greedy from the best score down:

1. A detection takes the free object of its own class that it overlaps most, as `COCOeval` does it, so that precision
   and recall belong to the average precision. Detections inside a crowd of their class count neither way.
2. What is left takes a free object of another class: a wrong class. The rest is false, or a duplicate where the object
   below it belongs to another detection.

The first step depends on better detections only, so one matching serves all scores; `outcome_at` adds the second.
Works on the dicts of COCO's formats (`coco_json.py`), with any ids.
"""

from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

# What drawing.mistakes draws, in its words.
CORRECT, WRONG_CLASS, FALSE, DUPLICATE = "correct", "wrong class", "false", "duplicate"
IN_CROWD, BELOW_SCORE = "in crowd", "below score"
FOUND, MISSED, CROWD = "found", "missed", "crowd"


class Matches(NamedTuple):
    """The first step for one image: G objects and crowds, D detections from the best score down.

    object_of: [D] int, the object of the same class that a detection found, or -1. in_crowd: [D] bool.
    overlaps: [D, G] IoU; with a crowd the share of the detection inside it.
    """

    image_id: int
    objects: list
    detections: list
    overlaps: np.ndarray
    object_of: np.ndarray
    in_crowd: np.ndarray
    iou: float

    @property
    def is_crowd(self):
        return np.array([bool(annotation.get("iscrowd")) for annotation in self.objects], bool)

    @property
    def scores(self):
        return np.array([result["score"] for result in self.detections], float)


class Outcome(NamedTuple):
    """Both steps for one image at one score.

    objects: G of FOUND, MISSED, CROWD. detections: D of CORRECT, WRONG_CLASS, FALSE, DUPLICATE, IN_CROWD, BELOW_SCORE.
    object_of: [D] int, the object that a correct detection or one of a wrong class belongs to, or -1.
    """

    matches: Matches
    score: float
    objects: tuple
    detections: tuple
    object_of: np.ndarray

    def count(self, state):
        """How many objects or detections came out so."""
        return (self.objects + self.detections).count(state)

    @property
    def quality(self):
        """Panoptic quality (Kirillov et al., 2019): overlaps of what was found, over all objects and mistakes.

        The sum of the IoU of correct detections / (correct + half of missed objects + half of other detections). NaN
        for an image without objects in which nothing was detected.
        """
        correct = [row for row, state in enumerate(self.detections) if state == CORRECT]
        wrong = sum(self.count(state) for state in (WRONG_CLASS, FALSE, DUPLICATE, MISSED))
        if not correct and not wrong:
            return float("nan")
        overlap = sum(self.matches.overlaps[row, self.object_of[row]] for row in correct)
        return float(overlap / (len(correct) + wrong / 2))


def match_image(image_id, objects, detections, *, iou, kind):
    """The `Matches` of an image.

    objects: annotation dicts, those of masks with "segmentation" as RLE. detections: result dicts.
    iou: the least IoU of a match. kind: "segm" compares masks, "bbox" boxes.
    """
    detections = sorted(detections, key=lambda result: -result["score"])
    shape = "segmentation" if kind == "segm" else "bbox"
    overlaps = _overlaps([d[shape] for d in detections], objects, shape)
    object_of, in_crowd = np.full(len(detections), -1), np.zeros(len(detections), bool)
    # COCOeval looks at crowds last, so that a detection prefers a real object.
    order = sorted(range(len(objects)), key=lambda g: bool(objects[g].get("iscrowd")))
    free = [True] * len(objects)
    for row, detection in enumerate(detections):
        same = [g for g in order if objects[g]["category_id"] == detection["category_id"]]
        found = _best(overlaps[row], [g for g in same if free[g] and not objects[g].get("iscrowd")], iou)
        if found is None:
            in_crowd[row] = _best(overlaps[row], [g for g in same if objects[g].get("iscrowd")], iou) is not None
        else:
            object_of[row], free[found] = found, False
    return Matches(image_id, list(objects), detections, overlaps, object_of, in_crowd, iou)


def _overlaps(shapes, objects, shape):
    """[D, G] IoU; with a crowd the share of the detection inside it."""
    if not shapes or not objects:
        return np.zeros((len(shapes), len(objects)))
    crowds = [int(bool(annotation.get("iscrowd"))) for annotation in objects]
    return np.asarray(coco_mask.iou(shapes, [annotation[shape] for annotation in objects], crowds))


def _best(overlaps, candidates, iou):
    """The candidate with the highest overlap, the last one of equals as in COCOeval, or None below `iou`."""
    best, least = None, min(iou, 1 - 1e-10)
    for candidate in candidates:
        if overlaps[candidate] >= least:
            best, least = candidate, overlaps[candidate]
    return best


def outcome_at(matches, score):
    """The `Outcome` of an image if detections below `score` were not reported."""
    kept = matches.scores >= score
    correct = kept & (matches.object_of >= 0)
    object_of = np.where(correct, matches.object_of, -1)
    crowd = matches.is_crowd
    free = ~crowd
    free[object_of[correct]] = False
    found = ~crowd & ~free
    states = []
    for row in range(len(matches.detections)):
        if not kept[row]:
            states.append(BELOW_SCORE)
        elif correct[row]:
            states.append(CORRECT)
        elif matches.in_crowd[row]:
            states.append(IN_CROWD)
        else:
            other = _best(matches.overlaps[row], np.flatnonzero(free), matches.iou)
            if other is not None:
                object_of[row], free[other] = other, False
                states.append(WRONG_CLASS)
            else:
                taken = _best(matches.overlaps[row], np.flatnonzero(~free & ~crowd), matches.iou)
                states.append(FALSE if taken is None else DUPLICATE)
    objects = [CROWD if crowd[g] else FOUND if found[g] else MISSED for g in range(len(matches.objects))]
    return Outcome(matches, float(score), tuple(objects), tuple(states), object_of)
