"""The ResNet backbones: layer names, shapes and strides of the feature maps, arithmetic of a block."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network.backbones.resnet import residual_block, resnet

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


@pytest.fixture(scope="module")
def models():
    """The four networks, thin, as Keras models of their feature maps."""
    image = layers.Input((64, 96, 3))
    return {name: keras.Model(image, resnet(image, name, width=8)) for name in BLOCKS}


@pytest.mark.parametrize("name", BLOCKS)
def test_feature_maps_lie_at_matterports_strides(models, name):
    expansion = 4 if name in ("resnet50", "resnet101") else 1
    shapes = [tuple(output.shape[1:]) for output in models[name].outputs]
    maps = [(64 // stride, 96 // stride, 8 * 2**n * expansion) for n, stride in enumerate((4, 8, 16, 32))]
    assert shapes == [(16, 24, 8), *maps]


@pytest.mark.parametrize("name", BLOCKS)
def test_layers_have_the_names_that_weights_files_use(models, name):
    branches = "abc" if name in ("resnet50", "resnet101") else "ab"
    expected = ["conv1"]
    for stage, blocks in enumerate(BLOCKS[name], start=2):
        for letter in "abcdefghijklmnopqrstuvw"[:blocks]:
            expected += [f"res{stage}{letter}_branch2{branch}" for branch in branches]
        expected.append(f"res{stage}a_branch1")
    names = {layer.name for layer in models[name].layers}
    convolutions = {layer.name for layer in models[name].layers if isinstance(layer, layers.Conv2D)}
    assert convolutions == set(expected)
    norms = {"bn_conv1"} | {name.replace("res", "bn") for name in expected[1:]}
    assert norms <= names and {"res2a_out", "res5b_out"} <= names
    assert not any("_functional" in name or name.startswith(("conv2d", "activation")) for name in names), (
        "all are named"
    )


def test_without_stage_5_the_last_map_is_none():
    features = resnet(layers.Input((64, 64, 3)), "resnet18", width=4, last_stage=4)
    assert len(features) == 5 and features[4] is None and features[3] is not None


def test_an_image_of_any_size_and_channel_count_will_do():
    image = layers.Input((None, None, 5))
    model = keras.Model(image, resnet(image, "resnet18", width=4)[-1])
    for height, width in ((64, 64), (128, 192)):
        assert tuple(model(np.zeros((1, height, width, 5), "float32")).shape) == (1, height // 32, width // 32, 32)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"BACKBONE.*'resnet101'.*or a function.*BACKBONE='resnet152'"):
        resnet(layers.Input((64, 64, 3)), "resnet152")


@pytest.mark.backend
@pytest.mark.parametrize("project", [False, True])
def test_a_block_adds_its_convolutions_to_its_input_or_its_projection(project):
    """With all kernels of the branch 0 the block is relu(shortcut)."""
    image = layers.Input((8, 8, 4))
    block = residual_block(image, (2, 2, 4), 3, "b", project=project, strides=(2, 2) if project else (1, 1))
    model = keras.Model(image, block)
    for layer in model.layers:
        if layer.name.startswith("res3b_branch2") and layer.weights:
            layer.set_weights([np.zeros(weight.shape) for weight in layer.weights])
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 4)).astype("float32")
    found = ops.convert_to_numpy(model(x))
    if not project:
        expected = x
    else:
        shortcut = keras.Model(image, model.get_layer("bn3b_branch1").output)
        expected = ops.convert_to_numpy(shortcut(x))
        assert expected.shape == (1, 4, 4, 4)
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-5)


@pytest.mark.parametrize("filters", [(4, 4, 16), (4, 4)])
def test_the_stride_stands_in_the_first_convolution(filters):
    """As in Matterport, whose weights need it there."""
    image = layers.Input((8, 8, 4))
    model = keras.Model(image, residual_block(image, filters, 3, "a", strides=(2, 2), project=True))
    strides = [layer.strides for layer in model.layers if layer.name.startswith("res3a_branch2") and layer.weights]
    assert strides == [(2, 2)] + [(1, 1)] * (len(filters) - 1)
    assert model.get_layer("res3a_branch1").strides == (2, 2)
