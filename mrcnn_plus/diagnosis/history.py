"""What a training run recorded, epoch by epoch, from wherever it was written: `History`.

Read are a folder of a run of this package (`losses.csv`, `run.json`, `evaluation/*.json`), CSV files of Keras'
`CSVLogger`, and event files of TensorBoard, as Matterport's code wrote them. Names of other programs become ours.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrcnn_plus.atomic_files import read_json
from mrcnn_plus.constants import LOSS_NAMES as LOSSES
from mrcnn_plus.diagnosis.event_files import read_scalars
from mrcnn_plus.errors import ConfigError

#: Our name of what other programs call otherwise: torchvision, detectron2, Keras' TensorBoard, MMDetection.
_OURS = {
    **{"loss_objectness": LOSSES[0], "objectness": LOSSES[0], "loss_rpn_cls": LOSSES[0]},
    **{"loss_rpn_box_reg": LOSSES[1], "rpn_box_reg": LOSSES[1], "loss_rpn_loc": LOSSES[1], "loss_rpn_bbox": LOSSES[1]},
    **{"loss_classifier": LOSSES[2], "classifier": LOSSES[2], "loss_cls": LOSSES[2]},
    **{"loss_box_reg": LOSSES[3], "box_reg": LOSSES[3], "loss_bbox": LOSSES[3]},
    **{"loss_mask": LOSSES[4], "mask": LOSSES[4]},
    **{"total_loss": "loss", "total": "loss", "train_loss": "loss", "lr": "learning_rate"},
    **{"l2": "l2_loss", "grad_norm": "gradient_norm"},
    **{"map/box_ap": "val_box_AP", "map/segm_ap": "val_mask_AP", "bbox/ap": "val_box_AP", "segm/ap": "val_mask_AP"},
    **{"bbox/ap50": "val_box_AP50", "segm/ap50": "val_mask_AP50"},
    **{"bbox_map": "val_box_AP", "segm_map": "val_mask_AP", "bbox_map_50": "val_box_AP50"},
    **{"segm_map_50": "val_mask_AP50", "box_ap": "val_box_AP", "mask_ap": "val_mask_AP"},
    **{"box_ap50": "val_box_AP50", "mask_ap50": "val_mask_AP50", "val_map": "val_mask_AP"},
}
_COUNTERS = ("epoch", "step", "iteration", "iter")
_VALIDATION_FOLDERS = ("validation", "val", "eval", "test")
_MOST_ROWS = 400  # more are steps, not epochs, and are put together


@dataclass(frozen=True)
class History:
    """The epochs of a run. Values that were not recorded are NaN.

    epochs: their numbers, from 1. rows: for each its values by name, floats. layers: for each which layers trained, or
    None. run: the content of `run.json`, or an empty dict. evaluations: `{epoch: content}` of `evaluation/*.json`.
    source: where it comes from, for messages.
    """

    epochs: tuple[int, ...]
    rows: tuple[Mapping[str, float], ...]
    layers: tuple[str | None, ...] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    evaluations: Mapping[int, Any] = field(default_factory=dict)
    source: str = "this run"

    def __len__(self) -> int:
        return len(self.epochs)

    @property
    def names(self) -> list[str]:
        """Everything that was recorded at least once."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def values(self, name: str) -> np.ndarray:
        """float64 `[epochs]`; NaN where it was not recorded."""
        return np.array([row.get(name, np.nan) for row in self.rows], np.float64)

    def has(self, *names: str) -> bool:
        """Whether each of them was recorded at least once."""
        return all(any(name in row for row in self.rows) for name in names)

    def last(self, name: str) -> float:
        """The newest value; NaN without any."""
        values = [row[name] for row in self.rows if name in row]
        return float(values[-1]) if values else float("nan")

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the run, where they are known."""
        return self.run.get("settings") or {}

    @property
    def stage_starts(self) -> list[int]:
        """Positions in `epochs` at which a stage begins; the first is 0."""
        starts = [0] if len(self) else []
        first_epochs = {stage.get("first_epoch") for stage in self.run.get("stages") or ()}
        for index in range(1, len(self)):
            changed = bool(self.layers) and self.layers[index] != self.layers[index - 1]
            if changed or self.epochs[index] in first_epochs:
                starts.append(index)
        return starts

    @property
    def stage(self) -> Mapping[str, Any]:
        """What `run.json` says about the stage of the newest epoch, or an empty dict."""
        stages = [
            stage
            for stage in self.run.get("stages") or ()
            if stage.get("first_epoch", 1) <= max(self.epochs, default=1)
        ]
        return stages[-1] if stages else {}

    def until(self, epoch: int) -> History:
        """The run as it stood after that epoch."""
        count = sum(number <= epoch for number in self.epochs)
        run = dict(self.run)
        failure = run.get("failure")
        if failure and failure.get("epoch", 0) > epoch + 1:
            run["failure"] = None
        evaluations = {number: content for number, content in self.evaluations.items() if number <= epoch}
        return History(self.epochs[:count], self.rows[:count], self.layers[:count], run, evaluations, self.source)

    @classmethod
    def of_logs(cls, logs: Sequence[Mapping[str, Any]], *, run=None, layers=(), first_epoch: int = 1) -> History:
        """From the logs of each epoch, e.g. rows of a Keras `History`."""
        rows = tuple(_named(row) for row in logs)
        return cls(tuple(range(first_epoch, first_epoch + len(rows))), rows, tuple(layers), run or {})

    @classmethod
    def read(cls, path) -> History:
        """From the folder of a run, a CSV file, or an event file of TensorBoard.

        Raises ConfigError where there is nothing that can be read.
        """
        path = Path(path)
        if not path.exists():
            raise ConfigError(
                f"expected the folder of a run or a file with its losses, received: {path}, which is not there."
            )
        found = cls._read_folder(path) if path.is_dir() else cls._read_file(path)
        if found is None:
            raise ConfigError(
                f"expected losses.csv, another CSV file with a column `loss`, or event files of TensorBoard, received: "
                f"{path}. Give the folder of one run, such as logs/nucleus20260101T1200."
            )
        return found

    @classmethod
    def _read_folder(cls, folder):
        run = read_json(folder / "run.json")
        files = sorted(folder.glob("*.csv"), key=lambda file: (file.name != "losses.csv", file.name))
        table = next((table for table in map(_read_csv, files) if table is not None), None)
        if table is None:
            events = [file for file in sorted(folder.rglob("*tfevents*")) if file.is_file()]
            table = _table_of_events(events, folder) if events else None
        if table is None:
            if not run.get("failure"):
                return None
            table = ((), (), ())  # stopped in its first epoch
        evaluations = {}
        for file in sorted((folder / "evaluation").glob("*.json")):
            number = re.search(r"(\d+)$", file.stem)
            content = read_json(file)
            if number and content:
                evaluations[int(number[1])] = content
        return cls(*table, run, evaluations, str(folder))

    @classmethod
    def _read_file(cls, path):
        is_events = "tfevents" in path.name
        table = _table_of_events([path], path.parent) if is_events else _read_csv(path)
        return None if table is None else cls(*table, {}, {}, str(path))


def _read_csv(path):
    """`(epochs, rows, layers)` of a CSV file with losses, or None."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    records = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    rows = [_named(record) for record in records]
    if not any({"loss", *LOSSES} & set(row) for row in rows):
        return None
    counter = next((name for name in _COUNTERS if name in records[0]), None)
    numbers = [_number(record.get(counter)) if counter else index for index, record in enumerate(records)]
    return _table(numbers, rows, [record.get("stage") or None for record in records])


