"""The watcher: a verdict is told once, again when it is worse, kept in a file, and never stops training."""

import csv
import json
import logging

import pytest

from mrcnn_plus.config import Config
from mrcnn_plus.diagnosis import watcher
from mrcnn_plus.diagnosis.watcher import Watcher, make_watcher

from ..support.histories import history


def write_epochs(folder, run, count):
    with open(folder / "losses.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["epoch", *run.names])
        writer.writeheader()
        writer.writerows({"epoch": number, **row} for number, row in enumerate(run.rows[:count]))
    (folder / "run.json").write_text(json.dumps(run.run), encoding="utf-8")


def watch(folder, run, config=None):
    """Let a watcher see a run epoch by epoch; returns it."""
    callback = Watcher(config or Config(), str(folder))
    callback.on_train_begin()
    for number in range(len(run)):
        write_epochs(folder, run, number + 1)
        callback.on_epoch_end(number, dict(run.rows[number]))
    return callback


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, logger="mrcnn_plus.diagnosis.watcher")
    return caplog


def test_a_verdict_is_told_once_with_cause_and_experiment(tmp_path, warnings):
    watch(tmp_path, history(anchor_iou=0.18, anchor_scale=5.0))
    (record,) = [record for record in warnings.records if "RUN030" in record.getMessage()]
    for words in ("Epoch 1.", "likely causes: 1. ", "mrcnn-plus experiment rpn", "LINT_IGNORE = ('RUN030',)"):
        assert words in record.getMessage()


def test_what_follows_from_a_cause_is_named_with_it_and_not_told_by_itself(tmp_path, warnings):
    watch(tmp_path, history(anchor_iou=0.18, anchor_scale=5.0, positive_rois=0.0, positive_anchors=0.1))
    told = [record.getMessage().split(":")[0] for record in warnings.records]
    assert not any("RUN031" in text for text in told)


def test_the_file_has_the_verdicts_of_the_newest_epoch(tmp_path):
    watch(tmp_path, history(anchor_iou=0.18, anchor_scale=5.0))
    content = json.loads((tmp_path / "verdicts.json").read_text())
    assert content["epoch"] == 8 and content["findings"][0]["code"] == "RUN030"
    assert content["findings"][0]["evidence"] and content["findings"][0]["causes"]


def test_a_healthy_run_is_watched_in_silence(tmp_path, warnings):
    watch(tmp_path, history())
    assert not warnings.records
    assert json.loads((tmp_path / "verdicts.json").read_text())["findings"] == []


def test_a_run_that_goes_on_is_not_told_again(tmp_path, warnings):
    run = history(anchor_iou=0.18, anchor_scale=5.0)
    watch(tmp_path, run)
    warnings.clear()
    watch(tmp_path, run)
    assert not warnings.records


def test_rules_are_silenced_and_the_watcher_switched_off(tmp_path, warnings):
    class Silent(Config):
        LINT_IGNORE = ("RUN",)

    class Off(Config):
        WATCH_TRAINING = False

    watch(tmp_path, history(anchor_iou=0.18, anchor_scale=5.0), Silent())
    assert not warnings.records
    assert make_watcher(Off(), str(tmp_path)) is None
    assert isinstance(make_watcher(Config(), str(tmp_path)), Watcher)


def test_a_failure_of_the_watcher_does_not_stop_training(tmp_path, warnings, monkeypatch):
    def fails(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(watcher, "verdicts_on", fails)
    watch(tmp_path, history(2))
    assert "training goes on" in warnings.text


def test_training_that_stops_at_a_value_that_is_not_finite_has_its_verdict(tmp_path, warnings):
    failure = {"epoch": 1, "step": 2, "losses": {"loss": "nan", "rpn_bbox_loss": "nan"}, "gradient_norms": {}}
    run = history(0, run={"failure": failure})
    write_epochs(tmp_path, run, 0)
    Watcher(Config(), str(tmp_path)).training_failed(ArithmeticError())
    assert "Training stopped. RUN001: rpn_bbox_loss is not finite at epoch 1, step 2" in warnings.text
