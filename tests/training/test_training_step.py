"""Training steps on awkward batches and with every setting: losses and gradients stay finite and go where they should.

After a step of plain gradient descent the weights have moved by the gradient, so weights that are finite mean gradients
that are finite, on every backend.
"""

import keras
import numpy as np
import pytest

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.network.folding import NormedConv2D
from mrcnn_plus.training.model import TrainingModel, make_training_model
from mrcnn_plus.training.multi_task_loss import compute_losses

from ..support.tiny import CROWD_OF_SQUARES, DISC, SQUARE, Figures, FiveConvolutions, batch_of, step_by_step, weights_of

MASK_BRANCH = ("mrcnn_mask", "mrcnn_mask_deconv", "mrcnn_mask_conv1", "mrcnn_mask_bn4")


class GradientDescent(FiveConvolutions):
    """A step moves each weight by its gradient: no momentum, no decay, no clipping."""

    LEARNING_MOMENTUM = 0.0
    WEIGHT_DECAY = 0.0
    GRADIENT_CLIP_NORM = None
    USE_NEGATIVE_IMAGES = True


class Trainee:
    """A compiled model that takes every step from the same weights."""

    def __init__(self, config, folder):
        self.config = config
        self.model = MaskRCNN(mode="training", config=config, model_dir=str(folder))
        self.model.compile(0.001, config.LEARNING_MOMENTUM)
        self.initial = self.model.keras_model.get_weights()

    def step(self, batch):
        """Losses by name and the names of the layers that moved; checks that all is finite."""
        keras_model = self.model.keras_model
        keras_model.set_weights(self.initial)
        before = weights_of(keras_model)
        with step_by_step():
            logs = keras_model.train_on_batch(batch, return_dict=True)
        assert all(np.isfinite(value) for value in logs.values()), logs
        after = weights_of(keras_model)
        for path, value in after.items():
            assert np.all(np.isfinite(value)), path
        moved = {path.split("/")[-2] for path, value in after.items() if not np.array_equal(value, before[path])}
        return {name: float(value) for name, value in logs.items()}, moved

    def detect(self):
        with step_by_step():
            return self.model.detect(
                [np.zeros((50, 60, self.config.IMAGE_CHANNEL_COUNT), np.uint8)], allow_untrained=True
            )


def with_objects_at_proposals(trainee, batch, count=2):
    """The batch with its objects moved to where the network proposes some, so that there are positive ROIs."""
    batch = {name: array.copy() for name, array in batch.items()}
    keras_model = trainee.model.keras_model
    keras_model.set_weights(trainee.initial)
    with step_by_step():
        rois = np.asarray(keras_model.predict_on_batch(batch)["rois"], "float32")
    area = (rois[..., 2] - rois[..., 0]) * (rois[..., 3] - rois[..., 1])
    best = np.argsort(-area, axis=1)[:, :count]
    batch["input_gt_boxes"][:, :count] = np.take_along_axis(rois, best[..., None], axis=1) * 63 + [0, 0, 1, 1]
    batch["input_gt_class_ids"][:, :count] = [SQUARE, DISC][:count]
    batch["input_gt_masks"][..., :count] = True
    return batch


@pytest.fixture(scope="module")
def trainee(tmp_path_factory):
    return Trainee(GradientDescent(), tmp_path_factory.mktemp("trainee"))


def test_folded_norms_learn_what_norms_learn(tmp_path, monkeypatch):
    """In a step, frozen norms are a part of the convolution before them: gradients are those of the layers."""

    class WithNorms(GradientDescent):
        BACKBONE = "resnet18"

    def after_a_step():
        rng = np.random.default_rng(0)
        trainee = Trainee(WithNorms(), tmp_path)
        for weight in trainee.model.keras_model.weights:
            if weight.name in ("gamma", "moving_variance"):
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
            elif weight.name in ("beta", "moving_mean"):
                weight.assign(rng.normal(0, 0.3, weight.shape))
        trainee.initial = trainee.model.keras_model.get_weights()
        _, moved = trainee.step(batch_of(Figures([2, 2]), trainee.config))
        steps = [new - old for new, old in zip(trainee.model.keras_model.get_weights(), trainee.initial, strict=True)]
        return trainee.model.keras_model, moved, steps

    keras_model, moved, steps = after_a_step()
    assert {"bn_conv1", "conv1", "bn5a_branch2a", "res5a_branch2a"} <= moved
    assert not any(isinstance(layer, NormedConv2D) for layer in keras_model.layers), "its layers stay Matterport's"
    monkeypatch.setattr(TrainingModel, "call", lambda self, inputs, **how: self.call_layer_by_layer(inputs, **how))
    _, also_moved, expected = after_a_step()
    assert moved == also_moved
    for ours, theirs in zip(steps, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max() + 1e-7)


