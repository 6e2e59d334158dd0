"""Random changes to an image for training, with the masks moved along.

`apply_augmentation` looks at what it was given and hands over to the module of its kind. A kind is a module with the
functions `recognizes`, `check`, `parts`, `remedy_for_size` and `apply`, so another library is another module.
"""

import numpy as np

from mrcnn_plus.data.augmentation import albumentations_transforms, imgaug_augmenters, keras_layers
from mrcnn_plus.data.augmentation.albumentations_transforms import import_albumentations
from mrcnn_plus.data.augmentation.imgaug_augmenters import import_imgaug
from mrcnn_plus.errors import ConfigError, DatasetError

__all__ = [
    "apply_augmentation",
    "check_augmentation",
    "flip_left_right_sometimes",
    "import_albumentations",
    "import_imgaug",
]

_LIBRARIES = (imgaug_augmenters, albumentations_transforms, keras_layers)
_KINDS = (
    "an imgaug augmenter, an Albumentations transform, a Keras layer for image augmentation (or a Pipeline of them), "
    "or a function (image, masks) -> (image, masks)"
)


def apply_augmentation(augmentation, image, masks, *, rng=None):
    """Change an image and its masks in the same random way.

    augmentation: an imgaug augmenter, an Albumentations transform, a Keras layer or `keras.layers.Pipeline` for image
        augmentation, or a function `(image, masks) -> (image, masks)`. It has to keep the sizes.
    image: `[H, W, C]`; masks: bool `[H, W, N]`. Both are left as they are.
    rng: `numpy.random.Generator` that decides all that the three libraries draw, so threads may augment at once and
        every image gets the same change in every run. None leaves it to imgaug's augmenter and its own random state,
        and to NumPy's global one for the others. Functions have their own randomness.

    Returns `(image, masks)`: image of the same shape and dtype, masks bool `[H, W, N]`. Masks may have become empty.
    Raises `ConfigError` that names the augmenter if it is of no known kind, fails, or changes the size, and
    `DatasetError` if masks come back soft or with NaN.
    """
    check_augmentation(augmentation)
    apply = getattr(_library_of(augmentation), "apply", _apply_function)
    new_image, new_masks = (np.asarray(array) for array in apply(augmentation, image, masks, rng))
    if new_image.shape != image.shape or new_masks.shape != masks.shape:
        raise ConfigError(_explain_size(augmentation, image, masks, new_image, new_masks))
    return _check_values(augmentation, image, new_image, new_masks)


def check_augmentation(augmentation):
    """Raise `ConfigError` for what is neither None nor of a known kind; called before the first image is loaded."""
    if isinstance(augmentation, type):
        name = augmentation.__name__
        raise ConfigError(f"augmentation: expected an instance, received the class {name}. Write {name}(...).")
    library = _library_of(augmentation)
    if library is not None:
        library.check(augmentation)
        return
    if augmentation is None or callable(augmentation):
        return
    raise ConfigError(
        f"augmentation: expected {_KINDS}, received augmentation={augmentation!r} of type "
        f"{type(augmentation).__name__}. Several go into one: imgaug.augmenters.Sequential([...]), "
        "albumentations.Compose([...]), keras.layers.Pipeline([...])."
    )


def flip_left_right_sometimes(image, masks):
    """Mirror image and masks left to right, half the time; what `load_image_gt(augment=True)` meant.

    image: `[H, W, C]`; masks: `[H, W, N]`. Random numbers come from NumPy's global state.
    """
    if np.random.randint(2):
        return np.fliplr(image), np.fliplr(masks)
    return image, masks


def _library_of(augmentation):
    """The module that handles an augmentation, or None for a function."""
    return next((library for library in _LIBRARIES if library.recognizes(augmentation)), None)


def _apply_function(function, image, masks, rng):
    """A user's function; it gets copies, because data sets may keep the arrays that they return."""
    answer = function(image.copy(), masks.copy())
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise ConfigError(
            f"augmentation: expected {_name(function)} to return (image, masks), received {type(answer).__name__}. "
            "Return both, also if only one was changed."
        )
    return answer


def _explain_size(augmentation, image, masks, new_image, new_masks):
    """The message for an augmentation that changed the size: which part of it did, and what to do."""
    which, before, after = "image", image.shape, new_image.shape
    if before == after:
        which, before, after = "masks", masks.shape, new_masks.shape
    library = _library_of(augmentation)
    remedy, culprit = "Scale both back to the size that came in.", ""
    if library is not None:
        part = _resizing_part(library, augmentation, image, masks)
        culprit = "" if part is augmentation else f" ({type(part).__name__} did)"
        remedy = library.remedy_for_size(part)
    return (
        f"augmentation: {_name(augmentation)} changed the {which} from shape={before} to shape={after}{culprit}. It "
        "must keep the size and the number of channels and masks: boxes and masks are made for the resized image. "
        f"{remedy}"
    )


def _resizing_part(library, augmentation, image, masks):
    """The innermost part that changes the size of an image by itself; the whole if none can be told."""
    for part in library.parts(augmentation):
        for seed in range(5):  # it may not do so every time
            try:
                changed = library.apply(part, image, masks, np.random.default_rng(seed))[0].shape != image.shape
            except ConfigError:
                continue
            if changed:
                return _resizing_part(library, part, image, masks)
    return augmentation


def _check_values(augmentation, image, new_image, new_masks):
    """Raise an error unless the image kept its dtype and masks have two values; returns `(image, bool masks)`."""
    if new_image.dtype != image.dtype:
        raise ConfigError(
            f"augmentation: {_name(augmentation)} changed the image from dtype={image.dtype} to "
            f"dtype={new_image.dtype}, received values from {new_image.min()} to {new_image.max()}. Convert it back: "
            "MEAN_PIXEL belongs to the values that load_image returns."
        )
    if new_masks.dtype != bool and not _has_two_values(new_masks):
        raise DatasetError(
            f"augmentation: expected {_name(augmentation)} to return masks of two values, inside and outside, received "
            f"dtype={new_masks.dtype} with other values between, or NaN. Move masks by nearest neighbour (order=0), or "
            "return masks > 0.5."
        )
    return np.ascontiguousarray(new_image), np.ascontiguousarray(new_masks != 0)


def _has_two_values(masks):
    """Whether masks hold 0 and one other value, as 1 or 255; False for soft rims, NaN and what is no number."""
    if masks.dtype.kind not in "uif":
        return False
    return masks.size == 0 or bool(np.all((masks == 0) | (masks == masks.max())))


def _name(augmentation):
    name = getattr(augmentation, "__qualname__", None) or type(augmentation).__name__
    library = _library_of(augmentation)
    parts = [type(part).__name__ for part in library.parts(augmentation)] if library else []
    return f"{name}([{', '.join(parts)}])" if parts else name
