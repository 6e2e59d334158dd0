"""Weights as a tree of layers, the form in which a file and a network are compared.

A file and a network name the same tensor differently: `mrcnn_mask_conv1/kernel:0` (tf.keras),
`mrcnn_mask_conv1_1/kernel:0` (a layer inside TimeDistributed), `mrcnn_mask_conv1/mrcnn_mask_conv1/kernel` (Keras 3).
What they share is the nesting of layers that have more than one part. So both sides are made into trees, and steps with
a single child and no weights of their own are left out.
"""

from dataclasses import dataclass, field
from typing import Any


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
