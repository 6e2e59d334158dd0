"""`EvaluationResult`: everything an evaluation has found, as numbers, JSON and tables."""

import csv
import io
import json
import math
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.evaluation.coco import CocoScores
from mrcnn_plus.evaluation.confusion import ConfusionMatrix

# The values of `metrics`, first those of COCO's summary that are followed through training.
KINDS = {"box": "boxes", "mask": "masks"}
_FOLLOWED = ("AP", "AP50", "AP75", "AR")
METRIC_NAMES = tuple(f"{kind}_{name}" for kind in KINDS for name in _FOLLOWED) + (
    *("precision", "recall", "detections_per_image"),
)


@dataclass(frozen=True)
class ClassResult:
    """One class. Of a class without objects, or without masks, the numbers that need them are NaN.

    objects: to be found, crowds not counted. images: with at least one of them.
    detections: with `score` of the evaluation or more, outside of crowds. correct: those that found their object.
    precision = correct / detections, recall = correct / objects, f1 their harmonic mean.
    box_ap ... mask_ar: COCO's, over all scores. best_score: the score at which F1 is highest, at the IoU of the
    evaluation, with the best_precision, best_recall and best_f1 that belong to it; what DETECTION_MIN_CONFIDENCE is
    best for this class.
    """

    class_id: int
    name: str
    objects: int
    images: int
    detections: int
    correct: int
    precision: float
    recall: float
    f1: float
    box_ap: float
    box_ap50: float
    box_ap75: float
    box_ar: float
    mask_ap: float
    mask_ap50: float
    mask_ap75: float
    mask_ar: float
    best_score: float
    best_precision: float
    best_recall: float
    best_f1: float


@dataclass(frozen=True)
class ImageResult:
    """One image at `score` and `iou` of the evaluation. See `outcomes.py` for the words.

    name: its file, or its id where it has none. quality: panoptic quality, 0..1; NaN where there was nothing to find
    and nothing was detected.
    """

    image_id: int
    name: str
    height: int
    width: int
    objects: int
    detections: int
    correct: int
    wrong_class: int
    false: int
    duplicate: int
    missed: int
    quality: float


