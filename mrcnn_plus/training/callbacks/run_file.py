"""`run.json`: what a run is, for whoever looks at its folder afterwards (`diagnose` and `report`)."""

import collections
import datetime
import importlib.metadata
import json
import logging
import numbers
import os
import platform

import keras
import numpy as np

from mrcnn_plus import __version__
from mrcnn_plus.atomic_files import read_json, replacing
from mrcnn_plus.config import Config
from mrcnn_plus.config_record import changed_settings, plain_settings
from mrcnn_plus.data.class_counts import count_instances
from mrcnn_plus.data.dataset import describe_dataset
from mrcnn_plus.training.parts import PARTS, part_of

logger = logging.getLogger(__name__)

RUN_FILE = "run.json"
_FORMAT = 1
_PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "opencv-python", "pycocotools", "tensorboard")
_MOST_SIZES = 5


class RunFile(keras.callbacks.Callback):
    """Writes `run.json` when a stage begins, and after each of its epochs how far it is.

    log_dir: folder of the run; a file that is there already is continued. progress: the `StageProgress`. config: the
    `Config` with the settings of the stage. datasets: `{"train": ..., "val": ... or None}`. loads: `LoadReport`s of
    the weights that were loaded. pretrained: whether weights were loaded or trained before, None if that is not known.
    findings: of the linter, as dicts.
    """

    def __init__(self, log_dir, progress, config, *, datasets, loads=(), pretrained=None, findings=()):
        super().__init__()
        self.path = os.path.join(log_dir, RUN_FILE)
        self.content = read_json(self.path)
        self.stage = {
            "layers": progress.layers,
            "learning_rate": progress.learning_rate,
            "first_epoch": progress.first_epoch + 1,
            "last_epoch": progress.last_epoch,
            "number": progress.number,
            "of": progress.count,
        }
        self.content.update(
            format=_FORMAT,
            name=str(config.NAME),
            settings=plain_settings(config),
            changed={change.name: change.now for change in changed_settings(plain_settings(Config()), config)},
            class_names=[str(info["name"]) for info in datasets["train"].class_info],
            data={role: data and describe_data(data) for role, data in datasets.items()},
            **self._start(loads, pretrained),
            lint=list(findings),
            versions=_versions(),
            failure=None,
        )

    def _start(self, loads, pretrained):
        """What the run began with: of one that goes on, what its file says, and not the checkpoint it went on from."""
        if self.content.get("stages") and self.stage["first_epoch"] > 1:
            return {name: self.content.get(name) for name in ("weights", "pretrained")}
        return {"weights": [load_facts(report) for report in loads], "pretrained": pretrained}

    def on_train_begin(self, logs=None):
        now = _now()
        self.stage["parts"] = trained_parts(self.model)
        stages = [stage for stage in self.content.get("stages", []) if stage["first_epoch"] < self.stage["first_epoch"]]
        self.content["stages"] = [*stages, self.stage]
        self.content["started"] = self.content.get("started", now)
        self.content["backend"] = keras.backend.backend()
        self.content["optimizer"] = type(
            getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        ).__name__
        self.content["devices"] = self.model.devices.count if hasattr(self.model, "devices") else 1
        self._write(epochs=self.stage["first_epoch"] - 1, updated=now)

    def on_epoch_end(self, epoch, logs=None):
        classes = getattr(getattr(self.model, "statistics", None), "classes", None)
        if classes is not None:
            self.content["classes"] = classes_table(self.content["class_names"], classes)
        self._write(epochs=epoch + 1, updated=_now())

    def note_failure(self, error):
        """Training was stopped by an error, e.g. a `NonFiniteError`; its `facts` are kept."""
        facts = {name: value for name, value in getattr(error, "facts", {}).items() if name != "settings"}
        self._write(failure={"kind": type(error).__name__, "message": str(error).splitlines()[0], **facts})

    def _write(self, **values):
        self.content.update(values)
        try:
            with replacing(self.path) as temporary, open(temporary, "w", encoding="utf-8") as file:
                json.dump(_finite(self.content), file, indent=1, ensure_ascii=False)
        except OSError as error:  # a full disk must not end training
            logger.error("%s could not be written: %s", self.path, error)


def trained_parts(model):
    """`{part: {"trainable": parameters that train, "parameters": all}}`."""
    trained = {id(variable) for variable in model.trainable_variables}
    counts = {part: {"trainable": 0, "parameters": 0} for part in PARTS}
    for variable in model.variables:
        part = None if "seed_generator" in variable.path else part_of(variable.path)
        if part is not None and getattr(variable, "dtype", "").startswith(("float", "bfloat")):
            size = int(np.prod(variable.shape))
            counts[part]["parameters"] += size
            counts[part]["trainable"] += size if id(variable) in trained else 0
    return {part: count for part, count in counts.items() if count["parameters"]}


def load_facts(report):
    """What a `LoadReport` says, with layers counted by part: `{"backbone": {"loaded": 52, "initial": 0}}`."""
    by_part = {part: {"loaded": 0, "initial": 0} for part in PARTS}
    for kind, layers in (("loaded", report.loaded), ("initial", report.initial)):
        for layer in layers:
            by_part[part_of(f"{layer}/kernel")][kind] += 1
    return {
        "path": str(report.path),
        "headline": report.headline(),
        "tensors_loaded": report.tensors_loaded,
        "tensors_total": report.tensors_total,
        "parts": by_part,
        "skipped": [str(layer) for layer in report.skipped],
        "excluded": list(report.excluded),
        "notes": list(report.notes),
    }


def classes_table(names, classes):
    """Positive ROIs of the last epoch by class: how many there were, were taken for it, and were right."""
    rows = zip(names[1:], *classes[:, 1:].tolist(), strict=True)
    return {name: {"rois": rois, "taken_for": taken_for, "right": right} for name, rois, taken_for, right in rows}


def describe_data(dataset):
    """Images, and instances of each class and sizes of the images where they are known without reading files."""
    infos = dataset.image_info
    sizes = collections.Counter(filter(None, map(_size, infos)))
    known = "_class_ids_by_image" in vars(dataset) or all(info.get("annotations") for info in infos[:1])
    instances = None
    if infos and known:
        try:
            names = [str(info["name"]) for info in dataset.class_info]
            counts = count_instances(dataset, skip_bad_images=True)
            instances = dict(zip(names, counts.tolist(), strict=True))
            instances.pop(names[0])
        except Exception:  # for the record only: training has its own, better errors for broken data
            logger.debug("%s: instances could not be counted", describe_dataset(dataset), exc_info=True)
    return {
        "name": describe_dataset(dataset),
        "images": len(infos),
        "instances": instances,
        "sizes": [[*size, count] for size, count in sizes.most_common(_MOST_SIZES)],
    }


def _size(info):
    """(width, height) of an entry of `image_info` that has them; readers that do not know them say None."""
    size = info.get("width"), info.get("height")
    return tuple(map(int, size)) if all(isinstance(side, numbers.Real) for side in size) else None


def _versions():
    found = {"mrcnn_plus": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _now():
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def _finite(value):
    """JSON has no NaN: text in its place."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return str(float(value))
    if isinstance(value, np.ndarray | np.generic):
        return _finite(value.tolist())
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
