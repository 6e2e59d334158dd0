"""Training against validation: over-fitting, losses that fall without precision, validation too small to tell."""

import math

import numpy as np

from mrcnn_plus.diagnosis import reading, signs
from mrcnn_plus.diagnosis.history import LOSSES
from mrcnn_plus.diagnosis.trends import change, falls, finite, trend
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import HISTORY, Violation, rule


@rule(
    "RUN070",
    WARNING,
    needs=HISTORY,
    why="From this epoch on the network learns the training images by heart: what it gains there it loses on new ones.",
    example="val_loss 0.61 at epoch 7, 0.83 at epoch 15, while loss fell from 0.48 to 0.29",
    fix="Use the weights of the best epoch (BEST_METRIC, EARLY_STOPPING_PATIENCE); more images, or more augmentation.",
)
def over_fitting(facts, *, least_epochs=3, least_rise=0.12, least_gap=4.0):
    """The validation loss rises while the training loss goes on falling.

    By `least_rise` since its lowest epoch, `least_epochs` or more ago. Or it has long stopped falling, and is
    `least_gap` times the training loss, which has fallen to less than half since.
    """
    history = facts.history
    since = _over_fits_since(history, least_epochs, least_rise) or _by_heart_since(history, least_epochs, least_gap)
    if since is None:
        return
    position, rise = since
    epoch = history.epochs[position]
    val = history.values("val_loss")
    rising = [
        name
        for name in LOSSES
        if np.nanmean(history.values(f"val_{name}")[-2:]) > 1.1 * history.values(f"val_{name}")[position]
    ]
    images = reading.images_of(history, "train")
    precision = next((name for name in ("val_mask_AP", "val_box_AP", "val_mask_AP50") if history.has(name)), None)
    yield Violation(
        f"over-fitting since epoch {epoch}: the validation loss "
        + (f"has risen by {rise:.0%} since then" if rise > 0 else "has not become less since then")
        + (f", most of all {', '.join(rising)}" if rising and rise > 0 else "")
        + ", while the training loss goes on falling.",
        where="val_loss",
        value=epoch,
        evidence=[
            f"val_loss {reading.number(val[position])} (epoch {epoch}), {reading.number(val[-1])} (epoch "
            f"{history.epochs[-1]})",
            *reading.courses(history, "loss", *(f"val_{name}" for name in rising), *([precision] if precision else [])),
        ],
        causes=[
            f"few training images ({images})"
            if images is not None and images < 200
            else "too few different training images",
            "no augmentation, or little",
            "too many layers train, for too long, at too high a rate for so few images",
            *reading.lint_causes(history, "DAT020", "TRN020"),
        ],
        experiment=reading.EVALUATION,
        details={"best_epoch": int(epoch)},
    )


def _over_fits_since(history, least_epochs, least_rise):
    """`(position of the best epoch, rise since)`, or None."""
    val, train = history.values("val_loss"), history.values("loss")
    known = np.flatnonzero(np.isfinite(val) & np.isfinite(train))
    if len(known) < least_epochs + 2:
        return None
    # Means of two epochs: a small validation set is noisy.
    smooth = np.convolve(val[known], [0.5, 0.5], mode="valid")
    best = int(np.argmin(smooth))
    since = known[best:]
    if len(since) < least_epochs + 1:
        return None
    rise = smooth[-1] / smooth[best] - 1 if smooth[best] > 0 else 0.0
    noise = float(np.median(np.abs(np.diff(val[known])))) / max(smooth[best], 1e-9)
    fell = np.mean(train[known[-2:]]) < 0.95 * np.mean(train[since[:2]])
    if rise < max(least_rise, 1.5 * noise) or not fell or trend(val[since]) < (1.0 if len(since) < 5 else 1.6):
        return None
    return int(known[best]), float(rise)


def _by_heart_since(history, least_epochs, least_gap):
    """`(position of the epoch since which only the training loss falls, 0)`, or None."""
    val, train = history.values("val_loss"), history.values("loss")
    known = np.flatnonzero(np.isfinite(val) & np.isfinite(train))
    if len(known) < least_epochs + 2 or np.mean(val[known[-2:]]) < least_gap * np.mean(train[known[-2:]]):
        return None
    least_then = np.minimum.accumulate(val[known])
    best = int(np.flatnonzero(least_then <= 1.05 * least_then[-1])[0])  # what came later gained a twentieth at most
    since = known[best:]
    if len(since) < least_epochs + 1 or np.mean(train[since[-2:]]) > 0.5 * train[since[0]]:
        return None
    return int(since[0]), 0.0


