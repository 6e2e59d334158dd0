"""Frozen norms folded into convolutions: the same answers, and weights that are still those of the layers."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from mrcnn_plus.network.backbones.resnet import resnet
from mrcnn_plus.network.folding import NormedConv2D, fold_frozen_norms
from mrcnn_plus.network.normalization import BatchNorm

RNG = np.random.default_rng(0)


def randomize(model):
    """Numbers that no norm would have by chance: a folded one that forgets a part of them is noticed."""
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(RNG.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "moving_mean", "bias"):
            weight.assign(RNG.normal(0, 0.3, weight.shape))
    return model


def chain(norm, **conv):
    image = layers.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=2, padding="same", name="conv", **conv)(image)
    return randomize(keras.Model(image, layers.Activation("relu")(norm(x))))


def answers(model, images):
    return [ops.convert_to_numpy(output) for output in keras.tree.flatten(model(images, training=False))]


@pytest.mark.parametrize("use_bias", [True, False])
def test_a_folded_norm_gives_the_same_numbers(use_bias):
    model = chain(BatchNorm(epsilon=0.1), use_bias=use_bias)
    images = RNG.normal(size=(2, 16, 16, 3)).astype("float32")
    folded = fold_frozen_norms(model)
    assert [type(layer) for layer in folded.layers[1:]] == [NormedConv2D, layers.Activation]
    np.testing.assert_allclose(answers(folded, images), answers(model, images), atol=1e-5)


def test_a_residual_network_gives_the_same_feature_maps_with_all_its_norms_folded():
    image = layers.Input((64, 64, 3))
    model = randomize(keras.Model(image, list(resnet(image, "resnet50", train_bn=False, width=8))[1:]))
    folded = fold_frozen_norms(model)
    assert not [layer for layer in folded.layers if isinstance(layer, BatchNorm)]
    images = RNG.normal(size=(1, 64, 64, 3)).astype("float32")
    for ours, theirs in zip(answers(folded, images), answers(model, images), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * np.abs(theirs).max())


def test_weights_that_are_loaded_later_count():
    model = chain(BatchNorm())
    images = RNG.normal(size=(1, 16, 16, 3)).astype("float32")
    folded = fold_frozen_norms(model)
    before = answers(folded, images)
    randomize(model)
    assert not np.allclose(answers(folded, images), before)
    np.testing.assert_allclose(answers(folded, images), answers(model, images), atol=1e-5)
    assert {id(weight) for weight in folded.weights} == {id(weight) for weight in model.weights}


@pytest.mark.parametrize("train_bn", [None, True])
def test_a_norm_that_may_take_statistics_of_the_batch_stays(train_bn):
    folded = fold_frozen_norms(chain(BatchNorm(train_bn=train_bn)))
    assert [type(layer) for layer in folded.layers[1:]] == [layers.Conv2D, BatchNorm, layers.Activation]


def test_a_convolution_that_others_read_too_stays():
    image = layers.Input((8, 8, 3))
    features = layers.Conv2D(4, 1)(image)
    model = randomize(keras.Model(image, [BatchNorm()(features), layers.Activation("tanh")(features)]))
    images = RNG.normal(size=(1, 8, 8, 3)).astype("float32")
    for ours, theirs in zip(answers(fold_frozen_norms(model), images), answers(model, images), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_convolution_that_is_an_output_stays():
    image = layers.Input((8, 8, 3))
    features = layers.Conv2D(4, 1)(image)
    model = randomize(keras.Model(image, [features, BatchNorm()(features)]))
    images = RNG.normal(size=(1, 8, 8, 3)).astype("float32")
    for ours, theirs in zip(answers(fold_frozen_norms(model), images), answers(model, images), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_norm_behind_two_convolutions_stays():
    image = layers.Input((8, 8, 3))
    norm = BatchNorm()
    model = randomize(keras.Model(image, [norm(layers.Conv2D(4, 1)(image)), norm(layers.Conv2D(4, 3)(image))]))
    images = RNG.normal(size=(1, 8, 8, 3)).astype("float32")
    for ours, theirs in zip(answers(fold_frozen_norms(model), images), answers(model, images), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(
    ("conv", "norm"),
    [({"dilation_rate": 2, "strides": 1}, {}), ({}, {"scale": False}), ({}, {"center": False})],
    ids=str,
)
def test_what_is_more_than_a_plain_convolution_and_norm_stays(conv, norm):
    image = layers.Input((16, 16, 3))
    model = randomize(keras.Model(image, BatchNorm(**norm)(layers.Conv2D(4, 3, **conv)(image))))
    images = RNG.normal(size=(1, 16, 16, 3)).astype("float32")
    np.testing.assert_allclose(answers(fold_frozen_norms(model), images), answers(model, images), atol=1e-6)


def test_a_norm_that_trained_in_between_is_folded_again():
    """Other models of the same layers, as each stage of training makes one, are no readers of its convolution."""
    model = chain(BatchNorm())
    norm = next(layer for layer in model.layers if isinstance(layer, BatchNorm))
    kinds = []
    for trained in (False, None, False):
        norm.train_bn = trained
        kinds.append(type(fold_frozen_norms(model).layers[1]))
    assert kinds == [NormedConv2D, layers.Conv2D, NormedConv2D]
