"""What `train` makes of epochs, data sets, callbacks and folders."""

import csv
import os
import shutil
from unittest import mock

import keras
import pytest

from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.training import fitting
from mrcnn_plus.training.callbacks.checkpoint import RunCheckpoint
from mrcnn_plus.training.callbacks.data_flow import DataFlow
from mrcnn_plus.training.callbacks.logs import LossesFile
from mrcnn_plus.training.devices import Devices
from mrcnn_plus.training.loss_options import LossOptions
from mrcnn_plus.training.optimizers import GuardedOptimizer
from mrcnn_plus.training.resuming import StartingPoint
from mrcnn_plus.training.run_callbacks import EpochEnd
from mrcnn_plus.training.training_state import StageProgress

from ..support.tiny import Figures, FiveConvolutions, TinyConfig, step_by_step


class StandIn:
    """In place of a Keras model: remembers what `fit` was asked for."""

    inputs = variables = trainable_variables = ()
    stop_training = False
    optimizer = GuardedOptimizer(keras.optimizers.SGD())
    loss_options, loss_balancing, devices = LossOptions(), "fixed", Devices()

    def fit(self, sequence, **arguments):
        self.sequence, self.arguments = sequence, arguments


def fit(config, train, val, folder, *, first_epoch=0, epochs=1, tell=None, **inputs):
    """What `fitting.fit` hands to the Keras model: `(training sequence, arguments)`."""
    model = StandIn()
    paths = {"checkpoint_path": str(folder / "mask_rcnn_tiny_{epoch:04d}.h5"), "log_dir": str(folder)}
    progress = StageProgress("heads", "0.1", first_epoch, epochs)
    with mock.patch.object(fitting, "input_of", lambda sequence, model: sequence):  # TensorFlow gets a tf.data.Dataset
        start = StartingPoint(first_epoch)
        inputs = fitting.Inputs(train, val, **inputs)
        fitting.fit(model, config, inputs, progress=progress, start=start, tell=tell, **paths)
    return model.sequence, model.arguments


# ---- validation ----


def test_validation_takes_the_whole_set_unless_the_program_limits_it(tmp_path):
    class Limited(TinyConfig):
        VALIDATION_STEPS = 2

    class LimitedByMatterportsDefault(TinyConfig):
        VALIDATION_STEPS = 50

    config = TinyConfig()
    assert config.VALIDATION_STEPS == 50
    for settings, images, steps in [
        (config, 7, 4),
        (config, 120, 60),
        (Limited(), 7, 2),
        (Limited(), 3, 2),
        (Limited(), 1, 1),
        (LimitedByMatterportsDefault(), 120, 50),
    ]:
        _, arguments = fit(settings, Figures([1]), Figures([1] * images), tmp_path)
        assert len(arguments["validation_data"]) == steps


def test_images_without_figures_are_validated_on_but_not_trained_on(tmp_path):
    images = Figures([0, 1, 0, 2])
    sequence, arguments = fit(TinyConfig(), images, images, tmp_path)
    validation = arguments["validation_data"]
    ids = [validation[step][0]["input_image_meta"][:, 0].tolist() for step in range(2)]
    assert ids == [[0, 1], [2, 3]]
    assert all(set(sequence[step][0]["input_image_meta"][:, 0]) <= {1, 3} for step in range(2))


def test_images_without_figures_are_trained_on_where_that_is_asked_for(tmp_path):
    class Negatives(TinyConfig):
        USE_NEGATIVE_IMAGES = True

    sequence, _ = fit(Negatives(), Figures([0, 1, 0, 2]), None, tmp_path)
    ids = [image for step in range(2) for image in sequence[step][0]["input_image_meta"][:, 0]]
    assert sorted(ids) == [0, 1, 2, 3]


def test_there_may_be_no_validation_set(tmp_path):
    assert fit(TinyConfig(), Figures([1]), None, tmp_path)[1]["validation_data"] is None


