"""The feature pyramid: what its upsampling gives, by a slow and obvious version."""

import keras
import numpy as np
import pytest
from keras import ops

from mrcnn_plus.network.pyramid import Upsampling

pytestmark = pytest.mark.backend


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("size", [(2, 2), (3, 1)])
def test_upsampling_repeats_every_cell(size, dtype):
    features = np.random.default_rng(0).integers(-99, 99, (2, 5, 7, 3)).astype("float32")  # exact in bfloat16
    upsampled = Upsampling(size, dtype=dtype)(features)
    assert keras.backend.standardize_dtype(upsampled.dtype) == keras.DTypePolicy(dtype).compute_dtype
    expected = features.repeat(size[0], axis=1).repeat(size[1], axis=2)
    np.testing.assert_array_equal(ops.convert_to_numpy(ops.cast(upsampled, "float32")), expected)


def test_images_of_any_size_are_upsampled():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, Upsampling()(image))
    for height, width in ((4, 6), (7, 2)):
        assert model(np.zeros((1, height, width, 3))).shape == (1, 2 * height, 2 * width, 3)


@pytest.mark.backend
def test_gradients_are_compiled_too():
    """XLA has no gradient of TensorFlow's resize, which training with JIT_COMPILE and on accelerators would need."""
    image = keras.Input((4, 6, 3))
    model = keras.Model(image, keras.layers.Flatten()(Upsampling()(keras.layers.Conv2D(2, 1)(image))))
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() != "torch")
    images = np.ones((2, 4, 6, 3), "float32")
    assert np.isfinite(model.train_on_batch(images, np.zeros((2, 8 * 12 * 2), "float32")))
