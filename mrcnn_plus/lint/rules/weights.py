"""Weights that are to be loaded, against the settings; and detection against training."""

from __future__ import annotations

import os

from mrcnn_plus.config import Config
from mrcnn_plus.config_base import equal_values
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.measuring.weights_facts import WeightsFacts, read_weights_facts, weights_path
from mrcnn_plus.lint.registry import CONFIG, PIXELS, RUN, Violation, rule
from mrcnn_plus.lint.setting_types import BACKBONES, fits

_COCO_CLASSES = 81
# What the shape of a kernel tells about a setting: setting, layer, axis.
_SHAPED = (
    ("IMAGE_CHANNEL_COUNT", "conv1", 2),
    ("BACKBONE_WIDTH", "conv1", 3),
    ("TOP_DOWN_PYRAMID_SIZE", "fpn_p2", 3),
    ("RPN_CONV_CHANNELS", "rpn_conv_shared", 3),
    ("POOL_SIZE", "mrcnn_class_conv1", 0),
    ("FPN_CLASSIF_FC_LAYERS_SIZE", "mrcnn_class_conv1", 3),
    ("MASK_CONV_CHANNELS", "mrcnn_mask_conv1", 3),
)
# Settings that give trained weights their meaning, so detection needs those of the training.
_SHARED_WITH_TRAINING = (
    *("RPN_ANCHOR_SCALES", "RPN_ANCHOR_RATIOS", "RPN_ANCHOR_STRIDE", "BACKBONE_STRIDES", "BACKBONE", "MEAN_PIXEL"),
    *("RPN_BBOX_STD_DEV", "BBOX_STD_DEV", "ROI_ALIGN", "NORMALIZATION", "NUM_CLASSES", "IMAGE_CHANNEL_COUNT"),
)
_SIZES = ("IMAGE_MIN_DIM", "IMAGE_MAX_DIM", "IMAGE_MIN_SCALE")


@rule(
    "WGT001",
    ERROR,
    needs=(CONFIG, RUN),
    why="A layer can only take tensors of its own shape. Where they differ, detection is impossible; in training the "
    "layer starts from random values.",
    example="The file was trained for 81 classes, NUM_CLASSES is 2.",
    fix="For detection use the settings that the file was trained with. In training new heads are what is wanted.",
)
def weights_have_other_shapes(facts):
    """A weights file belongs to other settings: an error for detection.

    In training an info if only the number of classes differs, else a warning.
    """
    file, config = _file(facts), facts.config
    if file is None or file.error or not file.readable_names:
        return
    for name, needed in _settings_of(file, config):
        detects = facts.run.mode == "inference" and file.has_heads
        severity = ERROR if detects else INFO if name == "NUM_CLASSES" else WARNING
        yield Violation(
            f"{os.path.basename(file.path)} was made with {name}={needed!r}, received "
            f"{name}={_plain(getattr(config, name))!r}"
            + ("." if detects else ": the layers that depend on it start from random values."),
            setting=name,
            fix=None if detects or name == "NUM_CLASSES" else f"Keep {name} = {needed!r} to use all of the file.",
            severity=severity,
            changes={} if name == "NUM_CLASSES" and not detects else {name: needed},
        )


def _settings_of(file: WeightsFacts, config):
    """`(setting, the file's value)` of the settings that the file's shapes contradict."""
    if file.classes and fits(config, "NUM_CLASSES") and file.classes != config.NUM_CLASSES:
        yield "NUM_CLASSES", file.classes
    own_backbone = callable(config.BACKBONE)
    for name, layer, axis in _SHAPED:
        shape = file.shapes.get(layer, {}).get("kernel", ())
        comparable = len(shape) == 4 and fits(config, name) and not (own_backbone and layer == "conv1")
        if comparable and shape[axis] != getattr(config, name):
            yield name, shape[axis]
    scores = file.shapes.get("rpn_class_raw", {}).get("kernel", ())
    if len(scores) == 4 and fits(config, "RPN_ANCHOR_RATIOS") and scores[-1] != 2 * len(config.RPN_ANCHOR_RATIOS):
        yield "RPN_ANCHOR_RATIOS", f"{scores[-1] // 2} ratios"
    norm = file.shapes.get("bn_conv1", {})
    if norm and not own_backbone and fits(config, "NORMALIZATION"):
        kind = "batch" if "moving_mean" in norm else "group"
        if kind != config.NORMALIZATION:
            yield "NORMALIZATION", kind


