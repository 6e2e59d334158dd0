"""COCO evaluation, the numbers that papers report: AP and AR of boxes and masks, computed by pycocotools.

    detect_dataset   runs a detector over a dataset     -> COCO json of ground truth and of detections
    evaluate_detections   COCOeval on the two           -> {"bbox": CocoScores, "segm": CocoScores}
    evaluate         both in one call

Numbers are fractions 0..1. NaN means that the ground truth has nothing to measure by (COCOeval writes -1): no large
object, say, for `ap_large`.
"""

import contextlib
import dataclasses
import io

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.evaluation.coco_json import add_image, check_prepared, coco_results, empty_ground_truth

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


def evaluate(
    detect, dataset, image_ids=None, *,
    max_images=None, batch_size=1, iou_types=IOU_TYPES, max_detections=(1, 10, 100), progress=None,
):  # fmt: skip
    """Detect on the images of `dataset` and score the result: {"bbox": CocoScores, "segm": CocoScores}.

    Arguments as in `detect_dataset` and `evaluate_detections`.
    """
    ground_truth, results = detect_dataset(
        detect, dataset, image_ids, max_images=max_images, batch_size=batch_size, progress=progress
    )
    return evaluate_detections(ground_truth, results, iou_types, max_detections=max_detections)


def detect_dataset(detect, dataset, image_ids=None, *, max_images=None, batch_size=1, progress=None):
    """Run `detect` over the images of a prepared `Dataset`; masks are kept as RLE, so memory stays small.

    detect: function that takes a list of images [H, W, C] and returns a list of dicts "rois" [D, (y1, x1, y2, x2)]
        pixels, "class_ids" [D], "scores" [D] and "masks" [H, W, D], as `MaskRCNN.detect` does.
    image_ids: internal ids; default all. max_images: at most so many of them, spread evenly over the order given.
    batch_size: images handed to `detect` at a time. progress: function called with (images done, images in all).

    Returns (ground_truth, results): dicts of the COCO annotation format, and a list in the COCO results format.
    """
    check_prepared(dataset)
    image_ids = _choose_images(dataset.image_ids if image_ids is None else image_ids, max_images)
    ground_truth, results = empty_ground_truth(dataset), []
    for start in range(0, len(image_ids), batch_size):
        batch_ids = image_ids[start : start + batch_size]
        images = [dataset.load_image(image_id) for image_id in batch_ids]
        detections = detect(images)
        if len(detections) != len(images):
            raise ValueError(
                f"evaluate: expected detect() to return one result per image, {len(images)}, "
                f"received len(results)={len(detections)}."
            )
        for image_id, image, found in zip(batch_ids, images, detections, strict=True):
            add_image(ground_truth, dataset, image_id, image_shape=image.shape)
            results += _image_results(image_id, image.shape, found)
        if progress is not None:
            progress(start + len(batch_ids), len(image_ids))
    return ground_truth, results


def _choose_images(image_ids, max_images):
    image_ids = [int(image_id) for image_id in image_ids]
    if max_images is None or len(image_ids) <= max_images:
        return image_ids
    # Evenly spaced, because many datasets are sorted by class or by recording.
    return [image_ids[i * len(image_ids) // max_images] for i in range(max_images)]


def _image_results(image_id, image_shape, found):
    masks = found.get("masks")
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
    unknown = sorted({result["image_id"] for result in results} - {image["id"] for image in ground_truth["images"]})
    if unknown:
        raise DatasetError(
            f"evaluate_detections: expected detections on images of the ground truth, received image_id={unknown[:5]}. "
            "Make ground truth and results from the same dataset and image ids."
        )
    if "segm" in iou_types and any("segmentation" not in result for result in results):
        raise DatasetError(
            "evaluate_detections: expected a segmentation in every result for iou_types='segm', received some without. "
            "Pass the masks to coco_results(), or iou_types=('bbox',)."
        )
    return {
        iou_type: _scores(_run_coco_eval(ground_truth, results, iou_type, max_detections)) for iou_type in iou_types
    }


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
            for k, class_id in enumerate(params.catIds)
        ),
    )


def _mean(table):
    """Mean of the entries that COCOeval filled in; NaN if there are none."""
    measured = table[table > -1]
    return float(np.mean(measured)) if measured.size else float("nan")
