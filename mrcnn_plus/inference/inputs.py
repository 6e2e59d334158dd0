"""Images to what the network takes: molded images, image metas, windows."""

import logging

import numpy as np

from mrcnn_plus.constants import META_FIELDS, META_SIZE_WITHOUT_CLASSES, SIZE_STEP, round_up
from mrcnn_plus.data.instance_checks import fit_channels
from mrcnn_plus.data.notices import warn_once
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry import molding, resizing

logger = logging.getLogger(__name__)


def as_images(images, channels, *, place):
    """The images of a call as a list of arrays `[H, W, channels]`, each by the rules of `as_color_image`."""
    images = as_list_of_images(images, place=place)
    return [
        as_color_image(image, channels, place=f"{place}: image {index} of {len(images)}")
        for index, image in enumerate(images)
    ]


def as_list_of_images(images, *, place="detect"):
    """The images of a call as a list; a single image, a path or None is an error that says what to write."""
    if isinstance(images, (str, bytes, dict)) or not hasattr(images, "__iter__") or getattr(images, "ndim", 4) < 4:
        received = f"one array of shape {images.shape}" if hasattr(images, "shape") else repr(images)
        raise DatasetError(
            f"{place}: expected a list of images, arrays [height, width, channels], received: {received}. Write "
            f"{place}([image]), with the image read by skimage.io.imread(path) or dataset.load_image(image_id)."
        )
    return list(images)


def as_color_image(image, channels, *, place):
    """The image as `[H, W, channels]`; grey ones are repeated and alpha is dropped where RGB is expected."""
    image = np.asarray(image)
    _check_numbers(image, place)
    _warn_of_range(image, place)
    if image.ndim == 2:
        image = image[..., None]
    fitting = fit_channels(image, channels, place) if image.ndim == 3 and image.size else None
    if fitting is None:
        raise DatasetError(
            f"{place}: expected an array [height, width, {channels}], received: shape={image.shape}, "
            f"dtype={image.dtype}. Give images one by one in a list, with the channels last (IMAGE_CHANNEL_COUNT)."
        )
    return fitting


