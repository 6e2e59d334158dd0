"""The one place that chooses how the network is computed, with the measured reason beside each choice."""

import keras


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
