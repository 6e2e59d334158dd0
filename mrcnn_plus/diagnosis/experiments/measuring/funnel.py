"""Measures the experiment `funnel`."""

import numpy as np

from mrcnn_plus.config_values import anchor_cache
from mrcnn_plus.constants import META_FIELDS
from mrcnn_plus.diagnosis.experiments.funnel import FOUND, STAGES, Funnel, TracedObject
from mrcnn_plus.diagnosis.experiments.measuring.pictures import boxes_picture, grid
from mrcnn_plus.diagnosis.experiments.measuring.subject import (
    choose_images,
    detect_outputs,
    detection_graph,
    image_names,
    load_truth,
)
from mrcnn_plus.diagnosis.experiments.measuring.tracing import (
    DetectionSettings,
    ImageAnswer,
    count_false,
    trace_objects,
)
from mrcnn_plus.diagnosis.experiments.outcome import conclude, csv_text
from mrcnn_plus.geometry.boxes import norm_boxes

_DRAWN = 6
_GREEN, _RED, _BLUE = (60, 220, 110), (255, 70, 80), (70, 180, 255)
_SETTINGS = (
    "DETECTION_MIN_CONFIDENCE",
    "DETECTION_NMS_THRESHOLD",
    "DETECTION_MAX_INSTANCES",
    "POST_NMS_ROIS_INFERENCE",
)


def funnel(model, dataset, *, images=50, seed=0, run=None, notes=()):
    """The experiment `funnel`: for each object of the ground truth, the stage of detection at which it is lost.

    model: a `MaskRCNN`. dataset: a prepared `Dataset`, best the validation data. images: how many with objects to look
    at, chosen by `seed`. Returns an `Outcome` with `funnel_objects.csv` and the picture `funnel_lost.png`:
    detections in blue, found objects in green, lost ones in red with the stage.
    """
    config = model.config
    graph = detection_graph(model)
    anchors_of = anchor_cache(config)
    image_ids = choose_images(dataset, images, seed=seed)
    objects, pictures, detections, false = [], [], 0, 0
    for image_id, name in zip(image_ids, image_names(dataset, image_ids), strict=True):
        truth = load_truth(config, dataset, image_id)
        outputs = detect_outputs(graph, model, truth.image[None], truth.meta[None])
        answer = _answer(outputs)
        settings = _settings(config, truth)
        traces = trace_objects(
            truth.boxes_norm,
            truth.class_ids,
            truth.masks,
            anchors=anchors_of.normalized(truth.image.shape),
            answer=answer,
            settings=settings,
            class_names=dataset.class_names,
        )
        traced = [
            TracedObject(name, number, str(dataset.class_names[class_id]), tuple(map(int, box)), *trace)
            for number, (class_id, box, trace) in enumerate(zip(truth.class_ids, truth.boxes_px, traces, strict=True))
        ]
        objects += traced
        counted = count_false(truth.boxes_norm, truth.class_ids, answer.detections)
        detections, false = detections + counted[0], false + counted[1]
        if len(pictures) < _DRAWN and any(item.lost_at != FOUND for item in traced):
            pictures.append(_drawn(truth, traced, answer.detections))
    result = Funnel(
        objects=tuple(objects),
        images=len(image_ids),
        detections=detections,
        false_detections=false,
        settings={setting: float(getattr(config, setting) or 0.0) for setting in _SETTINGS},
    )
    header = ("image", "object", "class", "lost_at", "score", "mask_iou", "reason")
    rows = [
        (item.image, item.number, item.class_name, item.lost_at, item.score, item.mask_iou, item.reason)
        for item in objects
    ]
    figures = {"funnel_objects.csv": csv_text(header, rows)}
    if pictures:
        figures["funnel_lost.png"] = grid(pictures)
    return conclude(result, config, run=run, figures=figures, notes=notes)


def _answer(outputs):
    """The `ImageAnswer` of the first image from the outputs of a detection graph."""
    detections, probabilities, deltas, masks, proposals = (value[0] for value in outputs[:5])
    return ImageAnswer(proposals, probabilities, deltas, detections, masks)


def _settings(config, truth):
    window = truth.meta[META_FIELDS["window"]]
    return DetectionSettings(
        min_confidence=float(config.DETECTION_MIN_CONFIDENCE or 0.0),
        nms_threshold=float(config.DETECTION_NMS_THRESHOLD),
        max_instances=int(config.DETECTION_MAX_INSTANCES),
        bbox_std_dev=config.BBOX_STD_DEV,
        window=norm_boxes(window, truth.image.shape[:2]),
    )


def _drawn(truth, traced, detections):
    height, width = truth.image.shape[:2]
    shown = detections[detections[:, 4] > 0]
    boxes = shown[:, :4] * np.array([height - 1, width - 1] * 2) + [0, 0, 1, 1]
    found = [item for item in traced if item.lost_at == FOUND]
    lost = [item for item in traced if item.lost_at in STAGES]
    return boxes_picture(
        truth.picture,
        [
            (boxes, _BLUE, 1, None),
            (np.array([item.box for item in found]), _GREEN, 2, None),
            (np.array([item.box for item in lost]), _RED, 2, [f"{item.class_name}: {item.lost_at}" for item in lost]),
        ],
    )
