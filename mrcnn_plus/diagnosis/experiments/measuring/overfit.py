"""Measures the experiment `overfit`."""

import math
import time

import numpy as np

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.diagnosis.experiments.measuring.pictures import curve_picture
from mrcnn_plus.diagnosis.experiments.measuring.subject import (
    borrowed,
    build_batch,
    choose_images,
    detect_outputs,
    detection_graph,
    image_names,
    load_truth,
    take_step,
)
from mrcnn_plus.diagnosis.experiments.measuring.weights import untrained_parts
from mrcnn_plus.diagnosis.experiments.outcome import conclude, csv_text
from mrcnn_plus.diagnosis.experiments.overfit import (
    EXPLODED,
    EXPLOSION,
    GOOD_MASK,
    NOT_FINITE,
    OUT_OF_STEPS,
    OUT_OF_TIME,
    REACHED,
    STEPS_EXPLODED,
    Check,
    Overfit,
)
from mrcnn_plus.geometry.boxes import compute_overlaps, denorm_boxes
from mrcnn_plus.geometry.masks import compute_overlaps_masks, unmold_mask
from mrcnn_plus.training.fitting import compile_model
from mrcnn_plus.training.loss_balancing import weighted_total
from mrcnn_plus.training.optimizers import NORM_NAMES
from mrcnn_plus.training.parts import PARTS, part_of

_LEAST_SCORE = 0.3  # of a detection that counts; sure ones come only after the aim is reached
_HALF = 0.5


def overfit(
    model,
    dataset,
    *,
    images=4,
    layers=None,
    learning_rate=None,
    steps=400,
    minutes=5.0,
    check_every=25,
    seed=0,
    run=None,
    notes=(),
    progress=None,
):
    """The experiment `overfit`: train on a few images, the same in each step, without augmentation.

    model: a `MaskRCNN`; afterwards its weights are as before. Nothing is written into its folders. dataset: a prepared
    `Dataset`, of which `images` with objects are chosen by `seed`. layers: what trains, as for `train`, or a list with
    one entry for each stage of which all train at once; None leaves it as it is. learning_rate: constant; None takes
    LEARNING_RATE. It ends when masks reach an IoU of 0.8, which is looked at after each `check_every` steps, after
    `steps` steps, or `minutes`. progress: function called with (step, losses by name).

    Returns an `Outcome` with the curves as `overfit_losses.csv` and `overfit_curve.png`.
    """
    config = model.config
    rate = float(config.LEARNING_RATE if learning_rate is None else learning_rate)
    image_ids = choose_images(dataset, images, seed=seed)
    batch = build_batch(config, dataset, image_ids, seed=seed)
    truths = [load_truth(config, dataset, image_id) for image_id in image_ids]
    with borrowed(model, layers=layers) as probe:
        compile_model(probe, config, rate, config.LEARNING_MOMENTUM)
        trained, untrained = _trained(probe), untrained_parts(probe)
        graph = detection_graph(model, DETECTION_MIN_CONFIDENCE=_LEAST_SCORE)

        def look(step):
            return _check(step, graph, model, truths)

        history = _train(probe, batch, look, steps, minutes, check_every, progress)
        optimizer = type(probe.optimizer.inner_optimizer).__name__.removesuffix("ByPart")
    result = Overfit(
        images=image_names(dataset, image_ids),
        objects=sum(len(truth.class_ids) for truth in truths),
        losses=_series(history, config.LOSS_WEIGHTS),
        checks=tuple(history.checks),
        gradient_norms=_mean_norms(history.norms),
        trained=trained,
        untrained_parts=untrained,
        layers=() if layers is None else (layers,) if isinstance(layers, str) else tuple(layers),
        learning_rate=rate,
        optimizer=optimizer,
        stopped=history.stopped,
        seconds=history.seconds,
    )
    return conclude(result, config, run=run, figures=_figures(result), notes=notes)


class _History:
    """What `_train` saw: a dict of losses and one of gradient norms for each step, the checks, why it stopped."""

    def __init__(self):
        self.losses, self.norms, self.checks = [], [], []
        self.stopped, self.seconds = OUT_OF_STEPS, 0.0