@rule(
    "WGT002",
    ERROR,
    needs=(CONFIG, RUN),
    why="Layers are found by name. A file of another network shares few names, so most of the backbone would stay "
    "random.",
    example='A file of VGG-16 with BACKBONE = "resnet50"',
    fix="Load a file of this backbone, or set BACKBONE to that of the file.",
)
def weights_of_another_backbone(facts):
    """A weights file holds another kind of backbone, or a whole Mask R-CNN on a ResNet of another depth."""
    file, depth = _file(facts), _depth_of(facts.config)
    if file is None or file.error or not file.readable_names or depth is None or file.depth == depth:
        return
    if file.depth is not None and not file.has_heads and {file.depth, depth} == {50, 101}:
        return  # WGT004
    changes = {"BACKBONE": f"resnet{file.depth}"} if f"resnet{file.depth}" in BACKBONES else {}
    yield Violation(
        f"{os.path.basename(file.path)} holds {file.description}, BACKBONE is {facts.config.BACKBONE!r}.",
        setting="BACKBONE",
        fix=f"Set BACKBONE = {changes['BACKBONE']!r}, or load a file of this backbone." if changes else None,
        severity=WARNING if file.depth is not None and facts.run.mode != "inference" else ERROR,
        changes=changes,
    )


@rule(
    "WGT003",
    ERROR,
    needs=RUN,
    why="Detection uses the heads; those that did not come from a file answer at random.",
    example="An ImageNet file, which holds a backbone alone, with mode='inference'",
    fix="Load a file of a whole Mask R-CNN, such as a checkpoint of your training.",
)
def detection_with_random_heads(facts):
    """A model is made for inference, and the weights file holds no heads of Mask R-CNN."""
    file, words = _file(facts), str(facts.run.weights or "").lower()
    if facts.run.mode != "inference":
        return
    if words == "imagenet":
        yield Violation("weights of ImageNet hold a backbone alone: all heads are random.", where="load_weights")
    elif file is not None and not file.error and file.readable_names and not file.has_heads:
        yield Violation(
            f"{os.path.basename(file.path)} holds {file.description}: all heads are random.", where=file.path
        )


@rule(
    "WGT004",
    WARNING,
    needs=(CONFIG, RUN),
    why="The ImageNet file that Matterport's programs download is that of ResNet-50. Of ResNet-101 it fills all but 17 "
    "of the 23 blocks of stage 4, and these stay random in the middle of the network.",
    example='weights "imagenet" with BACKBONE = "resnet101"',
    fix='Set BACKBONE = "resnet50", or load the COCO weights, which are of ResNet-101.',
)
def weights_of_another_depth(facts):
    """Weights of ImageNet, which are of ResNet-50, or of COCO, of ResNet-101, go into a ResNet of another depth."""
    depth, words, file = _depth_of(facts.config), str(facts.run.weights or "").lower(), _file(facts)
    if depth is None:
        return
    if file is not None:
        backbone_alone = not file.error and file.depth is not None and not file.has_heads
        published = file.depth if backbone_alone and {file.depth, depth} == {50, 101} else depth
        name = os.path.basename(file.path)
    else:
        published, name = {"imagenet": 50, "coco": 101}.get(words, depth), f"the weights of {words}"
    if published != depth:
        yield Violation(
            f"{name} are of ResNet-{published}, BACKBONE is {facts.config.BACKBONE!r}: a part of the backbone stays "
            "random.",
            setting="BACKBONE",
            fix=f'Set BACKBONE = "resnet{published}", or load weights of ResNet-{depth}.',
            changes={"BACKBONE": f"resnet{published}"},
        )


@rule(
    "WGT005",
    ERROR,
    needs=RUN,
    why="A download that went wrong leaves a web page, half a file or nothing under the right name.",
    example="mask_rcnn_coco.h5 is a web page of 9 kB.",
    fix="Download or copy it again.",
)
def weights_file_unreadable(facts):
    """The weights file is not there, or is no weights file."""
    file = _file(facts)
    if file is not None and file.error:
        yield Violation(file.error, where=file.path)


