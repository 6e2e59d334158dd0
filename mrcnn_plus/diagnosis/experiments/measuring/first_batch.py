"""Measures the experiment `first-batch`."""

import numpy as np
from keras import ops

from mrcnn_plus.constants import LOSS_NAMES, META_FIELDS
from mrcnn_plus.diagnosis.experiments.first_batch import (
    PART_OF_LOSS,
    FirstBatch,
    InputValues,
    LossLevel,
    RoiAnswers,
    Targets,
)
from mrcnn_plus.diagnosis.experiments.measuring.subject import (
    borrowed,
    build_batch,
    choose_images,
    compile_without_moving,
    image_names,
    take_step,
)
from mrcnn_plus.diagnosis.experiments.measuring.weights import untrained_parts
from mrcnn_plus.diagnosis.experiments.outcome import conclude
from mrcnn_plus.training.model import l2_penalty
from mrcnn_plus.training.multi_task_loss import compute_losses
from mrcnn_plus.training.parts import PARTS, part_of

_NORM = "gradient_norm"


def first_batch(
    model,
    dataset,
    *,
    layers=None,
    augmentation=None,
    no_augmentation_sources=(),
    images=None,
    seed=0,
    run=None,
    notes=(),
):
    """The experiment `first-batch`: one batch forward and backward; no weight moves.

    model: a `MaskRCNN`. dataset: a prepared `Dataset`. layers: what trains, as for `train`, or a list with one entry
    for each stage; None leaves it as it is. augmentation, no_augmentation_sources: as for `train`. images: how many, by
    default BATCH_SIZE. seed: chooses them. Returns an `Outcome`.
    """
    config = model.config
    image_ids = choose_images(dataset, images or config.BATCH_SIZE, seed=seed)
    batch = build_batch(
        *(config, dataset, image_ids),
        augmentation=augmentation,
        no_augmentation_sources=no_augmentation_sources,
        seed=seed,
    )
    with borrowed(model, layers=layers) as probe:
        untrained = untrained_parts(probe)
        outputs = {name: ops.convert_to_numpy(value) for name, value in probe.predict_on_batch(batch).items()}
        blind = _blind_losses(outputs, batch, probe.loss_options)
        compile_without_moving(probe, config)
        losses, norms = take_step(probe, batch)
        l2 = config.WEIGHT_DECAY * float(ops.convert_to_numpy(l2_penalty(probe.trainable_weights)))
        training = tuple(dict.fromkeys(part_of(variable.path) for variable in probe.trainable_variables))
    result = FirstBatch(
        images=image_names(dataset, image_ids),
        losses=tuple(
            LossLevel(name, losses[name], blind[name], PART_OF_LOSS[name] not in untrained) for name in LOSS_NAMES
        ),
        total=losses["loss"] + l2,
        l2=l2,
        gradient_norm=norms[_NORM],
        gradient_norms={part: norms[f"{_NORM}_{part}"] for part in PARTS},
        training_parts=tuple(part for part in PARTS if part in training),
        untrained_parts=untrained,
        objects=_counts(batch["input_gt_class_ids"] > 0),
        positive_anchors=_counts(outputs["target_anchor_labels"] == 1),
        sampled_anchors=_counts(outputs["target_anchor_labels"] >= 0),
        positive_rois=_counts(outputs["target_class_ids"] > 0),
        sampled_rois=_counts(outputs["rois"].any(axis=-1)),
        labels=_labels(batch, outputs, dataset.class_names),
        answers=_answers(outputs),
        targets=_targets(outputs, batch),
        inputs=input_values(batch),
    )
    return conclude(result, config, run=run, notes=notes)


def _blind_losses(outputs, batch, options):
    """The losses of heads that know nothing on the targets of a batch, by name."""
    blind = {name: np.zeros_like(value) for name, value in outputs.items() if not name.startswith(("target_", "rois"))}
    blind["mrcnn_mask"] = np.full_like(outputs["mrcnn_mask"], 0.5)
    active = batch["input_image_meta"][:, META_FIELDS["active_class_ids"]]
    values = {name: ops.convert_to_tensor(value) for name, value in {**outputs, **blind}.items()}
    losses = compute_losses(values, active_class_ids=ops.convert_to_tensor(active), options=options)
    return {name: float(ops.convert_to_numpy(value)) for name, value in losses.items()}


def _counts(flags):
    """How many are set in each image, of bool `[B, N]`."""
    return tuple(int(count) for count in flags.sum(axis=1))


def _labels(batch, outputs, class_names):
    """`{class: (objects, ROIs)}`, the background first."""
    objects = batch["input_gt_class_ids"]
    rois = outputs["target_class_ids"][outputs["rois"].any(axis=-1)]
    return {
        str(name): (int((objects == class_id).sum()) if class_id else 0, int((rois == class_id).sum()))
        for class_id, name in enumerate(class_names)
    }


def _answers(outputs):
    """`RoiAnswers` of the positive ROIs."""
    wanted = outputs["target_class_ids"]
    given = outputs["mrcnn_class_logits"].argmax(axis=-1)[wanted > 0]
    wanted = wanted[wanted > 0]
    return RoiAnswers(
        right=int((given == wanted).sum()),
        background=int((given == 0).sum()),
        other=int(((given != wanted) & (given > 0)).sum()),
    )


def _targets(outputs, batch):
    """Mean sizes of what the positives should answer, and how full the objects are."""
    positive_anchors = outputs["target_anchor_labels"] == 1
    positive_rois = outputs["target_class_ids"] > 0
    masks = outputs["target_mask"][positive_rois[:, : outputs["target_mask"].shape[1]]]
    return Targets(
        rpn_deltas=_mean_size(outputs["target_rpn_bbox"][positive_anchors]),
        box_deltas=_mean_size(outputs["target_bbox"][positive_rois]),
        mask_share=_mean_size(masks),
        fill=object_fill(batch),
    )


def object_fill(batch):
    """Mean share of its box that the mask of an object fills. Masks are cut to their boxes, or of the image's size."""
    boxes = batch["input_gt_boxes"][batch["input_gt_class_ids"] > 0]
    masks = np.moveaxis(batch["input_gt_masks"], -1, 1)[batch["input_gt_class_ids"] > 0]
    if not len(boxes):
        return None
    if masks.shape[1:] == batch["input_image"].shape[1:3]:
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    else:
        areas = np.full(len(boxes), masks.shape[1] * masks.shape[2])
    return float((masks.sum(axis=(1, 2)) / np.maximum(areas, 1)).mean())


def _mean_size(values):
    return float(np.abs(values).mean()) if values.size else None


def input_values(batch):
    """`InputValues` of the images of a batch, inside their windows."""
    windows = batch["input_image_meta"][:, META_FIELDS["window"]].astype(int)
    inside = [
        image[y1:y2, x1:x2].reshape(-1, image.shape[-1])
        for image, (y1, x1, y2, x2) in zip(batch["input_image"], windows, strict=True)
    ]
    values = np.concatenate(inside).astype(np.float64)  # [pixels, channels]
    # By channel, for the means that are subtracted differ between channels and would pass for contrast.
    deviation = values.std(axis=0).mean()
    return InputValues(float(values.min()), float(values.max()), float(values.mean()), float(deviation))
