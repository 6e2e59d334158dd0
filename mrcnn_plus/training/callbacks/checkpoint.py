"""Checkpoints in Matterport's layout after every epoch."""

import os

import keras


class WeightsCheckpoint(keras.callbacks.Callback):
    """Writes the weights after every epoch. compat: the `ModelCheckpoint` of MaskRCNN.train.

    template: path with `{epoch:04d}` for the number of the finished epoch, counted from 1.
    """

    def __init__(self, template):
        super().__init__()
        self.template = str(template)

    def on_epoch_end(self, epoch, logs=None):
        path = self.template.format(epoch=epoch + 1)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.model.save_weights(path)
