"""`evaluate`: how good a model is on a data set, in one call.

    result = evaluate(model, val_dataset)
    print(result)                        # tables
    result.masks.ap, result.boxes.ap50   # COCO's numbers
    result.classes                       # per class: AP, precision, recall, the best DETECTION_MIN_CONFIDENCE
    result.confusion.counts              # which class was taken for which
    result.worst_images(8)               # where to look

`score_results` does the same for detections that are there already, in COCO's formats.
"""

import contextlib
import math
import numbers
import time

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.evaluation.coco import IOU_TYPES, detect_dataset, evaluate_detections
from mrcnn_plus.evaluation.coco_json import check_prepared
from mrcnn_plus.evaluation.confusion import best_threshold, confusion_matrix, detections_of_classes
from mrcnn_plus.evaluation.outcomes import CORRECT, DUPLICATE, FALSE, MISSED, WRONG_CLASS, match_image, outcome_at
from mrcnn_plus.evaluation.result import ClassResult, CountAbove, EvaluationResult, ImageResult, ratio

SCORES_TO_COUNT = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9)
# Average precision is the area under a curve that only doubtful detections complete. Detectron2 and
# torchvision report from here on, too.
MIN_CONFIDENCE = 0.05


def evaluate(
    model,
    dataset,
    *,
    image_ids=None,
    limit=None,
    classes=None,
    iou_types=IOU_TYPES,
    score=0.5,
    iou=0.5,
    min_confidence=MIN_CONFIDENCE,
    max_detections=(1, 10, 100),
    batch_size=1,
    skip_bad_images=False,
    progress=None,
):
    """Detect on the images of a prepared `Dataset` and compare with its masks. Returns an `EvaluationResult`.

    model: a `MaskRCNN` of either mode, anything else with `detect(images)`, or such a function. A model that is being
        trained detects with the weights that it has at that moment; no copy is made.
    image_ids: internal ids; default all. limit: at most so many of them, spread evenly over the data set.
    classes: names or ids of classes to look at; default all. iou_types: "bbox" for boxes, "segm" for masks.
    score, iou: where classes, confusion matrix and images are counted: detections with at least this score, that
        overlap their object by at least this IoU (of masks, unless only boxes are compared). AP does not depend on it.
    min_confidence: for the length of the evaluation a model with a higher DETECTION_MIN_CONFIDENCE reports detections
        from here on, since average precision would be cut off otherwise. None leaves it alone.
    max_detections: see `evaluate_detections`. batch_size: images handed to `detect` at a time.
    skip_bad_images: leave out images that cannot be loaded; they are warned of and listed in `skipped`.
    progress: function called with (images done, images in all).

    Boxes, masks and areas are those of the original images. Masks are kept as run lengths, so memory stays small.
    Raises ConfigError for arguments and DatasetError for a data set that cannot be evaluated.
    """
    detect = getattr(model, "detect", model)
    if not callable(detect):
        raise ConfigError(
            f"evaluate: expected a model with detect(images), received: model={_short(model)}. Give the MaskRCNN."
        )
    check_counts(limit=limit, batch_size=batch_size)
    check_prepared(dataset)
    begin, skipped = time.perf_counter(), []
    with confidence_lowered(model, min_confidence):
        ground_truth, results = detect_dataset(
            *(detect, dataset, image_ids),
            max_images=limit,
            batch_size=batch_size,
            skipped=skipped if skip_bad_images else None,
            progress=progress,
        )
    return score_results(
        *(ground_truth, results),
        classes=classes,
        iou_types=iou_types,
        score=score,
        iou=iou,
        max_detections=max_detections,
        skipped=tuple(skipped),
        begin=begin,
    )


def score_results(
    ground_truth,
    results,
    *,
    classes=None,
    iou_types=IOU_TYPES,
    score=0.5,
    iou=0.5,
    max_detections=(1, 10, 100),
    skipped=(),
    begin=None,
):
    """The `EvaluationResult` of detections in COCO's results format against ground truth in its annotation format.

    Other arguments as in `evaluate`; masks have to be RLE. begin: `time.perf_counter()` of when detection began.
    """
    for name, value in (("score", score), ("iou", iou)):
        if not 0 <= value <= 1:
            raise ConfigError(f"evaluate: expected {name} from 0 to 1, received: {name}={value!r}.")
    if not iou_types or not set(iou_types) <= set(IOU_TYPES):
        raise ConfigError(f"evaluate: expected iou_types of {IOU_TYPES}, received: iou_types={iou_types!r}.")
    if classes is not None:
        ground_truth, results = _of_classes(ground_truth, results, classes)
    kind = "segm" if "segm" in iou_types else "bbox"
    coco = evaluate_detections(ground_truth, results, iou_types, max_detections=max_detections)
    matches = _match_all(ground_truth, results, iou, kind)
    outcomes = tuple(outcome_at(one, score) for one in matches)
    confusion = confusion_matrix(outcomes, ground_truth["categories"], kind=kind, score=score, iou=iou)
    truths = ground_truth["annotations"]
    crowds = sum(bool(annotation.get("iscrowd")) for annotation in truths)
    return EvaluationResult(
        boxes=coco.get("bbox"),
        masks=coco.get("segm"),
        classes=tuple(_class_results(ground_truth, matches, coco, score)),
        confusion=confusion,
        above=tuple(_count_above(matches, least) for least in SCORES_TO_COUNT),
        images=tuple(_image_result(*pair) for pair in zip(ground_truth["images"], outcomes, strict=True)),
        score=float(score),
        iou=float(iou),
        kind=kind,
        objects=len(truths) - crowds,
        crowds=crowds,
        detections=len(results),
        seconds=math.nan if begin is None else time.perf_counter() - begin,
        skipped=tuple(skipped),
        ground_truth=ground_truth,
        results=results,
        outcomes=outcomes,
    )


