"""Region proposal network (Ren et al., arXiv 1506.01497): for every anchor, object or not, and how to move it."""

import keras
from keras import layers


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