def test_validation_loads_every_image_once_an_epoch_and_in_order(two_stages):
    loaded = two_stages.val.loaded
    assert len(loaded) % 3 == 0 and loaded == [0, 1, 2] * (len(loaded) // 3)


# ---- epochs ----


def test_an_epoch_is_so_many_steps_of_the_training_set_in_the_streams_own_order(tmp_path):
    sequence, arguments = fit(TinyConfig(), Figures([1] * 5), None, tmp_path, first_epoch=3, epochs=7)
    assert len(sequence) == TinyConfig.STEPS_PER_EPOCH
    assert (arguments["initial_epoch"], arguments["epochs"]) == (3, 7)
    assert arguments["shuffle"] is False


def test_the_training_set_is_told_which_epoch_begins(tmp_path):
    sequence, arguments = fit(TinyConfig(), Figures([1] * 5), None, tmp_path, first_epoch=3, epochs=7)
    assert sequence.epoch == 3
    for callback in arguments["callbacks"]:
        if isinstance(callback, DataFlow):
            callback.on_epoch_begin(5)
    assert sequence.epoch == 5


def test_epochs_count_from_the_beginning_of_all_training(two_stages):
    assert sorted(two_stages.heads.epochs) == [0, 1] and sorted(two_stages.all.epochs) == [2]
    assert two_stages.epoch_after_heads == 2 and two_stages.model.epoch == 3


@pytest.mark.parametrize("epochs", [3, 1])
def test_training_to_an_epoch_that_is_past_trains_nothing_and_says_so(two_stages, caplog, epochs):
    model = two_stages.model
    before = model.keras_model.get_weights()
    model.train(two_stages.train, two_stages.val, learning_rate=1.0, epochs=epochs, layers="all")
    assert model.epoch == 3
    assert all((old == new).all() for old, new in zip(before, model.keras_model.get_weights(), strict=True))
    assert f"epochs={epochs} is the epoch to stop after, and 3 are trained already. Give epochs=4" in caplog.text


def test_the_epochs_that_are_finished_are_told(tmp_path):
    told = []
    _, arguments = fit(TinyConfig(), Figures([1]), None, tmp_path, first_epoch=2, epochs=4, tell=told.append)
    for epoch in (2, 3):
        for callback in arguments["callbacks"]:
            if isinstance(callback, EpochEnd):
                callback.on_epoch_end(epoch, {})
    assert sorted({(state.epoch, state.stage.ended) for state in told}) == [(3, False), (4, True)]
    assert all(state.position == state.epoch * 2 * 2 for state in told)


# ---- optimizer ----


def test_each_stage_has_its_learning_rate_and_a_new_optimizer(two_stages):
    heads, everything = two_stages.heads, two_stages.all
    assert float(heads.optimizer.learning_rate) == pytest.approx(0.01)
    assert float(everything.optimizer.learning_rate) == pytest.approx(0.001)
    assert everything.optimizer is not heads.optimizer
    assert heads.steps_before == everything.steps_before == 0, "momentum starts anew"
    assert int(heads.optimizer.iterations) == 4 and int(everything.optimizer.iterations) == 2
    inner = heads.optimizer.inner_optimizer
    assert inner.momentum == 0.9 and inner.clipnorm == 5.0 and inner.global_clipnorm is None


def test_each_stage_moves_its_layers(two_stages):
    def moved(record):
        return {path for path, value in record.weights.items() if (value != record.before[path]).any()}

    assert all("stage" not in path for path in moved(two_stages.heads)) and moved(two_stages.heads)
    assert {path.split("/")[-2] for path in moved(two_stages.all)} >= {f"stage{n}" for n in range(1, 6)}


def test_a_learning_rate_schedule_is_followed():
    class Recorded(StandIn):
        trainable_variables = ()

        def compile(self, optimizer, jit_compile):
            self.optimizer, self.jit_compile = optimizer, jit_compile

    model, schedule = Recorded(), keras.optimizers.schedules.PiecewiseConstantDecay([5], [0.1, 0.01])
    fitting.compile_model(model, TinyConfig(), schedule, 0.9)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1)
    model.optimizer.iterations.assign(6)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)


@pytest.mark.parametrize(("setting", "expected"), [(None, "auto"), (True, True), (False, False)])
def test_jit_compile_reaches_keras(setting, expected):
    class Recorded(StandIn):
        trainable_variables = ()

        def compile(self, optimizer, jit_compile):
            self.jit_compile = jit_compile

    model, config = Recorded(), TinyConfig()
    config.JIT_COMPILE = setting
    fitting.compile_model(model, config, 0.1, 0.9)
    assert model.jit_compile == expected


# ---- files and callbacks ----


def test_checkpoints_are_named_as_matterport_names_them(two_stages):
    model = two_stages.model
    assert os.path.dirname(model.log_dir) == str(two_stages.folder)
    assert os.path.basename(model.log_dir).startswith("figures20")
    files = sorted(name for name in os.listdir(model.log_dir) if name.endswith(".h5"))
    assert files == [f"mask_rcnn_figures_{epoch:04d}.h5" for epoch in (1, 2, 3)]
    assert model.find_last() == os.path.join(model.log_dir, files[-1])


