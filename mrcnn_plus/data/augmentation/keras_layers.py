"""Keras' layers for image augmentation, alone, in a `keras.layers.Pipeline` or in a `keras.Sequential`.

A layer draws a transformation once and applies it to the image and, by nearest neighbour, to the masks. Keras is not
imported here: whoever has a layer has imported it.

Three things are not left to Keras 3:
- Random numbers: layers are copied for each thread, and the copies are seeded for every image, before the image and
  again before the masks. RandomElasticTransform draws anew for the masks otherwise, and they go elsewhere.
- `fill_mode`: the default of several layers is "reflect". It mirrors objects at the border, so that the mask, and with
  it the box, holds the object and its mirror image. The copies fill with a constant in place of it, and say so.
- dtype: layers answer in float32; the image gets its dtype back, rounded.
"""

import logging
import sys
import weakref

import numpy as np

from mrcnn_plus.data.augmentation.random_numbers import draw_seed, private_copy
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.geometry.masks import pack_masks, unpack_masks

logger = logging.getLogger(__name__)

_BASE = "BaseImagePreprocessingLayer"
# Some layers limit all values to 0 to 255.
_MASKS_IN_A_PLANE = 8
_REPEATING_FILLS = ("reflect", "mirror", "wrap")
_REFUSED = {
    "MixUp": "blends two images of a batch, and images are augmented one by one",
    "CutMix": "puts a part of one image of a batch into another, and images are augmented one by one",
    "AugMix": "blends several moved versions of an image, so that no mask fits",
    "MaxNumBoundingBoxes": "is for boxes, and boxes are made from the masks",
}
# Settings that get_config gives in a form that Keras 3.15 does not take back.
_NOT_RESTORED = {"RandomShear": ("x_factor", "y_factor")}
_ONLY_COLORS = {"ContrastLimitedAdaptiveHistogramEqualization"}  # has no method for masks
_told = weakref.WeakSet()


def recognizes(augmentation):
    """Judged by the names of its classes, so that Keras is not imported."""
    return any(base.__module__.split(".")[0] in ("keras", "tf_keras") for base in type(augmentation).__mro__)


def check(layer):
    """Raise `ConfigError` for layers that cannot augment an image with its masks."""
    for part in _leaves(layer):
        name = type(part).__name__
        if name in _REFUSED:
            raise ConfigError(
                f"augmentation: expected a layer that changes one image, received {name}, which {_REFUSED[name]}. "
                "Leave it out."
            )
        if name == "RandomElasticTransform" and sys.modules["keras"].backend.backend() == "torch":
            raise ConfigError(
                "augmentation: RandomElasticTransform draws without a seed on PyTorch, for the masks anew, so they "
                "would go elsewhere, received it with KERAS_BACKEND=torch. Use imgaug's ElasticTransformation."
            )
        if not any(base.__name__ == _BASE for base in type(part).__mro__):
            raise ConfigError(
                "augmentation: expected Keras layers for image augmentation, as keras.layers.RandomFlip, received "
                f"{name}. Images keep their values of 0 to 255 here (MEAN_PIXEL is subtracted afterwards), so leave "
                "Rescaling and Normalization out; wrap other layers in a function (image, masks) -> (image, masks)."
            )


def parts(layer):
    """The layers that it is made of, in order; none for a single one."""
    if any(base.__name__ == _BASE for base in type(layer).__mro__):
        return []
    return [part for part in getattr(layer, "layers", []) if type(part).__name__ != "InputLayer"]


def remedy_for_size(layer):
    """What to do about a layer that changes the size of the image."""
    name = type(layer).__name__
    return f"Leave {name} out: images have the network's size already. keras.layers.RandomZoom crops and enlarges."


def apply(layer, image, masks, rng):
    """One pass over an image `[H, W, C]` and its masks bool `[H, W, N]`; returns both."""
    own = private_copy(layer, _copy_for_masks)
    seeds = np.random.default_rng(draw_seed(rng))
    count = masks.shape[2]
    new_image = image.astype(np.float32)
    planes = pack_masks(masks, bits=_MASKS_IN_A_PLANE).astype(np.float32)
    with sys.modules["keras"].device("cpu:0"):
        for part in own:
            _check_value_range(part, image)
            seed = int(seeds.integers(2**31))
            try:
                new_image, planes = _apply_one(part, new_image, planes, seed)
            except Exception as error:
                raise ConfigError(
                    f"augmentation: Keras' {type(part).__name__} failed on an image of shape={image.shape}, "
                    f"dtype={image.dtype} with {count} masks: {type(error).__name__}: {error}. Leave it out, or wrap "
                    "it in a function (image, masks) -> (image, masks)."
                ) from error
    if image.dtype.kind in "iu":
        limits = np.iinfo(image.dtype)
        new_image = np.clip(np.rint(new_image), limits.min, limits.max)
    return new_image.astype(image.dtype), unpack_masks(planes.astype(np.int32), count, bits=_MASKS_IN_A_PLANE)


