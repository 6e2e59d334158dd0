"""Counts over all images: the confusion matrix with background, precision and recall, the best score of a class."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mrcnn_plus.evaluation.outcomes import CORRECT, DUPLICATE, FALSE, MISSED, WRONG_CLASS

BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Which class was taken for which, at one score and one IoU.

    counts: int [C, C], rows the true class, columns the detected one; row and column 0 are the background. Row 0 holds
    false detections, column 0 missed objects, the diagonal what is right. The sum of another row is the number of
    objects of its class; crowds, and detections in them, are not counted.
    class_ids: [C], 0 for the background. names: [C]. kind: "segm" or "bbox", what the IoU was measured on.
    """

    counts: np.ndarray
    class_ids: tuple
    names: tuple
    score: float
    iou: float
    kind: str

    def to_dict(self):
        return {
            "class_ids": list(self.class_ids),
            "names": list(self.names),
            "counts": self.counts.tolist(),
            "rows": "true class",
            "columns": "detected class",
            "score": self.score,
            "iou": self.iou,
            "kind": self.kind,
        }

    def most_frequent(self, limit=10):
        """Classes taken for another one: tuples `(true name, detected name, count)`, the most frequent first."""
        pairs = [(int(self.counts[t, d]), t, d) for t, d in zip(*np.nonzero(self.counts)) if t and d and t != d]
        return [(self.names[t], self.names[d], count) for count, t, d in sorted(pairs, key=lambda p: (-p[0], *p[1:]))][
            :limit
        ]


def confusion_matrix(outcomes, categories, *, kind, score, iou):
    """The `ConfusionMatrix` of the `Outcome`s of all images. categories: dicts "id", "name", in the order of rows."""
    ids = [category["id"] for category in categories]
    index = {class_id: row for row, class_id in enumerate(ids, start=1)}
    counts = np.zeros((len(ids) + 1, len(ids) + 1), int)
    for outcome in outcomes:
        matches = outcome.matches
        belongs = set()
        for row, (detection, state) in enumerate(zip(matches.detections, outcome.detections, strict=True)):
            detected = index[detection["category_id"]]
            if state in (CORRECT, WRONG_CLASS):
                g = int(outcome.object_of[row])
                belongs.add(g)
                counts[index[matches.objects[g]["category_id"]], detected] += 1
            elif state in (FALSE, DUPLICATE):
                counts[0, detected] += 1
        for g, state in enumerate(outcome.objects):
            if state == MISSED and g not in belongs:
                counts[index[matches.objects[g]["category_id"]], 0] += 1
    names = (BACKGROUND, *(str(category["name"]) for category in categories))
    return ConfusionMatrix(counts, (0, *ids), names, float(score), float(iou), kind)


class Threshold(NamedTuple):
    """A score with what detections of one class from it on are worth, each 0..1."""

    score: float
    precision: float
    recall: float
    f1: float


def best_threshold(scores, correct, objects):
    """The score at which F1 of a class is highest; None without objects or without a correct detection.

    scores: [D] of its detections in all images, in any order. correct: [D] bool. objects: how many there are to find.
    The answer is the score of a detection: `>=` keeps it. Of equal F1 the higher score, which reports less.
    """
    scores, correct = np.asarray(scores, float), np.asarray(correct, bool)
    if objects == 0 or not correct.any():
        return None
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(correct[order])
    # Detections of one score are kept or left together: only the last of them is a place to cut.
    cuts = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    f1 = 2 * found[cuts] / (cuts + 1 + objects)
    best = cuts[np.argmax(f1)]
    precision, recall = found[best] / (best + 1), found[best] / objects
    return Threshold(float(scores[best]), float(precision), float(recall), float(f1.max()))


def detections_of_classes(all_matches):
    """`{class id: (scores [D], correct [D] bool)}` of the detections in all images, without those in crowds."""
    found = {}
    for matches in all_matches:
        for row, detection in enumerate(matches.detections):
            if not matches.in_crowd[row]:
                scores, correct = found.setdefault(detection["category_id"], ([], []))
                scores.append(detection["score"])
                correct.append(bool(matches.object_of[row] >= 0))
    return found
