"""Frozen batch norm folded into the convolution before it, so that no feature map is written and read a second time.

A frozen norm multiplies every channel by a number and adds another. Both can be done to the kernel and the bias, which
are small: `norm(conv(x, kernel) + bias) = conv(x, kernel * scale) + (bias - mean) * scale + beta`. The product is made
in every step, so the layers keep their weights, and what is loaded or trained counts at once. The answer differs by
rounding alone.
"""

import collections

import keras
from keras import layers, ops

from mrcnn_plus.execution import add_bias
from mrcnn_plus.network.normalization import BatchNorm


def fold_frozen_norms(model):
    """A `keras.Model` with the inputs, outputs and weights of a functional model, and its frozen norms folded.

    Folded is a `BatchNorm` that uses its stored statistics (`train_bn` False) and is the only one to read a `Conv2D`.
    """
    norms = _norms_of_convolutions(model)
    folded = {conv: NormedConv2D(conv, norm, name=f"{conv.name}_folded") for conv, norm in norms.items()}
    done = set(norms.values())

    def call(layer, *args, **kwargs):
        if layer in done:
            return args[0]
        return folded.get(layer, layer)(*args, **kwargs)

    return keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=call)


def _norms_of_convolutions(model):
    """`{Conv2D: BatchNorm}` of the pairs that can be folded."""
    read = _read_by_layer(model)
    readers = collections.Counter(layer for before in read.values() for layer in before)
    readers.update(_layer_of(output) for output in model.outputs)  # a reader as well
    pairs = {}
    for layer, before in read.items():
        if type(layer) is BatchNorm and layer.train_bn is False and layer.scale and layer.center:
            conv, *others = before
            if not others and readers[conv] == 1 and _can_be_folded(conv):
                pairs[conv] = layer
    return pairs


def _read_by_layer(model):
    """`{layer: [the layers whose outputs it reads, ...]}`, in this model: its layers may stand in others as well."""
    read = collections.defaultdict(list)
    for nodes in model._nodes_by_depth.values():
        for node in nodes:
            read[node.operation] += map(_layer_of, node.arguments.keras_tensors)
    return read


def _layer_of(tensor):
    return tensor._keras_history.operation


def _can_be_folded(layer):
    """Whether `NormedConv2D` computes what this layer does: a convolution and nothing more."""
    plain = {"dilation_rate": (1, 1), "groups": 1, "data_format": "channels_last"}
    return (
        type(layer) is layers.Conv2D
        and layer.activation is keras.activations.linear
        and all(getattr(layer, name) == value for name, value in plain.items())
    )


class NormedConv2D(layers.Layer):
    """A `Conv2D` and the frozen `BatchNorm` after it, computed in one go with the variables of both.

    constants: kernel and bias where the weights are constants, see `execution.with_constant_weights`.
    """

    constants = None

    def __init__(self, conv, norm, **kwargs):
        super().__init__(**{"dtype": conv.dtype_policy, **kwargs})
        self.conv, self.norm = conv, norm
        self.built = True

    def constant_products(self):
        """Kernel and bias of both, in the dtype of the computation."""
        conv, norm = self.conv, self.norm
        gamma, beta, mean, variance = (
            ops.cast(value, "float32") for value in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
        )
        scale = gamma * ops.rsqrt(variance + norm.epsilon)
        bias = ops.cast(conv.bias, "float32") if conv.use_bias else 0.0
        kernel = ops.cast(conv.kernel, "float32") * scale
        return [ops.cast(value, self.compute_dtype) for value in (kernel, (bias - mean) * scale + beta)]

    def call(self, inputs):
        kernel, bias = self.constants or self.constant_products()
        outputs = ops.conv(inputs, kernel, strides=list(self.conv.strides), padding=self.conv.padding)
        return add_bias(outputs, bias)

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)
