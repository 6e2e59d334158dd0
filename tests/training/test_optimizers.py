"""Optimizers by name, by object and by function."""

import keras
import numpy as np
import pytest
from keras.optimizers.schedules import CosineDecay

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.optimizers import build_optimizer, decays_weights


def test_sgd_with_momentum_and_clipping_is_the_default_of_matterport():
    optimizer = build_optimizer("SGD", 0.002, momentum=0.8, clip_norm=3.0)
    assert type(optimizer) is keras.optimizers.SGD
    assert float(optimizer.learning_rate) == pytest.approx(0.002)
    assert (optimizer.momentum, optimizer.clipnorm, optimizer.weight_decay) == (0.8, 3.0, None)
    assert not decays_weights(optimizer)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("ADAMW", "AdamW"), ("sgd", "SGD")])
def test_names_are_found_in_any_case(name, kind):
    assert type(build_optimizer(name, 0.1)) is getattr(keras.optimizers, kind)


def test_no_clipping_without_a_norm():
    assert build_optimizer("Adam", 0.1, clip_norm=None).clipnorm is None


def test_adamw_decays_kernels_but_no_biases_and_no_normalization():
    optimizer = build_optimizer("AdamW", 0.1, weight_decay=0.5)
    assert decays_weights(optimizer)
    variables = [keras.Variable(np.ones(2), name=name) for name in ("kernel", "bias", "gamma", "beta")]
    optimizer.build(variables)
    optimizer.apply([np.zeros(2, "float32")] * 4)
    values = [float(np.asarray(variable)[0]) for variable in variables]
    assert values == pytest.approx([1 - 0.1 * 0.5, 1, 1, 1])


@pytest.mark.parametrize("first_rate", [0.5, CosineDecay(0.5, 10)], ids=["number", "schedule"])
@pytest.mark.parametrize("rate", [0.01, CosineDecay(0.01, 10)], ids=["number", "schedule"])
def test_an_optimizer_object_is_copied_with_the_rate_of_the_call(first_rate, rate):
    given = keras.optimizers.RMSprop(first_rate, rho=0.77, clipvalue=2.0)
    variable = keras.Variable(np.ones(2))
    given.build([variable])
    built = build_optimizer(given, rate)
    assert type(built) is keras.optimizers.RMSprop and built is not given
    assert (built.rho, built.clipvalue) == (0.77, 2.0)
    assert float(built.learning_rate) == pytest.approx(0.01)
    assert not built.built, "no state of an earlier stage"
    assert float(given.learning_rate) == pytest.approx(0.5), "the given one is as before"


def test_a_function_makes_the_optimizer_from_the_rate():
    optimizer = build_optimizer(lambda rate: keras.optimizers.Adagrad(2 * rate), 0.01)
    assert type(optimizer) is keras.optimizers.Adagrad and float(optimizer.learning_rate) == pytest.approx(0.02)


@pytest.mark.parametrize("optimizer", ["Adamax", None, 3])
def test_anything_else_lists_what_is_possible(optimizer):
    with pytest.raises(ConfigError, match=rf"OPTIMIZER.*'SGD', 'Adam', 'AdamW'.*received: OPTIMIZER={optimizer!r}"):
        build_optimizer(optimizer, 0.1)
