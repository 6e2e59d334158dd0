"""What a run leaves in files: `losses.csv` and events for TensorBoard."""

import csv
import math
import os

import pytest

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.training.callbacks.epoch_figures import rates_by_part, weights_and_shares
from mrcnn_plus.training.callbacks.logs import LossesFile, log_callbacks, read_losses
from mrcnn_plus.training.callbacks.tensorboard import TensorBoardFile, tag_of


def write(path, *epochs, stage="heads", first=0):
    file = LossesFile(str(path), stage)
    for epoch, logs in enumerate(epochs, start=first):
        file.on_epoch_end(epoch, logs)
    return read_losses(str(path))


def test_columns_stand_in_groups_with_the_losses_first(tmp_path):
    logs = {"seconds": 1, "share_mrcnn_mask_loss": 0.5, "val_loss": 3, "val_box_AP": 0.4, "learning_rate": 0.1}
    logs.update(dict.fromkeys(reversed(LOSS_NAMES), 1.0), loss=5.0, val_mrcnn_mask_loss=2.0, gradient_norm=1.0)
    header, _ = write(tmp_path / "losses.csv", logs)
    assert header == [
        *("epoch", "stage", "loss", *LOSS_NAMES, "val_loss", "val_mrcnn_mask_loss", "val_box_AP"),
        *("share_mrcnn_mask_loss", "learning_rate", "gradient_norm", "seconds"),
    ]


def test_a_column_that_comes_later_leaves_the_others_under_their_names(tmp_path):
    path = tmp_path / "losses.csv"
    write(path, {"loss": 2.0, "seconds": 9})
    header, rows = write(path, {"loss": 1.0, "mrcnn_mask_loss": 0.5}, stage="4+, (mrcnn_.*)", first=1)
    assert header == ["epoch", "stage", "loss", "mrcnn_mask_loss", "seconds"]
    assert [row["stage"] for row in rows] == ["heads", "4+, (mrcnn_.*)"]
    assert [row["seconds"] for row in rows] == ["9", ""] and [row["mrcnn_mask_loss"] for row in rows] == ["", "0.5"]


def test_a_full_disk_does_not_end_training(tmp_path, caplog):
    (tmp_path / "losses.csv").mkdir()
    LossesFile(str(tmp_path / "losses.csv")).on_epoch_end(0, {"loss": 1.0})
    assert "Epoch 1 could not be written" in caplog.text
    callback = TensorBoardFile(str(tmp_path / "gone"))
    callback.on_epoch_end(0, {"loss": 1.0})
    assert "could not be written for TensorBoard" in caplog.text


def test_shares_are_parts_of_the_weighted_sum_of_the_five():
    logs = dict.fromkeys(LOSS_NAMES, 1.0) | {"loss": 99.0, "l2_loss": 9.0}
    figures = weights_and_shares(logs, {"mrcnn_mask_loss": 4.0, "rpn_bbox_loss": 0.0})
    assert figures["share_mrcnn_mask_loss"] == pytest.approx(4 / 7)
    assert figures["share_rpn_bbox_loss"] == 0 and figures["weight_rpn_bbox_loss"] == 0
    assert sum(value for name, value in figures.items() if name.startswith("share_")) == pytest.approx(1)


def test_learnt_weights_multiply_the_fixed_ones():
    logs = dict.fromkeys(LOSS_NAMES, 1.0) | {f"{name}_weight": 0.5 for name in LOSS_NAMES}
    assert weights_and_shares(logs, {"mrcnn_mask_loss": 3.0})["weight_mrcnn_mask_loss"] == 1.5


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_there_are_no_shares_of_nothing(value):
    figures = weights_and_shares(dict.fromkeys(LOSS_NAMES, value), {})
    assert not any(name.startswith("share_") for name in figures)
    assert figures["weight_rpn_class_loss"] == 1


def test_a_model_with_other_losses_has_no_shares():
    assert weights_and_shares({"loss": 1.0}, {}) == {}


def test_rates_of_the_parts_that_train():
    paths = ["conv1/kernel", "res2a_branch2a/kernel", "mrcnn_mask/bias"]
    rates = rates_by_part(0.1, paths, {"backbone": 0.1, "conv1": 0.5, "rpn": 2.0})
    assert rates == pytest.approx({"learning_rate_backbone": 0.05, "learning_rate_mask_head": 0.1})


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("loss", "loss/train_total"),
        ("val_loss", "loss/val_total"),
        ("mrcnn_mask_loss", "loss/train_mrcnn_mask_loss"),
        ("val_rpn_class_loss", "loss/val_rpn_class_loss"),
        ("val_box_AP", "mAP/box_AP"),
        ("val_mask_AP50", "mAP/segm_AP50"),
        ("share_mrcnn_mask_loss", "share/mrcnn_mask_loss"),
        ("learning_rate", "learning_rate/base"),
        ("learning_rate_backbone", "learning_rate/backbone"),
        ("gradient_norm_max", "gradient_norm/max"),
        ("data_wait", "speed/data_wait"),
        ("users_own", "other/users_own"),
    ],
)
def test_tags_of_tensorboard(name, tag):
    assert tag_of(name) == tag


def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callbacks = log_callbacks(str(tmp_path), "heads")
    assert [type(callback).__name__ for callback in callbacks] == ["LossesFile", "TensorBoardFile"]
    board = callbacks[1]
    for epoch, loss in enumerate((3.0, 2.0), start=4):
        board.on_epoch_end(epoch, {"loss": loss, "val_mask_AP": 0.25})
    (name,) = os.listdir(tmp_path)
    assert name.startswith("events.out.tfevents."), "TensorBoard looks for this name"
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/train_total")] == [(4, 3.0), (5, 2.0)]
    assert [e.value for e in events.Scalars("mAP/segm_AP")] == [0.25, 0.25]
    assert "custom_scalars__config__" in events.Tags()["tensors"]
    board.on_train_end()
    board.on_epoch_end(6, {"loss": 1.0})
    board.on_train_end()
    assert len(os.listdir(tmp_path)) == 2, "a call of train after another opens a file of its own"


def test_a_run_has_all_columns_and_the_total_is_the_sum_of_its_parts(two_stages):
    with open(os.path.join(two_stages.model.log_dir, "losses.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["stage"] for row in rows] == ["heads", "heads", "all"]
    assert [float(row["learning_rate"]) for row in rows] == [0.01, 0.01, 0.001]
    for row in rows:
        parts = [float(row[name]) * float(row[f"weight_{name}"]) for name in LOSS_NAMES]
        assert sum(parts) + float(row["l2_loss"]) == pytest.approx(float(row["loss"]), rel=1e-4)
        assert sum(float(row[f"share_{name}"]) for name in LOSS_NAMES) == pytest.approx(1)
        assert float(row["seconds"]) > 0 and float(row["images_per_second"]) > 0 and row["gradient_norm"]
