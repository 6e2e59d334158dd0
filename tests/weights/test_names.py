import json

import pytest

from mrcnn_plus.weights.names import (
    canonical_kind,
    describe_network,
    is_applications_resnet,
    resnet_depth,
    to_matterport,
)


@pytest.mark.parametrize(
    ("name", "matterport"),
    [
        ("conv1_conv", "conv1"),
        ("conv1_bn", "bn_conv1"),
        ("conv2_block1_0_conv", "res2a_branch1"),
        ("conv2_block1_0_bn", "bn2a_branch1"),
        ("conv3_block4_1_conv", "res3d_branch2a"),
        ("conv4_block23_2_bn", "bn4w_branch2b"),
        ("conv5_block3_3_conv", "res5c_branch2c"),
        ("conv4_block36_1_conv", "conv4_block36_1_conv"),
        ("res2a_branch2a", "res2a_branch2a"),
        ("conv1_pad", "conv1_pad"),
    ],
)
def test_application_names_become_matterports(name, matterport):
    assert to_matterport(name) == matterport


@pytest.mark.parametrize(
    ("depth", "blocks", "golden"), [(50, (3, 4, 6, 3), "resnet50_5"), (101, (3, 4, 23, 3), "resnet101_81")]
)
def test_every_weighted_layer_of_the_recorded_backbone_has_an_application_name(depth, blocks, golden, golden_dir):
    names = ["conv1_conv", "conv1_bn"]
    for stage, count in enumerate(blocks, start=2):
        for block in range(1, count + 1):
            parts = "0123" if block == 1 else "123"
            names += [f"conv{stage}_block{block}_{part}_{what}" for part in parts for what in ("conv", "bn")]
    layout = json.loads((golden_dir / f"layout_{golden}classes.json").read_text())
    backbone = {layer for layer, weights in layout if weights and layer.startswith(("res", "bn", "conv1"))}
    assert {to_matterport(name) for name in names} == backbone
    assert is_applications_resnet(names)
    assert resnet_depth(backbone) == depth


@pytest.mark.parametrize(
    "names",
    [
        ["conv1_conv", "conv2_block1_preact_bn", "conv2_block1_3_conv", "conv2_block1_3_bn"],
        ["conv1_conv", "conv2_block1_1_conv", "conv2_block1_2_conv"],
        ["res2a_branch2a"],
    ],
)
def test_networks_that_share_some_application_names_are_not_translated(names):
    assert not is_applications_resnet(names)


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("kernel:0", "conv1", "kernel"),
        ("kernel", "conv1", "kernel"),
        ("conv1_W:0", "conv1", "kernel"),
        ("conv1_b_1:0", "conv1", "bias"),
        ("bn_conv1_running_std:0", "bn_conv1", "moving_variance"),
        ("bn_conv1_running_mean_2:0", "bn_conv1", "moving_mean"),
        ("bn_conv1_gamma:0", "bn_conv1", "gamma"),
        ("Variable:0", "anchors", "Variable"),
    ],
)
def test_kinds_of_weights(name, layer, kind):
    assert canonical_kind(name, layer) == kind


@pytest.mark.parametrize(
    ("blocks", "bottleneck", "depth"),
    [("ab", False, 18), ("abcdef", False, 34), ("abcdef", True, 50), ("abc", True, 0), ("", False, None)],
)
def test_depth_of_a_resnet(blocks, bottleneck, depth):
    names = [f"res4{block}_branch2a" for block in blocks] + ["res4a_branch2c"] * bottleneck
    assert resnet_depth(names) == depth


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["block1_conv1", "block5_conv3"], "VGG"),
        (["block1_conv1", "block1_conv1_bn", "block2_sepconv1"], "Xception"),
        (["conv_dw_1"], "MobileNet"),
        (["block1a_dwconv"], "EfficientNet"),
        (["conv1_conv", "conv2_block1_preact_bn"], "ResNet V2"),
        (["dense_1"], "another network"),
        (["mrcnn_class_logits", "mrcnn_mask"], "Mask R-CNN on a backbone that is not a Matterport ResNet, 7 classes"),
    ],
)
def test_networks_are_described(names, words):
    assert words in describe_network(names, 7)
