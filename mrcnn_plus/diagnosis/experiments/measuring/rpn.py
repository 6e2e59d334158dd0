"""Measures the experiment `rpn`."""

import keras
import numpy as np

from mrcnn_plus.config_values import anchor_cache
from mrcnn_plus.constants import RPN_POSITIVE_IOU
from mrcnn_plus.diagnosis.experiments.measuring.pictures import boxes_picture, grid
from mrcnn_plus.diagnosis.experiments.measuring.subject import (
    choose_images,
    detect_outputs,
    detection_graph,
    load_truth,
)
from mrcnn_plus.diagnosis.experiments.measuring.weights import untrained_parts
from mrcnn_plus.diagnosis.experiments.outcome import conclude
from mrcnn_plus.diagnosis.experiments.rpn import COUNTS, HALF, USUAL_NMS, Proposals, ProposedObject
from mrcnn_plus.geometry.boxes import compute_overlaps, non_max_suppression, norm_boxes

_PROPOSALS = 4  # among the outputs of the detection graph
_DRAWN = 6
_WHITE, _GREEN, _ORANGE, _RED = (255, 255, 255), (60, 220, 110), (255, 165, 40), (255, 70, 80)
_TIE = 1e-6  # as in network/rpn_targets.py


def rpn(model, dataset, *, images=50, seed=0, run=None, notes=()):
    """The experiment `rpn`: recall of anchors and proposals by class and size; the positive anchors are drawn.

    model: a `MaskRCNN`. dataset: a prepared `Dataset`. images: how many with objects to look at, chosen by `seed`.
    Returns an `Outcome` with the picture `rpn_anchors.png`: objects in white, in red if no anchor is positive but the
    best one; positive anchors in orange; the first proposal that overlaps an object by half in green.
    """
    config = model.config
    count = max(COUNTS[-1], config.POST_NMS_ROIS_INFERENCE)
    proposals_graph = _proposals_graph(model, POST_NMS_ROIS_INFERENCE=count)
    usual_graph = _proposals_graph(model, RPN_NMS_THRESHOLD=USUAL_NMS) if _has_other_nms(config) else None
    anchors_of = anchor_cache(config)
    rng = np.random.default_rng(seed)
    objects, pictures, usual = [], [], []
    image_ids = choose_images(dataset, images, seed=seed)
    for image_id in image_ids:
        truth = load_truth(config, dataset, image_id)
        if not len(truth.class_ids):
            continue
        anchors = anchors_of.pixels(truth.image.shape)
        proposals = detect_outputs(proposals_graph, model, truth.image[None], truth.meta[None])[0][0]
        chance = _random_proposals(anchors, truth.image.shape, config, count, rng)
        found = _objects_of(truth, anchors, proposals, chance, dataset.class_names)
        objects += found
        if usual_graph is not None:
            boxes = detect_outputs(usual_graph, model, truth.image[None], truth.meta[None])[0][0]
            usual += (compute_overlaps(boxes, truth.boxes_norm) >= HALF).any(axis=0).tolist()
        if len(pictures) < _DRAWN:
            pictures.append(_drawn(truth, anchors, proposals, found))
    result = Proposals(
        objects=tuple(objects),
        images=len(image_ids),
        in_training=int(config.POST_NMS_ROIS_TRAINING),
        in_detection=int(config.POST_NMS_ROIS_INFERENCE),
        is_untrained="rpn" in untrained_parts(proposals_graph),
        nms_threshold=float(config.RPN_NMS_THRESHOLD),
        with_usual_nms=float(np.mean(usual)) if usual else None,
    )
    return conclude(result, config, run=run, figures={"rpn_anchors.png": grid(pictures)}, notes=notes)


def _proposals_graph(model, **settings):
    graph = detection_graph(model, **settings)
    return keras.Model(graph.inputs, graph.outputs[_PROPOSALS])


def _has_other_nms(config):
    return abs(config.RPN_NMS_THRESHOLD - USUAL_NMS) > 1e-6


def _objects_of(truth, anchors, proposals, chance, class_names):
    """A `ProposedObject` for each object of an image."""
    boxes = truth.boxes_norm
    proposals = proposals[proposals.any(axis=1)]
    near = compute_overlaps(proposals, boxes) >= HALF
    near_by_chance = compute_overlaps(chance, boxes) >= HALF
    sides = np.sqrt((truth.boxes_px[:, 2:] - truth.boxes_px[:, :2]).prod(axis=1))
    found = []
    for number, class_id in enumerate(truth.class_ids):
        overlaps = compute_overlaps(anchors, truth.boxes_px[number : number + 1])[:, 0]
        found.append(
            ProposedObject(
                class_name=str(class_names[class_id]),
                side=float(sides[number]),
                anchor_iou=float(overlaps.max()),
                positive_anchors=int(positive_anchors(overlaps).sum()),
                rank=_first(near[:, number]),
                chance_rank=_first(near_by_chance[:, number]),
            )
        )
    return found


def positive_anchors(overlaps):
    """Which anchors train the RPN as positive for an object: bool `[A]`, from their overlaps with it."""
    best = overlaps.max()
    return (overlaps >= RPN_POSITIVE_IOU) | ((best > 0) & (overlaps >= best - _TIE))


def _first(flags):
    """Index of the first that is set, or None."""
    return int(flags.argmax()) if flags.any() else None


def _random_proposals(anchors, shape, config, count, rng):
    """What the proposal layer would give for random scores and no refinement: boxes `[<= count, 4]`, normalized."""
    chosen = rng.permutation(len(anchors))[: config.PRE_NMS_LIMIT]
    boxes = np.clip(norm_boxes(anchors[chosen], shape[:2]), 0.0, 1.0)
    boxes = boxes[((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)]
    kept = non_max_suppression(boxes, np.arange(len(boxes), 0, -1), config.RPN_NMS_THRESHOLD)
    return boxes[kept[:count]]


def _drawn(truth, anchors, proposals, objects):
    """The picture of an image: objects, their positive anchors, and the first proposal of each."""
    positives, firsts = [], []
    height, width = truth.image.shape[:2]
    for box, item in zip(truth.boxes_px, objects, strict=True):
        overlaps = compute_overlaps(anchors, box[None])[:, 0]
        positives.append(anchors[positive_anchors(overlaps)])
        if item.rank is not None:
            firsts.append(proposals[item.rank] * np.array([height - 1, width - 1] * 2) + [0, 0, 1, 1])
    near = np.array([item.anchor_iou >= HALF for item in objects])
    names = [f"{item.class_name} {item.anchor_iou:.2f}" for item in objects]
    return boxes_picture(
        truth.picture,
        [
            (np.concatenate(positives), _ORANGE, 1, None),
            (np.array(firsts), _GREEN, 1, None),
            (truth.boxes_px[near], _WHITE, 2, [name for name, flag in zip(names, near, strict=True) if flag]),
            (truth.boxes_px[~near], _RED, 2, [name for name, flag in zip(names, near, strict=True) if not flag]),
        ],
    )
