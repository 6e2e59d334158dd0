"""Says at the beginning of a stage what it trains, and fails if it changes nothing."""

import zlib

import keras
import numpy as np
from keras import ops

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.optimizers import decays_weights
from mrcnn_plus.training.parts import PARTS, learning_rate_factor, part_of
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
    number = f" {progress.number} of {progress.of}" if progress.of > 1 else ""
    yield f"Stage{number}: layers={progress.layers!r}, epochs {progress.first_epoch + 1} to {progress.last_epoch}"
    rate = float(ops.convert_to_numpy(model.optimizer.learning_rate))
    yield f"  {'part':12} {'variables':>12} {'parameters':>27}   learning rate"
    trained = {id(variable) for variable in model.trainable_variables}
    weights = [variable for variable in model.variables if "seed_generator" not in variable.path]
    for part in PARTS:
        variables = [variable for variable in weights if part_of(variable.path) == part]
        moving = [variable for variable in variables if id(variable) in trained]
        factors = {learning_rate_factor(variable.path, config.LR_MULTIPLIERS) for variable in moving}
        rates = ", ".join(f"{rate * factor:.3g}" for factor in sorted(factors)) or "-"
        parameters = f"{_parameters(moving):,} of {_parameters(variables):,}"
        yield f"  {part:12} {f'{len(moving)} of {len(variables)}':>12} {parameters:>27}   {rates}"
    yield f"  {_optimizer_text(model.optimizer, config)}"
    yield f"  normalization: {_normalization_text(config)}"


def _optimizer_text(optimizer, config):
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    told = [f"optimizer: {type(inner).__name__.removesuffix('ByPart')}"]
    schedule = inner._learning_rate
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        told.append(f"schedule {type(getattr(schedule, 'rate', schedule)).__name__.replace('float', 'constant')}")
    if config.WARMUP_STEPS:
        told.append(f"warm-up {config.WARMUP_STEPS} steps")
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
