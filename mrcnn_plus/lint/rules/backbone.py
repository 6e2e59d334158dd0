"""Backbone, pyramid and normalization, and how they fit the weights that are loaded."""

import os

import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.geometry.anchors import feature_shapes
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, RUN, Violation, rule
from mrcnn_plus.lint.setting_types import BACKBONES, EXPECTED, built_in_backbone, fits, received

_RESNET_STRIDES = [4, 8, 16, 32, 64]
_STAGES = ("3+", "4+", "5+")
_TRIED_SHAPE = (256, 320, 3)
# What published Mask R-CNN weights (COCO) were made with, and those of a ResNet alone (ImageNet).
_SHAPED_BY_COCO = (
    *("BACKBONE_WIDTH", "NORMALIZATION", "TOP_DOWN_PYRAMID_SIZE", "RPN_CONV_CHANNELS", "POOL_SIZE"),
    *("FPN_CLASSIF_FC_LAYERS_SIZE", "MASK_CONV_CHANNELS"),
)
_SHAPED_BY_IMAGENET = ("BACKBONE_WIDTH", "NORMALIZATION")


def published_weights(run) -> str:
    """ "coco" or "imagenet" if the program loads such weights from a file that is not here, else "".

    A file that is here is compared tensor by tensor (WGT001).
    """
    words = str(run.weights or "").lower()
    here = words and os.path.isfile(os.path.expanduser(str(run.weights)))
    return "" if here else next((name for name in ("imagenet", "coco") if name in words), "")


@rule(
    "CFG030",
    ERROR,
    needs=CONFIG,
    why="The backbone is chosen by name, or is a function that builds it.",
    example='BACKBONE = "resnet152"',
    fix=f"Use {', '.join(BACKBONES)}, or a function with the signature of model.resnet_graph.",
)
def unknown_backbone(facts):
    """`BACKBONE` is no known name and no function."""
    if not fits(facts.config, "BACKBONE"):
        expected = EXPECTED["BACKBONE"].text
        name = str(facts.config.BACKBONE).lower().replace("-", "").replace("_", "")
        yield Violation(
            f"expected {expected}, received {received(facts.config, 'BACKBONE')}.",
            setting="BACKBONE",
            changes={"BACKBONE": name} if name in BACKBONES else {},
        )


@rule(
    "CFG032",
    ERROR,
    needs=CONFIG,
    why="Anchors are placed on feature maps of the sizes that COMPUTE_BACKBONE_SHAPE gives, at the distances of "
    "BACKBONE_STRIDES. If the two differ, anchors stand elsewhere than the features that judge them.",
    example="COMPUTE_BACKBONE_SHAPE returns 4 shapes for the 5 BACKBONE_STRIDES",
    fix="Return [levels, (height, width)]: the image's size divided by each of BACKBONE_STRIDES, rounded up.",
)
def backbone_shapes_contradict_strides(facts):
    """`COMPUTE_BACKBONE_SHAPE` fails, or returns other sizes than the image's divided by `BACKBONE_STRIDES`."""
    config = facts.config
    function = config.COMPUTE_BACKBONE_SHAPE
    if not callable(config.BACKBONE) or not callable(function) or not fits(config, "BACKBONE_STRIDES"):
        return
    expected = feature_shapes(_TRIED_SHAPE, config.BACKBONE_STRIDES)
    try:
        shapes = np.asarray(function(_TRIED_SHAPE))
    except Exception as error:  # whatever a user's function may raise
        yield Violation(
            f"COMPUTE_BACKBONE_SHAPE({_TRIED_SHAPE}) failed: {type(error).__name__}: {error}.",
            setting="COMPUTE_BACKBONE_SHAPE",
        )
        return
    if shapes.shape != expected.shape or not np.array_equal(shapes, expected):
        yield Violation(
            f"for an image of {_TRIED_SHAPE} COMPUTE_BACKBONE_SHAPE returned {shapes.tolist()}, "
            f"BACKBONE_STRIDES={list(config.BACKBONE_STRIDES)} give {expected.tolist()}.",
            setting="COMPUTE_BACKBONE_SHAPE",
        )