def _train(probe, batch, look, steps, minutes, check_every, progress):
    history, start = _History(), None
    history.checks.append(look(0))
    for step in range(1, steps + 1):
        losses, norms = take_step(probe, batch)
        start = time.monotonic() if start is None else start  # compiling before it does not count
        history.losses.append(losses)
        history.norms.append(norms)
        if progress is not None:
            progress(step, losses)
        if not all(map(math.isfinite, losses.values())) or not math.isfinite(norms[NORM_NAMES[0]]):
            history.stopped = NOT_FINITE
            break
        is_over = time.monotonic() - start > 60 * minutes
        if step % check_every == 0 or is_over or step == steps:
            history.checks.append(look(step))
            if history.checks[-1].mask_iou >= GOOD_MASK:
                history.stopped = REACHED
                break
        if is_over:
            history.stopped = OUT_OF_TIME
            break
        newest = [row["loss"] for row in history.losses[-STEPS_EXPLODED:]]
        if step > STEPS_EXPLODED and min(newest) > EXPLOSION * history.losses[0]["loss"]:  # it does not come back
            history.stopped = EXPLODED
            break
    history.seconds = time.monotonic() - start
    return history


def _check(step, graph, model, truths):
    """A `Check`: the best detection of its class for each object."""
    rows = []
    for truth in truths:
        outputs = detect_outputs(graph, model, truth.image[None], truth.meta[None])
        rows += best_overlaps(truth, outputs[0][0], outputs[3][0])
    mask_ious, box_ious = np.array(rows).T if rows else (np.zeros(1), np.zeros(1))
    return Check(step, float(mask_ious.mean()), float(box_ious.mean()), float((box_ious >= _HALF).mean()))


def best_overlaps(truth, detections, masks):
    """`(mask IoU, box IoU)` of each object of a `MoldedTruth` with the detections of its class; 0 without any.

    detections: `[D, (y1, x1, y2, x2, class_id, score)]`, normalized; masks: `[D, h, w, C]`.
    """
    shape = truth.masks.shape[:2]
    rows = np.flatnonzero(detections[:, 4] > 0)
    boxes, classes = denorm_boxes(detections[rows, :4], shape), detections[rows, 4].astype(int)
    found = np.zeros((*shape, len(rows)), bool)
    for place, (row, box, class_id) in enumerate(zip(rows, boxes, classes, strict=True)):
        found[..., place] = unmold_mask(masks[row, :, :, class_id], box, shape)
    same_class = truth.class_ids[:, None] == classes
    mask_ious = np.where(same_class, compute_overlaps_masks(truth.masks, found), 0.0)
    box_ious = np.where(same_class, compute_overlaps(truth.boxes_px, boxes), 0.0) if len(rows) else mask_ious
    best = mask_ious.max(axis=1, initial=0.0), box_ious.max(axis=1, initial=0.0)
    return list(zip(*(values.tolist() for values in best), strict=True))


def _trained(probe):
    """`{part: (parameters that train, parameters)}`."""
    moving = {id(variable) for variable in probe.trainable_variables}
    counts = {part: [0, 0] for part in PARTS}
    for variable in probe.variables:
        part = part_of(variable.path)
        if part is not None and "seed_generator" not in variable.path:
            size = int(np.prod(variable.shape))
            counts[part][0] += size if id(variable) in moving else 0
            counts[part][1] += size
    return {part: tuple(count) for part, count in counts.items()}


def _series(history, loss_weights):
    """`{loss: values}` of all steps; the total first, without the L2 term, which no image can change."""
    values = {name: tuple(losses[name] for losses in history.losses) for name in LOSS_NAMES}
    totals = [weighted_total({name: losses[name] for name in LOSS_NAMES}, loss_weights) for losses in history.losses]
    return {"total": tuple(totals), **values}


def _mean_norms(norms):
    """`{part: mean gradient norm}` over the steps with finite ones."""
    values = {part: [row[f"{NORM_NAMES[0]}_{part}"] for row in norms] for part in PARTS}
    finite = {part: [value for value in row if math.isfinite(value)] for part, row in values.items()}
    return {part: float(np.mean(row)) if row else math.nan for part, row in finite.items()}


def _figures(result):
    steps = list(range(1, result.steps + 1))
    rows = list(zip(steps, *result.losses.values(), strict=True))
    last = result.checks[-1]
    title = f"{len(result.images)} images: masks overlap by {last.mask_iou:.2f} after {last.step} steps"
    return {
        "overfit_losses.csv": csv_text(("step", *result.losses), rows),
        "overfit_curve.png": curve_picture(
            steps, result.losses, x_label="step", y_label="loss, unweighted", title=title, log_y=True
        ),
    }
