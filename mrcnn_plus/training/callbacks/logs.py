"""Losses as files: CSV always, TensorBoard where it is installed."""

import importlib.util
import os

import keras

LOSSES_FILE = "losses.csv"


def log_callbacks(log_dir):
    """The callbacks that write `losses.csv` and, with the package tensorboard, event files into `log_dir`."""
    os.makedirs(log_dir, exist_ok=True)
    callbacks = [keras.callbacks.CSVLogger(os.path.join(log_dir, LOSSES_FILE), append=True)]
    if importlib.util.find_spec("tensorboard") is not None and keras.backend.backend() == "tensorflow":
        callbacks.append(keras.callbacks.TensorBoard(log_dir=log_dir, write_graph=False))
    return callbacks
