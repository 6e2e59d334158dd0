"""What a weights file says about the network that it belongs to: read from its names and shapes, without Keras."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from mrcnn_plus.errors import WeightsError

WEIGHTS_SUFFIXES = (".h5", ".hdf5", ".keras", ".json", ".weights")


@dataclass(frozen=True)
class WeightsFacts:
    """A weights file. error: why it cannot be read, or "". readable_names: False for Keras 3's own formats.

    description: the network in words. classes: with background, None without a class head. depth: of the ResNet, None
    if it is none. has_heads: whether it holds a whole Mask R-CNN.
    names: of all layers. shapes: `{layer: {kind: shape}}`, e.g. {"conv1": {"kernel": (7, 7, 3, 64)}}.
    """

    path: str
    error: str = ""
    readable_names: bool = True
    description: str = ""
    classes: int | None = None
    depth: int | None = None
    has_heads: bool = False
    names: frozenset[str] = frozenset()
    shapes: Mapping[str, Mapping[str, tuple[int, ...]]] = field(default_factory=dict)


def weights_path(words) -> str | None:
    """The path of a file that `Run.weights` names; None for words such as "coco", and for None."""
    if not isinstance(words, str | os.PathLike):
        return None
    path = os.path.expanduser(os.fspath(words))
    return path if path.endswith(WEIGHTS_SUFFIXES) or os.path.isfile(path) else None


def read_weights_facts(path: str) -> WeightsFacts:
    """The facts of a file; read again only if it has changed."""
    try:
        state = os.stat(path)
        stamp = (state.st_mtime_ns, state.st_size)
    except OSError:
        stamp = None
    return _read(path, stamp)


@functools.lru_cache(maxsize=16)
def _read(path, _stamp) -> WeightsFacts:
    from mrcnn_plus.weights.file_format import detect_format
    from mrcnn_plus.weights.fit_checks import side_of
    from mrcnn_plus.weights.matching import shapes_of
    from mrcnn_plus.weights.matterport_h5 import file_tree, read_layout
    from mrcnn_plus.weights.names import has_mask_rcnn_heads, resnet_depth

    try:
        if detect_format(path) != "matterport":
            return WeightsFacts(path, readable_names=False)
        tree = file_tree(read_layout(path))
    except WeightsError as error:
        return WeightsFacts(path, error=str(error))
    side = side_of(tree)
    return WeightsFacts(
        path,
        description=side.describe(),
        classes=side.classes,
        depth=resnet_depth(side.names),
        has_heads=has_mask_rcnn_heads(side.names),
        names=side.names,
        shapes={layer_path[-1]: shapes_of(node.tensors) for layer_path, node in tree.layers() if layer_path},
    )