@contextlib.contextmanager
def confidence_lowered(model, least):
    """Let a model with a `config` report detections from the score `least` on, and as before afterwards."""
    config = getattr(model, "config", None)
    present = getattr(config, "DETECTION_MIN_CONFIDENCE", None)
    if least is None or not isinstance(present, int | float) or present <= least:
        yield
        return
    was_own = "DETECTION_MIN_CONFIDENCE" in vars(config)
    config.DETECTION_MIN_CONFIDENCE = least
    try:
        yield
    finally:
        if was_own:
            config.DETECTION_MIN_CONFIDENCE = present
        else:
            del config.DETECTION_MIN_CONFIDENCE


def check_counts(**counts):
    """Raise ConfigError unless each is None or a whole number of at least 1."""
    for name, value in counts.items():
        is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if value is not None and not (is_whole and value >= 1):
            raise ConfigError(f"evaluate: expected {name} to be a whole number from 1, received: {name}={value!r}.")


def _of_classes(ground_truth, results, classes):
    """Both with the chosen classes alone. Their ids stay."""
    wanted = [classes] if isinstance(classes, str | int) else list(classes)
    ids = set()
    for one in wanted:
        found = {category["id"] for category in ground_truth["categories"] if one in (category["id"], category["name"])}
        if not found:
            names = ", ".join(f"{category['name']!r}" for category in ground_truth["categories"][:20])
            raise ConfigError(f"evaluate: expected names or ids of classes, received: {one!r}. There are: {names}.")
        ids |= found
    truth = dict(ground_truth)
    truth["categories"] = [category for category in truth["categories"] if category["id"] in ids]
    truth["annotations"] = [one for one in truth["annotations"] if one["category_id"] in ids]
    return truth, [result for result in results if result["category_id"] in ids]


def _match_all(ground_truth, results, iou, kind):
    """The `Matches` of every image, in the order of the images."""
    objects = {image["id"]: [] for image in ground_truth["images"]}
    detections = {image["id"]: [] for image in ground_truth["images"]}
    for annotation in ground_truth["annotations"]:
        objects[annotation["image_id"]].append(annotation)
    for result in results:
        detections[result["image_id"]].append(result)
    return [match_image(one, objects[one], detections[one], iou=iou, kind=kind) for one in objects]


def _class_results(ground_truth, matches, coco, score):
    """A `ClassResult` of every class, in the order of the categories."""
    of_class = detections_of_classes(matches)
    per_class = {kind: {row.class_id: row for row in scores.per_class} for kind, scores in coco.items()}
    images_of = {category["id"]: [] for category in ground_truth["categories"]}  # of each object
    for annotation in ground_truth["annotations"]:
        if not annotation.get("iscrowd"):
            images_of[annotation["category_id"]].append(annotation["image_id"])
    for category in ground_truth["categories"]:
        class_id, images = category["id"], images_of[category["id"]]
        scores, right = of_class.get(class_id, ((), ()))
        reported = sum(value >= score for value in scores)
        correct = sum(is_right and value >= score for value, is_right in zip(scores, right, strict=True))
        best = best_threshold(scores, right, len(images)) or (math.nan,) * 4
        yield ClassResult(
            class_id=class_id,
            name=str(category["name"]),
            objects=len(images),
            images=len(set(images)),
            detections=reported,
            correct=correct,
            precision=ratio(correct, reported),
            recall=ratio(correct, len(images)),
            f1=ratio(2 * correct, reported + len(images)),
            **_averages("box", per_class.get("bbox", {}).get(class_id)),
            **_averages("mask", per_class.get("segm", {}).get(class_id)),
            **dict(zip(("best_score", "best_precision", "best_recall", "best_f1"), best, strict=True)),
        )


def _averages(name, scores):
    """COCO's numbers of a class; NaN where they were not computed."""
    return {f"{name}_{field}": math.nan if scores is None else getattr(scores, field) for field in _AVERAGES}


_AVERAGES = ("ap", "ap50", "ap75", "ar")


def _count_above(matches, least):
    counts = [int((one.scores >= least).sum()) for one in matches]
    return CountAbove(least, sum(counts), ratio(sum(counts), len(counts)), max(counts, default=0), counts.count(0))


def _image_result(image, outcome):
    states = (CORRECT, WRONG_CLASS, FALSE, DUPLICATE, MISSED)
    correct, wrong_class, false, duplicate, missed = (outcome.count(state) for state in states)
    return ImageResult(
        image_id=image["id"],
        name=str(image.get("file_name") or image["id"]),
        height=int(image["height"]),
        width=int(image["width"]),
        objects=int((~outcome.matches.is_crowd).sum()),
        detections=correct + wrong_class + false + duplicate,
        correct=correct,
        wrong_class=wrong_class,
        false=false,
        duplicate=duplicate,
        missed=missed,
        quality=outcome.quality,
    )


def _short(value):
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
