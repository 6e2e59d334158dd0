"""`ParallelModel` stands for the model that it wraps."""

import logging

import keras
import numpy as np
import pytest
from keras import layers, ops

from mrcnn_plus.data.notices import forget_notices
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.parallel_model import ParallelModel

backend = pytest.mark.backend


def small_model():
    image = layers.Input((3,))
    return keras.Model(image, layers.Dense(2, name="dense")(image), name="small")


def assert_same(found, expected):
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), rtol=1e-6)


@backend
def test_parallel_model_answers_as_the_model_inside():
    inner = small_model()
    model = ParallelModel(inner, 1)
    assert isinstance(model, keras.Model) and model.inner_model is inner and model.gpu_count == 1
    x = np.ones((4, 3), "float32")
    assert_same(model(x), inner(x))
    assert_same(model.predict_on_batch(x), inner(x))
    assert model.name == "small" and model.layers is not None and model.get_layer("dense") is inner.get_layer("dense")
    assert [layer.name for layer in model.layers] == [layer.name for layer in inner.layers]
    assert model.make_parallel() == model.outputs == inner.outputs
    assert len(model.weights) == 2


@backend
def test_parallel_model_trains_the_model_inside():
    inner = small_model()
    before = inner.get_weights()[0]
    model = ParallelModel(inner, 1)
    model.compile(optimizer="sgd", loss="mse")
    model.note = "kept"
    history = model.fit(np.ones((4, 3)), np.zeros((4, 2)), epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"][0])
    assert not np.allclose(inner.get_weights()[0], before)
    assert inner.note == "kept" == model.note
    model.trainable = False
    assert not inner.trainable


def test_parallel_model_saves_and_loads_the_weights_inside(tmp_path, capsys):
    model, other = ParallelModel(small_model(), 1), small_model()
    model.save_weights(tmp_path / "some.weights.h5")
    other.load_weights(tmp_path / "some.weights.h5")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
    model.summary()
    assert "dense" in capsys.readouterr().out


def test_parallel_model_says_once_that_nothing_is_split(caplog):
    forget_notices()
    with caplog.at_level(logging.WARNING):
        ParallelModel(small_model(), 1)
        assert not caplog.records
        ParallelModel(small_model(), 2)
        ParallelModel(small_model(), 2)
    assert [record.name for record in caplog.records] == ["mrcnn_plus.parallel_model"]
    assert "gpu_count=2" in caplog.text


@pytest.mark.parametrize("gpu_count", [0, -1, 1.5, True, "2", None])
def test_parallel_model_refuses_other_than_whole_numbers_of_devices(gpu_count):
    with pytest.raises(ConfigError, match="gpu_count="):
        ParallelModel(small_model(), gpu_count)


def test_parallel_model_refuses_what_is_no_model():
    with pytest.raises(ConfigError, match="keras_model=7"):
        ParallelModel(7, 2)
