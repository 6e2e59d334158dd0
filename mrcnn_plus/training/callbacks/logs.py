"""Losses as files: CSV always, TensorBoard where it is installed."""

import csv
import importlib.util
import logging
import os

import keras

from mrcnn_plus.atomic_files import replacing

logger = logging.getLogger(__name__)

LOSSES_FILE = "losses.csv"


def log_callbacks(log_dir):
    """The callbacks that write `losses.csv` and, with the package tensorboard, event files into `log_dir`."""
    os.makedirs(log_dir, exist_ok=True)
    callbacks = [LossesFile(os.path.join(log_dir, LOSSES_FILE))]
    if importlib.util.find_spec("tensorboard") is not None and keras.backend.backend() == "tensorflow":
        callbacks.append(keras.callbacks.TensorBoard(log_dir=log_dir, write_graph=False))
    return callbacks


class LossesFile(keras.callbacks.Callback):
    """Adds a row for every epoch to a CSV file; the column `epoch` counts from 0, as in Keras' `CSVLogger`.

    Stages may log different values: a column that is new is put into the file, with empty cells before (`CSVLogger`
    would write values under the names of others). A run that is resumed goes on in the same file.
    """

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch, **{name: (logs or {})[name] for name in sorted(logs or {})}}
        try:
            header, rows = self._read()
            new = [name for name in row if name not in header]
            if new:
                self._write([*header, *new], [*rows, row])
                return
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, header).writerow(row)
        except OSError as error:  # a full disk must not end training
            logger.error("Epoch %d could not be written to %s: %s", epoch + 1, self.path, error)

    def _read(self):
        """Header and rows of the file, both empty where there is none."""
        if not os.path.exists(self.path):
            return [], []
        with open(self.path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            return list(reader.fieldnames or []), list(reader)

    def _write(self, header, rows):
        with replacing(self.path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
