"""Does a weights file belong to this network? Each check raises WeightsError: what differs, and what to do."""

from typing import NamedTuple

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights.matching import Matching, shapes_of
from mrcnn_plus.weights.names import describe_network, has_mask_rcnn_heads, resnet_depth
from mrcnn_plus.weights.report import format_shapes, shorten

# The setting that decides the shape of a layer, for the advice in messages.
_CLASS_LAYERS = ("mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask")
_SETTINGS = {
    "conv1": "IMAGE_CHANNEL_COUNT",
    "rpn_class_raw": "RPN_ANCHOR_RATIOS",
    "rpn_bbox_pred": "RPN_ANCHOR_RATIOS",
    "rpn_conv_shared": "TOP_DOWN_PYRAMID_SIZE or RPN_CONV_CHANNELS",
    "mrcnn_class_conv1": "POOL_SIZE, TOP_DOWN_PYRAMID_SIZE or FPN_CLASSIF_FC_LAYERS_SIZE",
    "mrcnn_class_conv2": "FPN_CLASSIF_FC_LAYERS_SIZE",
    "mrcnn_mask_conv1": "TOP_DOWN_PYRAMID_SIZE or MASK_CONV_CHANNELS",
    "mrcnn_mask_deconv": "MASK_CONV_CHANNELS",
    "fpn_p2": "TOP_DOWN_PYRAMID_SIZE",
}
# A file that has a smaller share of the network's tensors is one of another network, unless most of the file is used.
_HARDLY_ANYTHING = 0.05


class Side(NamedTuple):
    """A file or a network. names: all layer names. classes: with background, or None. tensors: how many."""

    names: frozenset[str]
    classes: int | None
    tensors: int

    def describe(self):
        return describe_network(self.names, self.classes)


def side_of(root):
    """The `Side` of a tree of layers."""
    names = frozenset(part for path, _ in root.layers() for part in path)
    logits = root.children.get("mrcnn_class_logits")
    shapes = [tensor.shape for _, tensor in logits.leaves()] if logits else []
    return Side(names, int(shapes[0][-1]) if shapes else None, sum(1 for _ in root.leaves()))


def check_same_network(path, file, model, fitting, used):
    """Raise WeightsError if hardly anything fits. fitting, used: tensors of the network and of the file that do."""
    if not file.tensors:
        raise WeightsError(
            f"Weights file {path!r} has layers but no weights. Save it again with keras_model.save_weights('x.h5')."
        )
    if fitting and (fitting >= _HARDLY_ANYTHING * model.tensors or used >= 0.5 * file.tensors):
        return
    raise WeightsError(
        f"Weights file {path!r} does not belong to this network: {fitting} of the network's {model.tensors} tensors "
        f"are in it. The file holds {file.describe()} (layers {shorten(sorted(file.names), 5)}); expected "
        f"{model.describe()} (layers {shorten(sorted(model.names), 5)}). Load a file of this network, or set BACKBONE "
        "to the one of the file."
    )


def check_depth(path, file, model, on_mismatch):
    """A remark if file and network are ResNets of different depth, else None.

    Raises WeightsError for a whole Mask R-CNN in detection: with some of its layers at random it would answer nonsense.
    """
    depths = resnet_depth(file.names), resnet_depth(model.names)
    if None in depths or depths[0] == depths[1]:
        return None
    text = f"the file holds {file.describe()}, the network is {model.describe()}"
    if on_mismatch == "error" and has_mask_rcnn_heads(file.names):
        advice = f"Set BACKBONE='resnet{depths[0]}', or load" if depths[0] else "Load"
        raise WeightsError(f"Weights file {path!r} is of another backbone: {text}. {advice} a file of this network.")
    return f"{text}: only the layers of the same name and shape were loaded"


def check_shapes(path, file, model, misfits):
    """Raise WeightsError if there are `misfits`: layers that file and network both have, in different versions."""
    if not misfits:
        return
    listed = "; ".join(
        f"{layer.name}: file {format_shapes(shapes_of(layer.file))}, network {format_shapes(shapes_of(layer.model))}"
        for layer in misfits[:4]
    )
    more = f"; and {len(misfits) - 4} more layers" if len(misfits) > 4 else ""
    classes_differ = file.classes and model.classes and file.classes != model.classes
    head = f"Weights file {path!r} does not fit the network: "
    if classes_differ:
        head += f"it was trained for {file.classes} classes with background, expected NUM_CLASSES={model.classes}. "
    raise WeightsError(f"{head}Layers that differ: {listed}{more}. {_advice(misfits, file, classes_differ)}")


def check_nothing_missing(path, file, missing):
    """Raise WeightsError if a whole Mask R-CNN, to be used for detection, lacks layers of the network."""
    if missing and has_mask_rcnn_heads(file.names):
        raise WeightsError(
            f"Weights file {path!r} lacks {len(missing)} layers of the network, which would answer at random: "
            f"{shorten([layer.name for layer in missing])}. The file holds {file.describe()}. Build the network with "
            "the settings it was trained with (BACKBONE, NORMALIZATION, MASK_SHAPE), or name these layers in "
            "exclude=[...] if that is intended."
        )


def check_strict(path, matching: Matching, file, model):
    """by_name=False: raise WeightsError unless file and network have exactly the same layers."""
    check_shapes(path, file, model, [layer for layer in matching.layers if layer.file is not None and not layer.fits])
    missing = [layer.name for layer in matching.layers if layer.file is None]
    extra = ["/".join(path_) for path_, node in matching.unused if not is_constant(node)]
    if missing or extra:
        raise WeightsError(
            f"Weights file {path!r} does not have exactly the layers of the network, as by_name=False expects: in the "
            f"network only {shorten(missing) or 'none'}; in the file only {shorten(extra) or 'none'}. The file holds "
            f"{file.describe()}, the network is {model.describe()}. Use by_name=True to load the layers they share."
        )


def is_constant(node):
    """True for a layer that holds only anchors, as Matterport's TF2 forks store them with a training network."""
    if len(node.tensors) != 1:
        return False
    ((kind, shape),) = shapes_of(node.tensors).items()
    return kind not in ("kernel", "bias") and len(shape) in (2, 3) and shape[-1] == 4


def misfit_reason(layer):
    """One phrase for a layer of which file and network have different versions."""
    only_file, only_model = set(layer.file) - set(layer.model), set(layer.model) - set(layer.file)
    if "moving_mean" in only_file:
        return "batch normalization in the file, another kind in the network"
    if "moving_mean" in only_model:
        return "batch normalization in the network, another kind in the file"
    return "different weights" if only_file or only_model else "shapes differ"


def _advice(misfits, file, classes_differ):
    names = [layer.name for layer in misfits]
    if any("batch normalization" in misfit_reason(layer) for layer in misfits):
        return "Set NORMALIZATION to the kind the file was trained with."
    if classes_differ and set(names) <= set(_CLASS_LAYERS):
        return (
            f"To detect, set NUM_CLASSES = {file.classes}, as the file was trained. To train on your own classes, "
            f"build the model with mode='training': there these layers start at random values. exclude={names} leaves "
            "them random here."
        )
    settings = [_SETTINGS[layer.path[-1]] for layer in misfits if layer.path[-1] in _SETTINGS]
    if settings:
        return f"Check these settings against the ones the file was trained with: {', '.join(dict.fromkeys(settings))}."
    return "Build the network with the settings the file was trained with, or name these layers in exclude=[...]."
