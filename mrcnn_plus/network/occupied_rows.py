"""Rows that hold something, without those that only fill up to a static shape."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("mrcnn_plus")
class OccupiedRows(keras.layers.Layer):
    """Tensors `[B, N, ...]` without the rows that are padding in all images: `[B, n, ...]`.

    Called with `[class_ids [B, N], *tensors [B, N or more, ...]]`; a row with a class id of 0 is padding, and those of
    an image that hold something come first. Returns the tensors.

    n is rounded up to a multiple of `step`, because a new size costs the convolutions that follow some preparation, and
    is not 0, because TensorFlow fails at convolutions of no image. It depends on the image, so XLA cannot compile the
    graph, and Keras is told so; on JAX, which always compiles, a file that has this layer still loads, and all N rows
    stay.
    """

    def __init__(self, *, step=4, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, "autocast": False, **kwargs})
        self.step = int(step)
        self.supports_jit = keras.backend.backend() == "jax"

    def call(self, inputs):
        class_ids, *tensors = inputs
        if keras.backend.backend() == "jax":
            return [tensor[:, : class_ids.shape[1]] for tensor in tensors]
        occupied = ops.any(class_ids > 0, axis=0)
        count = ops.sum(ops.cast(occupied, "int32"))
        count = ops.maximum((count + self.step - 1) // self.step, 1) * self.step
        count = ops.minimum(count, ops.shape(class_ids)[1])
        return [tensor[:, :count] for tensor in tensors]

    def compute_output_spec(self, inputs):
        return [
            keras.KerasTensor((tensor.shape[0], None, *tensor.shape[2:]), keras.backend.standardize_dtype(tensor.dtype))
            for tensor in inputs[1:]
        ]

    def get_config(self):
        return {**super().get_config(), "step": self.step}