def _check_numbers(array, place):
    """Raise DatasetError unless the array holds numbers, all finite."""
    if array.dtype.kind not in "uif":
        raise DatasetError(f"{place}: expected numbers (uint8), received: dtype={array.dtype}. Convert it first.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DatasetError(f"{place}: expected finite numbers, received: NaN or infinite values. Repair the image.")


def _warn_of_range(image, place):
    """Ranges other than 0 to 255 are only warned of: MEAN_PIXEL may have been chosen for them."""
    if image.size == 0 or image.dtype == np.uint8:
        return
    high = float(image.max())
    if high > 255 or (image.dtype.kind == "f" and 0 < high <= 1):
        warn_once(
            logger,
            ("range of an image", high > 255),
            "%s: values up to %g; the default MEAN_PIXEL is made for grey levels of 0 to 255. Said for the first such "
            "image only.",
            *(place, high),
        )


def as_molded(images, metas, *, channels, num_classes, place):
    """Molded images `[B, H, W, channels]` and their metas `[B, 12 + C]` as arrays; DatasetError for anything else."""
    images, metas = _as_stack(images, place), _as_stack(metas, place)
    right = images.ndim == 4 and images.shape[3] == channels and images.size
    if not right or images.shape[1:3] != tuple(round_up(side) for side in images.shape[1:3]):
        raise DatasetError(
            f"{place}: expected molded images [images, height, width, {channels}] with sides that are multiples of "
            f"{SIZE_STEP}, received: shape={images.shape}, dtype={images.dtype}. mold_inputs([image, ...]) makes them, "
            "and the image metas; detect([image, ...]) takes images as they are."
        )
    if len(images) != len(metas):
        raise DatasetError(
            f"{place}: expected as many image metas as images, received: {len(images)} images, {len(metas)} image "
            "metas. mold_inputs([image, ...]) makes both."
        )
    if metas.shape != (len(images), META_SIZE_WITHOUT_CLASSES + num_classes):
        raise DatasetError(
            f"{place}: expected image metas [images, {META_SIZE_WITHOUT_CLASSES} + NUM_CLASSES={num_classes}], "
            f"received: shape={metas.shape}. compose_image_meta makes one, with a flag for each class."
        )
    _check_numbers(images, place)
    _check_numbers(metas, place)
    return images, metas


def _as_stack(arrays, place):
    try:
        return np.asarray(arrays)
    except ValueError as error:  # arrays of different shapes
        raise DatasetError(f"{place}: expected arrays of one shape, received: {error}. Mold them alike.") from error


def stack_molded(molded, *, place):
    """The lists of `mold_images` as arrays; DatasetError if there is none, or they molded to different sizes."""
    sizes = sorted({image.shape[:2] for image in molded[0]})
    if len(sizes) != 1:
        raise DatasetError(
            f"{place}: expected one or more images that mold to one size, received: {len(molded[0])} that mold to "
            f"{sizes}. Mold them one by one, or call detect, which takes any number of images of any sizes."
        )
    return tuple(np.stack(part) for part in molded)


def mold_images(images, *, resize, mean_pixel, num_classes):
    """Resize, pad and shift images for detection. compat: MaskRCNN.mold_inputs.

    images: list of `[H, W, channels]`, any sizes. resize: a `geometry.resizing.ResizeSettings`.
    Returns lists of molded images float32 `[h, w, channels]` (sides are multiples of 64), image metas `[12 + C]` and
    windows `(y1, x1, y2, x2)` in pixels of the molded image.
    """
    molded_images, metas, windows = [], [], []
    for image in images:
        molded, window, scale, _, _ = resizing.resize_image(
            image, min_dim=resize.min_dim, max_dim=resize.max_dim, min_scale=resize.min_scale, mode=resize.mode
        )
        molded = molding.mold_image(pad_to_step(molded), mean_pixel)
        active = np.zeros(num_classes, np.int32)  # detection reads no active classes
        metas.append(molding.compose_image_meta(0, image.shape, molded.shape, window, scale, active))
        molded_images.append(molded)
        windows.append(window)
    return molded_images, metas, windows


def crop_padding(molded_images, metas, windows):
    """Leave out rows and columns of padding at the edges, and move metas and windows along.

    All in arrays of images that were molded to one size, as `MaskRCNN.mold_inputs` returns them; what is left holds the
    windows of all. Of each side a half, three quarters or all is left, so that photos of many shapes come in few sizes,
    each of which has a graph; and it begins at a multiple of 64 pixels, so that every pixel stays where it was to the
    anchors and to the strides of the network.
    """
    first, last = windows[:, :2].min(axis=0), windows[:, 2:].max(axis=0)
    (top, bottom), (left, right) = map(_kept, first, last, molded_images.shape[1:3])
    molded_images, metas = molded_images[:, top:bottom, left:right], metas.copy()
    metas[:, META_FIELDS["image_shape"]] = molded_images.shape[1:]
    windows = windows - [top, left, top, left]
    metas[:, META_FIELDS["window"]] = windows
    return molded_images, metas, windows


def _kept(first, last, length):
    """Start and stop of what is left of a side of this length, when pixels from first to last must stay."""
    start, stop = first // SIZE_STEP * SIZE_STEP, round_up(int(last))
    kept = next(part for part in (round_up(length * quarters // 4) for quarters in (2, 3, 4)) if part >= stop - start)
    spare = (kept - (stop - start)) // 2 // SIZE_STEP * SIZE_STEP  # on either side: what is near an object counts most
    start = min(max(start - spare, 0), length - kept)
    return start, start + kept


def pad_to_step(image):
    """Zeros at the bottom and right until both sides are multiples of 64 (only mode 'none' can need it)."""
    missing = [round_up(size) - size for size in image.shape[:2]]
    return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0))) if any(missing) else image
