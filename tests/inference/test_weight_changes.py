"""Whether weights have changed, told by one number of each."""

import logging

import keras
import numpy as np
import pytest

from mrcnn_plus.inference import weight_changes


def swapped_columns(values):
    return values[..., ::-1]


def swapped_rows(values):
    return values[::-1]


def one_changed(values):
    return values + 1e-3 * (np.arange(values.size) == 0).reshape(values.shape)


@pytest.mark.parametrize("changed", [swapped_columns, swapped_rows, one_changed])
def test_values_that_change_or_change_places_are_noticed(changed):
    """Exchanged classes leave a plain sum as it was."""
    weights = [keras.Variable(np.arange(12.0).reshape(2, 3, 2), dtype="float32"), keras.Variable([0.25, 0.5, 0.75])]
    before = weight_changes.fingerprint(weights)
    for weight, own_change in zip(weights, np.eye(2, dtype=bool), strict=True):
        values = keras.ops.convert_to_numpy(weight)
        weight.assign(changed(values))
        now = weight_changes.fingerprint(weights)
        np.testing.assert_array_equal(now != before, own_change)
        weight.assign(values)


def test_weights_of_every_shape_have_a_number():
    """Keras' `Normalization` counts in a weight without axes."""
    weights = [keras.Variable(np.full(shape, 3.0), dtype="float32") for shape in ((), (2,), (0, 3), (1, 1, 1, 2))]
    numbers = weight_changes.fingerprint(weights)
    assert numbers.shape == (4,) and numbers[2] == 0 and np.all(numbers[[0, 1, 3]] > 0)
    np.testing.assert_allclose(weight_changes._fingerprint_in_graph(weights), numbers, rtol=1e-6)


def test_no_two_places_have_the_same_factor():
    assert len(np.unique(weight_changes._factors(20_000))) == 20_000


def test_a_change_is_told_once():
    weight = keras.Variable([1.0, 2.0])
    changed = weight_changes.ChangesOf([weight])
    assert [changed(), changed()] == [True, False]
    weight.assign([2.0, 1.0])
    assert [changed(), changed()] == [True, False]


def test_weights_that_are_not_finite_are_named_once_and_are_no_change_for_ever(caplog):
    """NaN differs from itself: every detection would make its graph anew."""
    caplog.set_level(logging.WARNING, weight_changes.__name__)
    changed = weight_changes.ChangesOf([keras.Variable([1.0, 2.0]), keras.Variable([np.nan, 2.0], name="gamma")])
    assert [changed(), changed()] == [True, False]
    (record,) = caplog.records
    assert "1 of 2 (gamma)" in record.getMessage()
