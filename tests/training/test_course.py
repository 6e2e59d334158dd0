"""Stages, resuming and early stopping: that an interrupted run comes to what an uninterrupted one does."""

import os
import shutil

import keras
import numpy as np
import pytest

from mrcnn_plus import Stage
from mrcnn_plus.errors import ConfigError, DatasetError, WeightsError
from mrcnn_plus.training.training_state import TrainingState, state_path

from ..support.tiny import Figures, weights_of
from ..support.toy import difference, files_of, toy, train

# The hardest to continue: momentum, a schedule with warm-up, rates by part, averages, best values.
EVERYTHING = {
    "LR_SCHEDULE": "cosine",
    "WARMUP_STEPS": 4,
    "LR_MULTIPLIERS": {"backbone": 0.1, "heads": 2.0},
    "EMA_MOMENTUM": 0.9,
    "BEST_METRIC": "val_loss",
    "EARLY_STOPPING_PATIENCE": 4,
}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"SEED": None, "OPTIMIZER": "AdamW"}, id="plain", marks=pytest.mark.slow),
        pytest.param(EVERYTHING, id="all"),
    ],
)
def test_a_resumed_run_comes_to_the_same_weights_and_logs_as_an_uninterrupted_one(tmp_path, settings):
    whole = train(toy(tmp_path / "whole", **settings), 4)
    settings = {**settings, "SEED": TrainingState.load(state_path(whole.find_last())).seed}  # drawn where none is set
    interrupted = toy(tmp_path / "parts", **settings)
    with pytest.raises(Interrupted):
        train(interrupted, 4, custom_callbacks=[StopAfter(2)])
    resumed = train(toy(tmp_path / "parts", **settings), 4, resume=True)
    assert resumed.epoch == 4
    assert difference(whole, resumed) == 0.0
    assert losses(whole) == losses(resumed)


class Interrupted(Exception):
    """A power cut, as far as training knows."""


class StopAfter(keras.callbacks.Callback):
    """Ends training after an epoch, as a power cut would."""

    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epoch:
            raise Interrupted


def losses(model):
    """The rows of losses.csv but for what the clock says."""
    by_clock = ("data_wait", "images_per_second", "seconds")
    with open(os.path.join(model.log_dir, "losses.csv"), encoding="utf-8") as file:
        rows = [line.strip().split(",") for line in file]
    return [[cell for name, cell in zip(rows[0], row, strict=True) if name not in by_clock] for row in rows]


@pytest.mark.slow
def test_without_resume_the_optimizer_starts_anew(tmp_path):
    whole = train(toy(tmp_path / "whole"), 4)
    train(toy(tmp_path / "parts"), 2)
    other = toy(tmp_path / "parts")
    other.load_weights(other.find_last())
    train(other, 4)
    assert other.epoch == 4 and difference(whole, other) > 1e-4


@pytest.mark.slow
def test_resuming_without_a_checkpoint_starts_at_the_beginning(tmp_path):
    assert difference(train(toy(tmp_path / "a"), 2, resume=True), train(toy(tmp_path / "b"), 2)) == 0.0


@pytest.mark.slow
def test_a_program_may_say_resume_in_all_of_its_calls(tmp_path):
    def program(folder, last=None):
        model = toy(folder)
        for epochs, layers, rate in [(2, "heads", 0.01), (4, "all", 0.001), (6, "all", 0.0005)]:
            if last is None or epochs <= last:
                train(model, epochs, layers=layers, learning_rate=rate, resume=True)
        return model

    whole = program(tmp_path / "whole")
    for last in (2, 4):
        program(tmp_path / "parts", last)
    resumed = program(tmp_path / "parts")
    assert resumed.epoch == 6 and difference(whole, resumed) == 0.0


@pytest.mark.slow
def test_the_checkpoint_that_was_loaded_is_the_one_to_resume_from(tmp_path):
    whole = train(toy(tmp_path), 4)
    resumed = toy(tmp_path)
    resumed.load_weights(os.path.join(whole.log_dir, "mask_rcnn_toy_0001.h5"))
    train(resumed, 4, resume=True)
    assert difference(whole, resumed) == 0.0