@pytest.mark.backend
def test_the_sampled_anchors_alone_tell_the_losses_of_the_rpn(tmp_path, monkeypatch):
    """The same losses and steps as by the whole maps, which count where a subclass hands other outputs on."""
    trainee = Trainee(GradientDescent(), tmp_path)

    def after_a_step():
        given = []
        monkeypatch.setattr(
            "mrcnn_plus.training.model.compute_losses",
            lambda *outputs, sampled_rpn=None, **how: (
                given.append(sampled_rpn is not None) or compute_losses(*outputs, sampled_rpn=sampled_rpn, **how)
            ),
        )
        logs, moved = trainee.step(batch_of(Figures([2, 2]), trainee.config))
        weights = trainee.model.keras_model.get_weights()
        return given, logs, moved, [new - old for new, old in zip(weights, trainee.initial, strict=True)]

    class HandsOn(TrainingModel):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            changed = {**y_pred, "rpn_class_logits": y_pred["rpn_class_logits"] + 0.0}
            return super().compute_loss(x, y, changed, sample_weight, training)

    keras_model = trainee.model.keras_model
    given, logs, moved, steps = after_a_step()
    trainee.model.keras_model = make_training_model(keras_model.network, trainee.config, model_class=HandsOn)
    trainee.model.compile(0.001, 0.0)
    given_whole, logs_whole, moved_whole, steps_whole = after_a_step()
    assert all(given) and given and given_whole and not any(given_whole)
    assert moved == moved_whole
    for name in ("rpn_class_loss", "rpn_bbox_loss"):
        assert logs[name] == pytest.approx(logs_whole[name], rel=1e-4) and logs[name] > 0
    for variable, ours, theirs in zip(keras_model.weights, steps, steps_whole, strict=True):
        if "rpn" in variable.path:
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4 * np.abs(theirs).max() + 1e-7)


def test_a_model_around_it_gets_each_output_by_its_name(trainee):
    keras_model = trainee.model.keras_model
    outer = keras.Model(keras_model.input, keras_model(keras_model.input))
    batch = batch_of(Figures([2, 2]), trainee.config)
    shapes = [{name: value.shape for name, value in model(batch).items()} for model in (outer, keras_model)]
    assert shapes[0] == shapes[1]


def test_norms_that_train_from_a_later_stage_on_are_no_longer_folded(tmp_path):
    class WithNorms(GradientDescent):
        BACKBONE = "resnet18"

    trainee = Trainee(WithNorms(), tmp_path)
    batch = batch_of(Figures([2, 2]), trainee.config)
    statistics = "bn_conv1", "moving_mean"
    assert not np.any(_step_of(trainee, batch, *statistics))
    trainee.model.keras_model.get_layer("bn_conv1").train_bn = None
    trainee.model.compile(0.001, 0.0)
    assert np.any(_step_of(trainee, batch, *statistics))


def _step_of(trainee, batch, layer, name):
    """How far a weight of a layer moves in a step."""
    variable = getattr(trainee.model.keras_model.get_layer(layer), name)
    trainee.step(batch)
    moved = keras.ops.convert_to_numpy(variable)
    trainee.model.keras_model.set_weights(trainee.initial)
    return moved - keras.ops.convert_to_numpy(variable)


# ---- awkward batches, on all backends: one shape, so that JAX compiles one step ----


@pytest.mark.backend
def test_a_step_moves_every_part_and_its_total_is_the_sum_of_the_losses(trainee):
    batch = with_objects_at_proposals(trainee, batch_of(Figures([2, 2]), trainee.config))
    logs, moved = trainee.step(batch)
    assert logs["mrcnn_mask_loss"] > 0 and logs["mrcnn_bbox_loss"] > 0
    assert logs["loss"] == pytest.approx(sum(logs[name] for name in LOSS_NAMES), rel=1e-4)
    expected = {"stage1", "stage5", "fpn_p2", "rpn_class_raw", "rpn_bbox_pred", "mrcnn_class_logits", "mrcnn_bbox_fc"}
    assert expected | set(MASK_BRANCH) <= moved


