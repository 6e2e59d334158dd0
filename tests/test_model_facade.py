"""The names of `mrcnn_plus.model` do what Matterport's did: recorded answers and hand-made cases."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from mrcnn_plus import model as modellib
from mrcnn_plus import utils
from mrcnn_plus.config import Config

from .data.data_sets import Rectangles

backend = pytest.mark.backend
CLOSE = {"rtol": 1e-4, "atol": 1e-6}


class SmallConfig(Config):
    NUM_CLASSES = 4
    TRAIN_ROIS_PER_IMAGE = 20
    SEED = 3


def assert_close(found, expected, **tolerance):
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, **{**CLOSE, **tolerance})


def image_metas(shape, window, count):
    meta = modellib.compose_image_meta(0, shape, shape, window, 1.0, np.ones(4))
    return np.stack([meta] * count).astype("float32")


# ---- losses ----


@backend
def test_losses_of_the_rpn_are_the_recorded_ones(golden):
    match, logits = golden["loss/rpn_match"], golden["loss/rpn_logits"]
    target, deltas = golden["loss/rpn_target_bbox"], golden["loss/rpn_bbox"]
    assert_close(modellib.rpn_class_loss_graph(match, logits), golden["loss/rpn_class"])
    assert_close(modellib.rpn_bbox_loss_graph(Config(), target, match, deltas), golden["loss/rpn_bbox_out"])


@backend
def test_losses_of_the_heads_are_the_recorded_ones(golden):
    ids, logits, partial = golden["loss/target_class_ids"], golden["loss/class_logits"], golden["loss/active_partial"]
    assert_close(modellib.mrcnn_class_loss_graph(ids, logits, np.ones_like(partial)), golden["loss/mrcnn_class"])
    assert_close(modellib.mrcnn_class_loss_graph(ids, logits, partial), golden["loss/mrcnn_class_partial"])
    boxes = modellib.mrcnn_bbox_loss_graph(golden["loss/target_bbox"], ids, golden["loss/pred_bbox"])
    assert_close(boxes, golden["loss/mrcnn_bbox"])
    masks = modellib.mrcnn_mask_loss_graph(golden["loss/target_masks"], ids, golden["loss/pred_masks"])
    assert_close(masks, golden["loss/mrcnn_mask"])


@backend
def test_packed_rpn_targets_belong_to_the_positive_anchors_of_their_own_image():
    match = np.array([[0, 1, -1, 1], [-1, 0, 0, 1]])[..., None]
    rng = np.random.default_rng(0)
    target, deltas = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 4, 4))
    pairs = [(target[0, 0], deltas[0, 1]), (target[0, 1], deltas[0, 3]), (target[1, 0], deltas[1, 3])]
    distances = np.abs([wanted - found for wanted, found in pairs])
    expected = np.where(distances < 1, 0.5 * distances**2, distances - 0.5).mean()
    assert_close(modellib.rpn_bbox_loss_graph(Config(), target, match, deltas), expected)


def test_losses_without_a_positive_are_zero():
    nothing, ids = np.full((1, 4, 1), -1), np.zeros((1, 3), int)
    boxes, masks = np.ones((1, 3, 5, 4)), np.full((1, 3, 2, 2, 5), 0.3)
    assert float(modellib.rpn_bbox_loss_graph(Config(), np.ones((1, 2, 4)), nothing, np.ones((1, 4, 4)))) == 0
    assert float(modellib.rpn_class_loss_graph(np.zeros((1, 4, 1), int), np.ones((1, 4, 2)))) == 0
    assert float(modellib.mrcnn_bbox_loss_graph(np.zeros((1, 3, 4)), ids, boxes)) == 0
    assert float(modellib.mrcnn_mask_loss_graph(np.zeros((1, 3, 2, 2)), ids, masks)) == 0


@backend
def test_smooth_l1_bends_at_one():
    assert_close(modellib.smooth_l1_loss(np.zeros(4), np.array([0.0, 0.5, -1.0, 3.0])), [0, 0.125, 0.5, 2.5])


# ---- functions on boxes ----


@backend
def test_functions_on_boxes_give_the_recorded_answers(golden):
    boxes = golden["norm/out"]
    moved = modellib.apply_box_deltas_graph(boxes, golden["deltas/in"])
    assert_close(moved, golden["graph/deltas"])
    assert_close(modellib.clip_boxes_graph(moved, [0.1, 0.05, 0.9, 0.95]), golden["graph/clip"])
    assert_close(modellib.overlaps_graph(boxes, boxes[:9]), golden["graph/overlaps"])


@backend
def test_boxes_change_between_pixels_and_normalized(golden):
    boxes_px, boxes_norm = golden["iou/boxes1"], golden["norm/out"]
    assert_close(modellib.norm_boxes_graph(boxes_px, (200, 300)), boxes_norm)
    back = modellib.denorm_boxes_graph(boxes_norm, ops.convert_to_tensor([200, 300]))
    assert keras.backend.standardize_dtype(back.dtype) == "int32"
    np.testing.assert_array_equal(ops.convert_to_numpy(back), golden["denorm/out"])


@backend
def test_rows_of_zeros_are_trimmed():
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0, 0], [-1, 0, 0, 0.5]], "float32")
    rows, kept = modellib.trim_zeros_graph(boxes, name="trimmed")
    np.testing.assert_array_equal(ops.convert_to_numpy(rows), boxes[[0, 2]])
    np.testing.assert_array_equal(ops.convert_to_numpy(kept), [True, False, True])


@backend
def test_rows_of_several_images_are_packed():
    x = np.arange(24).reshape(2, 4, 3)
    packed = modellib.batch_pack_graph(ops.convert_to_tensor(x), ops.convert_to_tensor([1, 3]), 2)
    np.testing.assert_array_equal(ops.convert_to_numpy(packed), np.concatenate([x[0, :1], x[1, :3]]))


@backend
def test_logarithm_is_to_base_two():
    assert_close(modellib.log2_graph(np.array([1, 8, 0.5])), [0, 3, -1])


@backend
def test_image_meta_is_parsed_alike_on_tensors_and_arrays(golden):
    metas = np.stack([golden["meta/out"], golden["meta/out"] + 1]).astype("float32")
    expected = modellib.parse_image_meta(metas)
    parsed = modellib.parse_image_meta_graph(metas)
    assert list(parsed) == list(expected)
    for name, value in expected.items():
        assert_close(parsed[name], value)


# ---- layers ----


@backend
def test_proposal_layer_with_a_config_gives_the_recorded_proposals(golden):
    class WithLimit(Config):
        PRE_NMS_LIMIT = 1000

    objectness = golden["proposal/probs"]
    inputs = [np.stack([1 - objectness, objectness], -1), golden["proposal/deltas"], golden["proposal/anchors"][None]]
    layer = modellib.ProposalLayer(proposal_count=200, nms_threshold=0.7, name="ROI", config=WithLimit())
    assert_close(layer(inputs), golden["proposal/out"])


@pytest.mark.parametrize("size", [7, 14])
def test_roi_align_gives_the_recorded_features(golden, size):
    pyramid = [golden[f"roialign/P{level}"] for level in (2, 3, 4, 5)]
    meta = image_metas((256, 256, 3), (0, 0, 256, 256), count=2)
    pooled = modellib.PyramidROIAlign([size, size], name="align")([golden["roialign/boxes"], meta, *pyramid])
    assert_close(pooled, golden[f"roialign/{size}"], atol=5e-5)


class DetectConfig(Config):
    NUM_CLASSES = 4
    DETECTION_MAX_INSTANCES = 40
    DETECTION_MIN_CONFIDENCE = 0.3


@backend
def test_detections_of_one_image_are_the_recorded_ones(golden):
    inputs = [golden[f"detect/{name}"] for name in ("rois", "probs", "deltas", "window")]
    assert_close(modellib.refine_detections_graph(*inputs, DetectConfig()), golden["detect/out"])


def test_detection_layer_refines_every_image_in_its_own_window(golden):
    rois, probs, deltas = (np.stack([golden[f"detect/{name}"]] * 2) for name in ("rois", "probs", "deltas"))
    metas = image_metas((101, 101, 3), (10, 0, 91, 101), count=2)
    metas[1, 7:11] = 0, 0, 101, 101
    found = ops.convert_to_numpy(modellib.DetectionLayer(DetectConfig(), name="d")([rois, probs, deltas, metas]))
    for row, window in enumerate(([0.1, 0, 0.9, 1], [0, 0, 1, 1])):
        alone = modellib.refine_detections_graph(rois[row], probs[row], deltas[row], window, DetectConfig())
        assert_close(found[row], ops.convert_to_numpy(alone))
    assert not np.allclose(found[0], found[1])


PROPOSALS = np.array([[0.1, 0.1, 0.5, 0.5], [0.12, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9], [0, 0, 0, 0]] * 8, "float32")


def one_object(slots=6):
    """Class ids, normalized boxes and mini masks of an image with an object of class 2 whose left half is mask."""
    class_ids, boxes, masks = np.zeros(slots, "int32"), np.zeros((slots, 4), "float32"), np.zeros((14, 14, slots), bool)
    class_ids[0], boxes[0], masks[:, :7, 0] = 2, PROPOSALS[0], True
    return class_ids, boxes, masks


def check_detection_targets(rois, class_ids, deltas, masks):
    """The targets that `one_object` must give: positive rows first, their masks, zeros after them."""
    rois, class_ids, deltas, masks = (ops.convert_to_numpy(value) for value in (rois, class_ids, deltas, masks))
    count = SmallConfig.TRAIN_ROIS_PER_IMAGE
    assert (rois.shape, class_ids.shape) == ((count, 4), (count,))
    assert (deltas.shape, masks.shape) == ((count, 4), (count, 28, 28))
    positives = int(count * 0.33)
    np.testing.assert_array_equal(class_ids, [2] * positives + [0] * (count - positives))
    refinement = utils.box_refinement(rois[:positives], np.repeat(PROPOSALS[:1], positives, 0)) / Config.BBOX_STD_DEV
    np.testing.assert_allclose(deltas[:positives], refinement, rtol=1e-3, atol=1e-4)
    left_half = np.repeat([[1.0] * 14 + [0.0] * 14], 28, 0)
    exact = np.isclose(rois[:positives], PROPOSALS[0]).all(axis=1)
    assert exact.any()
    np.testing.assert_array_equal(masks[:positives][exact], np.repeat(left_half[None], exact.sum(), 0))
    assert not masks[positives:].any() and not deltas[positives:].any()


def test_detection_targets_of_one_image_have_matterports_rows():
    check_detection_targets(*modellib.detection_targets_graph(PROPOSALS, *one_object(), SmallConfig()))


def test_detection_target_layer_pads_masks_to_all_rows():
    layer = modellib.DetectionTargetLayer(SmallConfig(), name="proposal_targets")
    inputs = [np.stack([value] * 2) for value in (PROPOSALS, *one_object())]
    targets = layer(inputs)
    for row in range(2):
        check_detection_targets(*(target[row] for target in targets))
    symbolic = layer([layers.Input(value.shape[1:], dtype=str(value.dtype)) for value in inputs])
    assert [tensor.shape[1:] for tensor in symbolic] == [tuple(target.shape[1:]) for target in targets]
    assert layer.compute_output_shape([value.shape for value in inputs]) == [tuple(t.shape) for t in targets]
    assert layer.compute_mask(inputs) == [None] * 4


@backend
def test_detection_targets_of_one_image_can_be_made_inside_a_users_layer():
    class Targets(layers.Layer):
        def call(self, inputs):
            targets = modellib.detection_targets_graph(*(value[0] for value in inputs), SmallConfig())
            return tuple(target[None] for target in targets)

        def compute_output_spec(self, inputs):
            return tuple(keras.KerasTensor((1, 20, *shape)) for shape in ((4,), (), (4,), (28, 28)))

    arrays = [value[None] for value in (PROPOSALS, *one_object())]
    inputs = [layers.Input(value.shape[1:], dtype=str(value.dtype), batch_size=1) for value in arrays]
    model = keras.Model(inputs, Targets()(inputs))
    for _ in range(2):
        check_detection_targets(*(target[0] for target in model.predict_on_batch(arrays)))


class UnusualConfig(SmallConfig):
    PRE_NMS_LIMIT = 77
    RPN_BBOX_STD_DEV = np.array([0.3, 0.4, 0.5, 0.6])
    BBOX_STD_DEV = np.array([0.2, 0.3, 0.4, 0.5])
    ROI_POSITIVE_RATIO = 0.5
    MASK_SHAPE = [20, 24]
    USE_MINI_MASK = False
    DETECTION_MAX_INSTANCES = 9
    DETECTION_MIN_CONFIDENCE = 0.25
    DETECTION_NMS_THRESHOLD = 0.45


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (
            lambda: modellib.ProposalLayer(11, 0.6, UnusualConfig(), name="own"),
            {
                "proposal_count": 11,
                "nms_threshold": 0.6,
                "pre_nms_limit": 77,
                "bbox_std_dev": [0.3, 0.4, 0.5, 0.6],
            },
        ),
        (
            lambda: modellib.DetectionTargetLayer(UnusualConfig(), name="own"),
            {
                "rois_per_image": 20,
                "positive_ratio": 0.5,
                "mask_shape": (20, 24),
                "bbox_std_dev": [0.2, 0.3, 0.4, 0.5],
                "use_mini_mask": False,
                "seed": 3,
            },
        ),
        (
            lambda: modellib.DetectionLayer(UnusualConfig(), name="own"),
            {
                "max_instances": 9,
                "min_confidence": 0.25,
                "nms_threshold": 0.45,
                "bbox_std_dev": [0.2, 0.3, 0.4, 0.5],
            },
        ),
        (lambda: modellib.PyramidROIAlign((3, 5), method="exact", name="own"), {"pool_shape": (3, 5)}),
        (lambda: modellib.BatchNorm(axis=1, train_bn=True, name="own"), {"axis": 1, "train_bn": True}),
    ],
)
def test_layers_survive_the_round_trip_through_their_config(layer, settings):
    original = layer()
    config = original.get_config()
    assert config["name"] == "own"
    assert {name: config[name] for name in settings} == settings
    assert type(original).from_config(config).get_config() == config
    restored = layers.deserialize(layers.serialize(original))
    assert type(restored) is type(original)
    assert restored.get_config() == config


def test_a_layer_keeps_the_config_that_it_was_made_with():
    config = SmallConfig()
    for layer in (
        modellib.ProposalLayer(1, 0.5, config),
        modellib.DetectionTargetLayer(config),
        modellib.DetectionLayer(config),
    ):
        assert layer.config is config


# ---- backbone ----


def normalized_by(switch, **how):
    """A model of one `BatchNorm` that was called with this switch, and the layer."""
    image = layers.Input((4,))
    layer = modellib.BatchNorm(name="bn")
    return keras.Model(image, layer(image, training=switch, **how)), layer


def has_moved(layer):
    return not np.allclose(ops.convert_to_numpy(layer.moving_mean), 0)


FAR = np.arange(32, dtype="float32").reshape(8, 4) + 50


@backend
def test_batch_norm_called_with_false_stays_frozen_in_training():
    model, layer = normalized_by(False)
    assert_close(model(FAR, training=True), FAR / np.sqrt(1 + layer.epsilon))
    assert not has_moved(layer)


@backend
def test_batch_norm_called_with_none_trains_as_usual():
    model, layer = normalized_by(None)
    assert_close(model(FAR, training=False), FAR / np.sqrt(1 + layer.epsilon))
    assert not has_moved(layer)
    np.testing.assert_allclose(ops.convert_to_numpy(model(FAR, training=True)).mean(axis=0), 0, atol=1e-3)
    assert has_moved(layer)


@backend
def test_batch_norm_called_with_true_always_uses_the_batch():
    model, _ = normalized_by(True)
    np.testing.assert_allclose(ops.convert_to_numpy(model(FAR, training=False)).mean(axis=0), 0, atol=1e-3)


@backend
def test_batch_norm_called_with_arrays_obeys_the_call():
    layer = modellib.BatchNorm()
    layer(FAR, training=False)
    assert not has_moved(layer)
    layer(FAR, training=True)
    assert has_moved(layer)
    assert layer.train_bn is None


def test_resnet_graph_has_matterports_layers_and_maps():
    image = layers.Input((64, 64, 3))
    features = modellib.resnet_graph(image, "resnet50", stage5=True, train_bn=False)
    assert [tuple(feature.shape[1:]) for feature in features[1:]] == [
        *((16, 16, 256), (8, 8, 512), (4, 4, 1024), (2, 2, 2048))
    ]
    model = keras.Model(image, features[-1])
    names = {layer.name for layer in model.layers}
    assert {"conv1", "bn_conv1", "res2a_branch1", "res4f_branch2c", "bn5c_branch2b", "res5c_out"} <= names
    assert model.get_layer("bn_conv1").train_bn is False
    *_, c4, c5 = modellib.resnet_graph(image, "resnet50", train_bn=None)
    assert c5 is None
    assert keras.Model(image, c4).get_layer("bn4f_branch2a").train_bn is None


def test_residual_blocks_keep_names_strides_and_bias():
    image = layers.Input((16, 16, 8))
    x = modellib.conv_block(image, 3, [4, 4, 12], stage=3, block="a", strides=(2, 2), use_bias=False, train_bn=False)
    y = modellib.identity_block(x, 5, [4, 4, 12], stage=3, block="b")
    assert tuple(y.shape[1:]) == (8, 8, 12)
    model = keras.Model(image, y)
    assert model.get_layer("res3a_branch1").strides == (2, 2)
    assert not model.get_layer("res3a_branch2b").use_bias and model.get_layer("res3b_branch2b").use_bias
    assert model.get_layer("res3b_branch2b").kernel_size == (5, 5)
    assert model.get_layer("bn3a_branch1").train_bn is False and model.get_layer("bn3b_branch2c").train_bn is True
    assert "res3b_branch1" not in {layer.name for layer in model.layers}


def test_backbone_shapes_are_rounded_up():
    np.testing.assert_array_equal(
        modellib.compute_backbone_shapes(Config(), (100, 64, 3)), [[25, 16], [13, 8], [7, 4], [4, 2], [2, 1]]
    )


def test_backbone_shapes_of_a_users_backbone_come_from_the_users_function():
    class OwnBackbone(Config):
        BACKBONE = modellib.resnet_graph
        COMPUTE_BACKBONE_SHAPE = lambda image_shape: np.array([[image_shape[0] // 2, 7]])  # noqa: E731

    np.testing.assert_array_equal(modellib.compute_backbone_shapes(OwnBackbone(), (100, 64, 3)), [[50, 7]])


# ---- RPN and heads ----


@backend
@pytest.mark.filterwarnings("error:The structure of `inputs`")
def test_rpn_graph_and_model_are_the_same_layers():
    model = modellib.build_rpn_model(2, 3, 16)
    assert model.name == "rpn_model"
    feature_map = layers.Input((None, None, 16))
    graph = keras.Model(feature_map, modellib.rpn_graph(feature_map, 3, 2))
    weighted = ["rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"]
    for name in weighted:
        graph.get_layer(name).set_weights(model.get_layer(name).get_weights())
    x = np.random.default_rng(0).normal(size=(2, 8, 6, 16)).astype("float32")
    logits, probabilities, deltas = model([x])
    assert [tuple(value.shape) for value in (logits, probabilities, deltas)] == [(2, 36, 2), (2, 36, 2), (2, 36, 4)]
    for found, expected in zip(graph(x), (logits, probabilities, deltas)):
        assert_close(found, ops.convert_to_numpy(expected))
    assert_close(ops.sum(probabilities, axis=-1), np.ones((2, 36)))


def test_heads_have_matterports_names_and_shapes():
    rois, meta = layers.Input((10, 4)), layers.Input((16,))
    pyramid = [layers.Input((size, size, 8)) for size in (16, 8, 4, 2)]
    logits, probabilities, deltas = modellib.fpn_classifier_graph(
        rois, pyramid, meta, 7, num_classes=4, train_bn=False, fc_layers_size=32
    )
    masks = modellib.build_fpn_mask_graph(rois, pyramid, meta, 14, 4, train_bn=None)
    assert [tuple(value.shape[1:]) for value in (logits, probabilities, deltas, masks)] == [
        *((10, 4), (10, 4), (10, 4, 4), (10, 28, 28, 4))
    ]
    model = keras.Model([rois, meta, *pyramid], [probabilities, deltas, masks])
    names = {layer.name for layer in model.layers}
    assert {"mrcnn_class_conv1", "mrcnn_class_bn2", "mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox"} <= names
    assert {"mrcnn_mask_conv4", "mrcnn_mask_bn4", "mrcnn_mask_deconv", "mrcnn_mask", "roi_align_mask"} <= names
    assert model.get_layer("mrcnn_class_bn1").layer.train_bn is False
    assert model.get_layer("mrcnn_mask_bn1").layer.train_bn is None
    assert model.get_layer("mrcnn_class_conv2").layer.filters == 32


# ---- images ----


def test_images_are_molded_with_the_mean_pixel():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    molded = modellib.mold_image(images, Config())
    np.testing.assert_allclose(molded, images.astype(float) - Config.MEAN_PIXEL, rtol=1e-5)
    np.testing.assert_array_equal(modellib.unmold_image(molded, Config()), images)


# ---- all together ----


class TinyConfig(SmallConfig):
    IMAGES_PER_GPU = 2
    MAX_GT_INSTANCES = 6
    MINI_MASK_SHAPE = (14, 14)
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 64
    RPN_ANCHOR_SCALES = (4, 8, 16, 32, 64)
    PRE_NMS_LIMIT = 100


def test_a_program_can_put_the_training_graph_together_itself():
    """As a subclass of `MaskRCNN` that overrides `build` does, with `Lambda` around the graph functions."""
    config = TinyConfig()
    image, meta = layers.Input((64, 64, 3)), layers.Input((config.IMAGE_META_SIZE,))
    rpn_match = layers.Input((None, 1), dtype="int32")
    rpn_targets, anchors = layers.Input((config.RPN_TRAIN_ANCHORS_PER_IMAGE, 4)), layers.Input((None, 4))
    gt_class_ids, gt_boxes_px = layers.Input((6,), dtype="int32"), layers.Input((6, 4))
    gt_masks = layers.Input((14, 14, 6), dtype="bool")
    gt_boxes = layers.Lambda(lambda boxes: modellib.norm_boxes_graph(boxes, (64, 64)))(gt_boxes_px)

    features = [layers.Conv2D(8, 1, strides=stride)(image) for stride in (4, 8, 16, 32, 64)]
    rpn = modellib.build_rpn_model(config.RPN_ANCHOR_STRIDE, len(config.RPN_ANCHOR_RATIOS), 8)
    per_level = list(zip(*[rpn([feature]) for feature in features], strict=True))
    logits, probabilities, deltas = (layers.Concatenate(axis=1)(list(level)) for level in per_level)
    proposals = modellib.ProposalLayer(proposal_count=30, nms_threshold=0.7, name="ROI", config=config)(
        [probabilities, deltas, anchors]
    )
    rois, ids, target_deltas, target_masks = modellib.DetectionTargetLayer(config, name="proposal_targets")(
        [proposals, gt_class_ids, gt_boxes, gt_masks]
    )
    head = {"train_bn": config.TRAIN_BN}
    class_logits, _, boxes = modellib.fpn_classifier_graph(rois, features[:4], meta, 7, 4, fc_layers_size=16, **head)
    masks = modellib.build_fpn_mask_graph(rois, features[:4], meta, 14, 4, **head)
    active = layers.Lambda(lambda x: modellib.parse_image_meta_graph(x)["active_class_ids"])(meta)

    def loss(name, function, inputs):
        return layers.Lambda(lambda x: function(*x), output_shape=(), name=name)(inputs)

    losses = [
        loss("rpn_class_loss", modellib.rpn_class_loss_graph, [rpn_match, logits]),
        loss("rpn_bbox_loss", lambda *x: modellib.rpn_bbox_loss_graph(config, *x), [rpn_targets, rpn_match, deltas]),
        loss("mrcnn_class_loss", modellib.mrcnn_class_loss_graph, [ids, class_logits, active]),
        loss("mrcnn_bbox_loss", modellib.mrcnn_bbox_loss_graph, [target_deltas, ids, boxes]),
        loss("mrcnn_mask_loss", modellib.mrcnn_mask_loss_graph, [target_masks, ids, masks]),
    ]
    inputs = [image, meta, rpn_match, rpn_targets, gt_class_ids, gt_boxes_px, gt_masks, anchors]
    model = keras.Model(inputs, losses)

    dataset = Rectangles([2, 3])
    batch, _ = next(modellib.data_generator(dataset, config, shuffle=False, batch_size=2))
    anchors_px = utils.generate_pyramid_anchors(
        *(config.RPN_ANCHOR_SCALES, config.RPN_ANCHOR_RATIOS),
        modellib.compute_backbone_shapes(config, (64, 64, 3)),
        *(config.BACKBONE_STRIDES, config.RPN_ANCHOR_STRIDE),
    )
    values = model([*batch, np.stack([utils.norm_boxes(anchors_px, (64, 64))] * 2)])
    assert all(value.shape == () and np.isfinite(float(value)) for value in values)
    assert float(values[0]) > 0 and float(values[1]) > 0 and float(values[2]) > 0
