"""Matterport's `mrcnn.model`: the same names and signatures, answered by the modules of the package.

Grouped along the reading path: backbone, proposals, heads, targets, detections, losses, images; ground truth and
batches come from `training.numpy_batches`. New programs may import from the modules of the package directly;
ARCHITECTURE.md has the table of old names and new places.

"Graph" functions take and return tensors, eager or inside a layer's `call`, and NumPy arrays too. Letters in shapes:
B images, A anchors, R ROIs, G ground-truth slots, T `TRAIN_ROIS_PER_IMAGE`, D `DETECTION_MAX_INSTANCES`, C classes with
background. Boxes are `(y1, x1, y2, x2)`, normalized where nothing else is said.
"""

import keras
from keras import ops

from mrcnn_plus import utils
from mrcnn_plus.config_adapter import as_config
from mrcnn_plus.config_values import feature_shapes
from mrcnn_plus.data.numpy_targets import generate_random_rois
from mrcnn_plus.geometry import molding
from mrcnn_plus.geometry.molding import compose_image_meta, parse_image_meta
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.network import box_ops, detection_targets, detections, image_meta, losses, normalization, proposals, rpn
from mrcnn_plus.network.backbones.resnet import residual_block, resnet
from mrcnn_plus.network.heads import ClassifierHead, MaskHead
from mrcnn_plus.network.roi_align import PyramidROIAlign
from mrcnn_plus.training.numpy_batches import (
    DataGenerator,
    build_detection_targets,
    build_rpn_targets,
    data_generator,
    load_image_gt,
)
from mrcnn_plus.verbose import log

__all__ = [
    "BatchNorm",
    "DataGenerator",
    "DetectionLayer",
    "DetectionTargetLayer",
    "MaskRCNN",
    "ProposalLayer",
    "PyramidROIAlign",
    "apply_box_deltas_graph",
    "batch_pack_graph",
    "build_detection_targets",
    "build_fpn_mask_graph",
    "build_rpn_model",
    "build_rpn_targets",
    "clip_boxes_graph",
    "compose_image_meta",
    "compute_backbone_shapes",
    "conv_block",
    "data_generator",
    "denorm_boxes_graph",
    "detection_targets_graph",
    "fpn_classifier_graph",
    "generate_random_rois",
    "identity_block",
    "load_image_gt",
    "log",
    "log2_graph",
    "mold_image",
    "mrcnn_bbox_loss_graph",
    "mrcnn_class_loss_graph",
    "mrcnn_mask_loss_graph",
    "norm_boxes_graph",
    "overlaps_graph",
    "parse_image_meta",
    "parse_image_meta_graph",
    "refine_detections_graph",
    "resnet_graph",
    "rpn_bbox_loss_graph",
    "rpn_class_loss_graph",
    "rpn_graph",
    "smooth_l1_loss",
    "trim_zeros_graph",
    "unmold_image",
    "utils",
]


def _float(x):
    return ops.cast(x, "float32")


def _int(x):
    return ops.cast(x, "int32")


# ---- Backbone ----


@keras.saving.register_keras_serializable("mrcnn_plus.model")
class BatchNorm(normalization.BatchNorm):
    """Batch normalization that remembers the `training=` it was called with while a model was built.

    False freezes the statistics, None trains as usual, True always uses those of the batch. Keras 3 would replace the
    value whenever the finished model runs, so it becomes the layer's `train_bn`.
    """

    def __init__(self, axis=-1, *, train_bn=None, **kwargs):
        super().__init__(axis=axis, train_bn=train_bn, **kwargs)

    def __call__(self, inputs, training=None, **kwargs):
        if training is not None and isinstance(inputs, keras.KerasTensor):
            self.train_bn = training
        return super().__call__(inputs, training=training, **kwargs)


def compute_backbone_shapes(config, image_shape):
    """Sizes of the feature maps P2 .. P6 for an image_shape `(height, width, ...)`: int `[levels, (height, width)]`."""
    return feature_shapes(config, image_shape)


