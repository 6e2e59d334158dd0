"""The one place that chooses how the network is computed, with the measured reason beside each choice.

Precision is the setting `PRECISION`. Threads stay as the backend and the program set them: with one thread between
operations in place of TensorFlow's two, on two cores, two of four tasks (steps and detections in both precisions) were
faster and two slower, all within what repeats differ.
"""

import logging
import math

import keras
from keras import ops

from mrcnn_plus.memory import free_memory

logger = logging.getLogger(__name__)


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


#: So many times the size of the weights a graph with constant ones takes while it is made: 12 of ResNet-50 and
#: ResNet-101, two thirds of which stay. With variables ResNet-101 detects in 1.8 GB, with constants in 4.7 GB.
CONSTANTS_TAKE = 12


def takes_constant_weights(jit_compile=None, constant_weights=None, weights=()):
    """Whether detection has these weights as constants of its graph.

    TensorFlow on a CPU brings constant kernels into the layout of the processor once, and not in every convolution:
    1.3 times as fast for ResNet-101 at 1024 x 1024 (12.1 s of CPU time became 9.4 s), for a longer first call and for
    memory, because TensorFlow makes several copies of such a graph. Everywhere else variables are as good.

    constant_weights: the setting `CONSTANT_WEIGHTS`. True takes constants wherever they are faster, None where there is
    memory for them as well.
    """
    faster = keras.backend.backend() == "tensorflow" and not compiles(jit_compile)
    if not faster or constant_weights is not None:
        return faster and bool(constant_weights)
    return fit_in_memory(weights)


def fit_in_memory(weights):
    """Whether there is memory for one more graph that has these weights as constants; if not, a warning says so."""
    needed = CONSTANTS_TAKE * sum(4 * math.prod(weight.shape) for weight in weights)  # in float32
    free = free_memory()
    fit = free is None or free >= needed
    if not fit:
        logger.warning(
            "detect: expected %.1f GB of free memory for weights that are constants of the graph, received: %.1f GB. "
            "They stay variables, which is slower by a quarter and gives the same answers. CONSTANT_WEIGHTS=False says "
            "so without this message, True takes constants anyway.",
            *(needed / 1e9, free / 1e9),
        )
    return fit


def with_constant_weights(model, image_size=None):
    """A function of the inputs of a `keras.Model`, with the values that its weights have now as constants.

    It is traced once, for batches of all sizes. image_size: (height, width) of all images, the first input; None leaves
    it open. Where it is known, TensorFlow makes the additions of residual blocks one with the convolutions before them:
    1.6 times as fast for ResNet-101 at 1024 x 1024 in bfloat16, 1.05 times in float32. Returns what the model returns,
    as tensors.

    A layer that computes with products of its weights alone gives them by a method `constant_products`, and finds them
    in its attribute `constants` while the graph is made: the weights themselves do not enter it then.
    """
    import tensorflow as tf

    layers_with_products = [layer for layer in model.layers if hasattr(layer, "constant_products")]
    inside = {id(variable) for layer in layers_with_products for variable in layer.variables}
    others = [variable for variable in model.variables if id(variable) not in inside]

    def call(*inputs):
        with tf.init_scope():  # not in the graph: these are its constants
            products = [list(map(ops.convert_to_numpy, layer.constant_products())) for layer in layers_with_products]
            values = list(map(ops.convert_to_numpy, others))
        try:
            for layer, arrays in zip(layers_with_products, products, strict=True):
                layer.constants = list(map(tf.constant, arrays))
            with keras.StatelessScope(list(zip(others, map(tf.constant, values), strict=True))):
                return model(list(inputs), training=False)
        finally:
            for layer in layers_with_products:
                layer.constants = None

    signature = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs]
    if image_size is not None:
        images = signature[0]
        signature[0] = tf.TensorSpec((images.shape[0], *image_size, images.shape[3]), images.dtype)
    return _optimized_once(tf.function(call, autograph=False).get_concrete_function(*signature))


def _optimized_once(function):
    """A TensorFlow function whose graph is optimized in one round in place of two, and not for lack of memory.

    Every step of TensorFlow's optimizer copies all constants. The graph becomes the same in one round; for ResNet-50
    the first call takes 6.1 s in place of 8.7 s, and 0.55 GB less. What the program has set of TensorFlow's options
    stays.
    """
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.python.eager import context  # TensorFlow has no public way to options of a single function

    here = context.context()
    config = config_pb2.ConfigProto.FromString(here.function_call_options.config_proto_serialized)
    rewrites = config.graph_options.rewrite_options
    rewrites.meta_optimizer_iterations = rewrites.meta_optimizer_iterations or rewrites.ONE
    rewrites.memory_optimization = rewrites.memory_optimization or rewrites.NO_MEM_OPT
    options = context.FunctionCallOptions(here.function_call_options.executor_type, config)

    def call(*inputs):
        before = here.function_call_options  # of this thread
        here.function_call_options = options
        try:
            return function(*inputs)
        finally:
            here.function_call_options = before

    return call


def add_bias(features, bias):
    """The bias added to each channel, by the operation that TensorFlow makes one with the convolution before it."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.nn.bias_add(features, bias)
    return features + bias