@pytest.mark.backend
@pytest.mark.slow_on_jax
@pytest.mark.parametrize("images", [[0, 0], [0, 2]], ids=["in both images", "in one image"])
def test_images_without_an_instance_teach_what_is_background(trainee, images):
    logs, moved = trainee.step(batch_of(Figures(images), trainee.config))
    assert logs["rpn_class_loss"] > 0 and logs["mrcnn_class_loss"] > 0
    assert {"stage1", "rpn_class_raw", "mrcnn_class_logits"} <= moved
    if images == [0, 0]:
        assert logs["rpn_bbox_loss"] == logs["mrcnn_bbox_loss"] == logs["mrcnn_mask_loss"] == 0
        assert not moved & {*MASK_BRANCH, "mrcnn_bbox_fc", "rpn_bbox_pred"}


@pytest.mark.backend
@pytest.mark.slow_on_jax
def test_an_instance_of_one_pixel_has_an_anchor_and_finite_gradients(trainee):
    batch = batch_of(Figures([[(SQUARE, 30, 30, 1)], [(DISC, 0, 63, 1)]]), trainee.config)
    boxes = batch["input_gt_boxes"][:, 0]
    assert ((boxes[:, 2:] - boxes[:, :2]) == 1).all()
    logs, moved = trainee.step(batch)
    assert logs["rpn_bbox_loss"] > 0 and "rpn_bbox_pred" in moved


@pytest.mark.backend
@pytest.mark.slow_on_jax
def test_a_batch_in_which_no_proposal_is_positive_still_trains_the_rpn_and_the_classes(trainee):
    batch = batch_of(Figures([[(SQUARE, 30, 30, 3)], [(DISC, 10, 50, 3)]]), trainee.config)
    logs, moved = trainee.step(batch)
    assert logs["mrcnn_mask_loss"] == logs["mrcnn_bbox_loss"] == 0, "the case that this test is about"
    assert not moved & {*MASK_BRANCH, "mrcnn_bbox_fc"}
    assert logs["rpn_bbox_loss"] > 0 and logs["mrcnn_class_loss"] > 0
    assert {"rpn_bbox_pred", "mrcnn_class_logits"} <= moved


@pytest.mark.backend
@pytest.mark.slow_on_jax
def test_crowds_are_neither_objects_nor_background(trainee):
    crowd = [(CROWD_OF_SQUARES, 32, 32, 80)]
    batch = batch_of(Figures([crowd, [*crowd, (DISC, 20, 20, 30)]]), trainee.config)
    assert sorted(set(batch["input_gt_class_ids"].ravel())) == [CROWD_OF_SQUARES, 0, DISC]
    logs, _ = trainee.step(batch)
    assert logs["rpn_bbox_loss"] > 0, "of the disc"
    only_crowd, moved = trainee.step({name: array[[0, 0]] for name, array in batch.items()})
    assert only_crowd["rpn_bbox_loss"] == only_crowd["mrcnn_bbox_loss"] == only_crowd["mrcnn_mask_loss"] == 0
    assert not moved & {"rpn_bbox_pred", "mrcnn_bbox_fc", *MASK_BRANCH}


def test_more_instances_than_slots_are_a_random_choice(trainee):
    figures = [(SQUARE, y, x, 10) for y in (8, 24, 40, 56) for x in (8, 24, 40, 56)]
    batch = batch_of(Figures([figures, figures]), trainee.config)
    assert (batch["input_gt_class_ids"] == SQUARE).all() and batch["input_gt_boxes"].any(axis=-1).all()
    logs, _ = trainee.step(batch)
    assert logs["rpn_bbox_loss"] > 0


def test_boxes_far_beyond_the_image_are_clipped(trainee):
    """Weights that have diverged a little: the RPN asks for boxes e^400 times as large as their anchors."""
    bias = next(w for w in trainee.model.keras_model.weights if w.path.endswith("rpn_bbox_pred/bias"))
    initial = trainee.initial
    try:
        trainee.model.keras_model.set_weights(initial)
        bias.assign(np.tile([0, 0, 2000, 2000], 3))
        trainee.initial = trainee.model.keras_model.get_weights()
        logs, _ = trainee.step(batch_of(Figures([1, 1]), trainee.config))
        assert logs["rpn_bbox_loss"] > 900
        (found,) = trainee.detect()
        assert np.isfinite(found["scores"]).all() and (found["rois"] >= 0).all()
    finally:
        trainee.initial = initial


# ---- every setting ----

