"""Checkpoints after every epoch: weights in Matterport's layout, and beside them what resuming needs."""

import contextlib
import dataclasses
import glob
import logging
import math
import os
import re
import shutil

import keras

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.optimizers import averaged_weights
from mrcnn_plus.training.training_state import arrays_of, state_path

logger = logging.getLogger(__name__)


class RunCheckpoint(keras.callbacks.Callback):
    """Writes weights and state after every epoch. compat: the `ModelCheckpoint` of MaskRCNN.train.

    template: path with `{epoch:04d}` for the number of the finished epoch, counted from 1.
    state_after: function `(epochs finished, with_arrays=True) -> TrainingState`, or None to write weights alone.
    keep_last: number of checkpoints to keep, or None.

    Where the optimizer keeps averages of the weights, those are what is saved. path, state: of the newest checkpoint;
    None where it could not be written, or has no state.

    A checkpoint that cannot be written (a full disk) is an error in the log, and training goes on: the next one may
    succeed. If the last one fails, `train` ends with that error, and the weights are still in the model.
    """

    def __init__(self, template, state_after=None, *, keep_last=None):
        super().__init__()
        self.template = str(template)
        self.state_after = state_after
        self.keep_last = keep_last
        self.path = self.state = self.failure = None

    def on_epoch_end(self, epoch, logs=None):
        path = self.template.format(epoch=epoch + 1)
        self.path = self.state = self.failure = None
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with averaged_weights(self.model):
                # The state first: killed in between, a run must not leave weights that nothing belongs to.
                if self.state_after is not None and state_path(path):  # None where a subclass names files its own way
                    self.state = self.state_after(epoch + 1)
                    self.state.save(state_path(path))
                self.model.save_weights(path)
        except OSError as error:
            self.failure = error
            logger.error("Epoch %d: the checkpoint could not be written. Training goes on. %s", epoch + 1, error)
            return
        self.path = path
        if self.keep_last is not None:
            self._remove_old(epoch + 1)

    def update_state(self, epoch):
        """Write the state of the newest checkpoint again if what it says has changed since. Raises OSError."""
        if self.path is None or self.state is None:
            return
        now = self.state_after(epoch, with_arrays=False)
        rates = [row for row, variable in enumerate(self.model.optimizer.variables) if _is_rate(variable)]
        optimizer = list(self.state.optimizer)
        for row, value in zip(rates, arrays_of(self.model.optimizer.variables[row] for row in rates), strict=True):
            optimizer[row] = value
        now = dataclasses.replace(now, optimizer=optimizer, model=self.state.model)
        same_rates = all((optimizer[row] == self.state.optimizer[row]).all() for row in rates)
        if now.facts() != self.state.facts() or not same_rates:
            now.save(state_path(self.path))
            self.state = now

    def on_train_end(self, logs=None):
        if self.failure is not None:
            raise OSError(
                self.failure.errno,
                f"Training has ended, but its last checkpoint could not be written ({self.failure}). The weights are "
                "still in the model: make room, then call keras_model.save_weights(path).",
            ) from self.failure

    def _remove_old(self, epoch):
        """Remove the checkpoints of this run but for the newest `keep_last`, this one among them."""
        folder, file = os.path.split(self.template)
        beginning, end = (part.format() for part in file.split("{epoch:04d}"))
        pattern = re.compile(re.escape(beginning) + r"(\d{4,})" + re.escape(end))
        found = {}
        for path in glob.glob(os.path.join(glob.escape(folder.format()), glob.escape(beginning) + "*")):
            match = pattern.fullmatch(os.path.basename(path))
            if match and int(match[1]) <= epoch:
                found[int(match[1])] = path
        for number in sorted(found)[: -self.keep_last]:
            for path in filter(None, (found[number], state_path(found[number]))):
                with contextlib.suppress(OSError):
                    os.remove(path)


class CheckpointUpdate(keras.callbacks.Callback):
    """Comes after the callbacks of the program: keeps the weights of the best epoch, and brings into the state file
    what those callbacks have done, such as a lower learning rate or the end of the stage.

    checkpoint: the `RunCheckpoint`. best: a `Best`, or None.
    """

    def __init__(self, checkpoint, best=None):
        super().__init__()
        self.checkpoint = checkpoint
        self.best = best

    def on_epoch_end(self, epoch, logs=None):
        try:
            if self.best is not None and self.best.is_beaten_by(logs or {}) and self.checkpoint.path is not None:
                copy_file(self.checkpoint.path, best_path(self.checkpoint.path))
                self.best.take(epoch + 1, logs)
            self.checkpoint.update_state(epoch + 1)
        except OSError as error:
            logger.error("Epoch %d: best weights or state could not be written. Training goes on. %s", epoch + 1, error)


class Best:
    """Follows a logged value: where less of it is better if its name says loss, else more.

    name: of the value in the logs. value, epoch: of the best so far; epoch is counted from 1. occasional: whether there
    are epochs without the value, which are passed over.
    """

    def __init__(self, name, value=None, epoch=0, *, occasional=False):
        self.name = name
        self.value = value
        self.epoch = epoch
        self.occasional = occasional

    @property
    def mode(self):
        return "min" if "loss" in self.name else "max"

    def is_beaten_by(self, logs):
        """Whether an epoch with these logs is better than all so far. Raises ConfigError if they lack the value."""
        if self.name not in logs and self.occasional:
            return False
        if self.name not in logs:
            raise ConfigError(
                f"BEST_METRIC: expected the name of a logged value, received: BEST_METRIC={self.name!r}. Logged are: "
                f"{', '.join(sorted(logs))}. Names with val_ need a val_dataset."
            )
        value = float(logs[self.name])
        if math.isnan(value):
            return False
        return self.value is None or (value < self.value if self.mode == "min" else value > self.value)

    def take(self, epoch, logs):
        """Take an epoch for the best so far."""
        self.value, self.epoch = float(logs[self.name]), epoch

    def to_dict(self):
        return {"name": self.name, "value": self.value, "epoch": self.epoch}


def best_path(checkpoint_path):
    """Where the best weights of the run of a checkpoint are kept.

    The name does not begin as checkpoints do, because Matterport's `find_last` takes any such file for one.
    """
    folder, file = os.path.split(checkpoint_path)
    return os.path.join(folder, "best_" + re.sub(r"_\d{4,}\.h5$", ".h5", file))


def _is_rate(variable):
    return variable.path.split("/")[-1] == "learning_rate"


def copy_file(source, target):
    """Copy a file so that the target is complete or as it was."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
