"""Weights as a tree of layers, the form in which a file and a network are compared.

A file and a network name the same tensor differently: `mrcnn_mask_conv1/kernel:0` (tf.keras),
`mrcnn_mask_conv1_1/kernel:0` (a layer inside TimeDistributed), `mrcnn_mask_conv1/mrcnn_mask_conv1/kernel` (Keras 3).
What they share is the nesting of layers that have more than one part. So both sides are made into trees, and steps with
a single child and no weights of their own are left out. `matterport_h5.py` makes the tree of a file, `model_tree` here
that of a Keras model; it works with the objects it is given and imports no Keras.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

# compat: positions that Keras 2 assumes, because it reads the weights of one layer by position and not by name.
_KIND_ORDER = ("kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance")
_RPN_ORDER = ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred")


@dataclass
class Node:
    """A layer: its own weights and its sublayers, both in order.

    name: the layer's name (in a file: translated to Matterport's naming).
    tensors: weights by kind ("kernel", "gamma", ...); the values are whatever the side works with, each with a `shape`.
    children: sublayers that have weights, by name.
    auto_base: "conv2d" if Keras made up the name (`conv2d_7`) because the user gave none, else "".
    source: the name in the file before translation, else the same as `name`.
    """

    name: str
    tensors: dict[str, Any] = field(default_factory=dict)
    children: dict[str, "Node"] = field(default_factory=dict)
    auto_base: str = ""
    source: str = ""

    def __post_init__(self):
        self.source = self.source or self.name

    def leaves(self, prefix=()):
        """All weights below as (path, tensor), the path ending with the kind; own weights first."""
        for kind, tensor in self.tensors.items():
            yield (*prefix, kind), tensor
        for name, child in self.children.items():
            yield from child.leaves((*prefix, name))

    def layers(self, prefix=()):
        """All nodes below and itself that have weights of their own, as (path, node)."""
        if self.tensors:
            yield prefix, self
        for name, child in self.children.items():
            yield from child.layers((*prefix, name))

    def shapes(self):
        """Shapes of all weights below by path; equal for two layers that can hold each other's weights."""
        return {path: tuple(tensor.shape) for path, tensor in self.leaves()}


def collapse(node):
    """`node` without steps that have a single child and no weights of their own; it keeps its name."""
    children = {name: collapse(child) for name, child in node.children.items()}
    if not node.tensors and len(children) == 1:
        (only,) = children.values()
        return Node(node.name, only.tensors, only.children, node.auto_base, node.source)
    return Node(node.name, node.tensors, children, node.auto_base, node.source)


def unique_name(name, taken):
    """`name`, or `name_1`, `name_2`, ... if it is taken."""
    result, number = name, 0
    while result in taken:
        number += 1
        result = f"{name}_{number}"
    return result


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
