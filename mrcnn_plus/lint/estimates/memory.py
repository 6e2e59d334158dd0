"""A forecast of the memory that a configuration needs, from the shapes of its tensors.

Counted are the values that must be kept at once. Against measured peaks (TensorFlow on a CPU, ResNet-18 to -101, inputs
of 256 to 1024 pixels, training and detection) the forecast is right within a quarter; the numbers are in
`tests/lint/estimates/test_memory.py`. GPUs reserve more or less depending on the convolution algorithms they choose.
"""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np

from mrcnn_plus.constants import RESNETS
from mrcnn_plus.lint.estimates.molded import can_resize, mold_images
from mrcnn_plus.lint.facts import Facts
from mrcnn_plus.lint.setting_types import built_in_backbone, fits

_RUNTIME = 2**30  # framework, its work space, the traced step
_KEPT_PER_CONVOLUTION = 2  # its output, for the gradient of the normalization, and that of the activation
_COPIES_OF_WEIGHTS = {"sgd": 5, "adam": 6, "adamw": 6}  # weights, gradient, optimizer state, and copies while updating
_LEVELS = sum(4.0**-level for level in range(5))  # cells of P2 to P6 in cells of P2
_SETTINGS = (
    *("IMAGES_PER_GPU", "GPU_COUNT", "BACKBONE_WIDTH", "TOP_DOWN_PYRAMID_SIZE", "RPN_CONV_CHANNELS", "NUM_CLASSES"),
    *("TRAIN_ROIS_PER_IMAGE", "ROI_POSITIVE_RATIO", "POOL_SIZE", "MASK_POOL_SIZE", "MASK_CONV_CHANNELS", "BACKBONE"),
    *("FPN_CLASSIF_FC_LAYERS_SIZE", "POST_NMS_ROIS_INFERENCE", "DETECTION_MAX_INSTANCES", "MAX_GT_INSTANCES"),
    *("MINI_MASK_SHAPE", "USE_MINI_MASK", "PRECISION", "RPN_ANCHOR_RATIOS", "RPN_ANCHOR_STRIDE", "OPTIMIZER"),
)


class Forecast(NamedTuple):
    """Bytes at the peak. batch: all images of a step; per_image: what one image more adds."""

    runtime: float
    weights: float
    batch: float
    per_image: float

    @property
    def total(self) -> float:
        return self.runtime + self.weights + self.batch


def can_forecast(config) -> bool:
    """Whether the network is one whose tensors are known here, and the settings allow to compute."""
    return can_resize(config) and fits(config, *_SETTINGS) and built_in_backbone(config) is not None


def input_shape(facts: Facts) -> tuple[int, int] | None:
    """(height, width) of the network's input; in modes whose input follows the image, of the largest one, if known."""
    config = facts.config
    mode = config.IMAGE_RESIZE_MODE
    if mode in ("square", "crop"):
        return (int(config.IMAGE_MAX_DIM if mode == "square" else config.IMAGE_MIN_DIM),) * 2
    shapes = [mold_images(split, config).shape for split in facts.splits]
    shapes = np.concatenate([np.zeros((0, 2)), *shapes])
    shapes = shapes[~np.isnan(shapes).any(axis=1)]
    return tuple(int(side) for side in shapes[shapes.prod(axis=1).argmax()]) if len(shapes) else None


