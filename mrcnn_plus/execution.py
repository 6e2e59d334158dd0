"""The one place that chooses how the network is computed, with the measured reason beside each choice."""

import keras
from keras import ops


def compiles(jit_compile=None):
    """Whether XLA will compile the network, which then needs shapes that are known before.

    jit_compile: the setting `JIT_COMPILE`. None leaves it to Keras: JAX always compiles, TensorFlow on an accelerator.
    On a CPU XLA gains a tenth with the network and takes half a minute for the first image, so Keras does not.
    """
    backend = keras.backend.backend()
    if backend != "tensorflow" or jit_compile is not None:
        return backend == "jax" or (backend == "tensorflow" and bool(jit_compile))
    import tensorflow as tf

    return any(device.device_type != "CPU" for device in tf.config.list_physical_devices())


def takes_constant_weights(jit_compile=None):
    """Whether detection is faster with the weights as constants of the graph.

    TensorFlow on a CPU brings constant kernels into the layout of the processor once, and not in every convolution:
    1.3 times as fast for ResNet-101 at 1024 x 1024 (12.1 s of CPU time became 9.4 s), for a first call that takes 1.4
    times as long, and for memory: the copies that TensorFlow makes of such a graph take 2.3 GB for ResNet-50.
    Everywhere else variables are as good.
    """
    return keras.backend.backend() == "tensorflow" and not compiles(jit_compile)


def with_constant_weights(model, image_size=None):
    """A TensorFlow function of the inputs of a `keras.Model`, with the values that its weights have now as constants.

    It is traced once, for batches of all sizes. image_size: (height, width) of all images, the first input; None leaves
    it open. Where it is known, TensorFlow makes the additions of residual blocks one with the convolutions before them:
    1.6 times as fast for ResNet-101 at 1024 x 1024 in bfloat16, 1.05 times in float32. Returns what the model returns,
    as tensors.
    """
    import tensorflow as tf

    weights = [
        [ops.convert_to_numpy(variable) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]

    def call(*inputs):
        constants = [[tf.constant(value) for value in values] for values in weights]
        return model.stateless_call(*constants, list(inputs), training=False)[0]

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
    if image_size is not None:
        images = signature[0]
        signature[0] = tf.TensorSpec((images.shape[0], *image_size, images.shape[3]), images.dtype)
    return tf.function(call, autograph=False).get_concrete_function(*signature)


def sums_of(weights):
    """A function that returns numbers which change when any of the weights does.

    It takes 25 ms for ResNet-101, a tenth of what a digest would. TensorFlow only.
    """
    import tensorflow as tf

    return tf.function(lambda: tf.stack([tf.reduce_sum(tf.cast(weight.value, tf.float32)) for weight in weights]))


def add_bias(features, bias):
    """The bias added to each channel, by the operation that TensorFlow makes one with the convolution before it."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.nn.bias_add(features, bias)
    return features + bias
