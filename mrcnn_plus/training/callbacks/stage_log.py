"""Says at the beginning of a stage what it trains, and fails if it changes nothing."""

import zlib

import keras
import numpy as np
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.optimizers import decays_weights, inside, multipliers_of, schedule_of
from mrcnn_plus.training.parts import PARTS, learning_rate_factor, part_of
from mrcnn_plus.training.schedules import WarmUp
from mrcnn_plus.verbose import log


class StageLog(keras.callbacks.Callback):
    """Prints layers, parameters and learning rates by part, the optimizer and the mode of batch norm.

    progress: the `StageProgress`. config: the `Config`. Raises ConfigError if no variable of the model trains, or none
    has moved at the end of an epoch in which the optimizer made an update.
    """

    def __init__(self, progress, config):
        super().__init__()
        self.progress = progress
        self.config = config
        self.moved = False

    def on_train_begin(self, logs=None):
        if not self.model.trainable_variables:
            raise ConfigError(
                f"train: expected layers with weights that can be trained, received: layers={self.progress.layers!r}. "
                "Give 'heads', '3+', '4+', '5+', 'all', or a regular expression of layer names."
            )
        log("\n" + "\n".join(describe_stage(self.model, self.progress, self.config)) + "\n")
        self.before = _checksums(self.model.trainable_variables)
        self.steps = 0

    def on_epoch_end(self, epoch, logs=None):
        if self.moved:
            return
        self.steps += self.config.STEPS_PER_EPOCH
        self.moved = _checksums(self.model.trainable_variables) != self.before
        if not self.moved and self.steps >= self.config.GRADIENT_ACCUMULATION_STEPS:
            raise ConfigError(
                f"train: the stage layers={self.progress.layers!r} has changed no weight in {self.steps} steps, "
                f"received: learning rate {self.progress.learning_rate}. The rate is too small to change float32 "
                "numbers, the schedule is 0 here, or no gradient reaches these layers: are all LOSS_WEIGHTS that "
                "train them 0?"
            )


def describe_stage(model, progress, config):
    """Lines that tell what a compiled model trains in a stage."""
    number = f" {progress.number} of {progress.count}" if progress.count > 1 else ""
    yield f"Stage{number}: layers={progress.layers!r}, epochs {progress.first_epoch + 1} to {progress.last_epoch}"
    rate, multipliers = _rate_after_warm_up(model.optimizer), multipliers_of(model.optimizer)
    yield f"  {'part':12} {'variables':>12} {'parameters':>27}   learning rate"
    trained = {id(variable) for variable in model.trainable_variables}
    weights = [variable for variable in model.variables if "seed_generator" not in variable.path]
    for part in PARTS:
        variables = [variable for variable in weights if part_of(variable.path) == part]
        moving = [variable for variable in variables if id(variable) in trained]
        factors = {learning_rate_factor(variable.path, multipliers) for variable in moving}
        rates = ", ".join(f"{rate * factor:.3g}" for factor in sorted(factors)) or "-"
        parameters = f"{_parameters(moving):,} of {_parameters(variables):,}"
        yield f"  {part:12} {f'{len(moving)} of {len(variables)}':>12} {parameters:>27}   {rates}"
    yield f"  {_optimizer_text(model.optimizer, config)}"
    yield f"  normalization: {_normalization_text(config)}"


def _rate_after_warm_up(optimizer):
    """The learning rate of this moment, or that to which it rises."""
    rate = schedule_of(optimizer)
    if isinstance(rate, WarmUp):
        rate = rate.rate(rate.steps) if callable(rate.rate) else rate.rate
    else:
        rate = optimizer.learning_rate
    return float(ops.convert_to_numpy(rate))


def _optimizer_text(optimizer, config):
    inner = inside(optimizer)
    told = [f"optimizer: {type(inner).__name__.removesuffix('ByPart')}"]
    schedule = schedule_of(optimizer)
    warm_up = schedule if isinstance(schedule, WarmUp) else None
    following = schedule if warm_up is None else warm_up.rate
    if isinstance(following, LearningRateSchedule):
        told.append(f"schedule {type(following).__name__}")
    if warm_up is not None:
        told.append(f"warm-up {warm_up.steps} steps")
    if inner.clipnorm:
        told.append(f"gradient of each variable clipped at {inner.clipnorm:g}")
    if inner.global_clipnorm:
        told.append(f"gradient clipped at {inner.global_clipnorm:g}")
    if config.GRADIENT_ACCUMULATION_STEPS > 1:
        told.append(f"an update every {config.GRADIENT_ACCUMULATION_STEPS} steps")
    if inner.use_ema:
        told.append(f"weights averaged with {inner.ema_momentum:g}")
    decay = "decoupled" if decays_weights(optimizer) else "L2 in the loss"
    return ", ".join([*told, f"weight decay {config.WEIGHT_DECAY:g} ({decay})"])


def _normalization_text(config):
    if config.NORMALIZATION == "group":
        return "group norm"
    modes = {
        False: "batch norm with its stored statistics",
        None: "batch norm with the statistics of the batch, stored ones when detecting",
        True: "batch norm with the statistics of the batch, also when detecting",
    }
    return f"{modes[config.TRAIN_BN]} (TRAIN_BN={config.TRAIN_BN})"


def _parameters(variables):
    return sum(int(np.prod(variable.shape)) for variable in variables)


def _checksums(variables):
    return [zlib.crc32(np.ascontiguousarray(ops.convert_to_numpy(variable)).data) for variable in variables]
