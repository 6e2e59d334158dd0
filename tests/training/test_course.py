"""Stages, resuming and early stopping: that an interrupted run comes to what an uninterrupted one does."""

import filecmp
import os
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from mrcnn_plus import Stage
from mrcnn_plus.errors import ConfigError, DatasetError, WeightsError
from mrcnn_plus.training import resuming
from mrcnn_plus.training.callbacks import checkpoint
from mrcnn_plus.training.callbacks.logs import LossesFile, read_losses
from mrcnn_plus.training.stages import settings_of
from mrcnn_plus.training.training_state import TrainingState, state_path

from ..support.tiny import Figures, TinyConfig, weights_of
from ..support.toy import ToyMaskRCNN, difference, files_of, toy, train

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

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            raise Interrupted


class Puts(keras.callbacks.Callback):
    """Puts values of its own into the logs: a list of one for each epoch by name."""

    def __init__(self, **values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        logs.update({name: values[epoch] for name, values in self.values.items()})


def losses(model):
    """The rows of losses.csv but for what the clock says."""
    by_clock = ("data_wait", "images_per_second", "seconds")
    with open(os.path.join(model.log_dir, "losses.csv"), encoding="utf-8") as file:
        rows = [line.strip().split(",") for line in file]
    return [[cell for name, cell in zip(rows[0], row, strict=True) if name not in by_clock] for row in rows]


def column(model, name):
    rows = losses(model)
    return [row[rows[0].index(name)] for row in rows[1:]]


def newest_state(model):
    return TrainingState.load(state_path(model.find_last()))


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


def test_a_stage_that_has_ended_early_is_not_trained_again_by_the_same_call(tmp_path, caplog):
    model, worse = toy(tmp_path, EARLY_STOPPING_PATIENCE=1), Puts(val_loss=range(20))
    for _ in range(2):
        train(model, 8, custom_callbacks=[worse])
        assert model.epoch == 2
    assert "Nothing to train: this stage has ended early, after epoch 2" in caplog.text
    caplog.clear()
    for _ in range(2):
        train_stages(model, [("heads", 5, 0.01), ("all", 9, 0.01)], custom_callbacks=[worse])
        assert model.epoch == 6, "each stage had two epochs"
    assert "Nothing to train" in caplog.text


@pytest.mark.slow
def test_a_stage_that_is_made_longer_after_it_ended_early_has_its_patience_again(tmp_path):
    worse = Puts(val_loss=range(20))
    model = train(toy(tmp_path, EARLY_STOPPING_PATIENCE=2), 8, custom_callbacks=[worse])
    assert model.epoch == 3
    longer = train(toy(tmp_path, EARLY_STOPPING_PATIENCE=2), 12, custom_callbacks=[worse], resume=True)
    assert longer.epoch == 5


def test_what_callbacks_of_the_program_do_to_rate_and_end_is_in_the_checkpoint(tmp_path, caplog):
    class Stops(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 2

    def callbacks():
        return [keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=1e9, factor=0.1), Stops()]

    model = train(toy(tmp_path, EARLY_STOPPING_PATIENCE=9), 8, custom_callbacks=callbacks())
    assert model.epoch == 3 and "The stage ends" not in caplog.text, "not for want of patience"
    rates = [float(rate) for rate in column(model, "learning_rate")]
    assert rates == pytest.approx([0.01, 0.01, 0.001]), "those of the epochs"
    state = newest_state(model)
    rates = [float(value) for value in state.optimizer if value.shape == ()]
    assert state.stage.ended and any(abs(rate - 1e-4) < 1e-9 for rate in rates)
    resumed = train(toy(tmp_path, EARLY_STOPPING_PATIENCE=9), 8, custom_callbacks=callbacks(), resume=True)
    assert resumed.epoch == 3


def test_a_callback_that_sets_a_rate_which_follows_a_schedule_is_refused_at_once(tmp_path):
    with pytest.raises(ConfigError, match="ReduceLROnPlateau sets the learning rate, which follows a schedule"):
        train(toy(tmp_path, WARMUP_STEPS=2), 1, custom_callbacks=keras.callbacks.ReduceLROnPlateau("loss"))


# ---- which run, which stage ----


def test_a_run_that_is_interrupted_again_goes_on_in_its_own_folder(tmp_path):
    first = train(toy(tmp_path), 1)
    newer = os.path.join(tmp_path, "toy20990101T0000")
    shutil.copytree(first.log_dir, newer)
    model = toy(tmp_path)
    model.load_weights(os.path.join(first.log_dir, "mask_rcnn_toy_0001.h5"))
    for interrupted_after in (1, 2):
        with pytest.raises(Interrupted):
            train(model, 3, resume=True, custom_callbacks=[StopAfter(interrupted_after)])
    train(model, 3, resume=True)
    assert os.path.samefile(model.log_dir, first.log_dir) and "mask_rcnn_toy_0003.h5" in files_of(model)
    assert "mask_rcnn_toy_0002.h5" not in os.listdir(newer)


def test_a_newest_run_without_checkpoint_beside_older_ones_is_a_warning(tmp_path, caplog):
    for folder, name in [("toy20200101T0000", "mask_rcnn_toy_0001.h5"), ("toy20990101T0000", "losses.csv")]:
        os.makedirs(tmp_path / folder)
        (tmp_path / folder / name).touch()
    assert resuming.checkpoint_to_resume(tmp_path, "toy") is None
    assert [record.levelname for record in caplog.records if "nothing to resume" in record.getMessage()] == ["WARNING"]


@pytest.mark.slow
def test_two_calls_with_the_same_layers_and_rate_are_two_stages_in_two_processes_too(tmp_path):
    def program(folder, calls):
        model = toy(folder, LR_SCHEDULE="cosine")
        for epochs in (2, 3)[:calls]:
            train(model, epochs, resume=True)
        return model

    whole = program(tmp_path / "whole", 2)
    program(tmp_path / "parts", 1)
    resumed = program(tmp_path / "parts", 2)
    assert column(resumed, "learning_rate") == column(whole, "learning_rate")
    assert difference(whole, resumed) == 0.0


def test_another_rate_in_the_middle_of_a_stage_is_a_new_stage_and_that_is_said(tmp_path, caplog):
    with pytest.raises(Interrupted):
        train(toy(tmp_path), 3, learning_rate=0.02, custom_callbacks=[StopAfter(1)])
    train(toy(tmp_path), 2, learning_rate=0.03, resume=True)
    assert "This is another one, layers='all' with 0.03: optimizer, momentum and schedule start anew" in caplog.text


@pytest.mark.slow
def test_stages_that_are_resumed_without_state_take_up_the_schedule_where_it_was(tmp_path):
    stages = [("all", 4, 0.01)]
    whole = train_stages(toy(tmp_path / "whole", LR_SCHEDULE="cosine"), stages)
    with pytest.raises(Interrupted):
        train_stages(toy(tmp_path / "parts", LR_SCHEDULE="cosine"), stages, custom_callbacks=[StopAfter(2)])
    os.remove(state_path(toy(tmp_path / "parts").find_last()))
    resumed = train_stages(toy(tmp_path / "parts", LR_SCHEDULE="cosine"), stages, resume=True)
    assert column(resumed, "learning_rate") == column(whole, "learning_rate")


def test_a_stage_may_learn_weights_of_losses_and_have_other_steps(tmp_path):
    learnt = {"LOSS_BALANCING": "uncertainty", "STEPS_PER_EPOCH": 1}
    stages = [Stage("all", np.int64(1), 0.01), Stage("all", 2, 0.01, learnt)]
    settings = {"SEED": np.int64(3), "BEST_METRIC": "val_loss"}
    whole = train_stages(toy(tmp_path / "whole", **settings), stages)
    train_stages(toy(tmp_path / "parts", **settings), stages[:1])
    resumed = train_stages(toy(tmp_path / "parts", **settings), stages, resume=True)
    assert difference(whole, resumed) == 0.0
    state = newest_state(whole)
    assert state.position == (3 + 1) * 2 and state.model["loss_log_variances"][0].any()
    assert state.best_values["best"]["name"] == "val_plain_loss" and float(column(whole, "val_plain_loss")[1]) > 0


@pytest.mark.slow
def test_averages_of_the_users_own_optimizer_are_saved_and_resumed(tmp_path):
    def settings():
        return {"OPTIMIZER": keras.optimizers.SGD(0.01, momentum=0.9, use_ema=True, ema_momentum=0.5)}

    whole = train(toy(tmp_path / "whole", **settings()), 3)
    with pytest.raises(Interrupted):
        train(toy(tmp_path / "parts", **settings()), 3, custom_callbacks=[StopAfter(2)])
    resumed = train(toy(tmp_path / "parts", **settings()), 3, resume=True)
    assert difference(whole, resumed) == 0.0
    saved = toy(tmp_path / "parts")
    saved.load_weights(whole.find_last())
    assert difference(whole, saved) < 1e-6, "the averages are what is left in the model, and what is saved"


def test_a_compile_of_the_programs_own_may_have_neither_averages_nor_rates_by_part(tmp_path, capsys):
    class OwnCompile(ToyMaskRCNN):
        def compile(self, learning_rate, momentum):
            self.keras_model.compile(optimizer=keras.optimizers.SGD(learning_rate))

    config = toy(tmp_path, EMA_MOMENTUM=0.9, LR_MULTIPLIERS={"backbone": 0.1}).config
    model = train(OwnCompile("training", config, str(tmp_path)), 1)
    assert model.epoch == 1 and "294 of 294   0.01" in capsys.readouterr().out


def test_rates_by_part_may_name_layers_that_do_not_train_yet_but_none_that_the_network_lacks(tmp_path):
    model = toy(tmp_path, LR_MULTIPLIERS={"res2.*": 0.1})
    model.set_trainable("heads", verbose=0)
    model.compile(0.01, 0.9)
    with pytest.raises(ConfigError, match="'res9.*' matches none"):
        train_stages(model, [("heads", 1), Stage("all", 2, settings={"LR_MULTIPLIERS": {"res9.*": 0.1}})])
    assert model.epoch == 0, "before stage 1"


def test_settings_that_callbacks_change_within_a_stage_stay_changed():
    config = TinyConfig()
    with settings_of(Stage("all", 1, settings={"BATCH_SIZE": 6, "WARMUP_STEPS": 3}), config):
        assert (config.IMAGES_PER_GPU, config.WARMUP_STEPS) == (6, 3)
        config.DETECTION_MIN_CONFIDENCE = 0.25
    assert (config.IMAGES_PER_GPU, config.WARMUP_STEPS, config.DETECTION_MIN_CONFIDENCE) == (2, 0, 0.25)


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


def test_a_metric_that_is_not_logged_names_those_that_are_and_the_epoch_is_kept(tmp_path):
    model = toy(tmp_path, BEST_METRIC="val_los")
    with pytest.raises(ConfigError, match=r"BEST_METRIC='val_los'. Logged are: .*val_loss"):
        train(model, 1)
    assert {"mask_rcnn_toy_0001.h5", "state_toy_0001.npz"} <= set(files_of(model)) and model.epoch == 1


def test_the_state_is_there_before_the_weights_that_it_belongs_to(tmp_path):
    there = []

    class Model:
        optimizer = None

        def save_weights(self, path):
            there.append(os.path.exists(state_path(path)))

    state = SimpleNamespace(save=lambda path: open(path, "w").close())
    callback = checkpoint.RunCheckpoint(str(tmp_path / "mask_rcnn_toy_{epoch:04d}.h5"), lambda epoch: state)
    callback.set_model(Model())
    callback.on_epoch_end(0)
    assert there == [True]


def test_a_best_epoch_that_could_not_be_copied_is_not_held_against_later_ones(monkeypatch):
    copied = []

    def full_at_first(source, target):
        copied.append(target)
        if len(copied) == 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "copy_file", full_at_first)
    best = checkpoint.Best("val_loss")
    update = checkpoint.CheckpointUpdate(SimpleNamespace(path="a_0001.h5", update_state=lambda epoch: None), best)
    for epoch, value in enumerate([1.0, 2.0, 3.0]):
        update.on_epoch_end(epoch, {"val_loss": value})
    assert len(copied) == 2 and (best.value, best.epoch) == (2.0, 2)