def identity_block(input_tensor, kernel_size, filters, stage, block, use_bias=True, train_bn=True):
    """A residual block `[B, h, w, filters[2]] -> [B, h, w, filters[2]]` without a convolution in the shortcut."""
    return residual_block(
        input_tensor, filters, stage, block, kernel_size=kernel_size, use_bias=use_bias, train_bn=train_bn
    )


def conv_block(input_tensor, kernel_size, filters, stage, block, strides=(2, 2), use_bias=True, train_bn=True):
    """A residual block `[B, h, w, c] -> [B, h / stride, w / stride, filters[2]]` with a convolution in the shortcut."""
    return residual_block(
        *(input_tensor, filters, stage, block),
        strides=strides,
        project=True,
        kernel_size=kernel_size,
        use_bias=use_bias,
        train_bn=train_bn,
    )


def resnet_graph(input_image, architecture, stage5=False, train_bn=True):
    """Feature maps `[C1, C2, C3, C4, C5]` of images `[B, H, W, channels]`; C5 is None without stage5."""
    return resnet(input_image, architecture, train_bn=train_bn, last_stage=5 if stage5 else 4)


# ---- Region proposals ----


def rpn_graph(feature_map, anchors_per_location, anchor_stride):
    """On a feature map `[B, h, w, depth]`: class logits `[B, N, 2]`, probabilities `[B, N, 2]`, deltas `[B, N, 4]`."""
    return rpn.rpn_outputs(feature_map, anchors_per_location=anchors_per_location, anchor_stride=anchor_stride)


def build_rpn_model(anchor_stride, anchors_per_location, depth):
    """`rpn_graph` as a Keras model; programs call it with a list, `rpn([level])`, on levels of `depth` channels."""
    feature_map = keras.Input((None, None, depth), name="input_rpn_feature_map")
    return keras.Model([feature_map], rpn_graph(feature_map, anchors_per_location, anchor_stride), name="rpn_model")


def apply_box_deltas_graph(boxes, deltas):
    """Boxes `[N, 4]` moved and scaled by deltas `[N, (dy, dx, log(dh), log(dw))]`."""
    return box_ops.apply_deltas(_float(boxes), _float(deltas))


def clip_boxes_graph(boxes, window):
    """Boxes `[N, 4]` clipped to one window `[4]` of the same space."""
    return box_ops.clip_boxes(_float(boxes), _float(window))


@keras.saving.register_keras_serializable("mrcnn_plus.model")
class ProposalLayer(proposals.ProposalLayer):
    """Proposals `[B, proposal_count, 4]` from `[rpn_class [B, A, 2], rpn_bbox [B, A, 4], anchors [B, A, 4]]`.

    Settings that are not among the arguments are read from `config` once, now; `get_config` has their values.
    """

    def __init__(self, proposal_count, nms_threshold, config=None, **kwargs):
        if config is not None:
            kwargs = {"pre_nms_limit": config.PRE_NMS_LIMIT, "bbox_std_dev": config.RPN_BBOX_STD_DEV, **kwargs}
        super().__init__(proposal_count, nms_threshold, **kwargs)
        self.config = config


# ---- Heads ----


def log2_graph(x):
    """Logarithm to base 2, element by element."""
    return ops.log2(_float(x))


def fpn_classifier_graph(rois, feature_maps, image_meta, pool_size, num_classes, train_bn=True, fc_layers_size=1024):
    """Class and box head on rois `[B, R, 4]`, feature_maps `[P2 .. P5]`, image_meta `[B, 12 + C]`.

    Returns logits `[B, R, C]`, probabilities `[B, R, C]`, deltas `[B, R, C, 4]`.
    """
    head = ClassifierHead(num_classes=num_classes, pool_size=pool_size, fc_size=fc_layers_size, train_bn=train_bn)
    return head(rois, image_meta, feature_maps)


def build_fpn_mask_graph(rois, feature_maps, image_meta, pool_size, num_classes, train_bn=True):
    """Mask head on rois `[B, R, 4]`, feature_maps `[P2 .. P5]`: `[B, R, 2 * pool_size, 2 * pool_size, C]`, 0 .. 1."""
    head = MaskHead(num_classes=num_classes, pool_size=pool_size, train_bn=train_bn)
    return head(rois, image_meta, feature_maps)


