"""A `Config` over an object that is none: Matterport's code only reads attributes, and programs rely on that.

compat: `MaskRCNN.__init__`, which takes any object for its configuration.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping

import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.config_base import ConfigBase, equal_values
from mrcnn_plus.lint.settings_source import find_setting

logger = logging.getLogger(__name__)

# What Matterport's code reads, so that a program is told only of defaults that it may have missed.
_MATTERPORTS = (
    *("NAME", "GPU_COUNT", "IMAGES_PER_GPU", "STEPS_PER_EPOCH", "VALIDATION_STEPS", "BACKBONE", "BACKBONE_STRIDES"),
    *("COMPUTE_BACKBONE_SHAPE", "FPN_CLASSIF_FC_LAYERS_SIZE", "TOP_DOWN_PYRAMID_SIZE", "NUM_CLASSES"),
    *("RPN_ANCHOR_SCALES", "RPN_ANCHOR_RATIOS", "RPN_ANCHOR_STRIDE", "RPN_NMS_THRESHOLD", "RPN_BBOX_STD_DEV"),
    *("RPN_TRAIN_ANCHORS_PER_IMAGE", "PRE_NMS_LIMIT", "POST_NMS_ROIS_TRAINING", "POST_NMS_ROIS_INFERENCE"),
    *("USE_MINI_MASK", "MINI_MASK_SHAPE", "IMAGE_RESIZE_MODE", "IMAGE_MIN_DIM", "IMAGE_MAX_DIM", "IMAGE_MIN_SCALE"),
    *("IMAGE_CHANNEL_COUNT", "MEAN_PIXEL", "TRAIN_ROIS_PER_IMAGE", "ROI_POSITIVE_RATIO", "POOL_SIZE"),
    *("MASK_POOL_SIZE", "MASK_SHAPE", "MAX_GT_INSTANCES", "BBOX_STD_DEV", "DETECTION_MAX_INSTANCES"),
    *("DETECTION_MIN_CONFIDENCE", "DETECTION_NMS_THRESHOLD", "LEARNING_RATE", "LEARNING_MOMENTUM", "WEIGHT_DECAY"),
    *("LOSS_WEIGHTS", "USE_RPN_ROIS", "TRAIN_BN", "GRADIENT_CLIP_NORM"),
)


class _Adapter(Config):
    """Reads from `_given` what was not set on the `Config` itself; without it, as any `Config`."""

    def __getattribute__(self, name):
        # Private names and what `Config` does or computes are its own.
        if not name.startswith("_") and name not in vars(ConfigBase):
            own = vars(self)
            if name not in own and "_given" in own:
                has_it, value = _ask(own["_given"], name)
                if has_it:
                    return value
        return super().__getattribute__(name)

    def is_overridden(self, name):
        if super().is_overridden(name):
            return True
        has_it, value = _ask(self._given, name)  # perhaps since this adapter was made
        return has_it and not equal_values(value, getattr(Config, name, None))

    def __reduce__(self):
        return _restore, (self._given, {name: value for name, value in vars(self).items() if name != "_given"})


def _restore(given, own):
    config = as_config(given)
    vars(config).update(own)
    return config


def _ask(given, name):
    """`(whether the object has the setting, its value)`; None of an object that answers to every name is no value."""
    try:
        value = getattr(given, name)
    except AttributeError:
        return False, None
    is_real = value is not None or name in dir(given) or (isinstance(given, Mapping) and name in given)
    return is_real, value


def as_config(given):
    """A `Config` that reads its settings from an object or class with such attributes; defaults fill what it lacks.

    What is a `Config` already, a subclass of it, or has none of Matterport's settings, is returned as it is. Values
    that the object gets later count; those that the `Config` gets stay with it.
    """
    is_config = issubclass(given, Config) if isinstance(given, type) else isinstance(given, ConfigBase)
    if is_config or not any(hasattr(given, name) for name in _MATTERPORTS):
        return given
    values = _values(given)
    from_derived = _from_derived(values)
    places = {name: find_setting(given, name) for name in values}
    owner = given if isinstance(given, type) else type(given)
    # The values stand in a class too: there the linter, and `is_overridden`, look for what a program has set.
    body = {name: value for name, value in values.items() if name not in from_derived}
    body |= {"__module__": owner.__module__, "__doc__": owner.__doc__, "__qualname__": owner.__qualname__}
    body["_setting_places"] = {name: (place.file, place.line) for name, place in places.items() if place.line}
    config = type(owner.__name__, (_Adapter,), body)()
    for name in values.keys() & vars(config).keys():
        del vars(config)[name]  # copies of lists, dictionaries and arrays: the object has them
    defaults = set(vars(config))
    for name, value in from_derived.items():
        setattr(config, name, value)
    lacking = [name for name in _MATTERPORTS if name not in values and name not in vars(config).keys() - defaults]
    if config.NAME is None:  # copies of Matterport's code that only detect may have dropped the log folder
        config.NAME = owner.__name__
        lacking = ["NAME", *(name for name in lacking if name != "NAME")]
    vars(config)["_given"] = given
    _tell(f"{owner.__module__}.{owner.__qualname__}", ", ".join(f"{name}={getattr(config, name)}" for name in lacking))
    return config


def _values(given):
    """Public attributes of an object or class that are no methods: `{name: value}`."""
    values = {}
    for name in sorted({*dir(given), *_MATTERPORTS}):  # `dir` does not know what a `__getattr__` answers
        if name.startswith("_") or (name in vars(ConfigBase) and not name.isupper()):
            continue
        try:
            has_it, value = _ask(given, name)
        except Exception:  # a property of the program's that fails is not asked for by anybody
            continue
        if has_it and (name.isupper() or not callable(value)):
            values[name] = value
    return values


def _from_derived(values):
    """Derived values that have to be set, for the object has them and lacks settings that they are computed from."""
    found = {}
    if values.get("BATCH_SIZE") is not None and "IMAGES_PER_GPU" not in values:
        found["BATCH_SIZE"] = values["BATCH_SIZE"]
    if values.get("IMAGE_SHAPE") is not None:
        side = "IMAGE_MIN_DIM" if values.get("IMAGE_RESIZE_MODE") == "crop" else "IMAGE_MAX_DIM"
        if side not in values:
            found["IMAGE_SHAPE"] = values["IMAGE_SHAPE"]
        elif "IMAGE_CHANNEL_COUNT" not in values and np.shape(values["IMAGE_SHAPE"]) == (3,):
            found["IMAGE_CHANNEL_COUNT"] = int(values["IMAGE_SHAPE"][2])
    return found


@functools.cache
def _tell(name, lacking):
    """Once for each class."""
    if lacking:
        logger.warning(
            "config: %s is no subclass of Config; its attributes are the settings. Those that it lacks are at their "
            "defaults: %s.",
            name,
            lacking,
        )
    else:
        logger.info("config: %s is no subclass of Config; its attributes are the settings.", name)