def _apply_one(layer, image, planes, seed):
    """A layer on an image float32 `[H, W, C]` and planes of masks float32 `[H, W, planes]`; returns both as arrays."""
    to_numpy = sys.modules["keras"].ops.convert_to_numpy
    images = layer.backend.convert_to_tensor(image[np.newaxis])
    _seed(layer, seed)
    transformation = layer.get_random_transformation(images, training=True)
    _seed(layer, seed + 1)
    new_image = to_numpy(layer.transform_images(images, transformation, training=True))[0]
    if not planes.shape[2] or type(layer).__name__ in _ONLY_COLORS:
        return new_image, planes
    _seed(layer, seed + 1)
    tensors = layer.backend.convert_to_tensor(planes[np.newaxis])
    return new_image, to_numpy(layer.transform_segmentation_masks(tensors, transformation, training=True))[0]


def _check_value_range(layer, image):
    """Raise `ConfigError` for a layer made for values up to 1; it would make images of 0 to 255 white."""
    value_range = getattr(layer, "value_range", None)
    if value_range is not None and image.dtype == np.uint8 and max(value_range) < 255:
        raise ConfigError(
            f"augmentation: expected {type(layer).__name__} for images of 0 to 255, received "
            f"value_range={tuple(value_range)}. Write value_range=(0, 255)."
        )


# ---- copies ---------------------------------------------------------------------------------------------------------


def _leaves(layer):
    """All single layers, those in pipelines of pipelines too."""
    inside = parts(layer)
    if not inside and any(base.__name__ in ("Pipeline", "Sequential") for base in type(layer).__mro__):
        return []
    return [leaf for part in inside for leaf in _leaves(part)] if inside else [layer]


def _copy_for_masks(layer):
    """Copies of all single layers, which compute in float32 and fill borders with a constant."""
    copies = [_copy_of_one(leaf) for leaf in _leaves(layer)]
    changed = []
    for leaf in copies:
        for part in [leaf, *_layers_inside(leaf)]:
            if getattr(part, "fill_mode", None) in _REPEATING_FILLS:
                changed.append(f"{type(part).__name__} fill_mode={part.fill_mode!r}")
                part.fill_mode = "constant"
    if changed and layer not in _told:
        _told.add(layer)
        logger.warning(
            "augmentation: %s mirrors or repeats objects at the border, and their masks with them; "
            "fill_mode='constant' is used in its place. Write fill_mode='constant' to be rid of this message.",
            ", ".join(dict.fromkeys(changed)),
        )
    return copies


def _copy_of_one(layer):
    try:
        settings = layer.get_config()
        settings["dtype"] = "float32"
        if "data_format" in settings:
            settings["data_format"] = "channels_last"
        by_hand = [name for base in type(layer).__mro__ for name in _NOT_RESTORED.get(base.__name__, ())]
        copied = type(layer).from_config(settings | dict.fromkeys(by_hand, 0.0))
        for name in by_hand:
            setattr(copied, name, getattr(layer, name))
        return copied
    except Exception as error:
        name = type(layer).__name__
        raise ConfigError(
            f"augmentation: expected a layer that can be copied by get_config and from_config, received {name}: "
            f"{type(error).__name__}: {error}. Write get_config for it, or wrap it in a function (image, masks) -> "
            "(image, masks)."
        ) from error


def _layers_inside(layer):
    """Layers that a layer like RandAugment holds as attributes."""
    # On PyTorch a layer is a module, which keeps its parts in a dictionary.
    held = [*vars(layer).values(), *vars(layer).get("_modules", {}).values()]
    return [value for value in held if any(base.__name__ == _BASE for base in type(value).__mro__)]


def _seed(layer, seed):
    """Make a layer, and those inside of it, go on with the random numbers of a seed."""
    for number, part in enumerate([layer, *_layers_inside(layer)]):
        generator = getattr(part, "generator", None)
        if generator is not None:
            generator.state.assign(np.array([seed % 2**31, number], generator.state.dtype))
