"""Random kernels of a file are told from trained ones by their distribution."""

import numpy as np
import pytest

from mrcnn_plus.diagnosis.experiments.measuring.weights import is_same_draw

SHAPE = (3, 3, 16, 32)


def uniform(seed, shape=SHAPE):
    return np.random.default_rng(seed).uniform(-0.1, 0.1, shape).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_another_draw_of_the_same_distribution_counts_as_random(seed):
    assert is_same_draw(uniform(seed), uniform(100 + seed))


def test_a_short_training_is_told():
    rng = np.random.default_rng(0)
    assert not is_same_draw(uniform(1) + rng.normal(0, 0.003, SHAPE).astype(np.float32), uniform(2))


def test_another_distribution_of_the_same_width_is_told():
    narrow = np.clip(np.random.default_rng(0).normal(0, 0.03, SHAPE), -0.1, 0.1).astype(np.float32)
    assert not is_same_draw(narrow, uniform(2))
    assert not is_same_draw(0.5 * uniform(1), uniform(2))


def test_few_values_and_constant_ones_tell_nothing():
    assert not is_same_draw(uniform(1, (8, 8)), uniform(2, (8, 8)))
    assert not is_same_draw(np.zeros(SHAPE), np.zeros(SHAPE))
