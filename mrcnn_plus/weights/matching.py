"""Which tensor of a file belongs to which variable of a network.

Layers are paired by name, weights inside a layer by kind. Names that Keras made up (`conv2d_7`) are paired in their
order when they cannot be paired by name: the same function builds `conv2d`, `conv2d_1` the first time and `conv2d_2`,
`conv2d_3` the second.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from mrcnn_plus.weights.tensor_tree import Node


@dataclass(frozen=True)
class LayerMatch:
    """A layer of the network that has weights of its own, and its counterpart in the file.

    path: names from the top layer down.
    model: variables by kind. file: tensors by kind, None if the file has no such layer.
    """

    path: tuple[str, ...]
    model: dict[str, Any]
    file: dict[str, Any] | None

    @property
    def name(self):
        return "/".join(self.path)

    @property
    def fits(self):
        """True if the file has exactly the weights that the layer has, of the same shapes."""
        return self.file is not None and shapes_of(self.file) == shapes_of(self.model)


@dataclass
class Matching:
    """How a file and a network go together.

    layers: one match per layer of the network that has weights.
    unused: (path, node) of every layer of the file that the network does not have.
    renamed: how many layers with made-up names were paired by order.
    """

    layers: list[LayerMatch] = field(default_factory=list)
    unused: list[tuple[tuple[str, ...], Node]] = field(default_factory=list)
    renamed: int = 0


def match_trees(model_root, file_root):
    """The `Matching` of two roots, that of a network (from `model_tree`) and that of a file (from `file_tree`)."""
    matching = Matching()
    used = set()
    _match_children(model_root, _with_layers_found_elsewhere(model_root, file_root), (), matching, used)
    matching.unused = [(path, node) for path, node in file_root.layers() if id(node) not in used]
    return matching


def shapes_of(tensors):
    """Shapes by kind."""
    return {kind: tuple(tensor.shape) for kind, tensor in tensors.items()}


def _match_children(model, file, path, matching, used):
    partners = _partners(model.children, file.children)
    for name, child in model.children.items():
        partner = file.children.get(partners.get(name, name))
        matching.renamed += partner is not None and partner.name != name
        _match_node(child, partner, (*path, name), matching, used)


def _match_node(model, file, path, matching, used):
    if model.tensors:
        tensors = _by_kind(model.tensors, file.tensors) if file else None
        matching.layers.append(LayerMatch(path, model.tensors, tensors))
    if file and (model.tensors or not file.tensors):
        used.add(id(file))
    _match_children(model, file or Node(""), path, matching, used)


def _by_kind(model, file):
    """The file's tensors by the network's kinds. compat: by position, as Keras 2 has it, if they share no kind."""
    if not set(model) & set(file) and list(shapes_of(model).values()) == list(shapes_of(file).values()):
        return dict(zip(model, file.values(), strict=True))
    return {kind: file[kind] for kind in (*model, *file) if kind in file}


def _partners(model_children, file_children):
    """Names in the file for made-up names of the network, where the names differ but number and shapes agree."""
    partners = {}
    for base in sorted({child.auto_base for child in model_children.values()} - {""}):
        wanted = [child for child in model_children.values() if child.auto_base == base]
        present = [child for name, child in file_children.items() if re.fullmatch(re.escape(base) + r"(_\d+)?", name)]
        wanted, present = sorted(wanted, key=_number), sorted(present, key=_number)
        if {child.name for child in wanted} == {child.name for child in present} or len(wanted) != len(present):
            continue
        if all(_same_shapes(one, other) for one, other in zip(wanted, present, strict=True)):
            partners.update((one.name, other.name) for one, other in zip(wanted, present, strict=True))
    return partners


def _number(node):
    """The number Keras gave: 0 for `conv2d`, 7 for `conv2d_7`."""
    digits = re.search(r"_(\d+)$", node.name)
    return int(digits[1]) if digits else 0


def _same_shapes(one, other):
    """True if two layers have weights of the same shapes in the same order; names inside may be made up too."""
    return list(one.shapes().values()) == list(other.shapes().values())


def _with_layers_found_elsewhere(model_root, file_root):
    """`file_root` with stand-ins for top layers of the network that the file keeps at another depth.

    Some files have the parts of `rpn_model` at the top; others have a whole backbone inside one layer, as a classifier
    saved by `keras.applications` users has.
    """
    nested = {}
    for name, child in file_root.children.items():
        if name not in model_root.children:
            for inner_name, inner in child.children.items():
                nested.setdefault(inner_name, inner)
    children = dict(file_root.children)
    for name, child in model_root.children.items():
        if name in children or child.auto_base:
            continue
        parts = {
            part: file_root.children[part]
            for part in child.children
            if part in file_root.children and part not in model_root.children
        }
        if parts:
            children[name] = Node(name, children=parts)
        elif name in nested:
            children[name] = nested[name]
    return Node("", children=children)