def _table_of_events(files, folder):
    """`(epochs, rows, layers)` of event files; what stands in a folder `validation` gets `val_` before its name.

    Raises ConfigError where they are of several runs.
    """
    by_step: dict[int, dict[str, float]] = {}
    folders: dict[tuple[int, str], Path] = {}
    for file in files:
        inside = file.relative_to(folder).parts[:-1]
        is_validation = any(part.lower() in _VALIDATION_FOLDERS for part in inside)
        for step, tag, value in read_scalars(file):
            if tag.startswith("batch_") or tag.endswith("_vs_iterations"):  # Keras: these count steps
                continue
            name = _our_name(tag)
            if is_validation and not name.startswith("val_"):
                name = f"val_{name}"
            if folders.setdefault((step, name), file.parent) != file.parent:
                runs = f"{folders[step, name].relative_to(folder)} and {file.parent.relative_to(folder)}"
                raise ConfigError(f"expected the folder of one run, received: {folder}, which has several: {runs}, ...")
            by_step.setdefault(step, {})[name] = value
    steps = sorted(by_step)
    rows = [by_step[step] for step in steps]
    if not any({"loss", *LOSSES} & set(row) for row in rows):
        return None
    return _table(steps, rows, [None] * len(rows))


def _table(numbers: Iterable[float], rows, layers):
    """Rows in the order of their epochs, counted from 1; of an epoch that was trained again, the last one."""
    numbers = [
        index if number is None or not np.isfinite(number) else int(number) for index, number in enumerate(numbers)
    ]
    first = 1 if 0 in numbers else 0
    kept = {number + first: (row, layer) for number, row, layer in zip(numbers, rows, layers, strict=True) if row}
    epochs = sorted(kept)
    table = [(epoch, *kept[epoch]) for epoch in epochs]
    if len(table) > _MOST_ROWS:
        table = _in_blocks(table)
    return tuple(zip(*table, strict=True)) if table else ((), (), ())


