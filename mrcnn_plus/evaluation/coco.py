"""COCO evaluation, the numbers that papers report: AP and AR of boxes and masks, computed by pycocotools.

    detect_dataset        runs a detector over a dataset     -> COCO json of ground truth and of detections
    evaluate_detections   COCOeval on the two                -> {"bbox": CocoScores, "segm": CocoScores}

`evaluator.evaluate` does both in one call, and more.

Numbers are fractions 0..1. NaN means that the ground truth has nothing to measure by (COCOeval writes -1): no large
object, say, for `ap_large`.
"""

import contextlib
import dataclasses
import io
import logging

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.evaluation.coco_json import add_image, check_prepared, coco_results, empty_ground_truth

logger = logging.getLogger(__name__)

IOU_TYPES = ("bbox", "segm")
# Positions on the area axis of COCOeval's tables.
ALL, SMALL, MEDIUM, LARGE = range(4)


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """The scores of one class. `objects` counts its ground-truth objects (crowds not), `detections` its detections."""

    class_id: int
    name: str
    objects: int
    detections: int
    ap: float
    ap50: float
    ap75: float
    ar: float


@dataclasses.dataclass(frozen=True)
class CocoScores:
    """COCO's summary for boxes (`iou_type` "bbox") or masks ("segm").

    ap: mean over classes and over IoU thresholds 0.5, 0.55, ..., 0.95; ap50, ap75: at one threshold;
    ap_small, ap_medium, ap_large: objects below 32x32 pixels, up to 96x96, and above (area of the mask).
    ar: the recall reached with at most `max_detections[i]` detections an image; ar_small...: with the largest limit.
    All AP numbers count at most `max_detections[-1]` detections per image and class, those with the best scores.
    """

    iou_type: str
    ap: float
    ap50: float
    ap75: float
    ap_small: float
    ap_medium: float
    ap_large: float
    ar: tuple
    ar_small: float
    ar_medium: float
    ar_large: float
    max_detections: tuple
    images: int
    per_class: tuple

    def __str__(self):
        what = {"bbox": "box ", "segm": "mask"}[self.iou_type]
        return (
            f"{what} AP {self.ap:.3f}  AP50 {self.ap50:.3f}  AP75 {self.ap75:.3f}  small {self.ap_small:.3f}  "
            f"medium {self.ap_medium:.3f}  large {self.ap_large:.3f}  AR {self.ar[-1]:.3f}"
        )


def detect_dataset(
    detect, dataset, image_ids=None, *, max_images=None, batch_size=1, skipped=None, progress=None
):  # fmt: skip
    """Run `detect` over the images of a prepared `Dataset`; masks are kept as RLE, so memory stays small.

    detect: function that takes a list of images [H, W, C] and returns a list of dicts "rois" [D, (y1, x1, y2, x2)]
        pixels, "class_ids" [D], "scores" [D] and "masks" [H, W, D], as `MaskRCNN.detect` does.
    image_ids: internal ids; default all. max_images: at most so many of them, spread evenly over the order given.
    batch_size: images handed to `detect` at a time. progress: function called with (images done, images in all).
    skipped: a list that takes the ids of images that cannot be loaded, and are then left out; None raises their error.

    Returns (ground_truth, results): dicts of the COCO annotation format, and a list in the COCO results format.
    """
    check_prepared(dataset)
    image_ids = _choose_images(dataset.image_ids if image_ids is None else image_ids, max_images)
    ground_truth, results = empty_ground_truth(dataset), []
    for start in range(0, len(image_ids), batch_size):
        batch_ids, images = _load_batch(ground_truth, dataset, image_ids[start : start + batch_size], skipped)
        detections = detect(images) if images else []
        if len(detections) != len(images):
            raise ValueError(
                f"evaluate: expected detect() to return one result per image, {len(images)}, "
                f"received len(results)={len(detections)}."
            )
        for image_id, image, found in zip(batch_ids, images, detections, strict=True):
            results += _image_results(image_id, image.shape, found, len(dataset.class_names))
        if progress is not None:
            progress(min(start + batch_size, len(image_ids)), len(image_ids))
    return ground_truth, results


def _load_batch(ground_truth, dataset, image_ids, skipped):
    """Ids and images of those that could be loaded; their objects are added to the ground truth."""
    loaded, images = [], []
    for image_id in image_ids:
        try:
            image = np.asarray(dataset.load_image(image_id))
            add_image(ground_truth, dataset, image_id, image_shape=image.shape)
        except Exception as error:  # of the user's own code
            if skipped is None:
                raise
            logger.warning("Image %s was not evaluated: %s: %s", image_id, type(error).__name__, error)
            skipped.append(image_id)
            continue
        loaded.append(image_id)
        images.append(image)
    return loaded, images


