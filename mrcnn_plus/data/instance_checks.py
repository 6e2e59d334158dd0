"""What `load_image` and `load_mask` of a user's data set may answer, and what is said when they answer otherwise.

Each function takes the answer and the words that name the image (`describe_image`), and returns the answer in its plain
form or raises `DatasetError`. The error's `rule` is the code of the lint rule that reports the same thing before
training: the linter asks these functions, so both always agree.
"""

import logging

import numpy as np

from mrcnn_plus.data.notices import warn_once
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)


def check_image(image, image_name):
    """The answer of `load_image` as an array `[H, W, C]`, dtype kept; a grey `[H, W]` gets a last axis of length 1."""
    array = np.asarray(image)
    if array.dtype.kind not in "buif" or array.ndim not in (2, 3) or array.size == 0:
        raise _error(
            "DAT030",
            f"{image_name}: expected load_image to return an array of numbers [height, width, channels], received "
            f"{_what(image)}. Return the pixels as uint8 in RGB order.",
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise _error(
            "DAT030",
            f"{image_name}: load_image returned NaN or infinite pixels, which make every loss NaN. Replace them, for "
            "example with np.nan_to_num, before returning the image.",
        )
    return array[..., np.newaxis] if array.ndim == 2 else array


def fit_channels(image, channels, image_name):
    """The image `[H, W, channels]`: where RGB is expected, grey is repeated and an alpha channel dropped.

    image: `[H, W, C]`; channels: IMAGE_CHANNEL_COUNT. The same rule holds in training and in detection. Returns None
    where there is no rule, so that the caller can say what to do.
    """
    given = image.shape[2]
    if channels == 3 and given == 1:
        return np.repeat(image, 3, axis=2)
    if channels == 3 and given == 4:
        warn_once(
            logger,
            "alpha dropped",
            "%s has 4 channels; the fourth is taken as transparency and left out. If it is data, set "
            "IMAGE_CHANNEL_COUNT = 4 and a MEAN_PIXEL of that length. Said for the first such image only.",
            image_name,
        )
        return image[..., :3]
    return image if given == channels else None


def check_class_ids(class_ids, image_name):
    """The class ids of `load_mask` as int32 `[N]`; a list, and floats without a fraction, are accepted."""
    array = np.asarray(class_ids)
    if array.size == 0 and array.ndim == 1:
        return np.zeros([0], np.int32)
    if array.ndim != 1:
        raise _error(
            "DAT010",
            f"{image_name}: expected load_mask to return the class ids as one row [N], received class_ids with "
            f"shape={array.shape}. Return np.array(list_of_ids, dtype=np.int32).",
        )
    whole = array.dtype.kind in "bui" or (array.dtype.kind == "f" and np.array_equal(array, np.floor(array)))
    if not whole:
        raise _error(
            "DAT010",
            f"{image_name}: expected whole numbers as class ids, received class_ids={array[:5].tolist()} with "
            f"dtype={array.dtype}. Turn class names into ids with dataset.class_names.index(name), or "
            "map_source_class_id('source.id').",
        )
    limits = np.iinfo(np.int32)
    beyond = (array < limits.min) | (array > limits.max)
    if beyond.any():
        raise _error(
            "DAT011",
            f"{image_name}: expected class ids of this data set, counted from 1 in the order of add_class, received "
            f"class_ids={array[beyond][:5].tolist()} beyond 32 bits. Map ids of the source with "
            "map_source_class_id('source.id').",
        )
    return array.astype(np.int32)


def check_masks(masks, class_ids, image_shape, image_name):
    """The masks of `load_mask` as bool `[H, W, N]`, N the number of class ids; any value but zero is inside.

    class_ids: int32 `[N]` from `check_class_ids`; image_shape: `(H, W, ...)` of the loaded image.
    """
    array = _as_array(masks, image_name)
    height, width = image_shape[:2]
    count = len(class_ids)
    if count == 0 and array.size == 0:
        return np.zeros([height, width, 0], bool)
    received = (
        f"received masks with shape={array.shape} and {count} class ids for an image of {height} x {width} pixels "
        "(height x width)"
    )
    if array.shape != (height, width, count):
        rule = "DAT009" if array.ndim == 3 and array.shape[:2] == (height, width) else "DAT008"
        raise _error(
            rule,
            f"{image_name}: expected load_mask to return masks [height, width, instances] and one class id for each "
            f"instance, {received}. {_likely_cause(array.shape, count, height, width)}",
        )
    if array.dtype == bool:
        return array
    if array.dtype.kind == "f" and np.isnan(array).any():
        raise _error(
            "DAT012", f"{image_name}: load_mask returned NaN in the masks. Return bool masks, e.g. masks > 0.5."
        )
    inside = array != 0
    if (inside & (array != array.max())).any():
        warn_once(
            logger,
            "masks with several values",
            "%s: masks of dtype=%s hold more than two values (0 to %s); everything but 0 is taken as inside, also the "
            "soft rim of smoothed masks. Return bool masks, e.g. masks > 127. Said for the first such image only.",
            *(image_name, array.dtype, array.max()),
        )
    return inside


def check_known_classes(class_ids, masks, num_classes, image_name):
    """Raise `DatasetError` unless all ids are classes of the data set, or minus such an id for a crowd.

    class_ids: int32 `[N]`; masks: bool `[H, W, N]`; num_classes: with background. Instances of class 0 without any
    pixel pass, because programs return one such mask for an image without objects.
    """
    beyond = (class_ids >= num_classes) | (class_ids <= -num_classes)
    if beyond.any():
        raise _error(
            "DAT011",
            f"{image_name}: expected class ids from 1 to {num_classes - 1} (negative for crowds), received "
            f"class_ids={np.unique(class_ids[beyond]).tolist()}. The data set has {num_classes - 1} classes: "
            "register the others with add_class before prepare(), or map ids of the source with "
            "map_source_class_id('source.id').",
        )
    background = np.flatnonzero(class_ids == 0)
    if background.size and masks[..., background].any():
        raise _error(
            "DAT011",
            f"{image_name}: instance {background[0]} has class id 0, which is the background. The classes of add_class "
            "count from 1; leave out what is not an object.",
        )


def check_answer(answer, image_shape, num_classes, image_name):
    """The whole answer of `load_mask`: masks bool `[H, W, N]` and class ids int32 `[N]`.

    image_shape: `(H, W, ...)` of the loaded image; num_classes: with background.
    """
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        raise _error(
            "DAT008",
            f"{image_name}: expected load_mask to return (masks, class_ids), received a {type(answer).__name__}. "
            "Return both, masks first.",
        )
    class_ids = check_class_ids(answer[1], image_name)
    masks = check_masks(answer[0], class_ids, image_shape, image_name)
    check_known_classes(class_ids, masks, num_classes, image_name)
    return masks, class_ids


def _error(rule, message):
    error = DatasetError(message)
    error.rule = rule
    return error


def _as_array(masks, image_name):
    """The masks as a numeric array of any shape."""
    if isinstance(masks, list | tuple) and len(masks):
        raise _error(
            "DAT008",
            f"{image_name}: expected load_mask to return its masks as one array [height, width, instances], received "
            f"{_what(masks)} of {len(masks)}. Return np.stack(masks, axis=-1), and the class ids second.",
        )
    array = np.asarray(masks)
    if array.dtype.kind not in "buif":
        raise _error(
            "DAT008",
            f"{image_name}: expected load_mask to return (masks, class_ids), masks an array of numbers or bool, "
            f"received masks as {_what(masks)}. Check the order and the return statement.",
        )
    return array


def _likely_cause(shape, count, height, width):
    """The most probable mistake behind masks of a wrong shape, and its remedy."""
    if shape == (0, 0, 0):
        return "Masks are empty but class ids are not: check that load_mask draws what it counts."
    if len(shape) == 2:
        return "The axis of instances is missing: return masks[..., np.newaxis] for one instance."
    if len(shape) != 3:
        return "Return np.stack(list_of_masks, axis=-1)."
    if shape == (count, height, width):
        return "Instances stand on the first axis: return np.moveaxis(masks, 0, -1)."
    if shape[:2] == (width, height) and width != height:
        return (
            "Height and width are exchanged: arrays are [height, width], annotation tools say width first; a photo "
            "that viewers turn by its EXIF tag also looks like this."
        )
    if shape[:2] != (height, width):
        return "The masks were drawn for another size of the image: make them with the height and width that it has."
    return (
        "The number of masks and class ids differs: return one mask for each object (not one for each class) and one "
        "class id for each mask, in the same order."
    )


def _what(value):
    """Type, and shape and dtype if it has them, for messages."""
    if isinstance(value, np.ndarray):
        return f"an array with shape={value.shape}, dtype={value.dtype}"
    return "None" if value is None else f"a {type(value).__name__}"
