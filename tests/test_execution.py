"""Graphs with constant weights: the values of the moment, and TensorFlow's options as the program set them."""

import gc
import resource
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from mrcnn_plus import execution
from mrcnn_plus.memory import give_back_memory
from mrcnn_plus.network.folding import fold_frozen_norms
from mrcnn_plus.network.normalization import BatchNorm

IMAGES = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")


def folded_model():
    image = layers.Input((None, None, 3))
    normed = BatchNorm()(layers.Conv2D(4, 3, name="conv")(image))
    return fold_frozen_norms(keras.Model([image], layers.Conv2D(2, 1)(layers.ReLU()(normed))))


@pytest.mark.parametrize("image_size", [None, (8, 8)])
def test_constants_are_the_weights_of_the_moment(image_size):
    model = folded_model()
    before = np.asarray(model([IMAGES]))
    function = execution.with_constant_weights(model, image_size)
    for weight in model.weights:
        weight.assign(weight + 1.0)
    constant = function(tf.constant(IMAGES))
    np.testing.assert_allclose(constant, before, atol=1e-5)
    assert not np.allclose(model([IMAGES]), before, atol=0.1), "the layers have forgotten the constants"


def test_options_that_a_program_set_stay_and_ours_are_for_this_function_alone():
    from tensorflow.python.eager import context

    def options_now():
        config = context.context().function_call_options.config_proto_serialized
        return tf.compat.v1.ConfigProto.FromString(config).graph_options.rewrite_options

    tf.config.optimizer.set_experimental_options({"remapping": False})
    try:
        within = execution._optimized_once(options_now)()
        assert within.remapping == within.OFF and within.meta_optimizer_iterations == within.ONE
        outside = options_now()
        assert outside.remapping == outside.OFF and outside.meta_optimizer_iterations != outside.ONE
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": None})


def test_functions_with_constants_leave_memory_when_they_are_dropped():
    """40 MB in each of eight; kept by TensorFlow, they would take four times as much."""
    model = keras.Sequential([layers.Input((1000,)), layers.Dense(10_000)])
    resident = []
    for _ in range(8):
        execution.with_constant_weights(model)(tf.zeros((1, 1000)))
        gc.collect()
        give_back_memory()
        resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20)
    assert resident[-1] - resident[1] < 100, resident


@pytest.mark.parametrize(("free", "taken"), [(60e6, True), (59e6, False), (None, True)])
def test_weights_are_constants_where_there_is_memory_for_them(monkeypatch, caplog, free, taken):
    monkeypatch.setattr(execution, "free_memory", lambda: free)
    weights = [keras.Variable(np.zeros((1000, 1250)), dtype="float32")]  # 5 MB
    assert execution.takes_constant_weights(weights=weights) is taken
    assert ("received: 0.1 GB" in caplog.text) is not taken
    assert execution.takes_constant_weights(constant_weights=True, weights=weights)
    assert not execution.takes_constant_weights(constant_weights=False, weights=weights)