# ---- Targets of the heads ----


def overlaps_graph(boxes1, boxes2):
    """Intersection over union of all pairs, `[N, 4]` and `[M, 4]` -> `[N, M]`; 0 where neither box has an area."""
    return box_ops.pairwise_iou(_float(boxes1), _float(boxes2))


@keras.saving.register_keras_serializable("mrcnn_plus.model")
class DetectionTargetLayer(detection_targets.DetectionTargetLayer):
    """A sample of proposals: rois `[B, T, 4]`, class ids `[B, T]`, deltas `[B, T, 4]`, masks `[B, T, *MASK_SHAPE]`.

    Called with `[proposals [B, R, 4], gt_class_ids [B, G], gt_boxes [B, G, 4], gt_masks [B, h, w, G]]`. The layer of
    the network leaves out the masks of rows that cannot be positive; here they are zeros, as in Matterport.
    """

    def __init__(self, config, **kwargs):
        super().__init__(**{**_target_settings(config), **kwargs})
        self.config = config

    @classmethod
    def from_config(cls, config):
        return cls(None, **config)

    def call(self, inputs):
        *others, masks = super().call(inputs)
        return (*others, ops.pad(masks, [[0, 0], [0, self.rois_per_image - self.max_positives], [0, 0], [0, 0]]))

    def compute_output_shape(self, input_shape):
        batch, rows = input_shape[0][0], self.rois_per_image
        return [(batch, rows, 4), (batch, rows), (batch, rows, 4), (batch, rows, *self.mask_shape)]

    def compute_output_spec(self, inputs):
        shapes = self.compute_output_shape([value.shape for value in inputs])
        dtypes = ("float32", "int32", "float32", "float32")
        return tuple(keras.KerasTensor(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True))

    def compute_mask(self, inputs, mask=None):
        return [None, None, None, None]


def _target_settings(config):
    if config is None:
        return {}
    return {
        "rois_per_image": config.TRAIN_ROIS_PER_IMAGE,
        "positive_ratio": config.ROI_POSITIVE_RATIO,
        "mask_shape": config.MASK_SHAPE,
        "bbox_std_dev": config.BBOX_STD_DEV,
        "use_mini_mask": config.USE_MINI_MASK,
        "seed": as_config(config).SEED,
    }


_target_layers = {}  # by their settings


def detection_targets_graph(proposals, gt_class_ids, gt_boxes, gt_masks, config):
    """`DetectionTargetLayer` for one image: inputs and outputs as there, without the batch axis."""
    key = repr(_target_settings(config))
    if key not in _target_layers:  # kept, because TensorFlow wants the variable of its random state made once
        _target_layers[key] = DetectionTargetLayer(config)
    targets = _target_layers[key]([value[None] for value in (proposals, gt_class_ids, gt_boxes, gt_masks)])
    return tuple(target[0] for target in targets)


# ---- Detections ----


@keras.saving.register_keras_serializable("mrcnn_plus.model")
class DetectionLayer(detections.DetectionLayer):
    """Detections `[B, D, (y1, x1, y2, x2, class_id, score)]`, best first, then rows of zeros.

    Called with `[rois [B, R, 4], mrcnn_class [B, R, C], mrcnn_bbox [B, R, C, 4], image_meta [B, 12 + C]]`.
    """

    def __init__(self, config=None, **kwargs):
        if config is not None:
            settings = {
                "max_instances": config.DETECTION_MAX_INSTANCES,
                "min_confidence": config.DETECTION_MIN_CONFIDENCE,
                "nms_threshold": config.DETECTION_NMS_THRESHOLD,
                "bbox_std_dev": config.BBOX_STD_DEV,
            }
            kwargs = {**settings, **kwargs}
        super().__init__(**kwargs)
        self.config = config


def refine_detections_graph(rois, probs, deltas, window, config):
    """Detections `[D, 6]` of one image from rois `[R, 4]`, probs `[R, C]`, deltas `[R, C, 4]`, window `[4]`."""
    inputs = [_float(value)[None] for value in (rois, probs, deltas, window)]
    return DetectionLayer(config).refine(*inputs)[0]


