"""Examples for `lint/rules/augmentation.py`: functions that a user may write."""

import numpy as np

from mrcnn_plus.data.augmentation import import_imgaug
from mrcnn_plus.lint import Run
from tests.support.lint_cases import Case

iaa = import_imgaug().augmenters


def flip_both(image, masks):
    if np.random.rand() < 0.5:
        return np.fliplr(image), np.fliplr(masks)
    return image, masks


def flip_image_alone(image, masks):
    return (np.fliplr(image) if np.random.rand() < 0.5 else image), masks


def cut(image, masks):
    return image[:-2], masks[:-2]


def scale_to_one(image, masks):
    return image / 255, masks


def to_whole_numbers(image, masks):
    return (image / 255).astype(np.uint8), masks


def nothing(image, masks):
    return image, masks


def flip_always(image, masks):
    return np.fliplr(image), np.fliplr(masks)


def case(failing, passing=flip_both):
    """Two augmentations."""
    return Case(lambda _: {"run": Run(augmentation=failing)}, lambda _: {"run": Run(augmentation=passing)})


MIRRORED = iaa.Affine(translate_percent=(-0.3, 0.3), mode="reflect")

CASES = {
    "TRN004": case(flip_image_alone),
    "TRN005": case(cut),
    "TRN012": case(scale_to_one),
    "TRN013": case(iaa.Affine(translate_percent=[-0.7, 0.7]), iaa.Affine(translate_percent=(-0.1, 0.1))),
    "TRN014": case(to_whole_numbers),
    "TRN015": case(nothing),
    "TRN016": case(flip_always),
    "TRN017": case(MIRRORED, iaa.Affine(translate_percent=(-0.3, 0.3))),
}