@rule(
    "RUN071",
    INFO,
    needs=HISTORY,
    why="With few validation objects the validation loss goes up and down by chance; neither the best epoch nor an end "
    "of learning can be read from it.",
    example="val_loss goes up and down by 31% from epoch to epoch, on 4 images",
    fix="Hold back more images: some dozens, with some dozens of objects of each class; set no VALIDATION_STEPS.",
)
def validation_too_small(facts, *, most_noise=0.2, fewest_objects=20):
    """There are too few validation images or objects to tell how good the network is.

    Fewer than `fewest_objects` objects in all, or a loss that goes up and down by more than `most_noise` from epoch to
    epoch.
    """
    history = facts.history
    val, train = finite(history.values("val_loss")), finite(history.values("loss"))
    images, steps = _validation_images(history)
    objects = reading.recent(history, "val_objects")
    count = images * objects if images and math.isfinite(objects) else math.nan
    if len(val) < 3:
        return
    noise = _noise(val)
    too_noisy = len(val) >= 6 and noise > most_noise and noise > 2 * _noise(train) and (images is None or images < 100)
    if not (count < fewest_objects or too_noisy):
        return
    told = [f"{images} images"] if images is not None else []
    told += [f"about {count:.0f} objects"] if math.isfinite(count) else []
    yield Violation(
        f"the validation data are too small to tell: {', '.join(told) or 'its loss is noise'}; val_loss changes by "
        f"{noise:.0%} from epoch to epoch, loss by {_noise(train):.0%}.",
        where="val_loss",
        value=noise,
        evidence=reading.courses(history, "val_loss", "val_objects"),
        causes=[
            *([f"VALIDATION_STEPS = {steps} looks at a part of the images only"] if steps else []),
            "too few validation images, or too few objects in them",
            "batch norm with the statistics of small batches (TRAIN_BN)",
        ],
        experiment=reading.EVALUATION,
    )


def _validation_images(history):
    """`(images that validation looks at or None, VALIDATION_STEPS or None where it is not set)`."""
    images = reading.images_of(history, "val")
    changed = history.run.get("changed") or {}
    steps = changed.get("VALIDATION_STEPS")
    batch = (history.settings.get("IMAGES_PER_GPU") or 1) * (history.settings.get("GPU_COUNT") or 1)
    return (min(images, steps * batch) if steps else images) if images is not None else None, steps


def _noise(values):
    """Median of what is left of the changes between epochs after their trend, as a share of the values."""
    if len(values) < 3:
        return 0.0
    bends = np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2)
    return float(np.median(bends) / max(np.median(np.abs(values)), 1e-9))


@rule(
    "RUN072",
    WARNING,
    needs=HISTORY,
    why="The losses compare the network with the training targets, average precision its final answers with the "
    "validation data. Where only the first get better, the way between them is broken, or the data differ.",
    example="loss 2.1 -> 0.7, val_box_AP50 0.02 after 12 epochs",
    fix="`funnel` shows at which step objects are lost: proposals, class, score (DETECTION_MIN_CONFIDENCE), NMS, "
    "limit.",
)
def losses_fall_precision_does_not(facts, *, least_fall=0.3, most_precision=0.1, least_steps=400):
    """The total fell by `least_fall` or more, and AP50 stays under `most_precision` or falls."""
    history = facts.history
    name = next(
        (name for name in ("val_box_AP50", "val_box_AP", "val_mask_AP50", "val_mask_AP") if history.has(name)), None
    )
    if name is None or not falls(history.values("loss"), least=least_fall) or reading.steps_of(history) < least_steps:
        return
    values = finite(history.values(name))
    values = values / 100 if values.max(initial=0) > 1 else values
    if len(values) < 3 or values[-2:].max() > most_precision or values[-1] > 1.5 * values[-3] + 0.01:
        return
    val = finite(history.values("val_loss"))
    worse = len(val) >= 3 and change(val) > -0.5 * abs(change(history.values("loss")))
    data = [
        "training and validation data differ: classes in another order, other images, other ways of annotation",
        "annotations are wrong or incomplete",
    ]
    settings = [
        f"detections are thrown away: DETECTION_MIN_CONFIDENCE = {history.settings.get('DETECTION_MIN_CONFIDENCE')}, "
        "DETECTION_NMS_THRESHOLD, DETECTION_MAX_INSTANCES",
        "detection uses other statistics of batch norm than training (TRAIN_BN)",
    ]
    yield Violation(
        f"the total has fallen by {-change(history.values('loss')):.0%}, and {name} is {values[-1]:.3f} and does "
        "not rise.",
        where=name,
        value=float(values[-1]),
        evidence=reading.courses(history, "loss", "val_loss", name, "val_mask_AP50", "roi_recall", "val_roi_recall"),
        causes=[
            *reading.lint_causes(history, "DAT020", "DAT021", "CFG056", "CFG057"),
            *(data + settings if worse else settings + data),
        ],
        experiment=reading.FUNNEL,
    )