def _choose_images(image_ids, max_images):
    image_ids = list(dict.fromkeys(int(image_id) for image_id in image_ids))
    if max_images is None or len(image_ids) <= max_images:
        return image_ids
    # Evenly spaced, because many datasets are sorted by class or by recording.
    return [image_ids[i * len(image_ids) // max_images] for i in range(max_images)]


def _image_results(image_id, image_shape, found, num_classes):
    masks = found.get("masks")
    unknown = sorted({int(class_id) for class_id in found["class_ids"] if not 1 <= class_id < num_classes})
    if unknown:
        raise DatasetError(
            f"evaluate: expected detections of class ids 1 to {num_classes - 1}, the classes of the data set, received "
            f"class_ids={unknown} in image {image_id}. Data set and model must have the same classes: NUM_CLASSES is "
            f"the number of classes with background, and add_class has to be called for each, in the model's order."
        )
    if masks is not None and np.shape(masks)[-1] and np.shape(masks)[:2] != tuple(image_shape[:2]):
        raise DatasetError(
            f"evaluate: expected masks as large as image {image_id}, {list(image_shape[:2])}, "
            f"received masks={list(np.shape(masks))}. detect() must return masks of the original image."
        )
    return coco_results(image_id, found["rois"], found["class_ids"], found["scores"], masks)


def evaluate_detections(ground_truth, results, iou_types=IOU_TYPES, *, max_detections=(1, 10, 100)):
    """Score detections in COCO's results format against ground truth in its annotation format.

    ground_truth: dict, from `coco_ground_truth` or a COCO file. results: list of dicts, may be empty (AP 0).
    iou_types: "bbox" compares boxes, "segm" masks. Crowds are regions in which detections count neither way.
    max_detections: rising limits of detections per image and class. COCO's are (1, 10, 100); raise the last one when
        images hold more than 100 objects of a class (the numbers then are not comparable with published ones).

    Returns {iou_type: CocoScores}. Arguments are not changed. Errors: DatasetError for detections on images that the
    ground truth does not list, or without masks where masks are to be compared.
    """
    max_detections = tuple(sorted(int(limit) for limit in max_detections))
    unknown = {result["category_id"] for result in results} - {one["id"] for one in ground_truth["categories"]}
    if unknown:
        raise DatasetError(
            "evaluate_detections: expected detections of the ground truth's categories, received "
            f"category_id={_some(unknown)}. Results must have the ids of the annotation file; those of a Dataset are "
            "translated by with_source_ids()."
        )
    unknown = {result["image_id"] for result in results} - {image["id"] for image in ground_truth["images"]}
    if unknown:
        raise DatasetError(
            f"evaluate_detections: expected detections on images of the ground truth, received "
            f"image_id={_some(unknown)}. Make ground truth and results from the same dataset and image ids."
        )
    if "segm" in iou_types and any("segmentation" not in result for result in results):
        raise DatasetError(
            "evaluate_detections: expected a segmentation in every result for iou_types='segm', received some without. "
            "Pass the masks to coco_results(), or iou_types=('bbox',)."
        )
    return {
        iou_type: _scores(_run_coco_eval(ground_truth, results, iou_type, max_detections)) for iou_type in iou_types
    }


def _some(ids):
    return sorted(ids, key=str)[:5]


def _run_coco_eval(ground_truth, results, iou_type, max_detections):
    """A COCOeval that has evaluated and accumulated. pycocotools prints as it goes and writes into what it gets."""
    detections = [dict(result) for result in results]
    if iou_type == "segm":
        for detection in detections:
            # With a box present loadRes takes the box's area for the mask's, and AP by size comes out wrong.
            detection.pop("bbox", None)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _coco(ground_truth)
        # loadRes reads the first result to learn their kind, so it fails on none.
        found = truth.loadRes(detections) if detections else _coco({**ground_truth, "annotations": []})
        coco_eval = COCOeval(truth, found, iou_type)
        coco_eval.params.maxDets = list(max_detections)
        coco_eval.evaluate()
        coco_eval.accumulate()
    return coco_eval


def _coco(ground_truth):
    coco = COCO()
    coco.dataset = {**ground_truth, "annotations": [dict(annotation) for annotation in ground_truth["annotations"]]}
    coco.createIndex()
    return coco


def _scores(coco_eval):
    """The summary of an accumulated COCOeval. Its own `summarize` needs exactly three limits with 100 among them."""
    params = coco_eval.params
    class_ids = [one.item() if isinstance(one, np.generic) else one for one in params.catIds]  # fit for JSON
    # precision: [IoU threshold, recall level, class, area range, limit]; recall: the same without recall level.
    precision, recall = coco_eval.eval["precision"], coco_eval.eval["recall"]
    iou50, iou75 = (int(np.argmin(np.abs(np.asarray(params.iouThrs) - iou))) for iou in (0.5, 0.75))
    return CocoScores(
        iou_type=params.iouType,
        ap=_mean(precision[:, :, :, ALL, -1]),
        ap50=_mean(precision[iou50, :, :, ALL, -1]),
        ap75=_mean(precision[iou75, :, :, ALL, -1]),
        ap_small=_mean(precision[:, :, :, SMALL, -1]),
        ap_medium=_mean(precision[:, :, :, MEDIUM, -1]),
        ap_large=_mean(precision[:, :, :, LARGE, -1]),
        ar=tuple(_mean(recall[:, :, ALL, limit]) for limit in range(len(params.maxDets))),
        ar_small=_mean(recall[:, :, SMALL, -1]),
        ar_medium=_mean(recall[:, :, MEDIUM, -1]),
        ar_large=_mean(recall[:, :, LARGE, -1]),
        max_detections=tuple(params.maxDets),
        images=len(params.imgIds),
        per_class=tuple(
            ClassScores(
                class_id=class_id,
                name=coco_eval.cocoGt.cats[class_id]["name"],
                objects=len(coco_eval.cocoGt.getAnnIds(catIds=[class_id], iscrowd=False)),
                detections=len(coco_eval.cocoDt.getAnnIds(catIds=[class_id])),
                ap=_mean(precision[:, :, k, ALL, -1]),
                ap50=_mean(precision[iou50, :, k, ALL, -1]),
                ap75=_mean(precision[iou75, :, k, ALL, -1]),
                ar=_mean(recall[:, k, ALL, -1]),
            )
            for k, class_id in enumerate(class_ids)
        ),
    )


def _mean(table):
    """Mean of the entries that COCOeval filled in; NaN if there are none."""
    measured = table[table > -1]
    return float(np.mean(measured)) if measured.size else float("nan")
