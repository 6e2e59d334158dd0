"""What an evaluation leaves in a folder: the result as JSON, the classes as CSV, pictures of best and worst images.

Needs no Keras.
"""

import csv
import json
import logging
import os
import re
from dataclasses import asdict

import numpy as np
from pycocotools import mask as coco_mask

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.evaluation.result import without_nan

logger = logging.getLogger(__name__)

CLASSES_FILE = "classes.csv"
_LONGER_SIDE = 640  # of a picture, in pixels
_JPEG_QUALITY = 85


def write_epoch(result, dataset, folder, epoch, *, images=8):
    """Write the evaluation after `epoch` (counted from 1) into a folder; returns the path of the JSON.

    epoch_0005.json has what `EvaluationResult.to_dict` has, and "epoch"; best and worst images have "picture", the path
    of their picture beside the JSON, or None. classes.csv gets a row for every class: the course over all epochs.
    images: how many of the best and of the worst are drawn.
    """
    os.makedirs(folder, exist_ok=True)
    name = f"epoch_{epoch:04d}"
    content = {"epoch": epoch, **result.to_dict(images=images)}
    add_pictures(content, result, dataset, folder, name, images=images)
    _add_classes(os.path.join(folder, CLASSES_FILE), epoch, result)
    path = os.path.join(folder, f"{name}.json")
    write_json(path, content)
    return path


def write_json(path, content):
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, ensure_ascii=False, allow_nan=False)


def add_pictures(content, result, dataset, folder, name, *, images=8):
    """Draw the best and worst images into `folder/name` and put the paths into `content`, a dict of `to_dict`."""
    for kind, chosen in (("worst", result.worst_images(images)), ("best", result.best_images(images))):
        for number, (entry, image) in enumerate(zip(content[kind], chosen, strict=True), start=1):
            entry["picture"] = None
            file = f"{kind}_{number}_{_short_name(image.name)}.jpg"
            try:
                pixels = picture_of(result, dataset, image.image_id)
                os.makedirs(os.path.join(folder, name), exist_ok=True)
                _write_jpeg(os.path.join(folder, name, file), pixels)
            except Exception as error:  # a picture must not end training
                logger.warning("No picture of image %s: %s: %s", image.image_id, type(error).__name__, error)
                continue
            entry["picture"] = f"{name}/{file}"


def picture_of(result, dataset, image_id):
    """Uint8 [H, W, 3]: an image of an `EvaluationResult` with what is missed, false or of a wrong class."""
    from mrcnn_plus.drawing.mistakes import draw_mistakes

    outcome = result.outcome_of(image_id)
    return draw_mistakes(
        dataset.load_image(image_id),
        _instances(outcome.matches.objects),
        _instances(outcome.matches.detections),
        {"detections": outcome.detections, "ground_truth": outcome.objects},
        dataset.class_names,
        longer_side=_LONGER_SIDE,
    )


def _instances(records):
    """COCO's dicts as the arrays of `MaskRCNN.detect`: boxes as y1, x1, y2, x2, masks [H, W, N] or None."""
    boxes = np.array([record["bbox"] for record in records], float).reshape(-1, 4)
    x, y, width, height = boxes.T
    arrays = {
        "rois": np.stack([y, x, y + height, x + width], axis=1),
        "class_ids": np.array([record["category_id"] for record in records], int),
        "masks": None,
    }
    if records and all("segmentation" in record for record in records):
        arrays["masks"] = np.asarray(coco_mask.decode([record["segmentation"] for record in records])).astype(bool)
    if records and "score" in records[0]:
        arrays["scores"] = np.array([record["score"] for record in records], float)
    return arrays


def _write_jpeg(path, pixels):
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="JPEG", quality=_JPEG_QUALITY)


def _short_name(name):
    """The stem of a file as part of a file name on any system."""
    stem = os.path.splitext(re.split(r"[/\\]", name)[-1])[0]
    return re.sub(r"[^\w-]+", "_", stem)[:40] or "image"


def _add_classes(path, epoch, result):
    """Put the rows of an epoch into the table of classes, in the place of older ones of this epoch."""
    rows = []
    if os.path.exists(path):
        with open(path, newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("epoch") != str(epoch)]
    for row in result.classes:
        values = without_nan({"epoch": epoch, **asdict(row)})
        rows.append({name: "" if value is None else value for name, value in values.items()})
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        header = list(rows[-1]) if rows else ["epoch"]
        writer = csv.DictWriter(file, header, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