def _in_blocks(table):
    """So many rows are steps: means over some of them, numbered by the block."""
    blocks = np.array_split(np.arange(len(table)), _MOST_ROWS // 4)
    merged = []
    for number, block in enumerate(blocks, start=1):
        rows = [table[index][1] for index in block]
        names = dict.fromkeys(name for row in rows for name in row)
        means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
        merged.append((number, means, table[block[-1]][2]))
    return merged


def _named(record: Mapping[str, Any]) -> dict[str, float]:
    """Its numbers by our names."""
    row = {}
    for name, text in record.items():
        value = _number(text)
        if value is not None and name and name not in _COUNTERS:
            row[_our_name(str(name))] = value
    return row


def _our_name(name: str) -> str:
    """`epoch_val_rpn_class_loss`, `loss/val_objectness`, `train/loss_mask` -> `val_rpn_class_loss`, ..."""
    text = name.strip().removeprefix("epoch_")
    known = _OURS.get(text.lower())
    if known:
        return known
    is_validation, bare = False, text
    for beginning in ("loss/", "train/", "training/", "val/", "validation/", "evaluation_"):
        if bare.lower().startswith(beginning):
            is_validation |= beginning.startswith("val") or beginning == "evaluation_"
            bare = bare[len(beginning) :]
    for beginning in ("val_", "train_"):
        if bare.startswith(beginning):
            is_validation |= beginning == "val_"
            bare = bare[len(beginning) :]
    bare = bare.removeprefix("epoch_")
    bare = _OURS.get(bare.lower(), bare)
    if bare in ("val", "train"):  # loss/val
        is_validation, bare = is_validation or bare == "val", "loss"
    return f"val_{bare}" if is_validation and not bare.startswith("val_") else bare


def _number(text: Any) -> float | None:
    """A float, also NaN and infinite ones; None for what is no number."""
    if text is None or text == "" or isinstance(text, bool):
        return None
    try:
        return float(np.asarray(text, np.float64)) if not isinstance(text, str) else float(text)
    except (TypeError, ValueError):
        return None


def folder_of(path) -> str:
    """The folder that a history was read from."""
    return str(path) if os.path.isdir(path) else os.path.dirname(str(path))
