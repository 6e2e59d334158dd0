"""Puts the network together from a `Config`: one set of layers, a graph for detection and a graph for training.

The only module of `network` that reads a `Config`, by way of a `SettingsRecord` that remembers what was read.
"""

import contextlib
import copy
from typing import NamedTuple

import keras
from keras import layers

from mrcnn_plus.config_record import SettingsRecord
from mrcnn_plus.config_values import mini_mask_shape
from mrcnn_plus.constants import META_SIZE_WITHOUT_CLASSES
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network import box_ops, image_meta
from mrcnn_plus.network.anchors import PyramidAnchors
from mrcnn_plus.network.backbones.resnet import resnet
from mrcnn_plus.network.detection_targets import DetectionTargetLayer
from mrcnn_plus.network.detections import DetectionLayer
from mrcnn_plus.network.heads import ClassifierHead, MaskHead
from mrcnn_plus.network.occupied_rows import OccupiedRows
from mrcnn_plus.network.proposals import ProposalLayer
from mrcnn_plus.network.pyramid import feature_pyramid
from mrcnn_plus.network.rpn import apply_rpn, build_rpn_model
from mrcnn_plus.network.rpn_targets import RPNTargetLayer


def require_eager_mode(place):
    """Raise a ConfigError within a graph of TensorFlow 1: variables made there have no values."""
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if not tf.executing_eagerly() and not tf.inside_function():
        raise ConfigError(
            f"{place}: expected TensorFlow's eager mode, received a graph. Leave out `with tf.Graph().as_default():`, "
            "tf.compat.v1.disable_eager_execution() and sessions around it: Keras 3 has no place for them. "
            "`mrcnn-plus run program.py` runs a program that has them as it is."
        )


class InstanceParts(NamedTuple):
    """Models that find instances one after the other; see `Network.instance_parts`. P: the maps P2 .. P5.

    features: image -> RPN probabilities, RPN deltas, P. proposals: RPN probabilities, RPN deltas, anchors, image_meta,
    P -> proposals, pooled features. box_head: pooled features -> class probabilities, deltas. detections: proposals,
    class probabilities, deltas, image_meta, P -> detections, pooled features and class ids of those that get a mask.
    mask_head: these two -> masks.
    """

    features: keras.Model
    proposals: keras.Model
    box_head: keras.Model
    detections: keras.Model
    mask_head: keras.Model


