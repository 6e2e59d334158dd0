"""Ground truth and detections as the plain dicts of the COCO formats (cocodataset.org, "data format" and "results").

They can be written with `json.dump` and read by any COCO tool. Boxes are COCO's [x, y, width, height] in pixels; image
ids and category ids are the internal ids of the `Dataset`, so category 1 is the first class after the background;
`with_source_ids` translates them into those of the user's own file.
"""

import logging

import numpy as np
from pycocotools import mask as coco_mask

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.evaluation.declared import Declared, declared_values

logger = logging.getLogger(__name__)

# A declared box that overlaps the box of its mask less than this is taken for a mistake of the file.
_LEAST_IOU_OF_DECLARED_BOX = 0.5


def coco_ground_truth(dataset, image_ids=None):
    """The images `image_ids` (default: all) of a prepared `Dataset` as a COCO annotation dict.

    Each instance of `load_mask` becomes one annotation: its mask as RLE, the area in pixels, the box tight around it. A
    negative class id is a crowd (Matterport's convention) and becomes `iscrowd=1`. Instances whose mask is empty are
    left out, since nothing could find them; training leaves them out too. Area and box are those of the user's
    annotation file where it declares them (`declared.py`), as COCO does.

    Errors: DatasetError if an image's masks and class ids do not belong together; it names the image.
    """
    check_prepared(dataset)
    ground_truth = empty_ground_truth(dataset)
    for image_id in dataset.image_ids if image_ids is None else image_ids:
        add_image(ground_truth, dataset, image_id)
    return ground_truth


def check_prepared(dataset):
    """DatasetError if `dataset.prepare()` has not been called or there are no images."""
    if not hasattr(dataset, "class_names") or len(dataset.image_ids) == 0:
        raise DatasetError(
            f"{type(dataset).__name__}: expected a dataset with images, received image_ids={list(dataset.image_ids)}. "
            "Add images with add_image() and call prepare() before the evaluation."
        )


def empty_ground_truth(dataset):
    """The COCO dict with the classes of `dataset` and no image yet."""
    categories = [{"id": class_id, "name": name} for class_id, name in enumerate(dataset.class_names) if class_id > 0]
    return {"info": {}, "images": [], "annotations": [], "categories": categories}


def add_image(ground_truth, dataset, image_id, *, image_shape=None):
    """Append one image and its instances to `ground_truth` (in place).

    image_shape: (height, width, ...) when the caller has loaded the image; otherwise the masks tell the size.
    """
    image_id = int(image_id)
    masks, class_ids = _load_instances(dataset, image_id)
    height, width = _image_size(dataset, image_id, masks, image_shape)
    info = dataset.image_info[image_id]
    name = str(info.get("path") or info.get("id"))
    ground_truth["images"].append({"id": image_id, "width": width, "height": height, "file_name": name})

    empty = 0
    declared = declared_values(dataset, image_id, class_ids.tolist(), (height, width))
    declared = declared or [Declared(None, None)] * len(class_ids)
    for rle, class_id, (area, box) in zip(encode_masks(masks), class_ids.tolist(), declared, strict=True):
        pixels = int(coco_mask.area(rle))
        if pixels == 0:
            empty += class_id != 0  # programs return an empty mask of class 0 for an image without objects
            continue
        ground_truth["annotations"].append(
            {
                # COCOeval takes a match with id 0 for no match: ids start at 1.
                "id": len(ground_truth["annotations"]) + 1,
                "image_id": image_id,
                "category_id": abs(class_id),
                "segmentation": rle,
                "area": pixels if area is None else area,
                "bbox": _box(rle, box),
                "iscrowd": int(class_id < 0),
            }
        )
    if empty:
        logger.warning("%s: %d masks are empty and not evaluated.", _name(dataset, image_id), empty)


def _box(rle, declared):
    """[x, y, width, height]: the declared box if it fits the mask, else the one tight around it."""
    tight = coco_mask.toBbox(rle).tolist()
    if declared is None:
        return tight
    fits = float(coco_mask.iou([declared], [tight], [0])[0, 0]) >= _LEAST_IOU_OF_DECLARED_BOX
    return declared if fits else tight


def _load_instances(dataset, image_id):
    """masks [H, W, N] and class_ids [N] of `dataset.load_mask`, checked against each other and the classes."""
    masks, class_ids = dataset.load_mask(image_id)
    masks, class_ids = np.asarray(masks), np.asarray(class_ids, dtype=np.int64).reshape(-1)
    if masks.ndim != 3 or masks.shape[-1] != len(class_ids):
        raise DatasetError(
            f"{_name(dataset, image_id)}: expected load_mask() to return masks [H, W, N] and class_ids [N], "
            f"received masks={list(masks.shape)}, class_ids={list(class_ids.shape)}. "
            "Stack one mask per instance along the last axis."
        )
    unknown = sorted({int(c) for c in class_ids if abs(c) >= len(dataset.class_names)})
    background = np.flatnonzero(class_ids == 0)
    if background.size and masks[..., background].any():
        unknown = [0, *unknown]
    if unknown:
        raise DatasetError(
            f"{_name(dataset, image_id)}: expected class ids 1..{len(dataset.class_names) - 1} (negative for crowds), "
            f"received class_ids={unknown}. Register the class with add_class() and use its id after prepare()."
        )
    return masks, class_ids