def forecast_training(config, shape: tuple[int, int], *, layers: str = "all") -> Forecast:
    """Memory of a training step on inputs of `shape` (height, width). layers: "heads" keeps nothing of the backbone."""
    cells = shape[0] * shape[1] / 16  # of P2
    whole = layers != "heads"
    backbone, frozen = backbone_values(config, shape)
    kept = backbone if whole else frozen
    pyramid = 4 * config.TOP_DOWN_PYRAMID_SIZE * cells * _LEVELS
    rois = config.TRAIN_ROIS_PER_IMAGE
    positive = int(rois * config.ROI_POSITIVE_RATIO)
    heads = _box_head_values(config, rois, kept=2) + _mask_head_values(config, positive, kept=2)
    values = kept + pyramid + _rpn_values(config, cells) + heads
    per_image = values * _bytes_per_value(config) + mask_bytes(config, shape)
    parameters, of_backbone = count_parameters(config)
    optimizer = config.OPTIMIZER.lower() if isinstance(config.OPTIMIZER, str) else "adamw"
    trained = parameters if whole else parameters - of_backbone
    weights = 4 * (parameters + (_COPIES_OF_WEIGHTS[optimizer] - 1) * trained)
    return Forecast(_RUNTIME, weights, per_image * config.BATCH_SIZE, per_image)


def forecast_detection(config, shape: tuple[int, int]) -> Forecast:
    """Memory of a detection in inputs of `shape` (height, width)."""
    cells = shape[0] * shape[1] / 16
    _, largest = backbone_values(config, shape)
    pyramid = 3 * config.TOP_DOWN_PYRAMID_SIZE * cells * _LEVELS + _rpn_values(config, cells)
    # The backbone is through when the pyramid is made, and the boxes when the masks are.
    heads = max(
        _box_head_values(config, config.POST_NMS_ROIS_INFERENCE, kept=1),
        _mask_head_values(config, config.DETECTION_MAX_INSTANCES, kept=1),
    )
    per_image = (max(largest, pyramid) + heads) * _bytes_per_value(config)
    return Forecast(_RUNTIME, 4 * count_parameters(config)[0], per_image * config.BATCH_SIZE, per_image)


def backbone_values(config, shape) -> tuple[float, float]:
    """Values of one image that a ResNet keeps for the gradients, and the most that it holds at once without them."""
    blocks, bottleneck = RESNETS[config.BACKBONE]
    width = config.BACKBONE_WIDTH
    area = shape[0] * shape[1] / 4
    kept, largest = area * width, 2 * area * width
    for stage, count in enumerate(blocks):
        area = shape[0] * shape[1] / 4 ** (stage + 2)
        channels = width * 2**stage
        filters = channels * (6 if bottleneck else 2)
        kept += area * (count * filters + channels * (4 if bottleneck else 1))
        largest = max(largest, 2 * area * filters)
    return _KEPT_PER_CONVOLUTION * kept, largest


def count_parameters(config) -> tuple[int, int]:
    """Parameters of the network, and of its backbone; without those of normalization, which are few."""
    blocks, bottleneck = RESNETS[config.BACKBONE]
    width, pyramid = config.BACKBONE_WIDTH, config.TOP_DOWN_PYRAMID_SIZE
    backbone, incoming, lateral = 49 * 3 * width, width, 0
    for stage, count in enumerate(blocks):
        channels = width * 2**stage
        outgoing = channels * (4 if bottleneck else 1)
        backbone += incoming * outgoing  # the shortcut of the first block
        for _ in range(count):
            first, last = (incoming, outgoing) if bottleneck else (9 * incoming, 0)
            backbone += channels * (first + 9 * channels + last)
            incoming = outgoing
        lateral += outgoing * pyramid
    rpn = 9 * pyramid * config.RPN_CONV_CHANNELS
    fc = config.FPN_CLASSIF_FC_LAYERS_SIZE
    classifier = config.POOL_SIZE**2 * pyramid * fc + fc * fc + 5 * fc * config.NUM_CLASSES
    mask = (9 * 4 + 4) * config.MASK_CONV_CHANNELS * max(pyramid, config.MASK_CONV_CHANNELS)
    return int(backbone + lateral + 4 * 9 * pyramid**2 + rpn + classifier + mask), int(backbone)


def mask_bytes(config, shape) -> float:
    """Bytes of one image's true masks, and of the copies made of them when targets are cut out."""
    side = np.prod(config.MINI_MASK_SHAPE) if config.USE_MINI_MASK else shape[0] * shape[1]
    return float(side) * config.MAX_GT_INSTANCES * (1 + 4)


