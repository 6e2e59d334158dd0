"""Losses as files: CSV always, TensorBoard where it is installed. `docs/training_logs.md` lists columns and tags."""

import csv
import importlib.util
import logging
import os

import keras

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.training.callbacks.tensorboard import TensorBoardFile

logger = logging.getLogger(__name__)

LOSSES_FILE = "losses.csv"
# Columns come in this order, those of no group at the end.
_FIRST = ("epoch", "stage", "loss", *LOSS_NAMES, "l2_loss")
_GROUPS = ("val_loss", *(f"val_{name}" for name in LOSS_NAMES), "val_box_AP", "val_mask_AP", "val_")
_LAST = ("weight_", "share_", "learning_rate", "gradient_norm")


def log_callbacks(log_dir, stage):
    """The callbacks that write `losses.csv` and, with the package tensorboard, an event file into `log_dir`.

    stage: the layers that are trained, for the column of this name.
    """
    os.makedirs(log_dir, exist_ok=True)
    callbacks = [LossesFile(os.path.join(log_dir, LOSSES_FILE), stage)]
    if importlib.util.find_spec("tensorboard") is not None:
        callbacks.append(TensorBoardFile(log_dir))
    return callbacks


class LossesFile(keras.callbacks.Callback):
    """Adds a row for every epoch to a CSV file; the column `epoch` counts from 0, as in Keras' `CSVLogger`.

    Stages may log different values: a column that is new is put into the file, with empty cells before (`CSVLogger`
    would write values under the names of others). A run that is resumed goes on in the same file; where it goes back to
    an older checkpoint, the rows of the epochs that are trained again are replaced.

    stage: text for the column `stage`, or None for a file without it.
    """

    def __init__(self, path, stage=None):
        super().__init__()
        self.path = path
        self.stage = stage

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch, **(logs or {})}
        if self.stage is not None:
            row["stage"] = self.stage
        try:
            header, rows = read_losses(self.path)
            new = [name for name in row if name not in header]
            before = [known for known in rows if _epoch_of(known) < epoch]
            if new or len(before) < len(rows):
                self._write(sorted([*header, *new], key=_place), [*before, row])
                return
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, header).writerow(row)
        except OSError as error:  # a full disk must not end training
            logger.error("Epoch %d could not be written to %s: %s", epoch + 1, self.path, error)

    def _write(self, header, rows):
        with replacing(self.path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, header, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


def read_losses(path):
    """Header and rows of a `losses.csv`, the rows as dicts of texts; both empty where there is no file."""
    if not os.path.exists(path):
        return [], []
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        return list(reader.fieldnames or []), list(reader)


def _epoch_of(row):
    """The epoch of a row; -1 for one that cannot be read."""
    text = row.get("epoch") or ""
    return int(text) if text.isdecimal() else -1


def _place(name):
    """Where a column stands."""
    if name in _FIRST:
        return _FIRST.index(name), ""
    for number, beginning in enumerate((*_GROUPS, *_LAST), start=len(_FIRST)):
        if name == beginning or (name.startswith(beginning) and beginning not in LOSS_NAMES):
            return number, name
    return len(_FIRST) + len(_GROUPS) + len(_LAST), name
