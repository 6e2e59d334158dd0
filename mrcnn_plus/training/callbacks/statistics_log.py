"""Puts what the step counted (`training.statistics`) into the logs of each epoch, and how far the weights moved."""

import keras
import numpy as np
from keras import ops

from mrcnn_plus.training.parts import PARTS, part_of

_SAMPLES = 20_000  # numbers of a variable that are looked at; all of a large network would be copied otherwise


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