class Network:
    """All layers of Mask R-CNN, and the two graphs through them. Weights are shared: train one, detect with the other.

    `detection_graph()` and `training_graph()` each return `(inputs, outputs)` for a `keras.Model`.

    settings, training_settings: a `SettingsRecord` of what the layers were built from, and one of the training graph
    (None without one). What only a detection graph reads may change: it is made anew for other values.
    detection_model: the Keras model of the last detection graph, kept by `inference.model`.
    """

    training_settings = detection_model = None

    def __init__(self, config):
        require_eager_mode("MaskRCNN")
        self._config = config
        self.settings = config = SettingsRecord(config)
        with _precision(config.PRECISION):
            self.image = layers.Input((None, None, config.IMAGE_CHANNEL_COUNT), name="input_image", dtype="float32")
            meta_size = META_SIZE_WITHOUT_CLASSES + config.NUM_CLASSES
            self.image_meta = layers.Input((meta_size,), name="input_image_meta", dtype="float32")
            self.anchors = layers.Input((None, 4), name="input_anchors", dtype="float32")
            _, c2, c3, c4, c5 = build_backbone(self.image, config)
            self.pyramid = feature_pyramid(c2, c3, c4, c5, channels=config.TOP_DOWN_PYRAMID_SIZE)
            self.rpn_model = build_rpn_model(
                anchors_per_location=len(config.RPN_ANCHOR_RATIOS),
                anchor_stride=config.RPN_ANCHOR_STRIDE,
                depth=config.TOP_DOWN_PYRAMID_SIZE,
                conv_channels=config.RPN_CONV_CHANNELS,
            )
            self.rpn_class_logits, self.rpn_class, self.rpn_bbox = apply_rpn(self.rpn_model, self.pyramid)
            head_style = {
                "num_classes": config.NUM_CLASSES,
                "roi_align": config.ROI_ALIGN,
                "train_bn": config.TRAIN_BN,
                "normalization": config.NORMALIZATION,
            }
            self.classifier_head = ClassifierHead(
                pool_size=config.POOL_SIZE, fc_size=config.FPN_CLASSIF_FC_LAYERS_SIZE, **head_style
            )
            self.mask_head = MaskHead(pool_size=config.MASK_POOL_SIZE, channels=config.MASK_CONV_CHANNELS, **head_style)

    def detection_graph(self, config=None):
        """Inputs `[image, image_meta, anchors]`, outputs in Matterport's order and shapes.

        image float32 `[B, H, W, channels]` molded, image_meta `[B, 12 + C]`, anchors `[B, A, 4]` normalized ->
        detections `[B, D, 6]`, class probabilities `[B, R, C]`, deltas `[B, R, C, 4]`, masks `[B, D, 28, 28, C]`,
        proposals `[B, R, 4]`, RPN probabilities `[B, A, 2]`, RPN deltas `[B, A, 4]`; boxes normalized.

        config: read for what happens around the layers (`DETECTION_...`, NMS, numbers of ROIs); by default the one of
        the layers.
        """
        config = self._config if config is None else config
        with _precision(self.settings.PRECISION):
            proposals, probabilities, deltas, detections = self._detections(config)
            masks = self.mask_head(detections[..., :4], self.image_meta, self.pyramid[:4])
        inputs = [self.image, self.image_meta, self.anchors]
        return inputs, [detections, probabilities, deltas, masks, proposals, self.rpn_class, self.rpn_bbox]

    def instance_graph(self, config=None, *, compiled=True):
        """As `detection_graph`, with what `detect` needs and nothing else: detections `[B, D, 6]` and the mask of each
        one's class, `[B, n, 28, 28]`.

        compiled: whether XLA compiles it, so that all shapes are known before; n is D then. Otherwise the mask head
        runs on the rows that hold a detection, and n is their number.
        """
        config = self._config if config is None else config
        with _precision(self.settings.PRECISION):
            *_, detections = self._detections(config, compiled=compiled)
            masks = self.mask_head.predict(*self._mask_inputs(detections, self.pyramid[:4], compiled=compiled))
        return [self.image, self.image_meta, self.anchors], [detections, masks]

    def instance_parts(self, config=None, *, compiled=True):
        """`instance_graph` cut between boxes and convolutions, for an engine that computes the convolutions alone.

        Returns five `keras.Model`: `features` and the two heads are convolutions and products, whose precision may be
        lower; `proposals` and `detections`, between them, compute boxes and want float32.
        """
        config = self._config if config is None else config
        with _precision(self.settings.PRECISION):
            rpn_class, rpn_bbox, *pyramid = _inputs_like([self.rpn_class, self.rpn_bbox, *self.pyramid[:4]])
            proposals = self._proposals(
                self.anchors, config, count=config.POST_NMS_ROIS_INFERENCE, compiled=compiled, rpn=(rpn_class, rpn_bbox)
            )
            pooled = self.classifier_head.align([proposals, self.image_meta, *pyramid])
            rois, head_input = _inputs_like([proposals, pooled])
            _, *box_answer = self.classifier_head.predict(head_input)
            probabilities, deltas = _inputs_like(box_answer)
            detections = self._refined(rois, probabilities, deltas, config)
            mask_input = self._mask_inputs(detections, pyramid, compiled=compiled)
            mask_head_inputs = _inputs_like(mask_input)
            masks = self.mask_head.predict(*mask_head_inputs)
        return InstanceParts(
            features=keras.Model(self.image, [self.rpn_class, self.rpn_bbox, *self.pyramid[:4]]),
            proposals=keras.Model([rpn_class, rpn_bbox, self.anchors, self.image_meta, *pyramid], [proposals, pooled]),
            box_head=keras.Model(head_input, box_answer),
            detections=keras.Model([rois, probabilities, deltas, self.image_meta, *pyramid], [detections, *mask_input]),
            mask_head=keras.Model(mask_head_inputs, masks),
        )

    def training_graph(self, *, compiled=True):
        """Inputs and outputs of training, both dicts by name; `training.model` computes the losses from them.

        Inputs: `input_image`, `input_image_meta`, `input_gt_class_ids` int `[B, G]`, `input_gt_boxes` `[B, G, 4]`
        pixels, `input_gt_masks` bool `[B, h, w, G]`, and without `USE_RPN_ROIS` `input_roi` `[B, P, 4]` pixels.
        Outputs: predictions, and `target_...` for each of them.

        compiled: whether XLA compiles it. Otherwise the mask head runs on the rows that have a target in some image,
        and TensorFlow thins out the proposals by an operation of its own.
        """
        config = self.training_settings = SettingsRecord(self._config)
        with _precision(config.PRECISION):
            ground_truth = gt_class_ids, gt_boxes_px, _ = _ground_truth_inputs(config)
            anchors_px = PyramidAnchors(
                config.RPN_ANCHOR_SCALES,
                config.RPN_ANCHOR_RATIOS,
                config.BACKBONE_STRIDES,
                anchor_stride=config.RPN_ANCHOR_STRIDE,
                name="anchors",
            )(self.pyramid)
            to_norm = ToNormalized(name="norm_boxes")
            given_rois = []
            if config.USE_RPN_ROIS:
                anchors = to_norm([anchors_px, self.image_meta])
                count = config.POST_NMS_ROIS_TRAINING
                proposals = self._proposals(anchors, config, count=count, compiled=compiled)
            else:
                given_rois = [layers.Input((config.POST_NMS_ROIS_TRAINING, 4), name="input_roi", dtype="float32")]
                proposals = to_norm([given_rois[0], self.image_meta])
            rpn_targets = self._rpn_targets(anchors_px, gt_class_ids, gt_boxes_px)
            rois, head_targets = self._head_targets(proposals, ground_truth, to_norm)

            class_logits, _, deltas = self.classifier_head(rois, self.image_meta, self.pyramid[:4])
            with_target, head_targets["target_mask"] = self._mask_rows(rois, head_targets, compiled=compiled)
            masks = self.mask_head(with_target, self.image_meta, self.pyramid[:4])
        inputs = [self.image, self.image_meta, *ground_truth, *given_rois]
        outputs = {
            "rpn_class_logits": self.rpn_class_logits,
            "rpn_bbox": self.rpn_bbox,
            **rpn_targets,
            "rois": rois,
            "mrcnn_class_logits": class_logits,
            "mrcnn_bbox": deltas,
            "mrcnn_mask": masks,
            **head_targets,
        }
        return {tensor.name: tensor for tensor in inputs}, outputs

    def in_float32(self):
        """This network if it computes in float32, else another one that does, with weights of the same values."""
        if self.settings.PRECISION == "float32":
            return self
        config = copy.copy(self._config)
        for name, value in {**self.settings.values, "PRECISION": "float32"}.items():
            setattr(config, name, value)
        other = Network(config)
        ours, others = (keras.Model(*network.detection_graph()) for network in (self, other))
        others.set_weights(ours.get_weights())
        return other

    def _detections(self, config, *, compiled=True):
        """Proposals, their class probabilities and deltas, and the detections."""
        proposals = self._proposals(self.anchors, config, count=config.POST_NMS_ROIS_INFERENCE, compiled=compiled)
        _, probabilities, deltas = self.classifier_head(proposals, self.image_meta, self.pyramid[:4])
        return proposals, probabilities, deltas, self._refined(proposals, probabilities, deltas, config)

    def _refined(self, proposals, probabilities, deltas, config):
        layer = DetectionLayer(
            config.DETECTION_MAX_INSTANCES,
            min_confidence=config.DETECTION_MIN_CONFIDENCE,
            nms_threshold=config.DETECTION_NMS_THRESHOLD,
            bbox_std_dev=config.BBOX_STD_DEV,
            name="mrcnn_detection",
        )
        return layer([proposals, probabilities, deltas, self.image_meta])

    def _mask_inputs(self, detections, pyramid, *, compiled):
        """Pooled features and class ids of the rows that get a mask: all, or those that hold a detection."""
        rows = detections
        if not compiled:
            (rows,) = OccupiedRows(name="occupied_rows")([detections[..., 4], detections])
        pooled = self.mask_head.align([rows[..., :4], self.image_meta, *pyramid])
        return pooled, keras.ops.cast(rows[..., 4], "int32")

    def _proposals(self, anchors, config, *, count, compiled=True, rpn=None):
        layer = ProposalLayer(
            count,
            config.RPN_NMS_THRESHOLD,
            compiled=compiled,
            pre_nms_limit=config.PRE_NMS_LIMIT,
            bbox_std_dev=config.RPN_BBOX_STD_DEV,
            min_size=config.RPN_MIN_SIZE,
            name="ROI",
        )
        size_of_image = [self.image_meta] if config.RPN_MIN_SIZE else []
        return layer([*(rpn or (self.rpn_class, self.rpn_bbox)), anchors, *size_of_image])

    def _mask_rows(self, rois, targets, *, compiled):
        """The ROIs that get a mask, and its target: those that can be positive, or where shapes may vary, that are.

        Norms that take the statistics of the batch see the same rows on every backend.
        """
        config, masks = self.training_settings, targets["target_mask"]
        most = masks.shape[1]
        if compiled or (config.NORMALIZATION == "batch" and config.TRAIN_BN is not False):
            return rois[:, :most], masks
        return OccupiedRows(step=8, name="rows_with_target")([targets["target_class_ids"][:, :most], rois, masks])

    def _rpn_targets(self, anchors_px, gt_class_ids, gt_boxes_px):
        """What the RPN should have answered, by the names of the outputs."""
        config = self.training_settings
        indices, labels, deltas = RPNTargetLayer(
            config.RPN_TRAIN_ANCHORS_PER_IMAGE,
            bbox_std_dev=config.RPN_BBOX_STD_DEV,
            seed=config.SEED,
            name="rpn_targets",
        )([anchors_px, gt_class_ids, gt_boxes_px])
        return {"target_anchor_indices": indices, "target_anchor_labels": labels, "target_rpn_bbox": deltas}

    def _head_targets(self, proposals, ground_truth, to_norm):
        """The sampled ROIs, and what the heads should answer for them, by the names of the outputs."""
        config = self.training_settings
        gt_class_ids, gt_boxes_px, gt_masks = ground_truth
        rois, class_ids, deltas, masks = DetectionTargetLayer(
            config.TRAIN_ROIS_PER_IMAGE,
            config.ROI_POSITIVE_RATIO,
            mask_shape=config.MASK_SHAPE,
            bbox_std_dev=config.BBOX_STD_DEV,
            use_mini_mask=config.USE_MINI_MASK,
            seed=config.SEED,
            name="proposal_targets",
        )([proposals, gt_class_ids, to_norm([gt_boxes_px, self.image_meta]), gt_masks])
        return rois, {"target_class_ids": class_ids, "target_bbox": deltas, "target_mask": masks}


