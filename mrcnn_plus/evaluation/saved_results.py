"""Evaluation of detections that were saved: a COCO annotation file and a COCO results file, without any model."""

import json
import math
import os
import time
from pathlib import Path

from pycocotools import mask as coco_mask

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.evaluation.coco import IOU_TYPES
from mrcnn_plus.evaluation.evaluator import check_counts, score_results

_ANNOTATIONS = 'a COCO annotation file {"images": [...], "annotations": [...], "categories": [...]}'
_RESULTS = (
    'a COCO results file [{"image_id": 1, "category_id": 1, "score": 0.9, "bbox": [x, y, width, height], ...}, ...]'
)
_SHAPES = {"bbox": "bbox", "segm": "segmentation"}


def evaluate_saved(annotations, results, *, limit=None, iou_types=None, **options):
    """The `EvaluationResult` of a file of results against a file of annotations.

    annotations, results: paths of JSON files. limit: at most so many images, spread evenly.
    iou_types: "bbox", "segm"; by default those for which every result and every object has what is compared.
    options: `classes`, `score`, `iou` and `max_detections` of `evaluate`.

    Where a result has a bbox and a segmentation, masks are sorted into small, medium and large by their own area
    (COCOeval by itself takes the area of the box then). Raises DatasetError that names the file and the place in it.
    """
    check_counts(limit=limit)
    begin = time.perf_counter()
    truth = read_annotations(annotations)
    found = read_results(results, truth)
    if limit is not None and limit < len(truth["images"]):
        count = len(truth["images"])
        truth, found = _of_images(truth, found, [truth["images"][i * count // limit] for i in range(limit)])
    if iou_types is None:
        iou_types = tuple(kind for kind in IOU_TYPES if _have(_SHAPES[kind], truth, found))
    for kind in iou_types:
        if not _have(_SHAPES[kind], truth, found):
            raise DatasetError(
                f"{os.fspath(results)!r}: expected a {_SHAPES[kind]} in every result and annotation, because "
                f"iou_types={tuple(iou_types)!r} compares it, received some without."
            )
    return score_results(truth, found, iou_types=iou_types or ("bbox",), begin=begin, **options)


def read_annotations(path):
    """The content of a COCO annotation file, with every segmentation as RLE. Crowds keep `iscrowd`."""
    data = _read_json(path, _ANNOTATIONS)
    if not isinstance(data, dict) or not all(isinstance(data.get(key), list) for key in _KEYS):
        raise DatasetError(f"{os.fspath(path)!r}: expected {_ANNOTATIONS}, received {_words(data)}.")
    for key, needed in _KEYS.items():
        for number, record in enumerate(data[key]):
            _require(record, needed, f"{os.fspath(path)!r}, {key}[{number}]")
    images = {image["id"]: image for image in data["images"]}
    categories = {category["id"] for category in data["categories"]}
    for number, annotation in enumerate(data["annotations"]):
        place = f"{os.fspath(path)!r}, annotations[{number}]"
        if annotation["image_id"] not in images or annotation["category_id"] not in categories:
            raise DatasetError(
                f"{place}: expected an image_id and category_id that the file lists, received: "
                f"image_id={annotation['image_id']!r}, category_id={annotation['category_id']!r}. "
                "`mrcnn-plus check-data` names everything of the kind."
            )
        # COCOeval takes a match with id 0 for no match, and looks annotations up by their ids.
        annotation["id"] = number + 1
        _complete(annotation, images[annotation["image_id"]], place)
    return data


_KEYS = {
    "images": ("id", "width", "height"),
    "annotations": ("image_id", "category_id"),
    "categories": ("id", "name"),
}


def _complete(annotation, image, place):
    """Bring the segmentation to RLE, and fill in box and area where they are missing."""
    segmentation = annotation.get("segmentation")
    if segmentation:
        annotation["segmentation"] = _as_rle(segmentation, image, place)
    else:
        annotation.pop("segmentation", None)
    if not annotation.get("bbox"):
        if not segmentation:
            raise DatasetError(f"{place}: expected a bbox or a segmentation, received {sorted(annotation)}.")
        annotation["bbox"] = coco_mask.toBbox(annotation["segmentation"]).tolist()
    _check_box(annotation["bbox"], place)
    if annotation.get("area") is None:
        has_mask = "segmentation" in annotation
        width, height = annotation["bbox"][2:]
        annotation["area"] = float(coco_mask.area(annotation["segmentation"])) if has_mask else width * height
    annotation["iscrowd"] = int(bool(annotation.get("iscrowd")))


def _as_rle(segmentation, image, place):
    """COCO's polygons, RLE as numbers or RLE as text: all as RLE as text."""
    try:
        if isinstance(segmentation, list):
            parts = coco_mask.frPyObjects(segmentation, image["height"], image["width"])
            rle = coco_mask.merge(parts)
        elif isinstance(segmentation["counts"], list):
            rle = coco_mask.frPyObjects(segmentation, *segmentation["size"])
        else:
            rle = {**segmentation, "counts": segmentation["counts"].encode("ascii")}
    except Exception as error:  # pycocotools raises that, too
        raise DatasetError(
            f"{place}: expected a segmentation of polygons [[x, y, x, y, x, y, ...], ...] or RLE, received one that "
            f"cannot be read ({type(error).__name__}: {error})."
        ) from error
    rle = {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}
    _check_size(rle, image, place)
    return rle


def read_results(path, truth):
    """The content of a COCO results file: a list of dicts, checked against the annotations, with boxes filled in."""
    data = _read_json(path, _RESULTS)
    if not isinstance(data, list):
        raise DatasetError(f"{os.fspath(path)!r}: expected {_RESULTS}, received {_words(data)}.")
    for number, result in enumerate(data):
        place = f"{os.fspath(path)!r}, [{number}]"
        _require(result, ("image_id", "category_id", "score"), place)
        score = result["score"]
        if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
            raise DatasetError(f"{place}: expected a number as score, received: score={score!r}.")
    _check_ids(truth, data, path)
    images = {image["id"]: image for image in truth["images"]}
    for number, result in enumerate(data):
        _check_shapes(result, images[result["image_id"]], f"{os.fspath(path)!r}, [{number}]")
    return data


def _check_shapes(result, image, place):
    """Raise DatasetError unless a result has a box or a mask of the size of its image."""
    rle = result.get("segmentation")
    if not rle:
        result.pop("segmentation", None)
        if not result.get("bbox"):
            raise DatasetError(f"{place}: expected a bbox or a segmentation, received {sorted(result)}.")
    elif not isinstance(rle, dict) or not isinstance(rle.get("counts"), str):
        raise DatasetError(
            f"{place}: expected the segmentation as compressed RLE, as COCO's results format asks, received a "
            f"{type(rle).__name__}. pycocotools.mask.frPyObjects(polygons, height, width) makes RLE of polygons."
        )
    else:
        _check_size(rle, image, place)
    if not result.get("bbox"):
        result["bbox"] = coco_mask.toBbox(rle).tolist()
    _check_box(result["bbox"], place)


def _check_size(rle, image, place):
    if list(rle.get("size", ())) != [image["height"], image["width"]]:
        raise DatasetError(
            f"{place}: expected a mask of the size of image {image['id']}, [height, width]="
            f"{[image['height'], image['width']]}, received: size={rle.get('size')}. Masks belong to the original "
            "image, not to the resized one."
        )


def _check_box(box, place):
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)
    if not numbers or not all(map(math.isfinite, box)) or min(box[2:]) < 0:
        raise DatasetError(f"{place}: expected bbox=[x, y, width, height] in pixels, received: bbox={box!r}.")


def _check_ids(truth, found, path):
    """Raise DatasetError for results of images or categories that the annotations do not have."""
    for name, key in (("image_id", "images"), ("category_id", "categories")):
        known = {record["id"] for record in truth[key]}
        unknown = sorted({result[name] for result in found} - known, key=str)
        if unknown:
            raise DatasetError(
                f"{os.fspath(path)!r}: expected {name} of the annotation file, which has {sorted(known, key=str)[:5]}, "
                f"..., received: {name}={unknown[:5]}. Results must have the ids of the annotation file; "
                "mrcnn_plus.evaluation.with_source_ids translates those of a Dataset."
            )


def _of_images(truth, found, images):
    ids = {image["id"] for image in images}
    annotations = [one for one in truth["annotations"] if one["image_id"] in ids]
    chosen = {**truth, "images": images, "annotations": annotations}
    return chosen, [result for result in found if result["image_id"] in ids]


def _have(shape, truth, found):
    """Whether every object and every detection has this shape."""
    return all(shape in one for one in (*truth["annotations"], *found))


def _require(record, names, place):
    missing = [name for name in names if not isinstance(record, dict) or record.get(name) is None]
    if missing:
        raise DatasetError(f"{place}: expected {', '.join(names)}, received none of: {', '.join(missing)}.")


def _read_json(path, expected):
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DatasetError(f"{os.fspath(path)!r}: expected {expected}; cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise DatasetError(f"{os.fspath(path)!r}: expected {expected}; it is no JSON: {error}.") from error


def _words(data):
    if isinstance(data, dict):
        return f"a dict with {sorted(data)[:8]}"
    return f"a {type(data).__name__}"
