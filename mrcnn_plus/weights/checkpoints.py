"""Matterport's names of log folders and checkpoint files.

    <model_dir>/<name><YYYYmmddTHHMM>/mask_rcnn_<name>_<epoch>.h5
    logs/nucleus20180101T1200/mask_rcnn_nucleus_0007.h5

`name` is `Config.NAME` in lower case, the stamp is the start of the run, the epoch counts from 1.
"""

import datetime
import errno
import os
import re
from typing import NamedTuple

_STAMP_FORMAT = "%Y%m%dT%H%M"
_STAMP = r"\d{8}T\d{4}"
# A separator may be of either kind: paths stored on Windows are read elsewhere. Epochs past 9999 have more digits.
_CHECKPOINT_PATH = re.compile(
    rf"(?P<log_dir>(?:.*[/\\])?[^/\\]+?(?P<stamp>{_STAMP}))[/\\]+mask_rcnn_[^/\\]+?_(?P<epoch>\d{{4,}})\.h5"
)
_CHECKPOINT_FILE = re.compile(r"mask_rcnn.*?(?:_(?P<epoch>\d{4,}))?\.h5")


class ResumePoint(NamedTuple):
    """Where a run stood when it wrote a checkpoint.

    log_dir: the folder of the file, as written in its path.
    epoch: epochs finished; training goes on after it.
    started: start of the run, from the folder's name.
    """

    log_dir: str
    epoch: int
    started: datetime.datetime


def new_log_dir(model_dir, name, *, now=None):
    """The log folder of a run that starts `now` (a `datetime`, default: the present). The folder is not created."""
    now = now or datetime.datetime.now()
    return os.path.join(os.fspath(model_dir), f"{name.lower()}{now:{_STAMP_FORMAT}}")


def checkpoint_template(log_dir, name):
    """Path of the checkpoints of a run, with `{epoch:04d}` for `str.format`."""
    folder = os.fspath(log_dir).replace("{", "{{").replace("}", "}}")
    return os.path.join(folder, f"mask_rcnn_{name.lower()}_{{epoch:04d}}.h5")


def parse_checkpoint_path(path):
    """The `ResumePoint` that a checkpoint's path tells, or None if it is not named like a checkpoint of a run.

    compat: MaskRCNN.set_log_dir. Any name of run and file will do, and a path that begins with the run's folder.
    """
    match = _CHECKPOINT_PATH.fullmatch(os.fspath(path))
    if match is None:
        return None
    try:
        started = datetime.datetime.strptime(match["stamp"], _STAMP_FORMAT)
    except ValueError:  # digits that are no date
        return None
    return ResumePoint(match["log_dir"], int(match["epoch"]), started)


def find_last(model_dir, name):
    """Path of the newest checkpoint of the newest run of `name` under `model_dir`.

    compat: MaskRCNN.find_last, which takes every folder that begins with the name, so that for "coco" it may answer
    with a run of "coco_balloon"; here the folder must be the name and a date stamp. A newest run without a checkpoint
    is an error as there: silently continuing from an older run would train the wrong weights.

    Raises FileNotFoundError if there is no such folder, run or checkpoint.
    """
    model_dir = os.fspath(model_dir)
    if not os.path.isdir(model_dir):
        raise _not_found(
            f"find_last: the folder for logs does not exist, received: model_dir={model_dir!r}. Train first, or pass "
            "the path of a weights file to load_weights."
        )
    runs = _runs(model_dir, name)
    if not runs:
        raise _not_found(
            f"find_last: no run named {name.lower()!r} under {model_dir!r} (expected a folder "
            f"{name.lower()}<YYYYmmddTHHMM>); {_other_runs(model_dir)}. Check NAME in the configuration and model_dir, "
            "or pass the path of a weights file."
        )
    newest = os.path.join(model_dir, runs[-1])
    checkpoint = newest_checkpoint(newest)
    if checkpoint:
        return checkpoint
    older = runs_with_checkpoints(model_dir, name)
    hint = f"the newest run with checkpoints is {older[-1]!r}" if older else "no other run of that name has any either"
    raise _not_found(
        f"find_last: the newest run {newest!r} holds no checkpoint mask_rcnn_*.h5 (it may have stopped before its "
        f"first epoch ended); {hint}. Delete the empty folder, or pass the path of a weights file to load_weights."
    )


def runs_with_checkpoints(model_dir, name):
    """Folder names of the runs of exactly that name that hold checkpoints, oldest first; [] without the folder."""
    model_dir = os.fspath(model_dir)
    if not os.path.isdir(model_dir):
        return []
    return [run for run in _runs(model_dir, name) if newest_checkpoint(os.path.join(model_dir, run))]


def _runs(model_dir, name):
    """Folder names of the runs of exactly that name, oldest first."""
    pattern = re.compile(re.escape(name.lower()) + _STAMP)
    return sorted(
        entry
        for entry in os.listdir(model_dir)
        if pattern.fullmatch(entry) and os.path.isdir(os.path.join(model_dir, entry))
    )


def _other_runs(model_dir):
    names = sorted(
        {re.sub(_STAMP + "$", "", entry) for entry in os.listdir(model_dir) if re.fullmatch(f".+{_STAMP}", entry)}
    )
    return (
        "there are runs named " + ", ".join(repr(name) for name in names[:10]) if names else "it holds no runs at all"
    )


def newest_checkpoint(folder):
    """Path of the checkpoint with the highest epoch (one without a number only if there is no other), or None."""
    numbered = []
    for entry in os.listdir(folder) if os.path.isdir(folder) else ():
        match = _CHECKPOINT_FILE.fullmatch(entry)
        if match:
            numbered.append((int(match["epoch"] or -1), entry))
    return os.path.join(folder, max(numbered)[1]) if numbered else None


def _not_found(message):
    return FileNotFoundError(errno.ENOENT, message)
