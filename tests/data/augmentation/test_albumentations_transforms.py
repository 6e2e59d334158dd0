"""Albumentations: masks follow every transform that keeps the size, and what cannot be used is refused in words."""

import subprocess
import sys

import albumentations as A
import numpy as np
import pytest

from mrcnn_plus.data.augmentation import apply_augmentation, check_augmentation
from mrcnn_plus.errors import ConfigError, DatasetError
from tests.support.augmented_scene import make_scene, masks_in, overlap

MOVING = {
    "HorizontalFlip": A.HorizontalFlip(p=1),
    "VerticalFlip": A.VerticalFlip(p=1),
    "RandomRotate90": A.RandomRotate90(p=1),
    "Transpose": A.Transpose(p=1),
    "D4": A.Compose([A.D4(p=1), A.HorizontalFlip(p=0.5)]),
    "Affine": A.Affine(rotate=(-30, 30), scale=(0.8, 1.1), shear=(-10, 10), p=1),
    "reflecting Affine": A.Affine(rotate=(20, 30), border_mode=2, p=1),
    "Rotate": A.Rotate(limit=(10, 40), p=1),
    "SafeRotate": A.SafeRotate(limit=(10, 40), p=1),
    "ShiftScaleRotate": A.ShiftScaleRotate(p=1),
    "ElasticTransform": A.ElasticTransform(alpha=300, sigma=10, p=1),
    "GridDistortion": A.GridDistortion(p=1),
    "GridElasticDeform": A.GridElasticDeform(num_grid_xy=(4, 4), magnitude=6, p=1),
    "OpticalDistortion": A.OpticalDistortion(distort_limit=(0.2, 0.4), p=1),
    "Perspective": A.Perspective(scale=(0.1, 0.15), p=1),
    "PiecewiseAffine": A.PiecewiseAffine(scale=(0.03, 0.05), p=1),
    "ThinPlateSpline": A.ThinPlateSpline(p=1),
    "RandomGridShuffle": A.RandomGridShuffle(grid=(3, 3), p=1),
    "CropAndPad": A.CropAndPad(percent=0.1, p=1),
    "RandomResizedCrop": A.RandomResizedCrop(size=(120, 120), scale=(0.6, 0.9), p=1),
    "a Compose": A.Compose([A.OneOf([A.HorizontalFlip(p=1), A.Affine(rotate=15, p=1)], p=1), A.GaussianBlur(p=1)]),
}
COLORS = {
    "brightness": A.RandomBrightnessContrast(p=1),
    "noise": A.GaussNoise(p=1),
    "blur": A.GaussianBlur(p=1),
    "CLAHE": A.CLAHE(p=1),
    "CoarseDropout": A.CoarseDropout(p=1),
    "hue": A.HueSaturationValue(p=1),
}


@pytest.mark.parametrize("name", MOVING)
@pytest.mark.parametrize("seed", [0, 1])
def test_masks_follow_the_image_through(name, seed):
    image, masks = make_scene(120, 120)
    new_image, new_masks = apply_augmentation(MOVING[name], image, masks, rng=np.random.default_rng(seed))
    assert new_image.shape == image.shape and new_image.dtype == np.uint8 and new_masks.dtype == bool
    assert overlap(new_masks, masks_in(new_image)) > 0.9
    assert name in ("D4", "RandomRotate90") or not np.array_equal(new_masks, masks), "nothing moved"


@pytest.mark.parametrize("name", COLORS)
def test_masks_stay_where_only_colors_change_in(name):
    image, masks = make_scene()
    new_image, new_masks = apply_augmentation(COLORS[name], image, masks, rng=np.random.default_rng(0))
    assert np.array_equal(new_masks, masks) and not np.array_equal(new_image, image)


