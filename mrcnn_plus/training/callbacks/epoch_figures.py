"""What an epoch adds to the logs: time, rates, weights and shares of losses, what the step counted, what moved."""

import math
import time

import keras
import numpy as np
from keras import ops

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.training.callbacks.step_guard import read_rate
from mrcnn_plus.training.optimizers import multipliers_of
from mrcnn_plus.training.parts import PARTS, learning_rate_factor, part_of

_SAMPLES = 20_000  # numbers of a variable that are looked at; all of a large network would be copied otherwise


class EpochFigures(keras.callbacks.Callback):
    """Adds to the logs of an epoch what follows from them and from the clock. Comes before the callbacks of the
    program, which may look at it, or set the rate of the next epoch.

    weight_<loss>, share_<loss>   factor of a loss in the total, and its part of the weighted sum of the five (0 to 1)
    learning_rate                 at the end of the epoch; learning_rate_<part> where LR_MULTIPLIERS changes it
    images_per_second             while training, without validation

    batch_size: images in a step.
    """

    def __init__(self, batch_size):
        super().__init__()
        self.batch_size = batch_size

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()
        self.end = None
        self.steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1

    def on_test_begin(self, logs=None):
        self._end_of_steps()

    def on_epoch_end(self, epoch, logs=None):
        if logs is None:
            return
        self._end_of_steps()
        logs.update(weights_and_shares(logs, self.model.loss_weights))
        rate = float(f"{float(read_rate(self.model.optimizer)):.7g}")  # 0.01, and not what float32 makes of it
        logs["learning_rate"] = rate
        multipliers = multipliers_of(self.model.optimizer)
        if multipliers:
            paths = [variable.path for variable in self.model.trainable_variables]
            logs.update(rates_by_part(rate, paths, multipliers))
        if self.steps and self.end > self.begin:
            logs["images_per_second"] = self.batch_size * self.steps / (self.end - self.begin)

    def _end_of_steps(self):
        if self.end is None:
            self.end = time.perf_counter()


class EpochSeconds(keras.callbacks.Callback):
    """Logs `seconds`, the time of a whole epoch, with validation and evaluations. Comes after all that takes time."""

    def on_epoch_begin(self, epoch, logs=None):
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            logs["seconds"] = time.perf_counter() - self.begin


def weights_and_shares(logs, loss_weights):
    """`weight_<loss>` and `share_<loss>` from the logs of an epoch.

    loss_weights: factors by loss; one that is missing is 1. Weights that are learnt stand in the logs as
    `<loss>_weight` and multiply them. Shares are left out where the sum of the five is 0 or not finite.
    """
    present = [name for name in LOSS_NAMES if name in logs]
    weights = {name: float(loss_weights.get(name, 1.0)) * float(logs.get(f"{name}_weight", 1.0)) for name in present}
    parts = {name: weights[name] * float(logs[name]) for name in present}
    total = sum(parts.values())
    figures = {f"weight_{name}": weight for name, weight in weights.items()}
    if total > 0 and math.isfinite(total):
        figures.update({f"share_{name}": part / total for name, part in parts.items()})
    return figures


def rates_by_part(rate, paths, multipliers):
    """`learning_rate_<part>` for each part with variables that train.

    paths: of these variables. Where regular expressions give a part several rates, it is the highest.
    """
    highest = {}
    for path in paths:
        part = part_of(path)
        highest[part] = max(highest.get(part, 0.0), learning_rate_factor(path, multipliers))
    return {f"learning_rate_{part}": rate * highest[part] for part in PARTS if part in highest}


class StatisticsLog(keras.callbacks.Callback):
    """Logs the statistics of training and, with `val_`, of validation; `steps`; and `moved_<part>` for each part that
    trains, the change of its weights over the epoch divided by their size, both as Euclidean norms.

    A model that counts nothing logs only what moved. Comes before the callbacks that write logs.
    """

    def on_train_begin(self, logs=None):
        self.before = self._weights()

    def on_epoch_begin(self, epoch, logs=None):
        self.steps, self.found, self.is_read = 0, {}, False

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1

    def on_test_begin(self, logs=None):  # Keras sets the counts to 0 before it validates
        self._read_training()

    def on_test_end(self, logs=None):
        found, _ = self._statistics()
        self.found.update({f"val_{name}": value for name, value in found.items()})

    def on_epoch_end(self, epoch, logs=None):
        self._read_training()
        if logs is None:
            return
        now = self._weights()
        logs.update(self.found, steps=self.steps, **_movement(self.before, now))
        self.before = now

    def _read_training(self):
        if not self.is_read:
            self.is_read = True
            found, classes = self._statistics()
            self.found.update(found)
            if classes is not None:
                self.model.statistics.classes = classes

    def _statistics(self):
        statistics = getattr(self.model, "statistics", None)
        return ({}, None) if statistics is None else statistics.read()

    def _weights(self):
        """`{part: list of float arrays}` of what trains, large variables by a sample."""
        weights = {}
        for variable in self.model.trainable_variables:
            part = part_of(variable.path)
            if part is not None:
                values = np.asarray(ops.convert_to_numpy(variable), np.float32).ravel()
                weights.setdefault(part, []).append(values[:: max(1, len(values) // _SAMPLES)].copy())
        return weights


def _movement(before, now):
    """`{"moved_rpn": 0.01, ...}`"""
    moved = {}
    for part in PARTS:
        size = np.sqrt(sum(float(np.square(values).sum()) for values in before.get(part, ())))
        pairs = zip(before.get(part, ()), now.get(part, ()), strict=True)
        change = np.sqrt(sum(float(np.square(after - values).sum()) for values, after in pairs))
        if size > 0:
            moved[f"moved_{part}"] = float(change / size)
    return moved
