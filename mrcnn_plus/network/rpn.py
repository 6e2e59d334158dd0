"""Region proposal network (Ren et al., arXiv 1506.01497): for every anchor, object or not, and how to move it."""

import keras
from keras import layers, ops

from mrcnn_plus.network.heads import PerRoi, PerRoiProduct, select_class
from mrcnn_plus.network.roi_align import FeatureTable


def build_rpn_model(*, anchors_per_location=3, anchor_stride=1, depth=256, conv_channels=512):
    """The RPN for one pyramid level, a model `rpn_model` whose weights all levels share.

    Input: feature map `[B, h, w, depth]`. Outputs as of `rpn_outputs`.
    """
    feature_map = layers.Input((None, None, depth), name="input_rpn_feature_map")
    outputs = rpn_outputs(
        feature_map,
        anchors_per_location=anchors_per_location,
        anchor_stride=anchor_stride,
        conv_channels=conv_channels,
    )
    return keras.Model(feature_map, outputs, name="rpn_model")


def rpn_outputs(feature_map, *, anchors_per_location=3, anchor_stride=1, conv_channels=512):
    """The layers of the RPN on a feature map `[B, h, w, depth]`.

    Returns, with N = h * w * anchors_per_location / anchor_stride^2: logits `[B, N, (background, object)]`, their
    softmax `[B, N, 2]`, deltas `[B, N, (dy, dx, log(dh), log(dw))]`.
    """
    shared = layers.Conv2D(
        conv_channels, 3, padding="same", activation="relu", strides=anchor_stride, name="rpn_conv_shared"
    )(feature_map)
    # In float32 also where the rest is bfloat16: that has 8 bits, and scores of anchors would be equal by the hundred.
    logits = layers.Conv2D(2 * anchors_per_location, 1, dtype="float32", name="rpn_class_raw")(shared)
    logits = layers.Reshape((-1, 2), dtype="float32", name="rpn_class_logits_reshape")(logits)
    probabilities = layers.Activation("softmax", dtype="float32", name="rpn_class_xxx")(logits)
    deltas = layers.Conv2D(4 * anchors_per_location, 1, dtype="float32", name="rpn_bbox_pred")(shared)
    deltas = layers.Reshape((-1, 4), dtype="float32", name="rpn_bbox_reshape")(deltas)
    return [logits, probabilities, deltas]


def apply_rpn(rpn_model, pyramid):
    """Run the RPN on every level: logits `[B, A, 2]`, probabilities `[B, A, 2]`, deltas `[B, A, 4]`, levels in
    order."""
    per_level = [rpn_model(level) for level in pyramid]
    names = ("rpn_class_logits", "rpn_class", "rpn_bbox")
    return [
        layers.Concatenate(axis=1, name=name, dtype="float32")(list(outputs))
        for name, outputs in zip(names, zip(*per_level, strict=True), strict=True)
    ]


class SampledRPN:
    """The RPN's answer for a few anchors, computed from the part of the feature maps that each of them sees.

    The numbers of the whole RPN, by its layers; but gradients of losses on these anchors go back through their parts
    alone, and not through whole maps that are zero elsewhere: two thirds of the RPN's time in a training step.

    Called with `anchor_indices int [B, S]` and the pyramid `[P2 .. P6]`, gives logits `[B, S, (background, object)]`
    and deltas `[B, S, (dy, dx, log(dh), log(dw))]`, float32.
    """

    #: The layers of an RPN that it can stand for, in any order: `rpn_outputs`.
    LAYERS = frozenset(
        ("input_rpn_feature_map", "rpn_conv_shared", "rpn_class_raw", "rpn_class_logits_reshape", "rpn_class_xxx")
        + ("rpn_bbox_pred", "rpn_bbox_reshape")
    )

    def __init__(self, rpn_model):
        self.shared = rpn_model.get_layer("rpn_conv_shared")
        # Wrappers, because layers that are called cast their weights as their precision wants it.
        self._product = PerRoiProduct(self.shared, name="sampled_rpn_conv_shared")
        self._heads = [
            PerRoi(rpn_model.get_layer(name), name=f"sampled_{name}") for name in ("rpn_class_raw", "rpn_bbox_pred")
        ]
        self.anchors_per_location = self._heads[0].layer.filters // 2

    def __call__(self, anchor_indices, pyramid):
        location, ratio = anchor_indices // self.anchors_per_location, anchor_indices % self.anchors_per_location
        hidden = self.shared.activation(self._product(self._patches(location, pyramid)))  # [B, S, 1, 1, channels]
        return [self._of_ratio(head(hidden), ratio) for head in self._heads]

    def _patches(self, location, pyramid):
        """What the convolution sees at each location, counted through all levels: `[B, S, 3, 3, channels]`."""
        table, (stride, _), (size, _) = FeatureTable(pyramid), self.shared.strides, self.shared.kernel_size
        counts = [-(-height // stride) * -(-width // stride) for height, width in table.sizes]
        ends = ops.cumsum(ops.stack([ops.cast(count, "int32") for count in counts]))
        level = ops.sum(ops.cast(location[..., None] >= ends, "int32"), axis=-1)
        start, height, width = table.look_up(level)
        in_level = location - ops.take(ops.concatenate([ops.zeros_like(ends[:1]), ends]), level)
        row_length = -(-width // stride)
        ys, y_inside = _window(in_level // row_length, height, stride, size)
        xs, x_inside = _window(in_level % row_length, width, stride, size)
        rows = start[..., None, None] + ys[..., :, None] * width[..., None, None] + xs[..., None, :]
        inside = ops.logical_and(y_inside[..., :, None], x_inside[..., None, :])
        patches = ops.take(table.rows, rows, axis=0)
        return ops.where(inside[..., None], patches, ops.zeros_like(patches))

    def _of_ratio(self, values, ratio):
        """Of `[B, S, 1, 1, anchors_per_location * n]` what belongs to each anchor: `[B, S, n]`."""
        per_anchor = values.shape[-1] // self.anchors_per_location
        values = ops.reshape(values, (-1, ratio.shape[1], self.anchors_per_location, per_anchor))
        return select_class(values, ratio, axis=2)


def _window(position, length, stride, size):
    """The cells that a convolution with padding "same" reads for each output position, and which of them there are.

    position, length: int `[B, S]`. Returns int32 `[B, S, size]`, within the map, and bool `[B, S, size]`.
    """
    outputs = -(-length // stride)
    padding = ops.maximum((outputs - 1) * stride + size - length, 0) // 2
    cells = (position * stride - padding)[..., None] + ops.arange(size, dtype="int32")
    last = length[..., None] - 1
    return ops.clip(cells, 0, last), ops.logical_and(cells >= 0, cells <= last)
