"""Whether weights have changed: by one number of each, in place of a copy."""

import functools
import logging
import math

import numpy as np
from keras import ops

logger = logging.getLogger(__name__)


def fingerprint(weights):
    """A number of each weight, float32 `[W]`, which changes when values change or change places.

    It is a NumPy array: operations of JAX would be compiled for every shape there is.
    """
    arrays = [np.asarray(ops.convert_to_numpy(weight), np.float32) for weight in weights]
    return np.stack([_weighted_sum(values, np) for values in arrays])


def _fingerprint_in_graph(weights):
    """As `fingerprint`, of operations of Keras: 30 ms for ResNet-101, a tenth of what a digest would take."""
    tensors = [ops.cast(ops.convert_to_tensor(weight), "float32") for weight in weights]
    return ops.stack([_weighted_sum(values, ops) for values in tensors])


def _weighted_sum(values, xp):
    """The sum of the values, each times a factor of its row and one of its column, where the last axis has columns.

    xp: NumPy or `keras.ops`.
    """
    shape = (1, *values.shape)  # one number alone is a column, too
    rows, columns = math.prod(shape[:-1]), shape[-1]
    return xp.dot(xp.matmul(xp.reshape(values, (rows, columns)), _factors(columns)), _factors(rows))


@functools.lru_cache(maxsize=100)
def _factors(length):
    """Numbers from 0.5 to 1.5 float32 `[length]`, no two alike: multiples of the golden ratio, without their whole part
    they are as far from each other as so many can be."""
    return (0.5 + np.arange(length) * (0.5 * (1 + np.sqrt(5))) % 1).astype(np.float32)


class ChangesOf:
    """Called without arguments: whether these weights have changed since the last call; at first they have.

    TensorFlow only, as those are who ask before every detection.
    """

    def __init__(self, weights):
        self._weights = weights
        self._fingerprint = self._last = None

    def __call__(self):
        if self._fingerprint is None:
            import tensorflow as tf

            # Traced here and not at a call: TensorFlow warns of functions that are traced for every new model.
            self._fingerprint = tf.function(lambda: _fingerprint_in_graph(self._weights)).get_concrete_function()
        now = self._fingerprint().numpy()
        changed = self._last is None or not np.array_equal(now, self._last, equal_nan=True)
        if changed:
            self._warn_of_values_that_are_not_finite(now)
        self._last = now
        return changed

    def _warn_of_values_that_are_not_finite(self, fingerprint):
        paths = [
            weight.path for weight, value in zip(self._weights, fingerprint, strict=True) if not np.isfinite(value)
        ]
        if paths:
            logger.warning(
                "detect: expected finite weights, received: NaN or infinite values in %d of %d (%s). What is detected "
                "with them is noise, or nothing. Load weights from before training failed.",
                *(len(paths), len(self._weights), ", ".join(paths[:3])),
            )
