"""`run.json`: what a run is, kept up to date, continued by a second stage, and complete when training fails."""

import json
import os

import keras
import numpy as np
import pytest

from mrcnn_plus.training.callbacks.run_file import RunFile, classes_table, describe_data, load_facts
from mrcnn_plus.training.failed_step import NonFiniteError
from mrcnn_plus.training.training_state import StageProgress
from mrcnn_plus.weights.report import LoadReport, SkippedLayer

from ..support.tiny import Figures, TinyConfig


class Shifted(TinyConfig):
    LEARNING_RATE = 0.02


REPORT = LoadReport(
    "coco.h5",
    loaded=["conv1", "res2a_branch2a", "rpn_model/rpn_conv_shared", "mrcnn_class_conv1"],
    initial=["mrcnn_class_logits", "mrcnn_mask"],
    skipped=[SkippedLayer("mrcnn_mask", "shapes differ", {"kernel": (1, 81)}, {"kernel": (1, 3)})],
    excluded=["mrcnn_class_logits"],
    tensors_loaded=8,
    tensors_total=12,
)


def model():
    layers = [keras.layers.Dense(3, name="res2"), keras.layers.Dense(2, name="mrcnn_mask")]
    network = keras.Sequential(layers)
    network.build((None, 4))
    network.compile("sgd", "mse")
    layers[0].trainable = False
    return network


def run_file(folder, *, first=0, last=2, **given):
    progress = StageProgress("heads", "0.02", first, last)
    callback = RunFile(str(folder), progress, Shifted(), datasets={"train": Figures([2, 1]), "val": None}, **given)
    callback.set_model(model())
    return callback


def content(folder):
    return json.loads((folder / "run.json").read_text())


def test_it_says_what_trains_what_was_loaded_and_what_differs(tmp_path):
    finding = {"code": "DAT031", "severity": "warning", "message": "x", "value": float("nan")}
    callback = run_file(tmp_path, loads=[REPORT], pretrained=True, findings=[finding])
    callback.on_train_begin()
    callback.on_epoch_end(0, {})
    found = content(tmp_path)
    assert found["epochs"] == 1 and found["class_names"] == ["BG", "square", "disc"]
    assert found["settings"]["LEARNING_RATE"] == found["changed"]["LEARNING_RATE"] == 0.02
    assert "WEIGHT_DECAY" in found["settings"] and "WEIGHT_DECAY" not in found["changed"]
    (stage,) = found["stages"]
    assert stage["layers"] == "heads" and stage["first_epoch"] == 1 and stage["last_epoch"] == 2
    assert stage["parts"]["backbone"] == {"trainable": 0, "parameters": 15}
    assert stage["parts"]["mask_head"] == {"trainable": 8, "parameters": 8}
    assert found["weights"][0]["parts"]["backbone"] == {"loaded": 2, "initial": 0}
    assert found["data"]["train"]["images"] == 2 and found["data"]["val"] is None
    assert found["lint"][0]["code"] == "DAT031" and found["lint"][0]["value"] == "nan"
    assert found["optimizer"] == "SGD" and "keras" in found["versions"]


def test_a_second_stage_is_added_and_the_beginning_stays(tmp_path):
    run_file(tmp_path, loads=[REPORT], pretrained=False).on_train_begin()
    run_file(tmp_path, first=2, last=5, loads=[REPORT, REPORT], pretrained=True).on_train_begin()
    found = content(tmp_path)
    assert [stage["first_epoch"] for stage in found["stages"]] == [1, 3]
    assert found["pretrained"] is False and len(found["weights"]) == 1


def test_a_stage_that_is_resumed_stands_there_once(tmp_path):
    for _ in range(2):
        run_file(tmp_path).on_train_begin()
    assert len(content(tmp_path)["stages"]) == 1


def test_the_step_that_failed_is_kept(tmp_path):
    callback = run_file(tmp_path)
    callback.on_train_begin()
    callback.note_failure(NonFiniteError("stopped\nmore", {"epoch": 1, "step": 4, "losses": {"loss": float("nan")}}))
    assert content(tmp_path)["failure"] == {
        **{"kind": "NonFiniteError", "message": "stopped", "epoch": 1, "step": 4},
        "losses": {"loss": "nan"},
    }


def test_layers_of_a_load_report_are_counted_by_part():
    facts = load_facts(REPORT)
    assert facts["parts"]["class_head"] == {"loaded": 1, "initial": 1}
    assert facts["parts"]["rpn"] == {"loaded": 1, "initial": 0} and facts["parts"]["mask_head"]["initial"] == 1
    assert facts["skipped"][0].startswith("mrcnn_mask: shapes differ") and facts["excluded"] == ["mrcnn_class_logits"]


def test_positive_rois_by_class():
    table = classes_table(["BG", "square", "disc"], np.array([[0, 5, 2], [0, 7, 0], [0, 5, 0]]))
    assert table == {
        "square": {"rois": 5, "taken_for": 7, "right": 5},
        "disc": {"rois": 2, "taken_for": 0, "right": 0},
    }


def test_instances_are_counted_only_where_no_mask_has_to_be_loaded():
    assert describe_data(Figures([2, 1]))["instances"] is None


def test_sizes_are_those_of_the_images_that_state_one():
    data = Figures([1, 1, 1, 1])
    for info, size in zip(data.image_info, ((None, None), (640, 480), (640, np.int64(480)), ("wide", 3)), strict=True):
        info["width"], info["height"] = size
    assert describe_data(data)["sizes"] == [[640, 480, 2]]


def test_a_full_disk_does_not_stop_training(tmp_path, caplog):
    callback = run_file(tmp_path)
    os.rmdir(tmp_path)
    callback.on_train_begin()
    assert "could not be written" in caplog.text


def test_a_real_run_of_two_stages_has_both(two_stages):
    with open(os.path.join(two_stages.model.log_dir, "run.json"), encoding="utf-8") as file:
        found = json.load(file)
    assert [stage["layers"] for stage in found["stages"]] == ["heads", "all"]
    assert (
        found["stages"][0]["parts"]["backbone"]["trainable"] == 0 < found["stages"][1]["parts"]["backbone"]["trainable"]
    )
    assert found["epochs"] == 3 and found["pretrained"] is None  # the backbone is a function
    assert set(found["classes"]) == {"square", "disc"}
    assert pytest.approx(sum(row["rois"] for row in found["classes"].values()), abs=1) == sum(
        row["taken_for"] for row in found["classes"].values()
    )