@rule(
    "CFG033",
    ERROR,
    needs=CONFIG,
    why="Every pyramid level has one anchor scale. With fewer, levels are left without anchors and the network's "
    "answers do not match the anchors any more.",
    example="RPN_ANCHOR_SCALES = (32, 64, 128) for the five pyramid levels",
    fix="Give one scale for each of BACKBONE_STRIDES.",
)
def scales_differ_from_levels(facts):
    """`RPN_ANCHOR_SCALES` and `BACKBONE_STRIDES` have different lengths."""
    config = facts.config
    if not fits(config, "RPN_ANCHOR_SCALES", "BACKBONE_STRIDES"):
        return
    scales, levels = list(config.RPN_ANCHOR_SCALES), len(config.BACKBONE_STRIDES)
    if len(scales) != levels:
        filled = scales[:levels]
        while len(filled) < levels:
            filled.append(2 * filled[-1])
        yield Violation(
            f"{len(scales)} anchor scales {tuple(scales)} for {levels} pyramid levels "
            f"(BACKBONE_STRIDES={list(config.BACKBONE_STRIDES)}).",
            setting="RPN_ANCHOR_SCALES",
            fix=f"Give one scale for each level, such as {tuple(filled)}.",
            changes={"RPN_ANCHOR_SCALES": tuple(filled)},
        )


@rule(
    "CFG034",
    ERROR,
    needs=CONFIG,
    why="Strides are a property of the backbone. Other values move the anchors away from the features that judge them.",
    example='BACKBONE_STRIDES = [2, 4, 8, 16, 32] with BACKBONE = "resnet50"',
    fix="Leave BACKBONE_STRIDES out; smaller objects need smaller RPN_ANCHOR_SCALES or larger images.",
)
def strides_of_built_in_backbone_changed(facts):
    """`BACKBONE_STRIDES` is not [4, 8, 16, 32, 64] with a built-in ResNet."""
    config = facts.config
    if built_in_backbone(config) and fits(config, "BACKBONE_STRIDES"):
        strides = [int(stride) for stride in config.BACKBONE_STRIDES]
        if strides != _RESNET_STRIDES:
            yield Violation(
                f"{config.BACKBONE} has the strides {_RESNET_STRIDES}, received BACKBONE_STRIDES={strides}.",
                setting="BACKBONE_STRIDES",
                changes={"BACKBONE_STRIDES": _RESNET_STRIDES},
            )


@rule(
    "CFG035",
    INFO,
    needs=(CONFIG, RUN),
    why='"3+", "4+" and "5+" choose backbone layers by the names of the built-in ResNets (res3a_branch2a, bn4b_...). '
    "In another backbone they match nothing, and only the heads train.",
    example='BACKBONE = my_function with layers="4+"',
    fix='Use "heads" and "all", or a regular expression of your layers\' names.',
)
def stage_names_with_own_backbone(facts):
    """A function is the `BACKBONE`, and a stage is chosen by a preset that goes by the names of ResNet layers."""
    stages = [facts.run.layers, *(layers for _, _, layers in facts.run.stages)]
    used = sorted({layers for layers in stages if layers in _STAGES})
    if callable(facts.config.BACKBONE) and used:
        name = getattr(facts.config.BACKBONE, "__name__", "the function")
        yield Violation(
            f"layers={used[0]!r} trains layers that are called res{used[0][0]}... and bn{used[0][0]}...; check that "
            f"{name} calls its layers so.",
            setting="BACKBONE",
        )