SETTINGS = {
    "group normalization": {"NORMALIZATION": "group"},
    "batch normalization that trains": {"TRAIN_BN": None},
    "exact ROI align": {"ROI_ALIGN": "exact"},
    "masks of full size": {"USE_MINI_MASK": False},
    "grey images": {"IMAGE_CHANNEL_COUNT": 1, "MEAN_PIXEL": [80.0]},
    "five channels": {"IMAGE_CHANNEL_COUNT": 5, "MEAN_PIXEL": np.full(5, 80.0)},
    "half precision": {"PRECISION": "mixed_bfloat16"},
    "sparse anchors": {"RPN_ANCHOR_STRIDE": 2, "RPN_ANCHOR_RATIOS": [1]},
    "fewer proposals than ROIs": {"POST_NMS_ROIS_TRAINING": 6, "TRAIN_ROIS_PER_IMAGE": 20},
    "AdamW": {"OPTIMIZER": "AdamW"},
    "one image a step": {"IMAGES_PER_GPU": 1},
    "other mask size": {"MASK_POOL_SIZE": 7, "MASK_SHAPE": [14, 14]},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_setting_trains_a_step_and_detects(tmp_path, settings):
    config = GradientDescent()
    for name, value in settings.items():
        setattr(config, name, value)
    trainee = Trainee(config, tmp_path)
    batch = batch_of(Figures([2] * config.BATCH_SIZE, channels=config.IMAGE_CHANNEL_COUNT), config)
    logs, moved = trainee.step(with_objects_at_proposals(trainee, batch))
    assert logs["mrcnn_mask_loss"] > 0 and {"stage1", "mrcnn_mask", "mrcnn_bbox_fc", "rpn_class_raw"} <= moved
    (found,) = trainee.detect()
    assert found["masks"].shape == (50, 60, len(found["rois"]))


@pytest.mark.parametrize("train_bn", [False, None])
def test_statistics_of_batch_normalization_move_only_if_they_are_to(tmp_path, train_bn):
    config = GradientDescent()
    config.TRAIN_BN = train_bn
    trainee = Trainee(config, tmp_path)
    trainee.step(batch_of(Figures([2, 2]), config))
    norms = [weight for weight in trainee.model.keras_model.weights if "moving_mean" in weight.path]
    assert len(norms) == 6
    assert all(np.any(np.asarray(weight) != 0) == (train_bn is None) for weight in norms)


def test_given_rois_take_the_place_of_proposals(tmp_path):
    """For experiments: USE_RPN_ROIS = False, with boxes in pixels in the batch."""
    config = GradientDescent()
    config.USE_RPN_ROIS = False
    trainee = Trainee(config, tmp_path)
    batch = batch_of(Figures([2, 2]), config)
    batch["input_roi"] = np.zeros((2, config.POST_NMS_ROIS_TRAINING, 4), "float32")
    batch["input_roi"][:, :2] = batch["input_gt_boxes"][:, :2]
    logs, moved = trainee.step(batch)
    assert logs["mrcnn_mask_loss"] > 0 and logs["mrcnn_bbox_loss"] >= 0 and "mrcnn_mask" in moved


# ---- every way of resizing, through `train`, with images of different sizes ----

SIZES = [(50, 60), (64, 64), (70, 130)]
RESIZING = {
    "square": {},
    "pad64": {"IMAGE_MIN_DIM": 64},
    "crop": {"IMAGE_MIN_DIM": 64, "IMAGE_MAX_DIM": 128},
    "none": {"IMAGE_MAX_DIM": 128},
}


@pytest.mark.parametrize("mode", RESIZING)
def test_every_resize_mode_trains_and_detects_images_of_different_sizes(tmp_path, mode):
    """The third batch is of another size than the first two, which Keras takes the shapes from."""

    class Resizing(FiveConvolutions):
        IMAGE_RESIZE_MODE = mode
        IMAGES_PER_GPU = 1
        STEPS_PER_EPOCH = 3

    for name, value in RESIZING[mode].items():
        setattr(Resizing, name, value)
    model = MaskRCNN(mode="training", config=Resizing(), model_dir=str(tmp_path))
    logs = {}
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, values: logs.update(values))
    sizes = [(64, 64), (64, 64), (64, 128)] if mode == "none" else SIZES
    with step_by_step():
        model.train(Figures([2] * 3, sizes), Figures([2], sizes[-1:]), 0.001, 1, "all", custom_callbacks=[keep])
        found = model.detect([np.zeros((*size, 3), np.uint8) for size in SIZES])
    assert all(np.isfinite(value) for value in logs.values()) and logs["val_rpn_class_loss"] > 0
    for size, result in zip(SIZES, found, strict=True):
        assert result["masks"].shape == (*size, len(result["rois"]))
        assert (result["rois"][:, 2:] <= size).all() and (result["rois"] >= 0).all()
