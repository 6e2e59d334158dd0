"""One image made ready for training: image, masks, boxes and classes at the size that the network takes."""

import contextlib
from typing import NamedTuple

import numpy as np

from mrcnn_plus.data.augmentation import apply_augmentation
from mrcnn_plus.data.augmentation.random_numbers import may_draw_globally, seeded_global_states
from mrcnn_plus.data.dataset import check_prepared, describe_image
from mrcnn_plus.data.instance_checks import check_answer, check_image, fit_channels
from mrcnn_plus.data.loader_errors import explain_loader_error
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.boxes import extract_bboxes
from mrcnn_plus.geometry.masks import minimize_mask, resize_mask, resize_to_mini_masks
from mrcnn_plus.geometry.molding import compose_image_meta
from mrcnn_plus.geometry.resizing import resize_image


class LoadedImage(NamedTuple):
    """What a data set says about an image, checked, at its own size."""

    image: np.ndarray  # [H, W, C], usually uint8
    masks: np.ndarray  # bool [H, W, N]
    class_ids: np.ndarray  # int32 [N], negative for crowds


class GroundTruth(NamedTuple):
    """An image at the network's size, before the mean pixel is subtracted, with its instances."""

    image: np.ndarray  # [H, W, C], dtype as loaded, usually uint8
    meta: np.ndarray  # [12 + C], see geometry/molding.py; holds the original shape and the image id
    class_ids: np.ndarray  # int32 [N], negative for crowds
    boxes_px: np.ndarray  # int32 [N, (y1, x1, y2, x2)], pixels of `image`
    masks: np.ndarray  # bool [H, W, N], or [h, w, N] cut to the boxes if mini masks were asked for


def load_ground_truth(dataset, image_id, *, resize, channels=None, mini_mask_shape=None, augmentation=None, rng=None):
    """Load, resize and augment an image with its instances (compat: load_image_gt, rules and order of steps).

    dataset: a prepared `Dataset`; image_id: one of its `image_ids`.
    resize: `ResizeSettings` for the image; the masks follow it. channels: see `load_checked_image`.
    mini_mask_shape: `(h, w)` to cut masks to their boxes and shrink them (saves memory), or None for full size.
    augmentation: see `apply_augmentation`; None for none.
    rng: `numpy.random.Generator` for the window of the mode "crop" and for the augmentation, also for a function that
        draws from NumPy's or Python's global random state (one such at a time then); None takes global random states.

    Instances that have no pixel left after resizing, cropping and augmentation are dropped.
    Returns a `GroundTruth`. Raises `DatasetError` that names the image if its files, masks and class ids do not fit.
    """
    loaded = load_checked_image(dataset, image_id, channels=channels)
    return make_ground_truth(
        *(dataset, image_id, loaded),
        resize=resize,
        mini_mask_shape=mini_mask_shape,
        augmentation=augmentation,
        rng=rng,
    )


def load_checked_image(dataset, image_id, *, channels=None, annotations=None):
    """Ask the data set for image and masks, and check that they fit each other. Returns a `LoadedImage`.

    channels: IMAGE_CHANNEL_COUNT, which the image is brought to (see `fit_channels`); None takes any number.
    annotations: an `AnnotationCache` that is asked before the data set for masks, and keeps what that answers.
    Raises `DatasetError` that names the image, what was expected and what came.
    """
    check_prepared(dataset)
    image_name = describe_image(dataset, image_id)
    image = check_image(_ask(dataset, "load_image", image_id, image_name), image_name)
    if channels is not None:
        image = _bring_to_channels(image, channels, image_name)
    kept = annotations.find(image_id, image.shape[:2]) if annotations is not None else None
    if kept is not None:
        return LoadedImage(image, *kept)
    answer = ask_for_mask(dataset, image_id)
    masks, class_ids = check_answer(answer, image.shape, dataset.num_classes, image_name)
    if annotations is not None:
        annotations.keep(image_id, masks, class_ids)
    return LoadedImage(image, masks, class_ids)


