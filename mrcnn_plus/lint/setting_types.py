"""What each setting may hold: one row for every setting of `Config`.

Rules that compute with settings ask `fits` first, so a value of the wrong type is reported once, by one rule, and no
other rule fails over it.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from mrcnn_plus.constants import CLASS_LOSSES, LOSS_DIVISORS, OPTIMIZERS, RESNETS, WEIGHTED_LOSSES
from mrcnn_plus.geometry.resizing import RESIZE_MODES

BACKBONES = tuple(RESNETS)
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")


class Expected(NamedTuple):
    """accepts: whether a value will do; text: what is expected, for "expected ..."."""

    accepts: Callable[[Any], bool]
    text: str


def is_whole(value) -> bool:
    """A whole number, NumPy's too; True and False are none, and neither is 2.0."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool | np.bool_)


def is_number(value) -> bool:
    """A finite number; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_) and bool(np.isfinite(value))


def as_numbers(value) -> np.ndarray | None:
    """A flat sequence of finite numbers as an array `[N]`, or None for anything else."""
    if isinstance(value, str | bytes | Mapping | set) or not hasattr(value, "__len__"):
        return None
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        return None
    return array if array.ndim == 1 and array.dtype.kind in "iuf" and np.isfinite(array).all() else None


def _whole(lowest: int) -> Expected:
    return Expected(lambda value: is_whole(value) and value >= lowest, f"a whole number of at least {lowest}")


def _one_of(*choices) -> Expected:
    text = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"
    return Expected(lambda value: any(value is choice or _equal(value, choice) for choice in choices), text)


def _is_name(value, names) -> bool:
    return isinstance(value, str) and value in names


def _equal(value, choice) -> bool:
    return type(value) is type(choice) and value == choice


def _or_none(expected: Expected) -> Expected:
    return Expected(lambda value: value is None or expected.accepts(value), f"{expected.text}, or None")


def _numbers(text: str, *, count: int | None = None, whole: bool = False) -> Expected:
    def accepts(value):
        array = as_numbers(value)
        if array is None or not len(array) or (count is not None and len(array) != count):
            return False
        return bool((array > 0).all()) and (not whole or bool((array == np.round(array)).all()))

    return Expected(accepts, text)


def _pixels(value) -> bool:
    """A size in pixels, None or 0 for none; 512.0 will do."""
    return value is None or (is_number(value) and value >= 0 and value == int(value))


def _is_mean_pixel(value) -> bool:
    return is_number(value) or (as_numbers(value) is not None and len(value) > 0)


def _are_divisors(value) -> bool:
    return isinstance(value, Mapping) and all(
        _is_name(choice, LOSS_DIVISORS.get(loss, ())) for loss, choice in value.items()
    )


def _are_rising_shares(value) -> bool:
    shares = as_numbers(value)
    return shares is not None and bool(((shares > 0) & (shares < 1)).all() and (np.diff(shares) > 0).all())


def _is_optimizer(value) -> bool:
    if isinstance(value, str):
        return value.lower() in [name.lower() for name in OPTIMIZERS]
    return callable(value) or hasattr(value, "apply_gradients")


_SWITCH = Expected(
    lambda value: isinstance(value, bool | np.bool_) or _equal(value, 0) or _equal(value, 1), "True or False"
)
_SHARE = Expected(lambda value: is_number(value) and 0 < value <= 1, "a number above 0 and up to 1")
_FROM_0_TO_1 = Expected(lambda value: is_number(value) and 0 <= value <= 1, "a number from 0 to 1")
_BELOW_1 = Expected(lambda value: is_number(value) and 0 <= value < 1, "a number from 0 up to, but not including, 1")
_POSITIVE = Expected(lambda value: is_number(value) and value > 0, "a number above 0")
_DEVIATIONS = _numbers("four numbers above 0", count=4)
_SIZE = Expected(_pixels, "a whole number of pixels")

EXPECTED: dict[str, Expected] = {
    "NAME": Expected(lambda value: isinstance(value, str) and bool(value.strip()), "a short name"),
    "SEED": _or_none(_whole(0)),
    "GPU_COUNT": _whole(1),
    "IMAGES_PER_GPU": _whole(1),
    "PRECISION": _one_of(*PRECISIONS),
    "JIT_COMPILE": _or_none(_SWITCH),
    "CONSTANT_WEIGHTS": _or_none(_SWITCH),
    "INFERENCE_ENGINE": _one_of("keras", "openvino"),
    "WORKERS": _or_none(_whole(0)),
    "USE_MULTIPROCESSING": _SWITCH,
    "NUM_CLASSES": _whole(2),
    "IMAGE_RESIZE_MODE": _one_of(*RESIZE_MODES),
    "IMAGE_MIN_DIM": _SIZE,
    "IMAGE_MAX_DIM": _SIZE,
    "IMAGE_MIN_SCALE": _or_none(Expected(lambda value: is_number(value) and value >= 0, "a factor, or 0 for none")),
    "IMAGE_CHANNEL_COUNT": _whole(1),
    "MEAN_PIXEL": Expected(_is_mean_pixel, "one number for each channel"),
    "BACKBONE": Expected(
        lambda value: callable(value) or _is_name(value, BACKBONES), f"{_one_of(*BACKBONES).text}, or a function"
    ),
    "BACKBONE_WIDTH": _whole(1),
    "COMPUTE_BACKBONE_SHAPE": _or_none(Expected(callable, "a function")),
    "BACKBONE_STRIDES": _numbers("whole numbers above 0, one for each pyramid level", whole=True),
    "NORMALIZATION": _one_of("batch", "group"),
    "TRAIN_BN": _or_none(_SWITCH),
    "TOP_DOWN_PYRAMID_SIZE": _whole(1),
    "RPN_ANCHOR_SCALES": _numbers("numbers above 0, one for each pyramid level"),
    "RPN_ANCHOR_RATIOS": _numbers("numbers above 0, width / height"),
    "RPN_ANCHOR_STRIDE": _whole(1),
    "RPN_CONV_CHANNELS": _whole(1),
    "RPN_TRAIN_ANCHORS_PER_IMAGE": _whole(2),
    "PRE_NMS_LIMIT": _whole(1),
    "RPN_NMS_THRESHOLD": _FROM_0_TO_1,
    "POST_NMS_ROIS_TRAINING": _whole(1),
    "POST_NMS_ROIS_INFERENCE": _whole(1),
    "RPN_MIN_SIZE": Expected(lambda value: is_number(value) and value >= 0, "a number of pixels, or 0"),
    "USE_RPN_ROIS": _SWITCH,
    "RPN_BBOX_STD_DEV": _DEVIATIONS,
    "BBOX_STD_DEV": _DEVIATIONS,
    "ROI_ALIGN": _one_of("crop_and_resize", "exact"),
    "POOL_SIZE": _whole(1),
    "MASK_POOL_SIZE": _whole(1),
    "FPN_CLASSIF_FC_LAYERS_SIZE": _whole(1),
    "MASK_CONV_CHANNELS": _whole(1),
    "MASK_SHAPE": _numbers("two whole numbers, [height, width]", count=2, whole=True),
    "MAX_GT_INSTANCES": _whole(1),
    "USE_MINI_MASK": _SWITCH,
    "MINI_MASK_SHAPE": _numbers("two whole numbers, (height, width)", count=2, whole=True),
    "USE_NEGATIVE_IMAGES": _SWITCH,
    "SKIP_BAD_IMAGES": _SWITCH,
    "CACHE_ANNOTATIONS": _SWITCH,
    "SAMPLER": _one_of("shuffle", "class_balanced", "repeat_factor"),
    "REPEAT_THRESHOLD": _SHARE,
    "TRAIN_ROIS_PER_IMAGE": _whole(1),
    "ROI_POSITIVE_RATIO": _SHARE,
    "DETECTION_MAX_INSTANCES": _whole(1),
    "DETECTION_MIN_CONFIDENCE": _or_none(_FROM_0_TO_1),
    "DETECTION_NMS_THRESHOLD": _FROM_0_TO_1,
    "DETECTION_CROP_PADDING": _SWITCH,
    "STEPS_PER_EPOCH": _whole(1),
    "VALIDATION_STEPS": _whole(1),
    "OPTIMIZER": Expected(_is_optimizer, f"{_one_of(*OPTIMIZERS).text}, an optimizer, or a function that makes one"),
    "LEARNING_RATE": Expected(
        lambda value: callable(value) or (is_number(value) and value > 0), "a number above 0, or a schedule"
    ),
    "LEARNING_MOMENTUM": _BELOW_1,
    "WEIGHT_DECAY": _BELOW_1,
    "LR_MULTIPLIERS": Expected(
        lambda value: isinstance(value, Mapping) and all(is_number(factor) and factor > 0 for factor in value.values()),
        "a dictionary {part of the network or layer names: factor above 0}",
    ),
    "LR_SCHEDULE": Expected(
        lambda value: value is None or callable(value) or _is_name(value, ("step", "cosine")),
        "None, 'step', 'cosine', a schedule, or a function that makes one",
    ),
    "LR_STEPS": Expected(_are_rising_shares, "rising shares of a stage between 0 and 1"),
    "LR_STEP_FACTOR": Expected(lambda value: is_number(value) and 0 < value < 1, "a number between 0 and 1"),
    "WARMUP_STEPS": _whole(0),
    "GRADIENT_ACCUMULATION_STEPS": _whole(1),
    "EMA_MOMENTUM": _or_none(Expected(lambda value: is_number(value) and 0 < value < 1, "a number between 0 and 1")),
    "TRAIN_STAGES": _or_none(
        Expected(lambda value: isinstance(value, list | tuple) and len(value) > 0, "a list of stages")
    ),
    "KEEP_LAST": _or_none(_whole(1)),
    "BEST_METRIC": _or_none(
        Expected(lambda value: isinstance(value, str) and bool(value), "the name of a logged value")
    ),
    "EARLY_STOPPING_PATIENCE": _or_none(_whole(0)),
    "EVALUATE_EVERY": _whole(0),
    "VERBOSE": _one_of(0, 1, 2),
    "WATCH_TRAINING": _SWITCH,
    "GRADIENT_CLIP_NORM": _or_none(_POSITIVE),
    "GRADIENT_CLIP_BY": _one_of("variable", "global"),
    "LOSS_WEIGHTS": Expected(
        lambda value: isinstance(value, Mapping) and all(is_number(weight) for weight in value.values()),
        "a dictionary of losses and numbers",
    ),
    "CLASS_WEIGHTS": Expected(
        lambda value: value is None or isinstance(value, Mapping) or _is_name(value, ("balanced", "effective")),
        "None, 'balanced', 'effective' or a dictionary {class name or id: weight}",
    ),
    "CLASS_WEIGHTS_BETA": _BELOW_1,
    "CLASS_WEIGHTS_LOSSES": Expected(
        lambda value: isinstance(value, list | tuple | set) and all(_is_name(name, WEIGHTED_LOSSES) for name in value),
        f"a tuple with names out of {', '.join(WEIGHTED_LOSSES)}",
    ),
    "RPN_POSITIVE_WEIGHT": _POSITIVE,
    "ROI_POSITIVE_WEIGHT": _POSITIVE,
    "RPN_CLASS_LOSS": _one_of(*CLASS_LOSSES),
    "CLASS_LOSS": _one_of(*CLASS_LOSSES),
    "FOCAL_GAMMA": Expected(lambda value: is_number(value) and 0 <= value <= 10, "a number from 0 to 10"),
    "FOCAL_ALPHA": _or_none(Expected(lambda value: is_number(value) and 0 < value < 1, "a number between 0 and 1")),
    "ROI_HARD_EXAMPLES": _or_none(
        Expected(
            lambda value: (is_whole(value) and value >= 1) or (isinstance(value, float) and 0 < value <= 1),
            "a whole number of ROIs, or a share up to 1.0",
        )
    ),
    "LOSS_NORMALIZATION": Expected(
        _are_divisors,
        f"a dictionary with choices of {LOSS_DIVISORS}",
    ),
    "LOSS_BALANCING": _one_of("fixed", "uncertainty"),
    "LINT_IGNORE": Expected(
        lambda value: value is None or isinstance(value, str) or _are_texts(value),
        "codes of rules",
    ),
    "LINT_THRESHOLDS": Expected(
        lambda value: isinstance(value, Mapping) and all(isinstance(limits, Mapping) for limits in value.values()),
        "a dictionary {code: {threshold: value}}",
    ),
}


def fits(config, *names: str) -> bool:
    """Whether all these settings exist and hold what they may."""
    return all(hasattr(config, name) and EXPECTED[name].accepts(getattr(config, name)) for name in names)


def resize_mode(config) -> str | None:
    """The mode in which images are resized, or None if it is none of the four."""
    return config.IMAGE_RESIZE_MODE if fits(config, "IMAGE_RESIZE_MODE") else None


def built_in_backbone(config) -> str | None:
    """The name of the built-in ResNet that is the backbone, or None for a function."""
    return config.BACKBONE if fits(config, "BACKBONE") and isinstance(config.BACKBONE, str) else None


def received(config, name: str) -> str:
    """`IMAGE_MAX_DIM='512'`, for messages; long values are cut."""
    text = repr(getattr(config, name, None))
    return f"{name}={text if len(text) <= 80 else text[:77] + '...'}"


def _are_texts(value) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(isinstance(item, str) for item in value)
