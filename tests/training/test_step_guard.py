"""What happens at a step that goes wrong: the report, the file, its repetition; gradient norms in the logs."""

import json
import logging
import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.training import failed_step as failed_step_module
from mrcnn_plus.training.callbacks.step_guard import StepGuard
from mrcnn_plus.training.failed_step import NonFiniteError, load_failed_step, replay

from ..support.tiny import Figures, FiveConvolutions, TinyConfig, batch_of, weights_of
from ..support.toy import files_of, toy, train


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A toy that was stopped by NaN in a batch, its weights before, and the error: `(model, weights, report)`."""
    build = BatchBuilder.build

    def poisoned(self, positions):
        batch = build(self, positions)
        batch["input_image"][:, 5, 5] = np.nan
        return batch

    monkeypatch.setattr(BatchBuilder, "build", poisoned)
    model = toy(tmp_path)
    before = weights_of(model.keras_model)
    with pytest.raises(NonFiniteError) as error:
        train(model, 2, images=(3,), val=None)
    return model, before, str(error.value)


def test_training_stops_at_the_step_and_leaves_the_weights_alone(stopped):
    model, before, report = stopped
    assert "Training stopped in epoch 1, step 1: " in report
    assert all((value == before[name]).all() for name, value in weights_of(model.keras_model).items())
    assert model.epoch == 0


def test_the_report_names_losses_images_ranges_rate_and_norms(stopped):
    _, _, report = stopped
    assert "rpn_class_loss and rpn_bbox_loss and mrcnn_class_loss and mrcnn_bbox_loss and mrcnn_mask_loss are" in report
    for told in (
        "image 0: 0",
        "objects: [3, 3], class ids [1, 2]",
        "6 values that are not finite",
        "learning rate: 0.01",
        "gradient norms: all nan, backbone nan",
        "The images hold values that are not finite: mend load_image or the augmentation.",
    ):
        assert told in report
    assert "boxes: " in report and "pixels, mean subtracted: " in report


def test_the_file_holds_the_batch_the_weights_and_the_settings(stopped):
    model, before, report = stopped
    (name,) = [name for name in files_of(model) if name.startswith("failed_step")]
    assert name == "failed_step_e0001_s0001.npz" and os.path.join(model.log_dir, name) in report
    facts, batch, weights = load_failed_step(os.path.join(model.log_dir, name))
    assert np.isnan(batch["input_image"]).sum() == 6 and batch["input_image_meta"][:, 0].tolist() == [0, 0]
    assert facts["settings"]["STEPS_PER_EPOCH"] == 3
    assert facts["trainable"] == ["res2a_branch2a", "fpn_p2", "rpn_conv_shared", "mrcnn_class_logits", "mrcnn_mask"]
    assert all(any(np.array_equal(value, stored) for stored in weights) for value in before.values())


def test_a_gradient_that_is_not_finite_stops_training_too(tmp_path, monkeypatch):
    model = toy(tmp_path)
    infinite_gradient(monkeypatch, model)
    with pytest.raises(NonFiniteError, match="the losses are finite, but their gradient is not"):
        train(model, 1)


def infinite_gradient(monkeypatch, model):
    """sqrt at 0: the value is 0, the gradient infinite."""
    compute_loss = type(model.keras_model).compute_loss

    def with_root(self, *args, **kwargs):
        kernel = self.get_layer("mrcnn_mask").kernel
        return compute_loss(self, *args, **kwargs) + keras.ops.sum(keras.ops.sqrt(kernel * 0.0))

    monkeypatch.setattr(type(model.keras_model), "compute_loss", with_root)


def test_a_step_that_cannot_be_saved_is_reported_all_the_same(tmp_path, monkeypatch, caplog):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mrcnn_plus.training.callbacks.step_guard.save_failed_step", full)
    model = toy(tmp_path)
    infinite_gradient(monkeypatch, model)
    with pytest.raises(NonFiniteError) as error:
        train(model, 1)
    assert "learning rate: 0.01" in str(error.value) and "replay" not in str(error.value)
    assert "The failed step could not be saved: [Errno 28]" in caplog.text


def test_gradient_norms_are_logged_by_part(tmp_path):
    logs = {}
    train(
        toy(tmp_path),
        2,
        custom_callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, now: logs.update({epoch: now}))],
    )
    for epoch in (0, 1):
        parts = [logs[epoch][f"gradient_norm_{part}"] for part in ("backbone", "fpn", "rpn", "class_head", "mask_head")]
        assert all(0 < norm <= logs[epoch]["gradient_norm"] for norm in parts)
        assert logs[epoch]["gradient_norm"] <= logs[epoch]["gradient_norm_max"]
    assert logs[0]["gradient_norm"] != logs[1]["gradient_norm"], "each epoch has its own"


def test_a_jump_of_the_loss_is_named_with_its_images(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    model = toy(tmp_path, STEPS_PER_EPOCH=60, IMAGES_PER_GPU=1, SEED=1)
    train(model, 1, learning_rate=1e-5, images=[1] * 40 + [4])
    assert "the loss jumped" in caplog.text
    message = next(record.getMessage() for record in caplog.records if "jumped" in record.getMessage())
    assert "Images: 40" in message and "usual is" in message


def test_every_step_of_ordinary_training_is_ordinary(tmp_path, caplog):
    train(toy(tmp_path, STEPS_PER_EPOCH=40), 1, learning_rate=1e-3)
    assert "jumped" not in caplog.text


def test_a_total_that_learnt_weights_have_made_negative_is_no_jump(caplog):
    guard = StepGuard(SimpleNamespace(images_of=lambda epoch, step: []), TinyConfig(), "")
    guard.set_model(SimpleNamespace(loss_weights={}))
    guard.epoch, guard.jumps = 0, 0
    for step in range(60):
        guard._look_for_jump(step, {"loss": -0.1, **dict.fromkeys(LOSS_NAMES, 9.0 if step == 50 else 1.0)})
    assert guard.jumps == 1 and "the loss jumped to 45, usual is 5" in caplog.text


# ---- replay ----


@pytest.fixture(scope="module")
def failed_step(tmp_path_factory):
    """The real network, stopped in its second step by a rate of 1e8: `(path of the file, error)`."""
    config = TinyConfig()
    config.GRADIENT_CLIP_NORM = None
    config.STEPS_PER_EPOCH = 8
    model = MaskRCNN("training", config, str(tmp_path_factory.mktemp("failed")))
    with pytest.raises(NonFiniteError) as error:
        model.train(Figures([2, 1, 3]), None, learning_rate=1e8, epochs=1, layers="heads", lint="off")
    (name,) = [name for name in os.listdir(model.log_dir) if name.startswith("failed_step")]
    return os.path.join(model.log_dir, name), str(error.value)


def test_the_repeated_step_has_the_same_losses_and_names_the_layer_where_it_began(failed_step):
    path, _ = failed_step
    found = replay(path)
    for name, then in found.facts["losses"].items():
        assert found.losses[name] == pytest.approx(then, rel=1e-3, nan_ok=True)
    assert not found.is_finite
    assert found.first_layer is not None and found.first_layer.startswith(("fpn_", "rpn_"))
    assert found.facts["trainable"] and "conv1" not in found.facts["trainable"]


def test_the_first_layer_is_named_also_where_its_norm_is_folded_into_it(failed_step):
    path, _ = failed_step
    model = MaskRCNN("training", TinyConfig(), os.path.dirname(path)).keras_model
    kernel = model.get_layer("conv1").kernel
    kernel.assign(kernel * np.nan)
    batch = batch_of(Figures([2, 1]), TinyConfig())
    assert failed_step_module._first_layer_not_finite(model, batch) == "conv1"


def test_a_file_of_a_backbone_function_needs_the_configuration(tmp_path):
    config = FiveConvolutions()
    facts = {"format": 1, "settings": {"BACKBONE": "<mine.backbone>"}}
    np.savez(tmp_path / "failed.npz", facts=np.array(json.dumps(facts)))
    with pytest.raises(ConfigError, match=r"BACKBONE of the run is <mine.backbone>.*replay\(path, config="):
        replay(tmp_path / "failed.npz")
    assert callable(config.BACKBONE)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x93NUMPY"])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "batch.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"replay: expected a file failed_step_\*\.npz.*batch\.npz"):
        replay(path)


def test_the_command_prints_both_and_says_by_its_status_whether_it_happened_again(failed_step, capsys):
    from mrcnn_plus.cli import main

    path, _ = failed_step
    assert main(["replay", path]) == 1
    printed = capsys.readouterr().out
    assert "not finite" in printed and "The first layer with values that are not finite" in printed
    assert main(["replay", path + "x"]) == 2
    assert "which does not exist" in capsys.readouterr().err