def ask_for_mask(dataset, image_id):
    """What `load_mask` answers. Raises `DatasetError` that names the image, whatever the user's own code raises."""
    return _ask(dataset, "load_mask", image_id, describe_image(dataset, image_id))


def _ask(dataset, method, image_id, image_name):
    """What `load_image` or `load_mask` answers; what the user's own code raises gets the name of the image."""
    try:
        return getattr(dataset, method)(image_id)
    except (DatasetError, MemoryError):
        raise
    except Exception as error:
        raise DatasetError(
            f"{image_name}: {method} of {type(dataset).__name__} raised {explain_loader_error(error)} Correct it, or "
            "what it reads for this image; SKIP_BAD_IMAGES = True leaves single damaged images out."
        ) from error


def _bring_to_channels(image, channels, image_name):
    fitting = fit_channels(image, channels, image_name)
    if fitting is None:
        raise DatasetError(
            f"{image_name}: expected load_image to return {channels} channels (IMAGE_CHANNEL_COUNT), received "
            f"image.shape={image.shape}. Override load_image to return that many, or set IMAGE_CHANNEL_COUNT = "
            f"{image.shape[2]} and a MEAN_PIXEL of that length."
        )
    return fitting


def make_ground_truth(dataset, image_id, loaded, *, resize, mini_mask_shape=None, augmentation=None, rng=None):
    """The second half of `load_ground_truth`, from a `LoadedImage`; same arguments and answer."""
    image, window, scale, padding, crop = resize_image(loaded.image, *resize, rng=rng)
    if mini_mask_shape is not None and augmentation is None:  # needs no masks of full size
        boxes_px, masks = resize_to_mini_masks(loaded.masks, scale, padding, crop, tuple(mini_mask_shape))
        boxes_px, class_ids, masks = _with_pixels(boxes_px, loaded.class_ids, masks)
    else:
        masks = resize_mask(loaded.masks, scale, padding, crop)
        if augmentation is not None:
            image, masks = _augment(augmentation, image, masks, rng)
        boxes_px, class_ids, masks = _with_pixels(extract_bboxes(masks), loaded.class_ids, masks)
        if mini_mask_shape is not None:
            masks = minimize_mask(boxes_px, masks, tuple(mini_mask_shape))
    active_class_ids = find_active_classes(dataset, image_id)
    meta = compose_image_meta(int(image_id), loaded.image.shape, image.shape, window, scale, active_class_ids)
    return GroundTruth(image, meta, class_ids, boxes_px, masks)


def _with_pixels(boxes_px, class_ids, masks):
    """The instances whose box has a size: what has no pixel left cannot be learned."""
    kept = boxes_px[:, 2] > boxes_px[:, 0]
    return (boxes_px, class_ids, masks) if kept.all() else (boxes_px[kept], class_ids[kept], masks[..., kept])


def _augment(augmentation, image, masks, rng):
    seeded = rng is not None and may_draw_globally(augmentation)
    with seeded_global_states(rng) if seeded else contextlib.nullcontext():
        return apply_augmentation(augmentation, image, masks, rng=rng)


def find_active_classes(dataset, image_id):
    """Which classes the image's source knows: int32 `[C]`, 1 for its classes and the background, else 0.

    The class loss leaves the others out, so that several sources with different classes can be trained on together.
    Raises `DatasetError` if the source has no class.
    """
    source = dataset.image_info[image_id]["source"]
    if source not in dataset.source_class_ids:
        with_classes = sorted(name for name in dataset.source_class_ids if name)
        raise DatasetError(
            f"{describe_image(dataset, image_id)}: its source {source!r} has no class, received classes of "
            f"{with_classes or 'no source'}. Use the same source in add_image and add_class."
        )
    active = np.zeros([dataset.num_classes], np.int32)
    active[dataset.source_class_ids[source]] = 1
    return active
