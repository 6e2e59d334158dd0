"""Random changes to an image for training, with the masks moved along.

`apply_augmentation` looks at what it was given and hands over to one function for each kind. A kind is a pair of
"is it one of these?" and "apply it", so another library is another pair.
"""

import threading

import numpy as np

from mrcnn_plus.errors import ConfigError, DatasetError

# Masks in one label map: imgaug's label maps are safe up to 16 bits.
_MASKS_IN_A_LABEL_MAP = 15
_importing = threading.Lock()


def apply_augmentation(augmentation, image, masks, *, rng=None):
    """Change an image and its masks in the same random way.

    augmentation: an imgaug augmenter, or a function `(image, masks) -> (image, masks)` that keeps the sizes.
    image: `[H, W, C]`; masks: bool `[H, W, N]`. Both are left as they are.
    rng: `numpy.random.Generator` that decides what an imgaug augmenter draws; None leaves that to the augmenter's own
        random state. Functions have their own randomness.

    Returns `(image, masks)`: image of the same shape and dtype, masks bool `[H, W, N]`. Masks may have become empty.
    Raises `ConfigError` that names the augmenter if it is of no known kind, fails, or changes the size, and
    `DatasetError` if masks come back soft or with NaN.
    """
    check_augmentation(augmentation)
    if _is_imgaug_augmenter(augmentation):
        new_image, new_masks = _apply_imgaug(augmentation, image, masks, rng)
    else:
        new_image, new_masks = _apply_function(augmentation, image, masks)
    return _check_answer(augmentation, image, masks, np.asarray(new_image), np.asarray(new_masks))


def check_augmentation(augmentation):
    """Raise `ConfigError` for what is neither None nor of a known kind; called before the first image is loaded."""
    if isinstance(augmentation, type):
        name = augmentation.__name__
        raise ConfigError(f"augmentation: expected an instance, received the class {name}. Write {name}(...).")
    if augmentation is None or callable(augmentation) or _is_imgaug_augmenter(augmentation):
        return
    raise ConfigError(
        "augmentation: expected an imgaug augmenter or a function (image, masks) -> (image, masks), received "
        f"augmentation={augmentation!r} of type {type(augmentation).__name__}. Several augmenters go into one: "
        "imgaug.augmenters.Sequential([...])."
    )


def flip_left_right_sometimes(image, masks):
    """Mirror image and masks left to right, half the time; what `load_image_gt(augment=True)` meant.

    image: `[H, W, C]`; masks: `[H, W, N]`. Random numbers come from NumPy's global state.
    """
    if np.random.randint(2):
        return np.fliplr(image), np.fliplr(masks)
    return image, masks


def import_imgaug():
    """The module `imgaug`, with `imgaug.augmenters`, on any NumPy.

    imgaug 0.4.0 reads `np.sctypes` while it is imported; NumPy 2 has removed that name. It is put back for the moment
    of the import. A program that wants imgaug itself calls this instead of `import imgaug`.
    """
    with _importing:
        missing = not hasattr(np, "sctypes")
        if missing:
            np.sctypes = {
                "int": [np.int8, np.int16, np.int32, np.int64],
                "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
                "float": [np.float16, np.float32, np.float64],
                "complex": [np.complex64, np.complex128],
                "others": [bool, object, bytes, str, np.void],
            }
        try:
            import imgaug
            import imgaug.augmenters
        finally:
            if missing:
                del np.sctypes
    return imgaug


def _is_imgaug_augmenter(augmentation):
    """Judged by the names of its classes, so that imgaug is not imported for other kinds."""
    return any(base.__module__.split(".")[0] == "imgaug" for base in type(augmentation).__mro__)


def _apply_imgaug(augmenter, image, masks, rng):
    """One call for image and masks, so that every augmenter draws once for both.

    compat: load_image_gt, but masks travel as label maps, by nearest neighbour: every geometric augmenter moves them,
    where Matterport had a list of nine that it trusted. Augmenters of color leave them alone.
    """
    import_imgaug()
    from imgaug.augmentables.segmaps import SegmentationMapsOnImage

    count = masks.shape[2]
    try:
        # A copy for this call alone: threads share the augmenter.
        if rng is None:
            augmenter = augmenter.to_deterministic()
        else:
            augmenter = augmenter.deepcopy()
            augmenter.seed_(int(rng.integers(2**31)))
        if count == 0:
            return augmenter(image=image), masks
        label_maps = SegmentationMapsOnImage(_pack_masks(masks), shape=image.shape)
        image, label_maps = augmenter(image=image, segmentation_maps=label_maps)
    except Exception as error:
        remedy = "Try its parts one by one, and leave that one out."
        if "convertMaps" in str(error):  # imgaug 0.4.0 makes float64 maps of it under NumPy 2's rules of promotion
            remedy = "ElasticTransformation needs alpha as a range on NumPy 2: alpha=(50.0, 50.1) instead of alpha=50."
        raise ConfigError(
            f"augmentation: imgaug's {_name(augmenter)} failed on an image of shape={image.shape}, dtype={image.dtype} "
            f"with {count} masks: {type(error).__name__}: {error}. {remedy}"
        ) from error
    return image, _unpack_masks(label_maps.arr, count)


def _pack_masks(masks):
    """bool `[H, W, N]` to int32 `[H, W, maps]`: mask n is one bit of a map. Moving a pixel moves all its bits."""
    maps = np.zeros(masks.shape[:2] + (-(-masks.shape[2] // _MASKS_IN_A_LABEL_MAP),), np.int32)
    for n in range(masks.shape[2]):
        label_map, bit = divmod(n, _MASKS_IN_A_LABEL_MAP)
        maps[..., label_map] |= masks[..., n].astype(np.int32) << bit
    return maps


def _unpack_masks(maps, count):
    """The inverse of `_pack_masks`."""
    masks = np.empty(maps.shape[:2] + (count,), bool)
    for n in range(count):
        label_map, bit = divmod(n, _MASKS_IN_A_LABEL_MAP)
        masks[..., n] = (maps[..., label_map] >> bit) & 1
    return masks


def _apply_function(function, image, masks):
    """A user's function; it gets copies, because data sets may keep the arrays that they return."""
    answer = function(image.copy(), masks.copy())
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise ConfigError(
            f"augmentation: expected {_name(function)} to return (image, masks), received {type(answer).__name__}. "
            "Return both, also if only one was changed."
        )
    return answer


def _check_answer(augmentation, image, masks, new_image, new_masks):
    """Raise `ConfigError` unless sizes and the image's dtype were kept; returns `(image, masks)` with bool masks."""
    for kind, before, after in (("image", image, new_image), ("masks", masks, new_masks)):
        if after.shape != before.shape:
            raise ConfigError(
                f"augmentation: {_name(augmentation)} changed the {kind} from shape={before.shape} to "
                f"shape={after.shape}. It must keep the size and the number of channels and masks: boxes and masks are "
                "made for the resized image. Use keep_size=True (imgaug's Crop, Pad, Rot90, ...) or scale back."
            )
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
    parts = [type(part).__name__ for part in augmentation] if isinstance(augmentation, list) else []
    return f"{name}([{', '.join(parts)}])" if parts else name