def test_a_checkpoint_without_state_resumes_at_its_epoch_and_says_what_is_lost(tmp_path, caplog):
    first = train(toy(tmp_path), 2)
    os.remove(state_path(first.find_last()))
    resumed = train(toy(tmp_path), 3, resume=True)
    assert resumed.epoch == 3 and "no state file beside" in caplog.text
    assert "mask_rcnn_toy_0003.h5" in files_of(resumed)


def test_a_damaged_state_is_an_error_that_names_it(tmp_path):
    first = train(toy(tmp_path), 1)
    path = state_path(first.find_last())
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) // 2)
    with pytest.raises(WeightsError, match=r"resume: expected a state file.*state_toy_0001\.npz"):
        train(toy(tmp_path), 2, resume=True)


# ---- what has changed since ----


def test_settings_and_data_that_changed_are_told_before_the_first_step(tmp_path, caplog):
    train(toy(tmp_path), 1)
    caplog.clear()
    train(toy(tmp_path, WEIGHT_DECAY=0.01), 2, resume=True, images=(2, 1, 3), val=None)
    told = next(record.getMessage() for record in caplog.records if "this has changed" in record.getMessage())
    assert told.splitlines() == [
        "resume: since epoch 1 this has changed:",
        "  WEIGHT_DECAY: 0.0001 -> 0.01",
        "  train data: 5 images -> 3 images",
        "  validation data: 2 images -> none",
    ]


@pytest.mark.slow
def test_nothing_is_told_where_nothing_changed(tmp_path, caplog):
    train(toy(tmp_path), 1)
    train(toy(tmp_path), 2, resume=True)
    assert "has changed" not in caplog.text


def test_other_classes_cannot_resume(tmp_path):
    train(toy(tmp_path), 1)
    renamed = Figures([1, 2])
    renamed.class_names = ["BG", "disc", "square"]
    with pytest.raises(DatasetError, match=r"expected the classes of the run.*square.*disc.*received.*disc.*square"):
        toy(tmp_path).train(renamed, None, 0.01, 2, "all", lint="off", resume=True)


@pytest.mark.slow
def test_an_optimizer_of_another_kind_starts_anew_and_says_so(tmp_path, caplog):
    train(toy(tmp_path), 1)
    train(toy(tmp_path, OPTIMIZER="AdamW"), 2, resume=True)
    assert "the optimizer starts anew" in caplog.text and "OPTIMIZER: 'SGD' -> 'AdamW'" in caplog.text


# ---- stages ----

STAGES = [Stage("heads", 2, 0.01), Stage("all", 4, 0.001, settings={"WARMUP_STEPS": 2}), Stage("5+", 5)]


def train_stages(model, stages=None, **options):
    model.train_stages(Figures([2, 1, 3]), Figures([1, 2]), stages, lint="off", **options)
    return model


@pytest.mark.parametrize("stop", [3, pytest.param(2, marks=pytest.mark.slow)])
def test_stages_go_on_at_any_epoch_of_any_stage(tmp_path, stop):
    whole = train_stages(toy(tmp_path / "whole", TRAIN_STAGES=STAGES))
    interrupted = toy(tmp_path / "parts", TRAIN_STAGES=STAGES)
    with pytest.raises(Interrupted):
        train_stages(interrupted, custom_callbacks=[StopAfter(stop)])
    resumed = train_stages(toy(tmp_path / "parts", TRAIN_STAGES=STAGES), resume=True)
    assert (whole.epoch, resumed.epoch) == (5, 5)
    assert difference(whole, resumed) == 0.0


@pytest.mark.slow
def test_an_interrupted_model_itself_can_resume_too(tmp_path):
    whole = train(toy(tmp_path / "whole"), 3)
    model = toy(tmp_path / "parts")
    with pytest.raises(Interrupted):
        train(model, 3, custom_callbacks=[StopAfter(2)])
    model.keras_model.set_weights([np.zeros(weight.shape) for weight in model.keras_model.get_weights()])
    train(model, 3, resume=True)
    assert difference(whole, model) == 0.0


