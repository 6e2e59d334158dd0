"""The network put together from a configuration: outputs, names, settings, backbones of a user's own."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network.assembly import Network
from mrcnn_plus.training.multi_task_loss import compute_losses

from ..support.tiny import DISC, SQUARE, Figures, FiveConvolutions, TinyConfig, batch_of, five_convolutions


@pytest.fixture(scope="module")
def network():
    return Network(TinyConfig())


def test_the_detection_graph_has_matterports_inputs_and_outputs(network):
    inputs, outputs = network.detection_graph()
    assert [(tensor.name, tensor.shape[1:]) for tensor in inputs] == [
        ("input_image", (None, None, 3)),
        ("input_image_meta", (15,)),
        ("input_anchors", (None, 4)),
    ]
    assert [tensor.shape[1:] for tensor in outputs] == [
        *((10, 6), (30, 3), (30, 3, 4), (10, 28, 28, 3), (30, 4), (None, 2), (None, 4))
    ]


def test_the_training_graph_gives_predictions_and_their_targets(network):
    inputs, outputs = network.training_graph()
    assert {name: tensor.shape[1:] for name, tensor in inputs.items()} == {
        "input_image": (None, None, 3),
        "input_image_meta": (15,),
        "input_gt_class_ids": (4,),
        "input_gt_boxes": (4, 4),
        "input_gt_masks": (14, 14, 4),
    }
    shapes = {name: tuple(tensor.shape[1:]) for name, tensor in outputs.items()}
    assert shapes["target_bbox"] == shapes["rois"] == (8, 4) and shapes["mrcnn_bbox"] == (8, 3, 4)
    assert shapes["target_mask"] == (4, 28, 28), "only as many rows as can be positive"
    assert shapes["mrcnn_mask"] == (4, 28, 28, 3)


def test_both_graphs_share_every_weight(network):
    detection = keras.Model(*network.detection_graph())
    training = keras.Model(*network.training_graph())
    seeds = {id(weight) for weight in training.weights if "seed_generator" in weight.path}
    assert {id(weight) for weight in detection.weights} == {id(weight) for weight in training.weights} - seeds


def test_layers_have_matterports_names(network):
    names = {layer.name for layer in keras.Model(*network.detection_graph()).layers}
    assert names >= {
        *("input_image", "conv1", "bn_conv1", "res2a_branch2a", "fpn_c5p5", "fpn_p2", "rpn_model", "rpn_class", "ROI"),
        *("rpn_bbox", "roi_align_classifier", "mrcnn_class_conv1", "mrcnn_class_bn2", "mrcnn_class_logits"),
        *("mrcnn_class", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_detection", "roi_align_mask", "mrcnn_mask_conv4"),
        *("mrcnn_mask_deconv", "mrcnn_mask", "fpn_p6", "fpn_p4add", "fpn_p5upsampled", "res4b_out"),
    }


def test_every_setting_of_the_network_reaches_its_layer():
    class Unusual(FiveConvolutions):
        NUM_CLASSES = 4
        TOP_DOWN_PYRAMID_SIZE = 12
        RPN_ANCHOR_RATIOS = [0.5, 1, 2, 3]
        RPN_ANCHOR_STRIDE = 2
        RPN_CONV_CHANNELS = 10
        RPN_NMS_THRESHOLD = 0.55
        PRE_NMS_LIMIT = 77
        POST_NMS_ROIS_TRAINING, POST_NMS_ROIS_INFERENCE = 21, 22
        RPN_BBOX_STD_DEV, BBOX_STD_DEV = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.5, 0.6, 0.7, 0.8])
        ROI_ALIGN = "exact"
        POOL_SIZE, MASK_POOL_SIZE, MASK_SHAPE = 5, 8, [16, 16]
        FPN_CLASSIF_FC_LAYERS_SIZE, MASK_CONV_CHANNELS = 9, 6
        DETECTION_MAX_INSTANCES, DETECTION_MIN_CONFIDENCE, DETECTION_NMS_THRESHOLD = 13, 0.25, 0.35
        RPN_TRAIN_ANCHORS_PER_IMAGE, TRAIN_ROIS_PER_IMAGE, ROI_POSITIVE_RATIO = 14, 9, 0.4
        USE_MINI_MASK = False

    network = Network(Unusual())
    detection = keras.Model(*network.detection_graph())
    training = keras.Model(*network.training_graph())
    proposal = detection.get_layer("ROI")
    assert (proposal.proposal_count, proposal.nms_threshold, proposal.pre_nms_limit) == (22, 0.55, 77)
    assert training.get_layer("ROI").proposal_count == 21
    np.testing.assert_allclose(proposal.bbox_std_dev, [0.1, 0.2, 0.3, 0.4])
    found = detection.get_layer("mrcnn_detection")
    assert (found.max_instances, found.min_confidence, found.nms_threshold) == (13, 0.25, 0.35)
    np.testing.assert_allclose(found.bbox_std_dev, [0.5, 0.6, 0.7, 0.8])
    for name, size in (("roi_align_classifier", 5), ("roi_align_mask", 8)):
        assert detection.get_layer(name).pool_shape == (size, size) and detection.get_layer(name).method == "exact"
    anchors = training.get_layer("anchors")
    assert anchors.ratios == [0.5, 1, 2, 3] and anchors.anchor_stride == 2 and anchors.scales == [4, 8, 16, 32, 64]
    rpn = training.get_layer("rpn_targets")
    assert rpn.samples == 14 and rpn.bbox_std_dev == proposal.bbox_std_dev
    heads = training.get_layer("proposal_targets")
    assert (heads.rois_per_image, heads.positive_ratio, heads.mask_shape) == (9, 0.4, (16, 16))
    assert heads.use_mini_mask is False and heads.bbox_std_dev == found.bbox_std_dev
    assert detection.get_layer("fpn_p2").filters == 12
    assert detection.get_layer("mrcnn_class_conv1").layer.filters == 9
    assert detection.get_layer("mrcnn_mask_conv1").layer.filters == 6
    shared = detection.get_layer("rpn_model").get_layer("rpn_conv_shared")
    assert shared.filters == 10 and shared.strides == (2, 2)
    assert detection.get_layer("rpn_model").get_layer("rpn_bbox_pred").filters == 16


def test_a_users_backbone_is_called_as_matterport_called_it():
    received = {}

    class Recorded(FiveConvolutions):
        TRAIN_BN = None

        def BACKBONE(image, **keywords):
            received.update(keywords, shape=image.shape)
            return five_convolutions(image)

    Network(Recorded())
    assert received == {"stage5": True, "train_bn": None, "shape": (None, None, None, 3)}


def wrong_count(image, **_):
    return five_convolutions(image)[1:]


def not_a_map(image, **_):
    return [*five_convolutions(image)[:4], layers.GlobalAveragePooling2D()(image)]


def without_c5(image, **_):
    return [*five_convolutions(image)[:4], None]


def one_map(image, **_):
    return five_convolutions(image)[4]


@pytest.mark.parametrize(
    ("backbone", "received"),
    [(wrong_count, "4 with shapes"), (not_a_map, "5 with shapes"), (without_c5, "None"), (one_map, "1 with shapes")],
)
def test_a_backbone_that_returns_something_else_is_told_what_is_expected(backbone, received):
    config = FiveConvolutions()
    config.BACKBONE = backbone
    with pytest.raises(ConfigError, match=rf"BACKBONE: .*\[C1, C2, C3, C4, C5\].*received: .*{received}"):
        Network(config)


def test_half_precision_is_for_this_network_only():
    class Half(FiveConvolutions):
        PRECISION = "mixed_bfloat16"

    before = keras.config.dtype_policy().name
    network = Network(Half())
    model = keras.Model(*network.detection_graph())
    assert keras.config.dtype_policy().name == before
    assert model.get_layer("stage1").compute_dtype == "bfloat16"
    assert model.get_layer("stage1").variable_dtype == "float32"
    assert all(keras.backend.standardize_dtype(output.dtype) == "float32" for output in model.outputs)


def test_rows_without_a_target_are_left_out_of_the_mask_head_and_change_no_loss():
    config = TinyConfig()
    config.TRAIN_ROIS_PER_IMAGE, config.USE_RPN_ROIS = 40, False
    network = Network(config)
    dataset = Figures([[(SQUARE, 30, 30, 30)], [(DISC, 20, 40, 24)]])
    batch = batch_of(dataset, config)
    moved = np.random.default_rng(0).integers(-3, 4, (2, config.POST_NMS_ROIS_TRAINING, 4))
    batch["input_roi"] = (batch["input_gt_boxes"][:, :1] + moved).astype("float32")
    batch["input_roi"][0, 5:] = batch["input_roi"][1, 11:] = 0, 0, 9, 9
    outputs, losses = {}, {}
    for compiled in (True, False):
        model = keras.Model(*network.training_graph(compiled=compiled))
        outputs[compiled] = model(batch)
        active = ops.ones((2, config.NUM_CLASSES), "int32")
        losses[compiled] = compute_losses(outputs[compiled], active_class_ids=active)
    positive = ops.convert_to_numpy(outputs[True]["target_class_ids"] > 0).sum(axis=1).max()
    rows = {compiled: values["mrcnn_mask"].shape[1] for compiled, values in outputs.items()}
    assert positive == 11 and rows[True] == 20
    assert rows[False] == (20 if keras.backend.backend() == "jax" else 16)
    for name, loss in losses[True].items():
        np.testing.assert_allclose(*(ops.convert_to_numpy(value) for value in (loss, losses[False][name])), rtol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's XLA")
def test_xla_is_never_asked_to_compile_a_graph_whose_shapes_vary(network):
    varying = keras.Model(*network.training_graph(compiled=False))
    with pytest.warns(UserWarning, match="jit_compile"):
        varying.compile(jit_compile=True)
    assert varying.jit_compile is False
    static = keras.Model(*network.training_graph(compiled=True))
    static.compile(jit_compile=True)
    assert static.jit_compile is True