@rule(
    "WGT006",
    WARNING,
    needs=RUN,
    why="Matterport's release 2.1 has a file of the balloon sample with two classes; under the name of the COCO "
    "weights it starts training with heads and features of one narrow task.",
    example="mask_rcnn_coco.h5 holds 2 classes.",
    fix="Get the COCO weights of release 2.0: mrcnn_plus.utils.download_trained_weights(path).",
)
def coco_weights_with_other_classes(facts):
    """A weights file is named after COCO, and has another number of classes than 81."""
    file = _file(facts)
    if file is None or not file.classes or "coco" not in os.path.basename(file.path).lower():
        return
    is_published = os.path.basename(file.path).lower().startswith("mask_rcnn_coco.")
    if file.classes != _COCO_CLASSES and is_published:
        yield Violation(
            f"{os.path.basename(file.path)} has {file.classes} classes with background; the weights of COCO have "
            f"{_COCO_CLASSES}.",
            where=file.path,
            value=file.classes,
        )


@rule(
    "INF001",
    ERROR,
    needs=(CONFIG, RUN, PIXELS),
    why="The network takes images of IMAGE_CHANNEL_COUNT channels; detect() repeats grey and drops alpha, other "
    "differences it cannot mend.",
    example="Images of four channels with IMAGE_CHANNEL_COUNT = 5",
    fix="Give images with that many channels, or build the network with the settings it was trained with.",
)
def detection_on_other_channels(facts):
    """A model made for inference gets images with a number of channels that cannot be brought to its own."""
    config = facts.config
    if facts.run.mode != "inference" or not fits(config, "IMAGE_CHANNEL_COUNT"):
        return
    wanted = config.IMAGE_CHANNEL_COUNT
    for split in facts.splits:
        odd = [item for item in split.pixels if item.shape and not _can_be_brought_to(item.shape, wanted)]
        if odd:
            channels = sorted({item.shape[2] if len(item.shape) > 2 else 1 for item in odd})
            yield Violation(
                f"{len(odd)} of {len(split.pixels)} images have {' or '.join(map(str, channels))} channels, "
                f"IMAGE_CHANNEL_COUNT is {wanted}.",
                places=split.places(odd),
                value=channels,
            )


def _can_be_brought_to(shape, wanted) -> bool:
    channels = shape[2] if len(shape) > 2 else 1
    return channels == wanted or (wanted == 3 and channels in (1, 4))


@rule(
    "INF003",
    WARNING,
    needs=(CONFIG, RUN),
    why="Anchors, mean and box spreads belong to what the weights have learnt. With other values detection runs, and "
    "finds less, or boxes that are off.",
    example="class InferenceConfig(PartsConfig): RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)",
    fix="Leave the setting out of the configuration for inference.",
)
def inference_settings_differ_from_training(facts):
    """A configuration for inference changes settings of the one that it is derived from and that was trained with.

    Sizes of images are an info: other ones may be meant.
    """
    config, trained = facts.config, _training_base(facts)
    if trained is None:
        return
    for name in (*_SHARED_WITH_TRAINING, *_SIZES):
        here, there = getattr(config, name), getattr(trained, name)
        if equal_values(here, there) or (name in _SIZES and config.IMAGE_RESIZE_MODE != trained.IMAGE_RESIZE_MODE):
            continue
        yield Violation(
            f"{name}={_plain(here)!r}, in {trained.__name__} it is {_plain(there)!r}.",
            setting=name,
            severity=INFO if name in _SIZES else WARNING,
            changes={name: _plain(there)},
        )


def _training_base(facts):
    """The user's class that a configuration for inference is derived from, if that can be trained with."""
    bases = type(facts.config).__mro__[1:]
    if facts.run.mode != "inference" or not bases or not issubclass(bases[0], Config):
        return None
    base = bases[0]
    return None if base.__module__.startswith("mrcnn_plus.") or not base.NAME or base.NUM_CLASSES == 1 else base


def _file(facts) -> WeightsFacts | None:
    path = weights_path(facts.run.weights)
    return None if path is None else read_weights_facts(path)


def _depth_of(config) -> int | None:
    return int(config.BACKBONE.removeprefix("resnet")) if config.BACKBONE in BACKBONES else None


def _plain(value):
    """A function by its name, an array as a list."""
    if callable(value):
        return getattr(value, "__name__", value)
    return value.tolist() if hasattr(value, "tolist") else value