def _image_size(dataset, image_id, masks, image_shape):
    """(height, width) of the image; DatasetError when the masks have another size."""
    if image_shape is None:
        has_size = masks.shape[0] > 0 and masks.shape[1] > 0
        image_shape = masks.shape if has_size else dataset.load_image(image_id).shape
    height, width = (int(side) for side in image_shape[:2])
    if masks.shape[-1] and masks.shape[:2] != (height, width):
        raise DatasetError(
            f"{_name(dataset, image_id)}: expected masks as large as the image, {height}x{width}, "
            f"received masks={list(masks.shape)}. Draw the masks at the size that load_image() returns."
        )
    return height, width


def coco_results(image_id, rois, class_ids, scores, masks=None):
    """The detections of one image, as `MaskRCNN.detect` returns them, as a list of COCO result dicts.

    rois: [D, (y1, x1, y2, x2)] pixels of the original image; y2, x2 are exclusive, so width = x2 - x1.
    class_ids: [D] int. scores: [D] float. masks: [H, W, D] bool, or None for boxes alone.
    """
    rois = np.asarray(rois, dtype=np.float64).reshape(-1, 4)
    class_ids, scores = np.asarray(class_ids).reshape(-1), np.asarray(scores).reshape(-1)
    mask_count = len(rois) if masks is None else np.shape(masks)[-1]
    if not len(rois) == len(class_ids) == len(scores) == mask_count:
        raise DatasetError(
            f"coco_results, image {image_id}: expected a class id, score and mask per box, received rois={len(rois)}, "
            f"class_ids={len(class_ids)}, scores={len(scores)}, masks={mask_count}. Pass one detection result."
        )
    y1, x1, y2, x2 = rois.T
    boxes_xywh = np.stack([x1, y1, x2 - x1, y2 - y1], axis=1).tolist()
    results = [
        {"image_id": int(image_id), "category_id": int(class_id), "bbox": box, "score": float(score)}
        for class_id, box, score in zip(class_ids, boxes_xywh, scores, strict=True)
    ]
    if masks is not None:
        for result, rle in zip(results, encode_masks(masks), strict=True):
            result["segmentation"] = rle
    return results


def encode_masks(masks):
    """masks [H, W, N] (bool, or numbers with the object above 0.5) as a list of N compressed RLE dicts fit for JSON."""
    masks = np.asarray(masks)
    if masks.shape[-1] == 0:
        return []
    encoded = coco_mask.encode(np.asfortranarray(masks > 0.5, dtype=np.uint8))
    return [{"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode("ascii")} for rle in encoded]


def with_source_ids(ground_truth, results, dataset):
    """Copies of both with the ids that images and classes have in their source: those of the user's own COCO file.

    For comparing with the file itself, or for a server that evaluates results. Raises DatasetError if the data set has
    images of several sources, whose ids may be equal.
    """
    images = {image["id"]: dataset.image_info[image["id"]] for image in ground_truth["images"]}
    sources = sorted({str(info["source"]) for info in images.values()})
    if len(sources) > 1:
        raise DatasetError(
            f"with_source_ids: expected images of one source, received sources={sources}. Take the image_ids of one "
            "source at a time."
        )
    classes = {class_id: info["id"] for class_id, info in enumerate(dataset.class_info) if info["source"] in sources}

    def translated(record):
        image_id, category_id = images[record["image_id"]]["id"], classes[record["category_id"]]
        return {**record, "image_id": image_id, "category_id": category_id}

    def of_source(records):
        return [translated(record) for record in records if record["category_id"] in classes]

    truth = {
        **ground_truth,
        "images": [{**image, "id": images[image["id"]]["id"]} for image in ground_truth["images"]],
        "annotations": of_source(ground_truth["annotations"]),
        "categories": [
            {**category, "id": classes[category["id"]]}
            for category in ground_truth["categories"]
            if category["id"] in classes
        ],
    }
    return truth, of_source(results)


def _name(dataset, image_id):
    """How messages call an image: its number, and its own id in its source."""
    info = dataset.image_info[image_id]
    return f"{type(dataset).__name__}, image {image_id} ({info.get('source')}.{info.get('id')})"
