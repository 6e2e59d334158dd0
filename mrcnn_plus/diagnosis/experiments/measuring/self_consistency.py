"""Measures the experiment `self-consistency`."""

import numpy as np

from mrcnn_plus.config_values import mini_mask_shape
from mrcnn_plus.diagnosis.experiments.measuring.subject import (
    borrowed,
    build_batch,
    choose_images,
    compile_without_moving,
    detect_outputs,
    detection_graph,
    image_names,
    losses_without_training,
    take_step,
)
from mrcnn_plus.diagnosis.experiments.outcome import conclude
from mrcnn_plus.diagnosis.experiments.self_consistency import SelfConsistency
from mrcnn_plus.geometry.boxes import compute_overlaps, denorm_boxes
from mrcnn_plus.geometry.masks import minimize_mask, unmold_mask

#: Least score of a detection that becomes ground truth: below, the network itself rather says no.
MIN_CONFIDENCE = 0.5
HALF = 0.5  # overlap from which a detection lies on an object
_LOOKED_AT = 4  # times as many images as are compared


def self_consistency(model, dataset, *, images=4, seed=0, run=None, notes=()):
    """The experiment `self-consistency`: losses with the network's own detections as ground truth.

    model: a `MaskRCNN` with trained weights. dataset: a prepared `Dataset`. images: with detections, how many to
    compare at most; chosen by `seed`. Returns an `Outcome`.
    """
    config = model.config
    candidates = choose_images(dataset, _LOOKED_AT * images, seed=seed)
    graph = detection_graph(model, DETECTION_MIN_CONFIDENCE=MIN_CONFIDENCE)
    chosen, own_rows = [], []
    for image_id in candidates:
        row = build_batch(config, dataset, [image_id], seed=seed)
        own = own_ground_truth(graph, model, row)
        if own["input_gt_class_ids"].any():
            chosen.append(image_id)
            own_rows.append((row, own))
        if len(chosen) == images:
            break
    losses = _losses(model, own_rows) if chosen else {"own": {}, "in_training": None, "annotated": {}}
    pairs = [matches(own, row) for row, own in own_rows]
    result = SelfConsistency(
        images=image_names(dataset, chosen),
        looked_at=len(candidates),
        detected=sum(int((own["input_gt_class_ids"] > 0).sum()) for _, own in own_rows),
        objects=sum(int((row["input_gt_class_ids"] > 0).sum()) for row, _ in own_rows),
        matched=sum(matched for matched, _ in pairs),
        same_class=sum(same for _, same in pairs),
        min_confidence=MIN_CONFIDENCE,
        **losses,
    )
    return conclude(result, config, run=run, notes=notes)


def own_ground_truth(graph, model, batch):
    """A batch of one image with what the network detects in it in place of the annotations."""
    outputs = detect_outputs(graph, model, batch["input_image"], batch["input_image_meta"])
    detections, masks = outputs[0][0], outputs[3][0]
    shape = batch["input_image"].shape[1:3]
    own = {name: np.zeros_like(value) if "_gt_" in name else value for name, value in batch.items()}
    slots, small = own["input_gt_class_ids"].shape[1], mini_mask_shape(model.config)
    slot = 0
    for row in np.flatnonzero(detections[:, 4] > 0):
        class_id = int(detections[row, 4])
        box = denorm_boxes(detections[row, :4], shape)
        mask = unmold_mask(masks[row, :, :, class_id], box, shape)[..., None]
        if slot == slots or not mask.any():
            continue
        own["input_gt_class_ids"][0, slot] = class_id
        own["input_gt_boxes"][0, slot] = box
        own["input_gt_masks"][0, ..., slot] = (mask if small is None else minimize_mask(box[None], mask, small))[..., 0]
        slot += 1
    return own


def matches(own, batch):
    """`(detections that overlap an annotated object by half, those of its class)` of a batch of one image."""
    detected, annotated = (rows["input_gt_class_ids"][0] != 0 for rows in (own, batch))
    if not annotated.any():
        return 0, 0
    overlaps = compute_overlaps(own["input_gt_boxes"][0][detected], batch["input_gt_boxes"][0][annotated])
    nearest = overlaps.argmax(axis=1)
    near = overlaps.max(axis=1) >= HALF
    same = own["input_gt_class_ids"][0][detected] == np.abs(batch["input_gt_class_ids"][0][annotated][nearest])
    return int(near.sum()), int((near & same).sum())


def _losses(model, rows):
    """`own`, `in_training` and `annotated`: each the mean over the images, by name."""
    config = model.config
    differs = callable(config.BACKBONE) or (config.NORMALIZATION == "batch" and config.TRAIN_BN is not False)
    with borrowed(model) as probe:
        compile_without_moving(probe, config)
        own = [losses_without_training(probe, own) for _, own in rows]
        annotated = [losses_without_training(probe, batch) for batch, _ in rows]
        training = None
        if differs:
            batches = [own for _, own in rows]
            size = max(config.BATCH_SIZE, 1)
            together = [_joined(batches[start : start + size]) for start in range(0, len(batches), size)]
            training = _mean([take_step(probe, batch)[0] for batch in together])
    return {"own": _mean(own), "annotated": _mean(annotated), "in_training": training}


def _joined(batches):
    """Batches of one image each as one; images of another size than the first are left out."""
    same = [batch for batch in batches if batch["input_image"].shape == batches[0]["input_image"].shape]
    return {name: np.concatenate([batch[name] for batch in same]) for name in same[0]}


def _mean(losses):
    return {name: float(np.mean([row[name] for row in losses])) for name in losses[0]}