def full_mask_bytes(config, shape) -> float:
    """Bytes of the masks of a batch without mini masks."""
    return float(shape[0]) * shape[1] * config.MAX_GT_INSTANCES * config.BATCH_SIZE


def savings(config, shape, forecast) -> list[tuple[str, object, float]]:
    """`(setting, lower value, bytes saved)`, the most effective first. forecast: `(config, shape) -> Forecast`."""
    now = forecast(config, shape).total
    found = [(name, value, now - forecast(*_with(config, shape, name, value)).total) for name, value in _lower(config)]
    return sorted((item for item in found if item[2] > 0.03 * now), key=lambda item: -item[2])


def changes_to_fit(config, shape, forecast, memory) -> dict[str, object]:
    """`{setting: value}` with which the forecast is at most `memory` bytes: each time the one that saves most.

    Nothing if that is not to be reached.
    """
    changes = {}
    while forecast(config, shape).total > memory:
        possible = savings(config, shape, forecast)
        if not possible:
            return {}
        name, value, _ = possible[0]
        changes[name] = value
        if name == "IMAGE_MAX_DIM" and (config.IMAGE_MIN_DIM or 0) > value:
            changes["IMAGE_MIN_DIM"] = value
        config, shape = _with(config, shape, name, value)
    return changes


def _with(config, shape, name, value):
    """A copy of the configuration with another value of one setting, and the shape of its inputs."""
    other = copy.copy(config)
    vars(other).update(vars(config))
    setattr(other, name, value)
    return other, (value, value) if name == "IMAGE_MAX_DIM" else shape


def _lower(config):
    if config.IMAGES_PER_GPU > 1:
        yield "IMAGES_PER_GPU", config.IMAGES_PER_GPU // 2
    if config.IMAGE_RESIZE_MODE == "square" and config.IMAGE_MAX_DIM >= 256:
        yield "IMAGE_MAX_DIM", int(config.IMAGE_MAX_DIM * 0.75) // 64 * 64
    if config.PRECISION == "float32":
        yield "PRECISION", "mixed_bfloat16"
    if config.BACKBONE == "resnet101":
        yield "BACKBONE", "resnet50"
    if config.TRAIN_ROIS_PER_IMAGE >= 64:
        yield "TRAIN_ROIS_PER_IMAGE", config.TRAIN_ROIS_PER_IMAGE // 2
    if not config.USE_MINI_MASK:
        yield "USE_MINI_MASK", True


def readable(size: float) -> str:
    """Bytes as `1.6 GB` or `300 MB`."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"


def _bytes_per_value(config) -> int:
    return 4 if config.PRECISION == "float32" else 2


def _rpn_values(config, cells) -> float:
    cells = cells * _LEVELS / config.RPN_ANCHOR_STRIDE**2
    # Of each anchor: two scores, their softmax, four deltas, the anchor, its overlaps.
    return cells * (config.RPN_CONV_CHANNELS + 20 * len(config.RPN_ANCHOR_RATIOS))


def _box_head_values(config, rois, *, kept) -> float:
    """kept: copies of each layer's output; gradients need two, and the four neighbours of every sample."""
    patch = config.TOP_DOWN_PYRAMID_SIZE * (5 if kept > 1 else 2)
    return rois * (config.POOL_SIZE**2 * patch + 4 * config.FPN_CLASSIF_FC_LAYERS_SIZE * kept)


def _mask_head_values(config, rois, *, kept) -> float:
    patch = config.TOP_DOWN_PYRAMID_SIZE * (5 if kept > 1 else 2)
    convolutions = config.MASK_CONV_CHANNELS * 8 * kept if kept > 1 else config.MASK_CONV_CHANNELS * 5
    return rois * config.MASK_POOL_SIZE**2 * (patch + convolutions + 4 * 3 * config.NUM_CLASSES)