def _inputs_like(tensors):
    """New inputs of the shapes and types of these tensors, where a part of the graph begins anew."""
    return [layers.Input(tensor.shape[1:], dtype=tensor.dtype) for tensor in tensors]


def _ground_truth_inputs(config):
    """Class ids, boxes in pixels and masks of the ground truth, `MAX_GT_INSTANCES` slots for each image."""
    slots = config.MAX_GT_INSTANCES
    class_ids = layers.Input((slots,), name="input_gt_class_ids", dtype="int32")
    boxes_px = layers.Input((slots, 4), name="input_gt_boxes", dtype="float32")
    masks = layers.Input((*(mini_mask_shape(config) or (None, None)), slots), name="input_gt_masks", dtype="bool")
    return class_ids, boxes_px, masks


@keras.saving.register_keras_serializable("mrcnn_plus")
class ToNormalized(layers.Layer):
    """Called with `[boxes, image_meta]`: boxes `[B or 1, N, 4]` in pixels of the molded image -> normalized."""

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})

    def call(self, inputs):
        boxes_px, meta = inputs
        return box_ops.norm_boxes(boxes_px, image_meta.parse(meta).image_shape[:, None])

    def compute_output_shape(self, input_shape):
        return (input_shape[1][0], *input_shape[0][1:])


def build_backbone(image, config):
    """Feature maps `[C1 .. C5]` of the configured backbone; checks what a user's function returns."""
    if not callable(config.BACKBONE):
        return resnet(
            image,
            config.BACKBONE,
            train_bn=config.TRAIN_BN,
            normalization=config.NORMALIZATION,
            width=config.BACKBONE_WIDTH,
        )
    features = config.BACKBONE(image, stage5=True, train_bn=config.TRAIN_BN)
    maps = features if isinstance(features, list | tuple) else [features]
    shapes = [getattr(feature, "shape", None) for feature in maps]
    if len(shapes) != 5 or any(shape is None or len(shape) != 4 for shape in shapes[1:]):
        raise ConfigError(
            "BACKBONE: the function must return five feature maps [C1, C2, C3, C4, C5] of shape [batch, height, width, "
            f"channels], C2 .. C5 at strides 4, 8, 16, 32, received: {len(shapes)} with shapes {shapes}."
        )
    return features


@contextlib.contextmanager
def _precision(policy):
    """Layers made inside take this dtype policy; the global one is as before afterwards."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