# ---- Losses ----


def smooth_l1_loss(y_true, y_pred):
    """Smooth L1 of each element: quadratic up to a distance of 1, then linear."""
    return losses.smooth_l1(y_true, y_pred)


def _rpn_labels(rpn_match):
    """`[B, A, 1]` of 1 positive, -1 negative, 0 neutral -> `[B, A]` of 1 object, 0 background, -1 not used."""
    match = _int(rpn_match)[..., 0]
    return ops.where(match == 0, -1, ops.maximum(match, 0))


def rpn_class_loss_graph(rpn_match, rpn_class_logits):
    """Is the anchor an object? rpn_match `[B, A, 1]` (1 positive, -1 negative, 0 neutral), logits `[B, A, 2]`."""
    return losses.rpn_class_loss(_rpn_labels(rpn_match), rpn_class_logits)


def rpn_bbox_loss_graph(config, target_bbox, rpn_match, rpn_bbox):
    """Anchor to object. target_bbox `[B, rows, 4]`: row i belongs to the i-th positive anchor of its image, as
    `build_rpn_targets` gives it; rpn_match `[B, A, 1]`, rpn_bbox `[B, A, 4]`; config is not used.
    """
    labels = _rpn_labels(rpn_match)
    return losses.rpn_bbox_loss(labels, box_ops.spread_rows(_float(target_bbox), labels == 1), rpn_bbox)


def mrcnn_class_loss_graph(target_class_ids, pred_class_logits, active_class_ids):
    """Which class? ids `[B, R]`, logits `[B, R, C]`, active `[B, C]`: 1 for the classes of the image's data source."""
    return losses.mrcnn_class_loss(_int(target_class_ids), _float(pred_class_logits), active_class_ids)


def mrcnn_bbox_loss_graph(target_bbox, target_class_ids, pred_bbox):
    """ROI to object: target `[B, R, 4]`, ids `[B, R]` (0 does not count), predicted `[B, R, C, 4]`."""
    return losses.mrcnn_bbox_loss(target_bbox, _int(target_class_ids), _float(pred_bbox))


def mrcnn_mask_loss_graph(target_masks, target_class_ids, pred_masks):
    """Mask: target `[B, R, h, w]` of 0 and 1, ids `[B, R]` (0 does not count), predicted `[B, R, h, w, C]`, 0 .. 1."""
    return losses.mrcnn_mask_loss(target_masks, _int(target_class_ids), _float(pred_masks))


# ---- Images and their meta ----


def parse_image_meta_graph(meta):
    """A dict of the parts of image metas `[B, 12 + C]`; see `mrcnn_plus.network.image_meta.ImageMeta`."""
    return image_meta.parse(_float(meta))._asdict()


def mold_image(images, config):
    """Images `[..., H, W, channels]` as float32 without `config.MEAN_PIXEL`."""
    return molding.mold_image(images, config.MEAN_PIXEL)


def unmold_image(normalized_images, config):
    """The uint8 images that `mold_image` was given."""
    return molding.unmold_image(normalized_images, config.MEAN_PIXEL)


# ---- Small things on tensors ----


def trim_zeros_graph(boxes, name="trim_zeros"):
    """Boxes `[N, 4]` without the rows of zeros, and the bool `[N]` that says which rows are kept. `name` is not used.

    The number of rows depends on the values, so JAX and XLA cannot compile this; the network itself keeps padding.
    """
    return box_ops.trim_padding(_float(boxes))


def batch_pack_graph(x, counts, num_rows):
    """The first `counts[i]` rows of every `x[i]`, `i < num_rows`, one after the other."""
    return box_ops.pack_rows(x, counts, images=num_rows)


def norm_boxes_graph(boxes, shape):
    """Boxes `[..., 4]` in pixels to normalized; shape: one `(height, width)` in pixels."""
    return box_ops.norm_boxes(_float(boxes), _float(shape))


def denorm_boxes_graph(boxes, shape):
    """Boxes `[..., 4]` normalized to pixels, int32; shape: one `(height, width)` in pixels."""
    return _int(ops.round(box_ops.denorm_boxes(_float(boxes), _float(shape))))