@dataclass(frozen=True)
class CountAbove:
    """Detections with `score` or more: in all, per image on average, most in an image, and images without any."""

    score: float
    detections: int
    per_image: float
    most: int
    images_without: int


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """What `evaluate` returns.

    boxes, masks: `CocoScores`, None for what was not compared. classes: `ClassResult` of every class.
    confusion: `ConfusionMatrix`. above: `CountAbove` for some scores. images: `ImageResult` of every image.
    score, iou, kind: at which score and IoU ("segm" of masks, "bbox" of boxes) classes, confusion and images count.
    objects, crowds, detections: how many there are in all. skipped: ids of images that could not be loaded.
    ground_truth, results: what was scored, in COCO's annotation and results format.
    """

    boxes: CocoScores | None
    masks: CocoScores | None
    classes: tuple
    confusion: ConfusionMatrix
    above: tuple
    images: tuple
    score: float
    iou: float
    kind: str
    objects: int
    crowds: int
    detections: int
    seconds: float = math.nan
    skipped: tuple = ()
    ground_truth: dict = field(default_factory=dict, repr=False)
    results: list = field(default_factory=list, repr=False)
    outcomes: tuple = field(default=(), repr=False)

    @property
    def precision(self):
        """Of all classes together, at `score` and `iou`; NaN without detections."""
        return ratio(sum(row.correct for row in self.classes), sum(row.detections for row in self.classes))

    @property
    def recall(self):
        """Of all classes together, at `score` and `iou`; NaN without objects."""
        return ratio(sum(row.correct for row in self.classes), sum(row.objects for row in self.classes))

    def metrics(self, prefix=""):
        """The numbers to follow through training, `{"box_AP": 0.41, ...}` (`METRIC_NAMES`); NaN are left out."""
        values = {}
        for kind, attribute in KINDS.items():
            scores = getattr(self, attribute)
            if scores is not None:
                followed = (scores.ap, scores.ap50, scores.ap75, scores.ar[-1])
                values.update({f"{kind}_{name}": value for name, value in zip(_FOLLOWED, followed, strict=True)})
        reported = sum(image.detections for image in self.images)
        values["precision"], values["recall"] = self.precision, self.recall
        values["detections_per_image"] = ratio(reported, len(self.images))
        return {prefix + name: value for name, value in values.items() if not math.isnan(value)}

    def worst_images(self, count=8):
        """The `count` images of lowest quality, of equal ones those with more mistakes first; perfect ones are none."""
        imperfect = [image for image in self.images if _mistakes(image)]
        return sorted(imperfect, key=lambda image: (image.quality, -_mistakes(image), image.image_id))[:count]

    def best_images(self, count=8):
        """The `count` images of highest quality in which objects were found, of equal ones those with more objects."""
        right = [image for image in self.images if image.correct]
        return sorted(right, key=lambda image: (-image.quality, -image.correct, image.image_id))[:count]

    def outcome_of(self, image_id):
        """The `Outcome` of an image."""
        return next(outcome for outcome in self.outcomes if outcome.matches.image_id == image_id)

    def to_dict(self, *, images=8):
        """All numbers as JSON can hold them, NaN as None. images: how many of the best and worst are named.

        {"format": "mrcnn_plus evaluation 1", "metrics": {...}, "boxes": {...}, "masks": {...} or None,
         "classes": [...], "confusion": {"names", "counts", ...}, "above": [...], "best": [...], "worst": [...],
         "score", "iou", "kind", "images", "objects", "crowds", "detections", "precision", "recall", "seconds",
         "skipped"}
        """
        content = {
            "format": "mrcnn_plus evaluation 1",
            "metrics": self.metrics(),
            "boxes": None if self.boxes is None else asdict(self.boxes),
            "masks": None if self.masks is None else asdict(self.masks),
            "classes": [asdict(row) for row in self.classes],
            "confusion": self.confusion.to_dict(),
            "above": [asdict(row) for row in self.above],
            "best": [asdict(image) for image in self.best_images(images)],
            "worst": [asdict(image) for image in self.worst_images(images)],
            "images": len(self.images),
        }
        for name in ("score", "iou", "kind", "objects", "crowds", "detections", "precision", "recall", "seconds"):
            content[name] = getattr(self, name)
        content["skipped"] = list(self.skipped)
        return without_nan(content)

    def to_json(self, *, images=8):
        return json.dumps(self.to_dict(images=images), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def results_of(self, kind):
        """The detections in COCO's results format for one kind, "bbox" or "segm", as `COCO.loadRes` wants them.

        With a box and a mask in one entry `COCOeval` takes the area of the box for that of the mask.
        """
        left_out = {"bbox": "segmentation", "segm": "bbox"}[kind]
        return [{key: value for key, value in result.items() if key != left_out} for result in self.results]

    def save_coco(self, folder):
        """Write what was scored as COCO's files: ground_truth.json, results_bbox.json, results_segm.json.

        `COCOeval` run on them gives the numbers of `boxes` and `masks`. Returns the paths.
        """
        contents = {"ground_truth.json": self.ground_truth}
        for kind, scores in (("bbox", self.boxes), ("segm", self.masks)):
            if scores is not None:
                contents[f"results_{kind}.json"] = self.results_of(kind)
        os.makedirs(folder, exist_ok=True)
        paths = [os.path.join(folder, name) for name in contents]
        for path, content in zip(paths, contents.values(), strict=True):
            with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
                json.dump(content, file, ensure_ascii=False)
        return paths

    def save_classes(self, path):
        """The table of classes as CSV."""
        _write_csv(path, self.classes)

    def save_images(self, path):
        """The table of images as CSV."""
        _write_csv(path, self.images)

    def __str__(self):
        from mrcnn_plus.evaluation.table import describe

        return describe(self)


def ratio(part, whole):
    """part / whole; NaN for nothing of nothing."""
    return part / whole if whole else math.nan


def _mistakes(image):
    return image.wrong_class + image.false + image.duplicate + image.missed


def without_nan(value: Any):
    """A copy of nested dicts, lists and tuples with None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def csv_text(rows):
    """Dataclasses of one kind as CSV, NaN as empty cells; nothing without rows."""
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, list(asdict(rows[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: "" if value is None else value for name, value in without_nan(asdict(row)).items()} for row in rows
        )
    return text.getvalue()


def _write_csv(path, rows):
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        file.write(csv_text(rows))
