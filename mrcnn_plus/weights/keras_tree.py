"""The weights of a Keras model as a tree of layers. Works with the objects it is given and imports no Keras."""

import re

import numpy as np

from mrcnn_plus.weights.tensor_tree import Node, collapse, unique_name

# compat: positions that Keras 2 assumes, because it reads the weights of one layer by position and not by name.
_KIND_ORDER = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
_RPN_ORDER = ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred")


def model_tree(model):
    """A `Node` with one child per layer of `model.layers` that has weights, nested as the layers are.

    Weights are what Keras calls so: no metrics, no optimizer, no states of random generators. A weight shared by two
    layers appears once, where it comes first.
    """
    root = Node("")
    seen = set()
    for layer in model.layers:
        node = _layer_node(layer, seen)
        if node.tensors or node.children:
            root.children[layer.name] = collapse(node)
    return root


def numpy_value(variable):
    """The value of a Keras variable as a NumPy array; float32 for any kind of float."""
    value = np.asarray(variable)
    is_float = np.issubdtype(value.dtype, np.floating) or value.dtype.name in (
        "bfloat16",
        "float8_e4m3fn",
        "float8_e5m2",
    )
    return value.astype(np.float32) if is_float else value


def _layer_node(layer, seen):
    """The tree of one layer. `seen`: ids of the variables met so far, added to."""
    node = Node(layer.name, auto_base=_auto_base(layer))
    sublayers = layer._flatten_layers(include_self=False, recursive=False)
    inside = {id(variable) for sublayer in sublayers for variable in sublayer.weights}
    own = [variable for variable in layer.weights if id(variable) not in inside and id(variable) not in seen]
    if all(variable.name in _KIND_ORDER for variable in own):
        own.sort(key=lambda variable: _KIND_ORDER.index(variable.name))
    for variable in own:
        node.tensors[unique_name(variable.name, node.tensors)] = variable
        seen.add(id(variable))
    for sublayer in sorted(sublayers, key=lambda sublayer: _rpn_position(sublayer.name)):
        child = _layer_node(sublayer, seen)
        if child.tensors or child.children:
            node.children[unique_name(child.name, node.children)] = child
    return node


def _rpn_position(name):
    """Position of a sublayer of rpn_model; others stay behind in the order they have, because sorting is stable."""
    return _RPN_ORDER.index(name) if name in _RPN_ORDER else len(_RPN_ORDER)


def _auto_base(layer):
    """The class name in snake case if Keras named the layer after it, else ""."""
    base = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    base = re.sub("([a-z])([A-Z])", r"\1_\2", base).lower()
    return base if re.fullmatch(re.escape(base) + r"(_\d+)?", layer.name) else ""
