"""Names of layers and weights: other namings translated to Matterport's, networks recognised by their layers."""

import re

# Parts of a Keras-applications block, conv<stage>_block<number>_<part>_conv, as Matterport's (and Caffe's) branches.
_BRANCHES = {"0": "branch1", "1": "branch2a", "2": "branch2b", "3": "branch2c"}
_STEM = {"conv1_conv": "conv1", "conv1_bn": "bn_conv1"}
_BLOCK = re.compile(r"conv([2-5])_block(\d+)_([0-3])_(conv|bn)")

# Keras 1 wrote "res2a_branch2a_W", and so does the ImageNet ResNet-50 file of 2016; its running_std is a variance.
_KERAS1_KINDS = {"W": "kernel", "b": "bias", "running_mean": "moving_mean", "running_std": "moving_variance"}

# (blocks in stage 4, has a third convolution per block) -> depth of the ResNet.
_DEPTHS = {(2, False): 18, (6, False): 34, (6, True): 50, (23, True): 101, (36, True): 152}

# Layers of Matterport's heads that have no weights, or stand in the graph of one mode only. Programs name them in
# `exclude` all the same.
WEIGHTLESS_LAYERS = frozenset(
    ("mrcnn_class", "mrcnn_bbox", "mrcnn_detection", "rpn_class", "rpn_bbox", "rpn_class_logits", "ROI")
)

# Layer names that give other networks away, tried in this order.
_OTHER_NETWORKS = (
    ("ResNet V2 (pre-activation)", r"conv2_block1_preact_bn"),
    ("ResNeXt", r"conv2_block1_2_gconv"),
    ("DenseNet", r"conv2_block1_concat|conv1/conv|pool2_bn"),
    ("MobileNet", r"conv_dw_1|expanded_conv_depthwise|Conv1_relu|block_1_expand"),
    ("EfficientNet", r"block1a_dwconv|stem_conv"),
    ("Xception", r"block1_conv1_bn|block2_sepconv1"),
    ("VGG", r"block1_conv1"),
    ("Inception", r"mixed10|conv2d_94|conv_7b"),
    ("ConvNeXt", r"convnext_.*stem"),
    ("YOLO", r"yolo_.*|darknet.*"),
)


def to_matterport(name):
    """The Matterport name of a layer in Keras-applications naming: `conv4_block23_1_conv` is `res4w_branch2a`.

    Any other name, or a block past the letter z (ResNet-152), comes back as it is.
    """
    match = _BLOCK.fullmatch(name)
    if match is None:
        return _STEM.get(name, name)
    stage, block, part, what = match.groups()
    if int(block) > 26:
        return name
    letter = chr(ord("a") + int(block) - 1)
    return f"{'res' if what == 'conv' else 'bn'}{stage}{letter}_{_BRANCHES[part]}"


def is_applications_resnet(names):
    """True if the layer names are those of ResNet-50/101/152 in `keras.applications` (version 1: V2, ResNeXt and
    DenseNet, which share some of the names, do not count)."""
    names = set(names)
    return {"conv1_conv", "conv2_block1_3_conv", "conv2_block1_3_bn"} <= names and "conv2_block1_preact_bn" not in names


def canonical_kind(name, layer):
    """The kind of a weight in today's words: `kernel` for `kernel:0` and, in layer `conv1`, for `conv1_W_1:0`."""
    kind = re.sub(r":\d+$", "", name)
    if kind.startswith(layer + "_"):
        kind = re.sub(r"_\d+$", "", kind[len(layer) + 1 :])
        return _KERAS1_KINDS.get(kind, kind)
    return kind


def resnet_depth(names):
    """18, 34, 50, 101 or 152 for a ResNet with Matterport's layer names, 0 for another depth, None if it is none."""
    blocks = {match.group(1) for match in (re.fullmatch(r"res4([a-z])_branch2a", name) for name in names) if match}
    if not blocks:
        return None
    return _DEPTHS.get((len(blocks), "res4a_branch2c" in names), 0)


def has_mask_rcnn_heads(names):
    """True if the layers are more than a backbone: a whole Mask R-CNN."""
    return "mrcnn_class_logits" in names and "mrcnn_mask" in names


def describe_network(names, classes=None):
    """What network has these layers, in words for a message.

    names: layer names, after `to_matterport`, those of nested models among them.
    classes: number of classes with background, if known.
    """
    names = set(names)
    depth = resnet_depth(names)
    backbone = {None: None, 0: "a ResNet of unusual depth"}.get(depth, f"ResNet-{depth}")
    heads = f", {classes} classes with background" if classes else ""
    if has_mask_rcnn_heads(names):
        return f"Mask R-CNN on {backbone or 'a backbone that is not a Matterport ResNet'}{heads}"
    if backbone:
        return f"{backbone} without Mask R-CNN heads"
    for network, pattern in _OTHER_NETWORKS:
        if any(re.fullmatch(pattern, name) for name in names):
            return f"another network ({network})"
    return "another network"
