"""The three ways of batch normalization, and group normalization for small batches."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from mrcnn_plus.network.normalization import BatchNorm, GroupNorm, norm_layer

pytestmark = pytest.mark.backend

FAR_FROM_NORMAL = (np.arange(64, dtype="float32").reshape(2, 4, 4, 2) + 50) * 3


def result(layer, training):
    return ops.convert_to_numpy(layer(FAR_FROM_NORMAL, training=training))


def has_moved(layer):
    return bool(np.any(np.asarray(layer.moving_mean) != 0))


def is_normalized(values):
    return bool(np.allclose(values.mean(axis=(0, 1, 2)), 0, atol=1e-3))


@pytest.mark.parametrize("training", [True, False])
def test_train_bn_false_keeps_the_statistics(training):
    layer = BatchNorm(train_bn=False)
    np.testing.assert_allclose(result(layer, training), FAR_FROM_NORMAL / np.sqrt(1.001), rtol=1e-5)
    assert not has_moved(layer)


def test_train_bn_none_uses_the_batch_in_training_only():
    layer = BatchNorm(train_bn=None)
    assert not is_normalized(result(layer, training=False)) and not has_moved(layer)
    assert is_normalized(result(layer, training=True)) and has_moved(layer)


def test_train_bn_true_uses_the_batch_always():
    assert is_normalized(result(BatchNorm(train_bn=True), training=False))


@pytest.mark.parametrize(("train_bn", "moves"), [(False, False), (None, True), (True, True)])
def test_the_switch_holds_inside_a_functional_model_that_trains(train_bn, moves):
    """Keras 3 would replace a `training=` that was given when the model was built."""
    image = layers.Input((4, 4, 2))
    layer = BatchNorm(train_bn=train_bn)
    keras.Model(image, layer(image))(FAR_FROM_NORMAL, training=True)
    assert has_moved(layer) == moves


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (12, 3), (20, 5)])
def test_group_norm_equals_that_of_keras(channels, groups):
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, (2, 5, 7, channels)).astype("float32")
    own, theirs = GroupNorm(groups, epsilon=1e-3), layers.GroupNormalization(groups, epsilon=1e-3)
    for layer in (own, theirs):
        layer.build(values.shape)
        layer.gamma.assign(np.linspace(0.5, 2, channels))
        layer.beta.assign(np.linspace(-1, 1, channels))
    found, expected = (ops.convert_to_numpy(layer(values)) for layer in (own, theirs))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_group_norm_of_an_image_does_not_depend_on_the_batch():
    layer = GroupNorm(2)
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(FAR_FROM_NORMAL))[:1], ops.convert_to_numpy(layer(FAR_FROM_NORMAL[:1])), atol=1e-5
    )


def test_group_norm_of_a_constant_map_is_finite():
    constant = np.full((1, 2, 2, 4), 1000.0, "float32")
    np.testing.assert_allclose(ops.convert_to_numpy(GroupNorm(2)(constant)), np.zeros(constant.shape), atol=1e-2)


@pytest.mark.parametrize(("channels", "groups"), [(256, 32), (16, 16), (48, 24), (7, 7)])
def test_group_norm_takes_32_groups_or_the_most_that_divide_the_channels(channels, groups):
    assert norm_layer("group", channels=channels, train_bn=False, name="norm").groups == groups


@pytest.mark.parametrize(("channels", "groups"), [(1024, 32), (256, 32), (64, 8), (16, 2), (4, 1)])
def test_a_group_can_be_asked_to_have_several_channels(channels, groups):
    assert norm_layer("group", channels=channels, train_bn=False, name="norm", least_per_group=8).groups == groups


@pytest.mark.parametrize("train_bn", [False, None, True])
def test_batch_norm_layers_carry_the_switch(train_bn):
    layer = norm_layer("batch", channels=8, train_bn=train_bn, name="bn1")
    assert type(layer) is BatchNorm and layer.train_bn is train_bn and layer.name == "bn1"
