"""Checkpoints after every epoch: weights in Matterport's layout, and beside them what resuming needs."""

import contextlib
import glob
import logging
import math
import os
import re
import shutil

import keras

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.training_state import state_path

logger = logging.getLogger(__name__)


class RunCheckpoint(keras.callbacks.Callback):
    """Writes weights and state after every epoch. compat: the `ModelCheckpoint` of MaskRCNN.train.

    template: path with `{epoch:04d}` for the number of the finished epoch, counted from 1.
    make_state: function `(epochs finished, stage has ended) -> TrainingState`, or None to write weights alone.
    keep_last: number of checkpoints to keep, or None. best: a `Best`, or None. average: the `SwapEMAWeights` of the
    run, whose averages are what is saved, or None.

    A checkpoint that cannot be written (a full disk) is an error in the log, and training goes on: the next one may
    succeed. If the last one fails, `train` ends with that error, and the weights are still in the model.
    """

    def __init__(self, template, make_state=None, *, keep_last=None, best=None, average=None):
        super().__init__()
        self.template = str(template)
        self.make_state = make_state
        self.keep_last = keep_last
        self.best = best
        self.average = average
        self.failure = None

    def on_epoch_end(self, epoch, logs=None):
        ended = self.model.stop_training or epoch + 1 >= self.params.get("epochs", math.inf)
        is_best = self.best is not None and self.best.update(epoch + 1, logs or {})
        path = self.template.format(epoch=epoch + 1)
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with self._averaged():
                self.model.save_weights(path)
                if self.make_state is not None and state_path(path):  # None where a subclass names files its own way
                    self.make_state(epoch + 1, ended).save(state_path(path))
            if is_best:
                copy_file(path, best_path(path))
            self.failure = None
        except OSError as error:
            self.failure = error
            logger.error("Epoch %d: the checkpoint could not be written. Training goes on. %s", epoch + 1, error)
            return
        if self.keep_last is not None:
            self._remove_old(epoch + 1)

    def on_train_end(self, logs=None):
        if self.failure is not None:
            raise OSError(
                self.failure.errno,
                f"Training has ended, but its last checkpoint could not be written ({self.failure}). The weights are "
                "still in the model: make room, then call keras_model.save_weights(path).",
            ) from self.failure

    @contextlib.contextmanager
    def _averaged(self):
        """With the averaged weights in the model, and the others in the optimizer, where the run has averages."""
        if self.average is None:
            yield
            return
        self.average.on_test_begin()
        try:
            yield
        finally:
            self.average.on_test_end()

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

    def update(self, epoch, logs):
        """Take in an epoch; True if it is the best so far."""
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
        better = self.value is None or (value < self.value if self.mode == "min" else value > self.value)
        if better:
            self.value, self.epoch = value, epoch
        return better

    def to_dict(self):
        return {"name": self.name, "value": self.value, "epoch": self.epoch}


def best_path(checkpoint_path):
    """Where the best weights of the run of a checkpoint are kept.

    The name does not begin as checkpoints do, because Matterport's `find_last` takes any such file for one.
    """
    folder, file = os.path.split(checkpoint_path)
    return os.path.join(folder, "best_" + re.sub(r"_\d{4,}\.h5$", ".h5", file))


def copy_file(source, target):
    """Copy a file so that the target is complete or as it was."""
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
