"""Albumentations' transforms: a `Compose` or a single one.

Albumentations moves masks itself, by nearest neighbour, each mask as a plane of its own. The transform is not imported
for that: whoever has one has the library.
"""

import copy

import numpy as np

from mrcnn_plus.data.augmentation.random_numbers import draw_seed, private_copy
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.geometry.boxes import extract_bboxes

INSTALL = "pip install 'albumentations>=2.0.8'"


def import_albumentations():
    """The module `albumentations`; raises `ConfigError` that says how to install it where it is missing."""
    try:
        import albumentations
    except ImportError as error:
        raise ConfigError(
            f"albumentations: expected it to be installed, received {type(error).__name__}: {error}. Install it: "
            f"{INSTALL}."
        ) from error
    return albumentations


def recognizes(augmentation):
    return any(base.__module__.split(".")[0] == "albumentations" for base in type(augmentation).__mro__)


def check(transform):
    """Raise `ConfigError` for a version whose random numbers cannot be seeded."""
    if not hasattr(transform, "set_random_seed"):
        raise ConfigError(
            "augmentation: expected Albumentations 2.0 or newer, whose transforms have set_random_seed, received "
            f"{type(transform).__name__} of an older version. Install a newer one: {INSTALL}."
        )


def parts(transform):
    """The transforms that it is made of, in order; none for a single one."""
    return list(getattr(transform, "transforms", None) or [])


def remedy_for_size(transform):
    """What to do about a transform that changes the size of the image."""
    name = type(transform).__name__
    if name in ("RandomRotate90", "Transpose", "D4", "SquareSymmetry"):
        return f"{name} turns images on their side: train on square ones, IMAGE_RESIZE_MODE = 'square' or 'crop'."
    return f"Leave {name} out: images have the network's size already. Crop and enlarge with A.Affine(scale=...)."


def apply(transform, image, masks, rng):
    """One pass over an image `[H, W, C]` and its masks bool `[H, W, N]`; returns both.

    Objects whose box `BboxParams` (min_area, min_visibility, ...) takes away lose their mask.
    """
    own = private_copy(transform, copy.deepcopy)
    own.set_random_seed(draw_seed(rng))
    planes = [np.ascontiguousarray(masks[..., n], np.uint8) for n in range(masks.shape[2])]
    boxes = _boxes_for(own, masks)
    try:
        answer = own(image=np.ascontiguousarray(image), masks=planes, **boxes)
    except Exception as error:
        raise ConfigError(
            f"augmentation: Albumentations' {type(transform).__name__} failed on an image of shape={image.shape}, "
            f"dtype={image.dtype} with {len(planes)} masks: {type(error).__name__}: {error}. It gets image, masks and, "
            "with bbox_params, bboxes; leave out what needs more, or wrap it in a function (image, masks) -> "
            "(image, masks)."
        ) from error
    _check_image(answer["image"], image)
    if not planes:
        return answer["image"], np.zeros((*answer["image"].shape[:2], 0), bool)
    new_masks = np.stack([np.asarray(plane) for plane in answer["masks"]], axis=-1)
    if boxes:
        new_masks[..., _objects_without_box(own, answer, len(planes))] = 0
    return answer["image"], new_masks


def _check_image(new_image, image):
    """Raise `ConfigError` that says how to go on where the image has become a tensor or has been normalized."""
    if not isinstance(new_image, np.ndarray):
        raise ConfigError(
            "augmentation: expected Albumentations to return the image as an array, received "
            f"{type(new_image).__name__}. Leave out ToTensorV2."
        )
    if new_image.dtype != image.dtype:
        raise ConfigError(
            f"augmentation: Albumentations changed the image from dtype={image.dtype} to dtype={new_image.dtype}. "
            "Leave out Normalize and ToFloat: MEAN_PIXEL is subtracted afterwards."
        )


def _boxes_for(transform, masks):
    """Arguments `bboxes` and label fields for a `Compose` that has `bbox_params`, else none.

    The label of a box is the number of its mask.
    """
    processor = getattr(transform, "processors", {}).get("bboxes")
    if processor is None:
        return {}
    numbers = [n for n in range(masks.shape[2]) if masks[..., n].any()]
    boxes = _in_format(extract_bboxes(masks[..., numbers]), processor.params.format, masks.shape[:2])
    fields = processor.params.label_fields
    if fields:
        return {"bboxes": boxes, **{field: list(numbers) for field in fields}}
    return {"bboxes": np.concatenate([boxes, np.reshape(numbers, (-1, 1)).astype(float)], axis=1)}


def _in_format(boxes_px, name, shape):
    """Boxes `[N, (y1, x1, y2, x2)]` in one of Albumentations' formats, float `[N, 4]`."""
    height, width = shape
    y1, x1, y2, x2 = boxes_px.reshape(-1, 4).astype(float).T
    if name == "pascal_voc":
        columns = [x1, y1, x2, y2]
    elif name == "coco":
        columns = [x1, y1, x2 - x1, y2 - y1]
    elif name == "yolo":
        columns = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
    else:
        columns = [x1 / width, y1 / height, x2 / width, y2 / height]
    return np.stack(columns, axis=1)


def _objects_without_box(transform, answer, count):
    """Numbers of the masks whose box did not come back."""
    fields = transform.processors["bboxes"].params.label_fields
    left = answer[fields[0]] if fields else [box[4] for box in answer["bboxes"]]
    return sorted(set(range(count)) - {int(number) for number in left})
