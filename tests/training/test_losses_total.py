"""The total loss is the weighted sum of its parts plus L2, at every stage, in training and validation.

On older Keras the losses were added to the model again at every call of `train`, and the total doubled.
"""

import keras
import numpy as np
import pytest

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.training.model import l2_penalty
from mrcnn_plus.training.multi_task_loss import compute_losses

from ..support.tiny import Figures, FiveConvolutions, batch_of, step_by_step

WEIGHTS = {"rpn_class_loss": 2.0, "rpn_bbox_loss": 0.5, "mrcnn_class_loss": 3.0, "mrcnn_bbox_loss": 0.0}


def weighted_sum(logs, weights, prefix=""):
    return sum(weights.get(name, 1.0) * logs[prefix + name] for name in LOSS_NAMES) + logs[prefix + "l2_loss"]


def penalty(weights, names, decay):
    """The L2 term of these weights, in NumPy."""
    kernels_and_biases = [weights[name] for name in names if name.rsplit("/")[-1] not in ("gamma", "beta")]
    return decay * sum(np.mean(np.square(values)) for values in kernels_and_biases)


@pytest.mark.parametrize("stage", ["heads", "all"])
@pytest.mark.parametrize("prefix", ["", "val_"])
def test_the_total_is_the_sum_of_the_losses_and_l2_at_every_stage(two_stages, stage, prefix):
    """The last validation batch has one image, the others two; means over the images still add up."""
    for logs in getattr(two_stages, stage).epochs.values():
        assert logs[prefix + "loss"] == pytest.approx(weighted_sum(logs, {}, prefix), rel=1e-4)
        assert all(np.isfinite(logs[prefix + name]) and logs[prefix + name] >= 0 for name in LOSS_NAMES)
        assert logs[prefix + "rpn_class_loss"] > 0 and logs[prefix + "l2_loss"] > 0


@pytest.mark.parametrize("stage", ["heads", "all"])
def test_l2_is_of_the_layers_that_train_in_this_stage(two_stages, stage):
    """Validation comes after the epoch, so its L2 is that of the weights as they are then."""
    record = getattr(two_stages, stage)
    logs = record.epochs[max(record.epochs)]
    expected = penalty(record.weights, record.trainable, two_stages.model.config.WEIGHT_DECAY)
    assert logs["val_l2_loss"] == pytest.approx(expected, rel=1e-4)


def test_every_loss_is_named_in_the_logs_and_no_other(two_stages):
    names = {"loss", "l2_loss", *LOSS_NAMES}
    logged = {name for name in two_stages.all.epochs[2] if name.endswith("loss")}
    figures = {name for name in logged if name.startswith(("weight_", "share_", "skill_", "val_skill_"))}
    assert logged - figures == names | {f"val_{name}" for name in names}


def train_step_by_step(config, folder):
    """Logs of one epoch with validation, and the model."""
    model = MaskRCNN(mode="training", config=config, model_dir=str(folder))
    logs = {}
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, values: logs.update(values))
    with step_by_step():
        model.train(Figures([2, 1]), Figures([2]), 1e-4, epochs=1, layers="all", custom_callbacks=[keep])
    return logs, model


def test_loss_weights_count_and_adamw_replaces_the_l2_term(tmp_path):
    """A loss that LOSS_WEIGHTS does not name counts once."""

    class Weighted(FiveConvolutions):
        LOSS_WEIGHTS = WEIGHTS
        OPTIMIZER = "AdamW"
        WEIGHT_DECAY = 0.05

    logs, model = train_step_by_step(Weighted(), tmp_path)
    for prefix in ("", "val_"):
        assert logs[prefix + "loss"] == pytest.approx(weighted_sum(logs, WEIGHTS, prefix), rel=1e-4)
        assert logs[prefix + "loss"] != pytest.approx(weighted_sum(logs, {}, prefix), rel=0.01)
        assert logs[prefix + "l2_loss"] == 0
    assert model.keras_model.optimizer.inner_optimizer.weight_decay == 0.05


def test_weights_that_are_changed_between_stages_count_from_the_next(tmp_path):
    config = FiveConvolutions()
    model = MaskRCNN(mode="training", config=config, model_dir=str(tmp_path))
    batch = batch_of(Figures([2, 2]), config)
    with step_by_step():
        for weights in ({}, WEIGHTS):
            config.LOSS_WEIGHTS = weights
            model.compile(0.001, 0.9)
            logs = model.keras_model.test_on_batch(batch, return_dict=True)
            assert logs["loss"] == pytest.approx(weighted_sum(logs, weights), rel=1e-4)


def test_l2_is_the_sum_of_mean_squares_without_normalization():
    class Variable:
        def __init__(self, name, value):
            self.name, self.value = name, np.array(value, "float32")

        def __array__(self, dtype=None, copy=None):
            return self.value

    penalized = [Variable("kernel", [[1, 2], [3, 4]]), Variable("bias", [2, 2])]
    variables = [*penalized, Variable("gamma", [9]), Variable("beta", [9])]
    assert float(l2_penalty(variables)) == pytest.approx(30 / 4 + 4)
    assert float(l2_penalty([])) == 0


def test_losses_look_up_the_sampled_anchors():
    """The anchor of index 2 is sampled as an object; its logits are undecided (log 2), its box is off by 2 in y."""
    logits = np.array([[[9, -9], [9, -9], [4, 4]]], "float32")
    deltas = np.zeros((1, 3, 4), "float32")
    deltas[0, 2, 0] = 2
    nothing = {"target_class_ids": np.zeros((1, 2), "int32"), "target_mask": np.zeros((1, 1, 2, 2), "float32")}
    outputs = {
        "rpn_class_logits": logits,
        "rpn_bbox": deltas,
        "target_anchor_indices": np.array([[2, 0]], "int32"),
        "target_anchor_labels": np.array([[1, -1]], "int32"),
        "target_rpn_bbox": np.zeros((1, 2, 4), "float32"),
        "mrcnn_class_logits": np.array([[[0, 0, 0]] * 2], "float32"),
        "mrcnn_bbox": np.zeros((1, 2, 3, 4), "float32"),
        "mrcnn_mask": np.full((1, 1, 2, 2, 3), 0.5, "float32"),
        "target_bbox": np.zeros((1, 2, 4), "float32"),
        **nothing,
    }
    found = compute_losses(outputs, active_class_ids=np.ones((1, 3), "float32"))
    expected = [np.log(2), 1.5 / 4, np.log(3), 0, 0]
    np.testing.assert_allclose([float(found[name]) for name in LOSS_NAMES], expected, rtol=1e-5)