def test_the_best_of_earlier_calls_stays_the_best_and_callbacks_of_the_program_may_log_it(tmp_path):
    model, scores = toy(tmp_path, BEST_METRIC="score"), Puts(score=[0.5, 0.3, 0.4, 0.6])
    for epochs in (1, 3):
        train(model, epochs, custom_callbacks=scores)
        assert newest_state(model).best_values["best"] == {"name": "score", "value": 0.5, "epoch": 1}
    assert column(model, "score") == ["0.5", "0.3", "0.4"]
    best, first = (os.path.join(model.log_dir, name) for name in ("best_mask_rcnn_toy.h5", "mask_rcnn_toy_0001.h5"))
    assert filecmp.cmp(best, first, shallow=False)
    train(toy(tmp_path, BEST_METRIC="score"), 4, custom_callbacks=[scores], resume=True)
    assert filecmp.cmp(best, os.path.join(model.log_dir, "mask_rcnn_toy_0004.h5"), shallow=False)


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
    first, second = column(model, "val_loss")
    assert first == "" and float(second) > 0
    assert len({len(row) for row in losses(model)}) == 1


def test_epochs_that_are_trained_again_replace_their_rows(tmp_path):
    file = LossesFile(str(tmp_path / "losses.csv"))
    for epoch, loss in [(0, 3), (1, 2), (2, 9), (1, 1)]:
        file.on_epoch_end(epoch, {"loss": loss})
    _, rows = read_losses(file.path)
    assert [(row["epoch"], row["loss"]) for row in rows] == [("0", "3"), ("1", "1")]