@rule(
    "RUN073",
    ERROR,
    needs=HISTORY,
    why="What was detected is detected no more, though the losses look calm: background has won, or a stage has "
    "destroyed what was learnt.",
    example="val_box_AP50 0.61 (epoch 9), 0.04 (epoch 14)",
    fix="Go back to the best checkpoint; lower the rate of the new stage; RPN_POSITIVE_WEIGHT and ROI_POSITIVE_WEIGHT.",
)
def precision_collapses(facts, *, least_before=0.1, most_left=0.4):
    """Average precision has fallen to `most_left` of its best value or less, which was `least_before` or more."""
    history = facts.history
    for name in ("val_box_AP50", "val_mask_AP50", "val_box_AP", "val_mask_AP"):
        values = history.values(name)
        known = np.flatnonzero(np.isfinite(values))
        if len(known) < 3:
            continue
        scale = 100.0 if np.nanmax(values) > 1 else 1.0
        best, now = float(np.nanmax(values)) / scale, float(values[known[-2:]].max()) / scale
        if best < least_before or now > most_left * best:
            continue
        top = int(np.nanargmax(values))
        border = [history.epochs[start] for start in history.stage_starts[1:] if start > top]
        yield Violation(
            f"detection has collapsed: {name} {best:.2f} at epoch {history.epochs[top]}, {now:.2f} now.",
            where=name,
            value=now,
            evidence=reading.courses(history, name, "loss", "roi_recall", "anchor_recall", "gradient_norm_max"),
            causes=[
                *(f"the stage that began at epoch {epoch}: its rate is too high, it forgets" for epoch in border[:1]),
                "background dominates: few positive anchors and ROIs (RPN_POSITIVE_WEIGHT = 5.0, "
                "ROI_POSITIVE_WEIGHT = 3.0)",
                f"the learning rate{signs.rate_text(history)} is too high",
            ],
            experiment=reading.FUNNEL,
        )
        return


@rule(
    "RUN074",
    WARNING,
    needs=HISTORY,
    why="Outlines that are learnt in training and never known in validation, from the first epoch on, are learnt by "
    "heart, or the validation data say something else than the training data.",
    example="masks: 0.55 learnt in training, at best 0.03 in validation, in 8 epochs",
    fix="Look at images of both data sets with their masks, `mrcnn-plus preview`; compare sizes, colors and "
    "annotations.",
)
def nothing_carries_over(facts, *, least_learnt=0.35, most_on_new=0.1):
    """Masks and boxes are learnt in training, and in no epoch were known in validation."""
    history = facts.history
    if not reading.can_judge_learning(history, least_steps=reading.STEPS_TO_LEARN):
        return
    gaps = {}
    for name in ("mrcnn_mask_loss", "mrcnn_bbox_loss"):
        on_new = finite(history.values(f"val_{reading.SKILLS[name]}"))
        if len(on_new) < 3 or reading.skill(history, name) < least_learnt or on_new.max() > most_on_new:
            return
        gaps[name] = (reading.skill(history, name), float(on_new.max()))
    told = ", ".join(f"{reading.WORDS[name]} {known:.2f} and {new:.2f}" for name, (known, new) in gaps.items())
    images = reading.images_of(history, "train")
    few = [f"few training images ({images}), learnt by heart"] if images is not None and images < 100 else []
    yield Violation(
        f"nothing carries over to the validation data: learnt in training and, at best, in validation: {told}.",
        where="val_mrcnn_mask_loss",
        value=gaps["mrcnn_mask_loss"][1],
        evidence=reading.skill_courses(history, *gaps),
        causes=[
            *reading.lint_causes(history, "DAT0"),
            *few,
            "the annotations of the validation data do not lie on their objects, or are of another kind",
            "validation images look different: size, colors, preprocessing",
            "the training annotations do not lie on the objects and were learnt by heart",
        ],
        experiment=reading.EVALUATION,
    )