def test_each_stage_trains_its_layers_with_its_settings_and_the_configuration_is_as_before(tmp_path, capsys):
    model = toy(tmp_path)
    before = weights_of(model.keras_model)
    train_stages(model, [("heads", 1), {"layers": "4+", "epochs": 2, "settings": {"WARMUP_STEPS": 2}}])
    moved = {
        name.split("/")[0] for name, value in weights_of(model.keras_model).items() if (value != before[name]).any()
    }
    assert "res2a_branch2a" not in moved and len(moved) == 4
    assert model.config.WARMUP_STEPS == 0 and "WARMUP_STEPS" not in vars(model.config)
    printed = capsys.readouterr().out
    assert "Stage 1 of 2: layers='heads', epochs 1 to 1" in printed
    assert "Stage 2 of 2: layers='4+', epochs 2 to 2" in printed and "warm-up 2 steps" in printed
    assert "backbone           0 of 2                    0 of 294   -" in printed


def test_stages_that_are_trained_are_passed_over(tmp_path, caplog):
    model = train_stages(toy(tmp_path), STAGES[:1])
    weights = weights_of(model.keras_model)
    train_stages(model, STAGES[:1])
    assert "Nothing to train: all stages end at epoch 2" in caplog.text
    assert all((value == weights[name]).all() for name, value in weights_of(model.keras_model).items())


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        (None, "expected a list of stages, received: None"),
        ([], "expected a list of stages"),
        (Stage("heads", 1), "expected a list of stages"),
        (
            [("heads", 20), ("all", 10)],
            "stage 2 ends at epoch 10, but stage 1 does at epoch 20.*for 10 more epochs give 30",
        ),
        ([("heads", 20), ("all", 20)], "would train nothing"),
        ([("heads", 0)], "stage 1: expected epochs to be a whole number above 0"),
        ([{"layers": "heads", "epoch": 3}], "stage 1: expected Stage"),
        ([("heads",)], "stage 1: expected Stage"),
        ([Stage("heads", 1, settings={"WARM_UP": 3})], "unknown: 'WARM_UP'"),
    ],
)
def test_stages_that_cannot_be_meant_are_refused(tmp_path, stages, told):
    with pytest.raises(ConfigError, match=told):
        train_stages(toy(tmp_path), stages)


def test_a_stage_that_changes_nothing_fails_after_its_first_epoch(tmp_path):
    never = keras.optimizers.schedules.CosineDecay(0.0, 100)
    with pytest.raises(
        ConfigError, match=r"layers='all'.*has changed no weight in 3 steps.*learning rate.*CosineDecay"
    ):
        train(toy(tmp_path), 3, learning_rate=never)


def test_a_stage_may_wait_for_its_first_update_longer_than_an_epoch(tmp_path):
    train(toy(tmp_path, GRADIENT_ACCUMULATION_STEPS=5), 2)
    with pytest.raises(ConfigError, match=r"GRADIENT_ACCUMULATION_STEPS: expected at most the 3 steps of the stage"):
        train(toy(tmp_path, GRADIENT_ACCUMULATION_STEPS=5), 1)


# ---- early stopping ----


def test_early_stopping_ends_a_stage_and_leaves_the_others_as_long_as_planned(tmp_path, caplog):
    settings = {"EARLY_STOPPING_PATIENCE": 1, "BEST_METRIC": "val_loss"}
    model = toy(tmp_path, **settings)
    train_stages(model, [Stage("all", 50, 10.0), Stage("heads", 52, 1e-4, {"EARLY_STOPPING_PATIENCE": None})])
    first = next(record for record in caplog.records if "The stage ends after epoch" in record.getMessage())
    ended = first.args[0]
    assert ended < 50 and model.epoch == ended + 2


@pytest.mark.slow
def test_the_patience_of_an_interrupted_stage_is_not_renewed(tmp_path):
    settings = {"EARLY_STOPPING_PATIENCE": 3, "BEST_METRIC": "val_loss", "WEIGHT_DECAY": 0.0}
    whole = train(toy(tmp_path / "whole", **settings), 50, learning_rate=10.0)
    interrupted = toy(tmp_path / "parts", **settings)
    with pytest.raises(Interrupted):
        train(interrupted, 50, learning_rate=10.0, custom_callbacks=[StopAfter(whole.epoch - 1)])
    resumed = train(toy(tmp_path / "parts", **settings), 50, learning_rate=10.0, resume=True)
    assert resumed.epoch == whole.epoch < 50
    again = train(toy(tmp_path / "parts", **settings), 50, learning_rate=10.0, resume=True)
    assert again.epoch == whole.epoch, "the stage has ended"


# ---- files ----