def test_losses_of_all_stages_are_in_one_table(two_stages):
    with open(os.path.join(two_stages.model.log_dir, "losses.csv")) as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert float(rows[2]["val_mrcnn_class_loss"]) == pytest.approx(two_stages.all.epochs[2]["val_mrcnn_class_loss"])


def test_a_run_is_resumed_from_its_checkpoint(two_stages, tmp_path):
    """The new object goes on after the checkpoint's epoch, in its folder, with its weights."""
    shutil.copytree(two_stages.folder, tmp_path / "runs")  # others look at the first one
    model = MaskRCNN(mode="training", config=two_stages.model.config, model_dir=str(tmp_path / "runs"))
    assert model.epoch == 0
    checkpoint = model.find_last()
    report = model.load_weights(checkpoint, by_name=True)
    assert not report.initial
    assert model.epoch == 3 and os.path.samefile(model.log_dir, os.path.dirname(checkpoint))
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    epochs = []
    with step_by_step():
        model.train(two_stages.train, None, 0.001, epochs=4, layers="heads", custom_callbacks=[record])
    assert epochs == [3] and model.epoch == 4
    assert os.path.exists(os.path.join(model.log_dir, "mask_rcnn_figures_0004.h5"))


@pytest.mark.parametrize("wrapped", [True, False], ids=["in a list", "alone"])
def test_custom_callbacks_come_between_the_checkpoint_and_the_logs(tmp_path, wrapped):
    callback = keras.callbacks.Callback()
    _, arguments = fit(TinyConfig(), Figures([1]), None, tmp_path, custom_callbacks=[callback] if wrapped else callback)
    kinds = [type(one) for one in arguments["callbacks"]]
    assert kinds.index(RunCheckpoint) < arguments["callbacks"].index(callback) < kinds.index(LossesFile)


def test_an_optimizer_of_a_subclass_is_made_ready_for_the_devices_too(tmp_path, monkeypatch):
    prepared = []
    monkeypatch.setattr(Devices, "prepare", lambda self, model: prepared.append(type(model.optimizer)))
    monkeypatch.setattr(StandIn, "optimizer", keras.optimizers.SGD())
    fit(TinyConfig(), Figures([1]), None, tmp_path)
    assert prepared == [GuardedOptimizer]


def test_augmentation_reaches_training_but_not_validation_nor_excluded_sources(tmp_path):
    def blacken(image, masks):
        return image * 0, masks

    config, images = TinyConfig(), Figures([1, 1])
    sequence, arguments = fit(config, images, images, tmp_path, augmentation=blacken)
    assert (sequence[0][0]["input_image"] == -config.MEAN_PIXEL.astype("float32")).all()
    assert arguments["validation_data"][0][0]["input_image"].max() > 0
    options = {"augmentation": blacken, "no_augmentation_sources": ["figures"]}
    assert fit(config, images, None, tmp_path, **options)[0][0][0]["input_image"].max() > 0


# ---- refusals ----


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(
        DatasetError, match="train_dataset: expected a prepared Dataset, received: train_dataset=a list"
    ):
        fit(TinyConfig(), [1, 2], None, tmp_path)
    with pytest.raises(DatasetError, match="val_dataset: expected .* received: val_dataset=the class Figures"):
        fit(TinyConfig(), Figures([1]), Figures, tmp_path)


def test_messages_say_which_of_the_two_data_sets_is_meant(tmp_path):
    unprepared = Dataset()
    unprepared.add_image("a", 1, None)
    with pytest.raises(DatasetError, match=r"val_dataset \(Dataset\): .*prepare\(\) was not called"):
        fit(TinyConfig(), Figures([1]), unprepared, tmp_path)
    with pytest.raises(DatasetError, match=r"train_dataset \(Dataset\): .*prepare\(\) was not called"):
        fit(TinyConfig(), unprepared, Figures([1]), tmp_path)
    more_classes = Figures([1])
    more_classes.add_class("figures", 3, "star")
    more_classes.prepare()
    with pytest.raises(ConfigError, match=r"classes of val_dataset \(Figures\)"):
        fit(TinyConfig(), Figures([1]), more_classes, tmp_path)


def test_training_wants_a_model_in_training_mode_and_proposals(tmp_path):
    class GivenRois(FiveConvolutions):
        USE_RPN_ROIS = False

    inference = MaskRCNN(mode="inference", config=FiveConvolutions(), model_dir=str(tmp_path))
    with pytest.raises(ConfigError, match="mode='inference'"):
        inference.train(Figures([1]), None, 0.1, 1, "all")
    with pytest.raises(ConfigError, match="USE_RPN_ROIS=False"):
        MaskRCNN("training", GivenRois(), str(tmp_path)).train(Figures([1]), None, 0.1, 1, "all")
