"""Measures the experiment `lr-range`."""

import math

from keras import ops

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.diagnosis.experiments.lr_range import DIVERGED, LearningRateRange, moving_average
from mrcnn_plus.diagnosis.experiments.measuring.pictures import curve_picture
from mrcnn_plus.diagnosis.experiments.measuring.subject import borrowed, take_step
from mrcnn_plus.diagnosis.experiments.measuring.weights import untrained_parts
from mrcnn_plus.diagnosis.experiments.outcome import conclude, csv_text
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.fitting import batch_builder, compile_model
from mrcnn_plus.training.loss_balancing import weighted_total

_LEAST_STEPS = 20
_BREAKS_OUT = 2 * DIVERGED  # times the lowest loss: no need to go on


def lr_range(
    model,
    dataset,
    *,
    layers=None,
    augmentation=None,
    no_augmentation_sources=(),
    least=1e-6,
    most=1.0,
    steps=100,
    used=(),
    seed=0,
    run=None,
    notes=(),
    progress=None,
):
    """The experiment `lr-range`: train `steps` steps while the learning rate rises from `least` to `most`.

    model: a `MaskRCNN`; afterwards its weights are as before. dataset: a prepared `Dataset`. layers: what trains, as
    for `train`, or a list with one entry for each stage. augmentation, no_augmentation_sources: as for `train`. used:
    the rates that are to be judged; by default LEARNING_RATE. seed: order of the images. progress: function called with
    (step, losses by name). Optimizer, clipping and rates by part are those of the configuration.

    Returns an `Outcome` with `lr_range.csv` and `lr_range.png`. Raises ConfigError for an impossible range.
    """
    config = model.config
    if not 0 < least < most or steps < _LEAST_STEPS:
        raise ConfigError(
            f"lr-range: expected 0 < least < most and at least {_LEAST_STEPS} steps, received: least={least!r}, "
            f"most={most!r}, steps={steps!r}."
        )
    builder = batch_builder(
        *(dataset, config),
        seed=seed,
        use_negative_images=config.USE_NEGATIVE_IMAGES,
        augmentation=augmentation,
        no_augmentation_sources=no_augmentation_sources or (),
    )
    rates, losses = [], []
    with borrowed(model, layers=layers) as probe:
        is_trained = not untrained_parts(probe)
        compile_model(probe, config, least, config.LEARNING_MOMENTUM)
        optimizer = probe.optimizer.inner_optimizer
        for step in range(steps):
            rate = least * (most / least) ** (step / (steps - 1))
            optimizer.learning_rate.assign(ops.cast(rate, optimizer.learning_rate.dtype))
            parts, _ = take_step(probe, builder.build_step(step))
            rates.append(rate)
            losses.append(float(weighted_total({name: parts[name] for name in LOSS_NAMES}, config.LOSS_WEIGHTS)))
            if progress is not None:
                progress(step + 1, parts)
            if _has_broken_out(losses):
                break
        name = type(optimizer).__name__.removesuffix("ByPart")
    result = LearningRateRange(
        rates=tuple(rates),
        losses=tuple(losses),
        used=tuple(float(rate) for rate in (used or (config.LEARNING_RATE,)) if rate),
        layers=() if layers is None else (layers,) if isinstance(layers, str) else tuple(layers),
        optimizer=name,
        images_per_step=int(config.BATCH_SIZE),
        is_trained=is_trained,
    )
    return conclude(result, config, run=run, figures=_figures(result), notes=notes)


def _has_broken_out(losses):
    """Whether a loss is not finite, or their moving average is far above its lowest."""
    if not math.isfinite(losses[-1]):
        return True
    values = moving_average(losses)
    return len(values) > _LEAST_STEPS and values[-1] > _BREAKS_OUT * min(values[_LEAST_STEPS // 2 :])


def _figures(result):
    marks = [(rate, f"used: {rate:g}") for rate in result.used]
    if result.suggestion is not None:
        marks.append((result.suggestion, f"suggested: {result.suggestion:g}"))
    picture = curve_picture(
        result.rates,
        {"smoothed": result.smoothed, "loss": result.losses},
        x_label="learning rate",
        y_label="total loss without L2",
        title=f"{result.optimizer}, {len(result.rates)} steps",
        log_x=True,
        log_y=True,
        marks=marks,
    )
    rows = list(zip(result.rates, result.losses, result.smoothed, strict=True))
    return {"lr_range.csv": csv_text(("learning_rate", "loss", "smoothed"), rows), "lr_range.png": picture}
