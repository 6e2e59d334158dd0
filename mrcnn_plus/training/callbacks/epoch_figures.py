"""What an epoch cost and what its losses weigh: figures for the files and the console, computed from what is logged."""

import math
import time

import keras

from mrcnn_plus.network.losses import LOSS_NAMES
from mrcnn_plus.training.callbacks.step_guard import read_rate
from mrcnn_plus.training.optimizers import multipliers_of
from mrcnn_plus.training.parts import PARTS, learning_rate_factor, part_of


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
