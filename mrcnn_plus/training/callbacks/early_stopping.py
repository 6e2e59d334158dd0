"""Ends a stage when a logged value gets no better."""

import logging

import keras

from mrcnn_plus.training.callbacks.checkpoint import Best

logger = logging.getLogger(__name__)


class EarlyStopping(keras.callbacks.EarlyStopping):
    """`keras.callbacks.EarlyStopping` that goes on counting where an interrupted stage stopped.

    name: of the logged value. patience: epochs without a better one. so_far: what `to_dict` gave at the checkpoint that
    the stage is resumed from, or None. occasional: whether there are epochs without the value. They count as epochs,
    but the stage ends only when a value has been looked at.
    """

    def __init__(self, name, patience, so_far=None, *, occasional=False):
        super().__init__(monitor=name, patience=patience, mode=Best(name).mode)
        self.so_far = so_far
        self.occasional = occasional

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        if self.so_far and self.so_far["name"] == self.monitor:
            self.best, self.wait = self.so_far["best"], self.so_far["wait"]

    def on_epoch_end(self, epoch, logs=None):
        if self.occasional and self.monitor not in (logs or {}):
            self.wait += 1
            return
        ends_already = self.model.stop_training  # a callback of the program wants it
        super().on_epoch_end(epoch, logs)
        if self.model.stop_training and not ends_already:
            logger.warning(
                "The stage ends after epoch %d: for %d epochs %s has not become better than %.4g.",
                *(epoch + 1, self.wait, self.monitor, self.best),
            )

    def to_dict(self):
        best = None if self.best is None else float(self.best)
        return {"name": self.monitor, "best": best, "wait": self.wait}