@pytest.mark.parametrize("count", [0, 1, 40])
def test_any_number_of_masks_keeps_its_order(count):
    rng = np.random.default_rng(0)
    image, masks = rng.integers(0, 256, (20, 30, 3), np.uint8), rng.random((20, 30, count)) > 0.4
    new_image, new_masks = apply_augmentation(A.HorizontalFlip(p=1), image, masks)
    assert np.array_equal(new_masks, masks[:, ::-1]) and np.array_equal(new_image, image[:, ::-1])


@pytest.mark.parametrize("box_format", ["pascal_voc", "coco", "yolo", "albumentations"])
@pytest.mark.parametrize("fields", [["labels"], None])
def test_an_object_whose_box_is_taken_away_loses_its_mask(box_format, fields):
    masks = np.zeros((100, 100, 3), bool)
    masks[40:60, 70:90, 0] = masks[40:60, 10:30, 1] = masks[10:20, 10:30, 2] = True
    shift = A.Compose(
        [A.Affine(translate_px={"x": 20, "y": 0}, p=1)],
        bbox_params=A.BboxParams(format=box_format, label_fields=fields, min_visibility=0.9),
    )
    _, new_masks = apply_augmentation(shift, np.zeros((100, 100, 3), np.uint8), masks)
    assert new_masks.any(axis=(0, 1)).tolist() == [False, True, True]
    assert np.array_equal(new_masks[..., 1], np.roll(masks[..., 1], 20, axis=1))


def test_without_an_rng_it_draws_from_numpys_global_state():
    image, masks = make_scene()
    rotate = A.Rotate(limit=(-60, 60), p=1)
    np.random.seed(0)
    first, second = (apply_augmentation(rotate, image, masks)[0] for _ in range(2))
    np.random.seed(0)
    assert np.array_equal(apply_augmentation(rotate, image, masks)[0], first) and not np.array_equal(first, second)


def test_the_users_transform_keeps_its_own_random_state():
    image, masks = make_scene()
    rotate, untouched = (A.Compose([A.Rotate(limit=(-60, 60), p=1)], seed=4) for _ in range(2))
    apply_augmentation(rotate, image, masks, rng=np.random.default_rng(0))
    assert np.array_equal(rotate(image=image)["image"], untouched(image=image)["image"])


REFUSED = {
    "a Resize in a Compose": (
        A.Compose([A.HorizontalFlip(), A.Resize(60, 60)]),
        ["Compose([HorizontalFlip, Resize])", "(Resize did)", "(60, 60, 3)"],
    ),
    "a quarter turn of an oblong": (A.Transpose(p=1), ["Transpose", "(160, 120, 3)", "square"]),
    "Normalize": (A.Compose([A.Normalize()]), ["float32", "Leave out Normalize", "MEAN_PIXEL"]),
    "a transform that needs more": (A.RandomCropNearBBox(p=1), ["RandomCropNearBBox failed", "cropping_bbox"]),
    "a class": (A.HorizontalFlip, ["the class HorizontalFlip", "Write HorizontalFlip(...)"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_an_error_that_names_the_transform_if_it_is(case):
    transform, words = REFUSED[case]
    with pytest.raises(ConfigError) as error:
        apply_augmentation(transform, *make_scene(), rng=np.random.default_rng(0))
    for word in words:
        assert word in str(error.value)


def test_masks_filled_with_another_value_are_refused():
    filled = A.Affine(rotate=30, fill_mask=7, p=1)
    with pytest.raises(DatasetError, match="masks of two values"):
        apply_augmentation(filled, *make_scene())


def test_an_old_version_is_told_how_to_be_renewed():
    old = type("HorizontalFlip", (), {"__module__": "albumentations.augmentations.transforms"})()
    with pytest.raises(ConfigError, match="pip install 'albumentations"):
        check_augmentation(old)


def test_without_the_library_the_message_says_how_to_install_it():
    code = (
        "import sys\n"
        "sys.modules['albumentations'] = None\n"
        "from mrcnn_plus.data.augmentation import import_albumentations\n"
        "import_albumentations()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ConfigError: albumentations: expected it to be installed" in done.stderr
    assert "pip install 'albumentations" in done.stderr