def test_the_newest_checkpoints_and_the_best_are_kept(tmp_path):
    model = train(toy(tmp_path, KEEP_LAST=2, BEST_METRIC="val_loss"), 4)
    assert [name for name in files_of(model) if name.endswith((".h5", ".npz"))] == [
        "best_mask_rcnn_toy.h5",
        "mask_rcnn_toy_0003.h5",
        "mask_rcnn_toy_0004.h5",
        "state_toy_0003.npz",
        "state_toy_0004.npz",
    ]
    best = toy(tmp_path)
    best.load_weights(os.path.join(model.log_dir, "best_mask_rcnn_toy.h5"))
    assert best.epoch == 0, "not a checkpoint to go on from"


def test_other_files_in_the_folder_of_the_run_stay(tmp_path):
    model = toy(tmp_path, KEEP_LAST=1)
    os.makedirs(model.log_dir)
    others = ["mask_rcnn_other_0001.h5", "mask_rcnn_toy_notes.h5", "state_toy_0009.npz", "mask_rcnn_toy_0001.h5.bak"]
    for name in others:
        with open(os.path.join(model.log_dir, name), "w", encoding="utf-8"):
            pass
    train(model, 2)
    assert set(others) <= set(files_of(model)) and "mask_rcnn_toy_0001.h5" not in files_of(model)


def test_keep_last_has_to_be_a_number(tmp_path):
    with pytest.raises(ConfigError, match="KEEP_LAST: expected a whole number of at least 1, or None, received"):
        train(toy(tmp_path, KEEP_LAST=0), 1)


def test_a_metric_that_is_not_logged_names_those_that_are(tmp_path):
    with pytest.raises(ConfigError, match=r"BEST_METRIC='val_los'. Logged are: .*val_loss"):
        train(toy(tmp_path, BEST_METRIC="val_los"), 1)


def test_a_full_disk_loses_no_checkpoint_and_training_goes_on(tmp_path, caplog, monkeypatch):
    model = toy(tmp_path)
    save_weights, written = type(model.keras_model).save_weights, []

    def full_in_epoch_2(self, path, *args, **kwargs):
        written.append(path)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        return save_weights(self, path, *args, **kwargs)

    monkeypatch.setattr(type(model.keras_model), "save_weights", full_in_epoch_2)
    train(model, 3)
    assert "Epoch 2: the checkpoint could not be written. Training goes on. [Errno 28]" in caplog.text
    assert [name for name in files_of(model) if name.endswith(".h5")] == [
        "mask_rcnn_toy_0001.h5",
        "mask_rcnn_toy_0003.h5",
    ]


def test_a_last_checkpoint_that_cannot_be_written_is_an_error_and_the_weights_are_in_the_model(tmp_path, monkeypatch):
    model = toy(tmp_path)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(model.keras_model), "save_weights", full)
    before = weights_of(model.keras_model)
    with pytest.raises(OSError, match=r"its last checkpoint could not be written.*keras_model\.save_weights"):
        train(model, 1)
    assert any((value != before[name]).any() for name, value in weights_of(model.keras_model).items())


def test_ctrl_c_leaves_whole_checkpoints_and_says_how_to_go_on(tmp_path, caplog):
    class CtrlC(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations == 5:
                raise KeyboardInterrupt

    model = toy(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(model, 3, custom_callbacks=[CtrlC()])
    assert model.epoch == 1, "epochs that are finished"
    assert f"Interrupted in epoch 2. Checkpoints are in {model.log_dir}" in caplog.text
    whole = train(toy(tmp_path / "whole"), 3)
    assert difference(whole, train(toy(tmp_path), 3, resume=True)) == 0.0


@pytest.mark.slow
def test_a_run_is_resumed_in_another_folder_that_it_was_moved_to(tmp_path):
    train(toy(tmp_path / "first"), 1)
    shutil.move(tmp_path / "first", tmp_path / "second")
    assert train(toy(tmp_path / "second"), 2, resume=True).epoch == 2


def test_columns_that_come_later_get_empty_cells_before(tmp_path):
    train(toy(tmp_path), 1, val=None)
    model = train(toy(tmp_path), 2, resume=True)
    rows = losses(model)
    column = rows[0].index("val_loss")
    assert rows[1][column] == "" and float(rows[2][column]) > 0
    assert len({len(row) for row in rows}) == 1
