"""Watches every step: stops at values that are not finite, names jumps of the loss, logs gradient norms."""

import logging
import math
import statistics
from collections import deque

import keras
import numpy as np
from keras import ops

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.training.failed_step import NonFiniteError, describe_failure, save_failed_step
from mrcnn_plus.training.optimizers import NORM_NAMES
from mrcnn_plus.training.training_state import extra_variables

logger = logging.getLogger(__name__)

# float16 leaves out steps while the scale of the loss is being found; so many in a row mean that something is wrong.
_SKIPS_ALLOWED = 20
# A jump: the loss is so many times the median of the steps before.
_JUMP, _STEPS_BEFORE, _LEAST_STEPS = 5.0, 50, 20
_JUMPS_NAMED = 5  # in an epoch


class StepGuard(keras.callbacks.Callback):
    """Stops training at the first step whose loss or gradient is not finite, with a report and the batch in a file.

    The optimizer (`GuardedOptimizer`) has left the weights alone then, so the file, which holds them too, repeats the
    step: `mrcnn-plus replay FILE`. Raises `NonFiniteError`.

    A loss, the five by LOSS_WEIGHTS without learnt factors, that jumps to a multiple of what it was is a warning with
    the images of the step. After each epoch logs
    `gradient_norm` and that of each part, means over the steps, `gradient_norm_max`, the largest of the whole,
    `loss_first` and `loss_max`, the loss of the first step and the largest of a step, and `loss_jumps`, how many steps
    jumped.

    sequence: the `BatchSequence` of the run. config: the `Config`. log_dir: folder for the file.
    """

    def __init__(self, sequence, config, log_dir):
        super().__init__()
        self.sequence = sequence
        self.config = config
        self.log_dir = log_dir
        self.before = deque(maxlen=_STEPS_BEFORE)
        self.skipped = 0

    def on_train_begin(self, logs=None):
        self.generators = extra_variables(self._model)
        self.random_before = [read(self._model, variable) for variable in self.generators]

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.jumps = self.steps = 0
        self.sums = {}
        self.first_loss, self.largest_loss = None, -math.inf
        self.model.optimizer.reset_norms()

    def on_train_batch_end(self, batch, logs=None):
        values = self._values_of_step(batch, logs or {})
        norms = dict(zip(NORM_NAMES, read(self._model, self._model.optimizer.gradient_norms)[0].tolist(), strict=True))
        if not math.isfinite(norms["gradient_norm"]):
            self.skipped += 1
        else:
            self.skipped, self.steps = 0, self.steps + 1
        is_float16 = self.config.PRECISION == "mixed_float16"
        if not math.isfinite(values["loss"]) or self.skipped > (_SKIPS_ALLOWED if is_float16 else 0):
            self._stop(batch, values, norms)
        self._look_for_jump(batch, values)
        self.first_loss = values["loss"] if self.first_loss is None else self.first_loss
        self.largest_loss = max(self.largest_loss, values["loss"])
        self.random_before = [read(self._model, variable) for variable in self.generators]
        self.sequence.finish(self.epoch, batch)

    def on_epoch_end(self, epoch, logs=None):
        if self.jumps > _JUMPS_NAMED:
            logger.warning("Epoch %d: %d more steps with a jump of the loss.", epoch + 1, self.jumps - _JUMPS_NAMED)
        if logs is None or not self.steps:
            return
        _, sums, largest = read(self._model, self._model.optimizer.gradient_norms)
        means = (sums / self.steps).tolist()
        logs.update({name: value for name, value in zip(NORM_NAMES, means, strict=True) if value})
        logs["gradient_norm_max"] = float(largest[0])
        logs.update(loss_first=self.first_loss, loss_max=self.largest_loss, loss_jumps=self.jumps)

    def _values_of_step(self, step, logs):
        """The losses of this step alone, from the means over the epoch that Keras reports."""
        values = {}
        for name in ("loss", *LOSS_NAMES):
            total = float(logs.get(name, 0.0)) * (step + 1)
            values[name] = total - self.sums.get(name, 0.0)
            self.sums[name] = total
        return values

    def _images(self, step):
        return self.sequence.images_of(self.epoch, step)

    def _look_for_jump(self, step, values):
        loss = sum(self._model.loss_weights.get(name, 1.0) * values[name] for name in LOSS_NAMES)
        usual = statistics.median(self.before) if len(self.before) >= _LEAST_STEPS else math.inf
        if loss > _JUMP * usual:
            self.jumps += 1
            if self.jumps <= _JUMPS_NAMED:
                losses = ", ".join(f"{name} {values[name]:.3g}" for name in LOSS_NAMES)
                images = ", ".join(str(image.path or image.id) for image in self._images(step))
                logger.warning(
                    "Epoch %d, step %d: the loss jumped to %.3g, usual is %.3g (%s). Images: %s. One such step is "
                    "most often a wrong annotation in these images; many are a learning rate that is too high.",
                    *(self.epoch + 1, step + 1, loss, usual, losses, images),
                )
        self.before.append(loss)

    def _stop(self, step, values, norms):
        batch = self.sequence.batch_of(self.epoch, step)
        facts = {
            "epoch": self.epoch + 1,
            "step": step + 1,
            "losses": values,
            "gradient_norms": norms,
            "learning_rate": float(read_rate(self.model.optimizer)),
            "images": [f"image {image.image_id}: {image.path or image.id}" for image in self._images(step)],
            "skipped": self.skipped,
        }
        for variable, value in zip(self.generators, self.random_before, strict=True):
            variable.assign(value)
        try:
            path = save_failed_step(self.log_dir, self.model, self.config, batch, facts)
        except OSError as error:  # the report must not be lost to a full disk
            path = None
            logger.error("The failed step could not be saved: %s", error)
        raise NonFiniteError(describe_failure(facts, batch, path), facts)


def read(model, variable):
    """The value of a variable of a model or its optimizer in the middle of an epoch, as a NumPy array.

    On JAX the values of that moment are in the trainer's state, and Keras copies all of them back into the variables
    whenever a callback looks at its model; this takes the one.
    """
    state = getattr(model, "_jax_state", None)
    if state and not model._jax_state_synced:
        for kind in ("optimizer_variables", "non_trainable_variables"):
            owner = model.optimizer.variables if kind == "optimizer_variables" else model.non_trainable_variables
            for known, value in zip(owner, state.get(kind) or (), strict=False):
                if known is variable:
                    return np.asarray(value)
    return ops.convert_to_numpy(variable)


def read_rate(optimizer):
    """The learning rate of this moment."""
    return ops.convert_to_numpy(optimizer.learning_rate)