@rule(
    "CFG036",
    WARNING,
    needs=(CONFIG, RUN),
    why="Layers of another shape cannot take the tensors of the file; they start from random values, and layers behind "
    "them get features that they do not know.",
    example='TOP_DOWN_PYRAMID_SIZE = 128 with weights "coco"',
    fix="Keep the default with published weights, or train longer and expect less from them.",
)
def shapes_differ_from_published_weights(facts):
    """Published weights are loaded, and a setting gives layers another shape than theirs."""
    shaping = {"imagenet": _SHAPED_BY_IMAGENET, "coco": _SHAPED_BY_COCO}
    for name in shaping.get(published_weights(facts.run), ()):
        value, published = getattr(facts.config, name), getattr(Config, name)
        if fits(facts.config, name) and value != published:
            yield Violation(
                f"{facts.run.weights} was made with {name}={published!r}, received {name}={value!r}: layers that "
                "depend on it start from random values.",
                setting=name,
                changes={name: published},
            )


@rule(
    "CFG037",
    WARNING,
    needs=CONFIG,
    why="The built-in backbones know the sizes of their feature maps; the function is not called.",
    example='COMPUTE_BACKBONE_SHAPE = my_shapes with BACKBONE = "resnet50"',
    fix="Leave COMPUTE_BACKBONE_SHAPE out, or set BACKBONE to your function.",
)
def backbone_shape_function_without_own_backbone(facts):
    """`COMPUTE_BACKBONE_SHAPE` is given and `BACKBONE` is a built-in one."""
    config = facts.config
    if callable(config.COMPUTE_BACKBONE_SHAPE) and built_in_backbone(config):
        yield Violation(
            f"COMPUTE_BACKBONE_SHAPE is not used with BACKBONE={config.BACKBONE!r}.",
            setting="COMPUTE_BACKBONE_SHAPE",
            changes={"COMPUTE_BACKBONE_SHAPE": None},
        )


@rule(
    "CFG095",
    WARNING,
    needs=CONFIG,
    why="Statistics of one or two images are too noisy to normalize by; training becomes worse with them.",
    example="TRAIN_BN = True with IMAGES_PER_GPU = 2",
    fix='Set TRAIN_BN = False with pretrained weights, or NORMALIZATION = "group" to train from random ones.',
)
def batch_normalization_on_small_batches(facts, *, least_images=8):
    """`TRAIN_BN` is True or None, and a step has fewer than `least_images` images."""
    config = facts.config
    if not fits(config, "NORMALIZATION", "TRAIN_BN", "IMAGES_PER_GPU") or config.NORMALIZATION != "batch":
        return
    frozen, images = config.TRAIN_BN is not None and not config.TRAIN_BN, config.IMAGES_PER_GPU
    if not frozen and images < least_images:
        yield Violation(
            f"TRAIN_BN={config.TRAIN_BN!r} normalizes by the statistics of IMAGES_PER_GPU={images} "
            f"{'image' if images == 1 else 'images'}; it wants {least_images} or more.",
            setting="TRAIN_BN",
            changes={"TRAIN_BN": False},
        )


@rule(
    "CFG096",
    WARNING,
    needs=(CONFIG, RUN),
    why="Frozen statistics are right for pretrained weights, which bring theirs. Random weights keep those of the "
    "beginning, mean 0 and variance 1, so nothing is normalized and a deep network hardly trains.",
    example="TRAIN_BN = False and no load_weights",
    fix='Load pretrained weights, or set NORMALIZATION = "group".',
)
def frozen_normalization_from_random_weights(facts):
    """`TRAIN_BN` is False with batch normalization, and the network starts from random weights."""
    config = facts.config
    random = facts.run.pretrained is False and facts.run.mode != "inference"
    if not random or not fits(config, "NORMALIZATION", "TRAIN_BN") or config.NORMALIZATION != "batch":
        return
    if config.TRAIN_BN is not None and not config.TRAIN_BN:
        yield Violation(
            "the network starts from random weights, and TRAIN_BN=False keeps batch normalization at mean 0 and "
            "variance 1.",
            setting="TRAIN_BN",
            changes={"NORMALIZATION": "group"},
        )
