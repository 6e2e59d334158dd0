"""Which layers a stage chooses, and that exactly those move."""

import numpy as np
import pytest

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.training import stages

from ..support.tiny import Figures, TinyConfig, batch_of, step_by_step, weights_of

HEADS = {
    *("fpn_c5p5", "fpn_c4p4", "fpn_c3p3", "fpn_c2p2", "fpn_p2", "fpn_p3", "fpn_p4", "fpn_p5"),
    *("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"),
    *("mrcnn_class_conv1", "mrcnn_class_bn1", "mrcnn_class_conv2", "mrcnn_class_bn2", "mrcnn_class_logits"),
    *("mrcnn_bbox_fc", "mrcnn_mask_deconv", "mrcnn_mask"),
    *(f"mrcnn_mask_{kind}{number}" for kind in ("conv", "bn") for number in (1, 2, 3, 4)),
}


class AllAnchors(TinyConfig):
    """Every anchor is sampled, so that every pyramid level learns."""

    RPN_TRAIN_ANCHORS_PER_IMAGE = 2048


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return MaskRCNN(mode="training", config=AllAnchors(), model_dir=str(tmp_path_factory.mktemp("stages")))


@pytest.fixture(scope="module")
def batch(model):
    """A batch whose objects are where the untrained network proposes some, so that all losses have a gradient."""
    batch = batch_of(Figures([2, 2]), model.config)
    with step_by_step():
        rois = np.array(model.keras_model(batch)["rois"])
    size = (rois[..., 2] - rois[..., 0]) * (rois[..., 3] - rois[..., 1])
    largest = np.take_along_axis(rois, np.argsort(-size, axis=1)[:, :2, None], axis=1)
    batch["input_gt_boxes"][:, :2] = largest * 63 + [0, 0, 1, 1]
    batch["input_gt_masks"][..., :2] = True
    return batch


def backbone_from(stage):
    """Names of the layers of the ResNet from a stage on; stage 1 is all of it."""
    names = {"conv1", "bn_conv1"} if stage == 1 else set()
    for number in range(max(stage, 2), 6):
        convolutions = [f"{number}{block}_branch2{part}" for block in "ab" for part in "ab"]
        names |= {kind + name for kind in ("res", "bn") for name in [*convolutions, f"{number}a_branch1"]}
    return names


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("heads", HEADS),
        ("5+", HEADS | backbone_from(5)),
        ("4+", HEADS | backbone_from(4)),
        ("3+", HEADS | backbone_from(3)),
        ("all", HEADS | backbone_from(1)),
        (r"res5.*|mrcnn_mask", {name for name in backbone_from(5) if name.startswith("res")} | {"mrcnn_mask"}),
    ],
)
def test_a_stage_chooses_layers_by_their_whole_names(model, layers, expected):
    chosen = stages.set_trainable(model.keras_model, layers)
    assert len(chosen) == len(set(chosen)) and set(chosen) == expected
    trainable = set(weights_of(model.keras_model)) & {w.path for w in model.keras_model.trainable_weights}
    assert {path.split("/")[-2] for path in trainable} == expected


@pytest.mark.parametrize("layers", ["heads", "4+", "all"])
def test_frozen_layers_stay_and_unfrozen_layers_move(model, batch, layers):
    initial = model.keras_model.get_weights()
    before = weights_of(model.keras_model)
    chosen = set(stages.set_trainable(model.keras_model, layers))
    model.compile(0.01, 0.9)
    with step_by_step():
        logs = model.keras_model.train_on_batch(batch, return_dict=True)
    after = weights_of(model.keras_model)
    model.keras_model.set_weights(initial)
    assert logs["mrcnn_mask_loss"] > 0 and logs["mrcnn_bbox_loss"] > 0, "the batch has positive ROIs"
    moved = {path.split("/")[-2] for path, value in after.items() if not np.array_equal(value, before[path])}
    assert not moved - chosen, "frozen layers stay"
    assert moved == chosen, "unfrozen layers move, their normalization too"


def test_an_expression_that_matches_nothing_lists_the_presets_and_changes_nothing(model):
    stages.set_trainable(model.keras_model, "heads")
    before = [weight.path for weight in model.keras_model.trainable_weights]
    with pytest.raises(ConfigError, match=r"layers='head'.*'heads', '3\+', '4\+', '5\+', 'all'.*whole layer names"):
        stages.set_trainable(model.keras_model, "head")
    assert [weight.path for weight in model.keras_model.trainable_weights] == before


@pytest.mark.parametrize("layers", ["(res", None, ["heads"], 4])
def test_what_is_no_expression_is_refused_with_the_presets(model, layers):
    with pytest.raises(ConfigError, match=r"layers: not a regular expression.*'heads'"):
        stages.set_trainable(model.keras_model, layers)


def test_weighted_layers_are_those_inside_of_wrappers_and_nested_models(model):
    layers = stages.weighted_layers(model.keras_model)
    assert {layer.name for layer in layers} == HEADS | backbone_from(1)
    assert all(not hasattr(layer, "layer") and layer.weights for layer in layers)
