"""Matterport's weights file, which is Keras 2's HDF5: read whoever wrote it, and written so that everyone can read it.

    /                     attributes layer_names, backend, keras_version
    /conv1                attribute weight_names: conv1/kernel:0, conv1/bias:0
    /conv1/conv1/kernel:0 float32 [7, 7, 3, 64]

Layers without weights have a group, too. Attributes are bytes (Keras 2) or str (tf.keras); lists too long for HDF5's
64 kB are split over layer_names0, layer_names1, ...
"""

import errno
import os
from typing import NamedTuple

import h5py
import numpy as np

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights.file_format import layer_group, open_hdf5
from mrcnn_plus.weights.names import canonical_kind, is_applications_resnet, to_matterport
from mrcnn_plus.weights.tensor_tree import Node, collapse, model_tree, numpy_value, unique_name

# Attributes longer than this do not fit into an HDF5 object header; the number is the one Keras splits at.
_ATTRIBUTE_LIMIT = 64512
# Keras 2 changes kernels of files by Keras 1 only, so any 2.x is read as it stands, from Keras 2.0.8 to tf.keras 2.15.
_KERAS_VERSION = "2.2.4"
# compat: in a training network of the TF2 forks this layer has a weight, and a group without one stops their loader.
_FORKS_CONSTANT = "anchors"


class FileTensor(NamedTuple):
    """A tensor in the file: address of its dataset, and its shape."""

    address: str
    shape: tuple[int, ...]


class FileLayer(NamedTuple):
    """A layer in the file: its name, and (name, FileTensor) of each of its weights in file order."""

    name: str
    weights: tuple[tuple[str, FileTensor], ...]


class WeightsFile(NamedTuple):
    """What stands in a file: its layers in order, and which Keras wrote it on what backend ("" if it does not say)."""

    path: str
    layers: tuple[FileLayer, ...]
    keras_version: str
    backend: str


def read_layout(path):
    """The `WeightsFile` at `path`: names and shapes, no values. Raises WeightsError for anything that is not one."""
    path = os.fspath(path)
    with open_hdf5(path) as file:
        group = layer_group(file)
        if group is None:
            raise WeightsError(
                f"Weights file {path!r} has no attribute 'layer_names'. Expected a file of Matterport's Mask R-CNN or "
                "of Keras 2; detect_format(path) tells which format it is."
            )
        try:
            layers = tuple(_read_layer(group, name) for name in _read_names(group, "layer_names"))
        except (KeyError, AttributeError, OSError, RuntimeError) as error:
            raise WeightsError(f"Weights file {path!r} is damaged: {error}. Download or copy it again.") from error
        return WeightsFile(path, layers, _read_text(group, "keras_version"), _read_text(group, "backend"))


def read_tensors(path, tensors):
    """The values of `tensors` (`FileTensor`) as a dict by address. Raises WeightsError if one cannot be read."""
    values = {}
    with open_hdf5(path) as file:
        for tensor in tensors:
            try:
                values[tensor.address] = file[tensor.address][()]
            except (KeyError, OSError, RuntimeError) as error:
                raise WeightsError(
                    f"Weights file {path!r} is damaged: tensor {tensor.address!r} cannot be read ({error}). Download "
                    "or copy it again."
                ) from error
    return values


def file_tree(layout):
    """The layers of a `WeightsFile` that have weights as a `Node`, names translated to Matterport's."""
    layers = [layer for layer in layout.layers if layer.weights]
    names = {part for layer in layers for name, _ in layer.weights for part in (layer.name, *name.split("/")[:-1])}
    translate = to_matterport if is_applications_resnet(names) else str
    root = Node("")
    for layer in layers:
        node = Node(translate(layer.name), source=layer.name)
        for name, tensor in layer.weights:
            *steps, kind = name.split("/")
            owner = node
            for step in steps:
                owner = owner.children.setdefault(translate(step), Node(translate(step), source=step))
            kind = canonical_kind(kind, owner.source)
            owner.tensors[unique_name(kind, owner.tensors)] = tensor
        node = collapse(node)
        root.children[unique_name(node.name, root.children)] = node
    return root


def write_weights(model, path):
    """Write the weights of a Keras model in Matterport's layout, float32; his code and its forks read it by name.

    The file appears at `path` complete or not at all: an interruption or a full disk leaves the file that was there.
    Raises OSError if it cannot be written.
    """
    tree = model_tree(model)
    layers = []
    for layer in model.layers:
        node = tree.children.get(layer.name)
        if node is None and layer.name == _FORKS_CONSTANT:
            continue
        leaves = list(node.leaves()) if node else []
        # Sublayers stand under their own names, as in Matterport's rpn_model; a layer's own weights under the layer's.
        prefix = (layer.name,) if node and node.tensors else ()
        layers.append((layer.name, [("/".join((*prefix, *path_)) + ":0", variable) for path_, variable in leaves]))
    write_tensors(path, layers)


def write_tensors(path, layers):
    """Write `layers`, a list of (layer, [(weight name, array or variable), ...]), as `write_weights` does."""
    try:
        with replacing(path) as temporary, h5py.File(temporary, "w") as file:
            _write_names(file, "layer_names", [name for name, _ in layers])
            file.attrs["backend"] = np.bytes_("tensorflow")
            file.attrs["keras_version"] = np.bytes_(_KERAS_VERSION)
            for name, weights in layers:
                group = file.create_group(name)
                _write_names(group, "weight_names", [weight_name for weight_name, _ in weights])
                for weight_name, variable in weights:
                    group.create_dataset(weight_name, data=numpy_value(variable))
    except (OSError, RuntimeError) as error:  # h5py reports a full disk as either
        message = f"Weights could not be written to {os.fspath(path)!r} ({error}); a file that was there is unchanged"
        raise OSError(getattr(error, "errno", None) or errno.EIO, message) from error


def _read_layer(group, name):
    layer = group[name]
    datasets = ((weight, layer[weight]) for weight in _read_names(layer, "weight_names"))
    return FileLayer(name, tuple((weight, FileTensor(data.name, tuple(data.shape))) for weight, data in datasets))


def _read_names(group, attribute):
    """A list of names, bytes or str, in one attribute or split over several."""
    if attribute in group.attrs:
        return [_text(name) for name in group.attrs[attribute]]
    names, number = [], 0
    while f"{attribute}{number}" in group.attrs:
        names += [_text(name) for name in group.attrs[f"{attribute}{number}"]]
        number += 1
    return names


def _read_text(group, attribute):
    return _text(group.attrs.get(attribute, ""))


def _text(value):
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _write_names(group, attribute, names):
    data = np.array([name.encode("utf-8") for name in names], dtype="S")
    parts = 1
    while any(part.nbytes > _ATTRIBUTE_LIMIT for part in np.array_split(data, parts)):
        parts += 1
    if parts == 1:
        group.attrs[attribute] = data
        return
    for number, part in enumerate(np.array_split(data, parts)):
        group.attrs[f"{attribute}{number}"] = part
