"""Every augmenter of imgaug: masks move with the image, stay where colors change, and a changed size is an error.

The augmenters are found in imgaug itself, so that none is forgotten.
"""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest

from mrcnn_plus.data.augmentation import apply_augmentation, import_imgaug
from mrcnn_plus.errors import ConfigError
from tests.support.augmented_scene import make_scene, masks_in, overlap

iaa = import_imgaug().augmenters

MOVED = iaa.Affine(rotate=20)
BRIGHTER = iaa.Add(10)
FIXED, MULTIPLES = {"width": 100, "height": 90}, {"width_multiple": 50, "height_multiple": 50}
POWERS, RATIO = {"width_base": 3, "height_base": 3}, {"aspect_ratio": 1.9}
LAYER = {
    **{"density": 0.05, "density_uniformity": 0.5, "angle": 10, "speed": 0.05},
    **{"blur_sigma_fraction": 0.001},
}
CLOUD = {
    **{"intensity_mean": 200, "intensity_freq_exponent": -2.0, "intensity_coarse_scale": 10, "alpha_min": 0},
    **{"alpha_multiplier": 0.5, "alpha_size_px_max": 4, "alpha_freq_exponent": -2.0, "sparsity": 0.9},
    **{"density_multiplier": 0.7},
}
# Arguments for those that need some, or that would do nothing without.
ARGUMENTS = {
    "Affine": {"rotate": (20, 40), "scale": 0.9, "translate_percent": 0.05},
    "AffineCv2": {"rotate": (20, 40)},
    "BlendAlpha": {"factor": 1.0, "foreground": MOVED},
    "BlendAlphaElementwise": {"factor": [0.0, 1.0], "foreground": MOVED},
    "BlendAlphaMask": {"mask_generator": iaa.CheckerboardMaskGen(4, 4), "foreground": MOVED},
    "BlendAlphaRegularGrid": {"nb_rows": 3, "nb_cols": 3, "foreground": MOVED},
    "BlendAlphaCheckerboard": {"nb_rows": 3, "nb_cols": 3, "foreground": MOVED},
    "ChangeColorspace": {"to_colorspace": "BGR"},
    "CloudLayer": CLOUD,
    "Crop": {"percent": (0.05, 0.15)},
    "CropAndPad": {"percent": (-0.2, 0.2)},
    "ElasticTransformation": {"alpha": 45, "sigma": 5},  # single numbers: refused by OpenCV without our repair
    "Jigsaw": {"nb_rows": 3, "nb_cols": 4},
    "KeepSizeByResize": {"children": iaa.CropToFixedSize(100, 80)},
    "Lambda": {},
    "AssertLambda": {"func_images": lambda images, state, parents, hooks: True},
    "AssertShape": {"shape": (None, None, None, 3)},
    "OneOf": {"children": [MOVED, iaa.Fliplr(1.0)]},
    "Pad": {"percent": (0.05, 0.15)},
    "RainLayer": {**LAYER, "drop_size": 0.01, "drop_size_uniformity": 0.5},
    "RemoveCBAsByOutOfImageFraction": {"fraction": 0.5},
    "ReplaceElementwise": {"mask": 0.05, "replacement": [0, 255]},
    "Resize": {"size": 0.5},
    "Sequential": {"children": [MOVED, iaa.Fliplr(1.0)]},
    "SnowflakesLayer": {**LAYER, "flake_size": 0.5, "flake_size_uniformity": 0.5},
    "SomeOf": {"n": 2, "children": [MOVED, iaa.Fliplr(1.0), iaa.Flipud(1.0)]},
    "Sometimes": {"p": 0.5, "then_list": MOVED, "else_list": iaa.Flipud(1.0)},
    "Voronoi": {"points_sampler": iaa.RegularGridPointsSampler(10, 10)},
    "WithBrightnessChannels": {"children": BRIGHTER},
    "WithChannels": {"channels": [0, 1, 2], "children": MOVED},
    "WithColorspace": {"to_colorspace": "HSV", "children": iaa.WithChannels(2, BRIGHTER)},
    "WithHueAndSaturation": {"children": BRIGHTER},
    "WithPolarWarping": {"children": iaa.CropAndPad(percent=(-0.1, 0.1))},
    "pillike.Affine": {"rotate": (20, 40), "translate_percent": (0.0, 0.1), "fillcolor": 90},
    **{name: {"foreground": MOVED} for name in ("BlendAlphaSimplexNoise", "BlendAlphaFrequencyNoise")},
    **{f"BlendAlpha{way}LinearGradient": {"foreground": MOVED} for way in ("Horizontal", "Vertical")},
    "BlendAlphaSomeColors": {"foreground": MOVED, "alpha": 1.0},
    "BlendAlphaSegMapClassIds": {"class_ids": [1], "foreground": MOVED},
    "BlendAlphaBoundingBoxes": {"labels": None, "foreground": MOVED},
    **{f"{way}{what}ToFixedSize": FIXED for way in ("", "Center") for what in ("Crop", "Pad")},
    **{f"{way}{what}ToMultiplesOf": MULTIPLES for way in ("", "Center") for what in ("Crop", "Pad")},
    **{f"{way}{what}ToPowersOf": POWERS for way in ("", "Center") for what in ("Crop", "Pad")},
    **{f"{way}{what}ToAspectRatio": RATIO for way in ("", "Center") for what in ("Crop", "Pad")},
}

MOVING = {
    *("Affine", "AffineCv2", "ScaleX", "ScaleY", "TranslateX", "TranslateY", "Rotate", "ShearX", "ShearY", "Rot90"),
    *("PiecewiseAffine", "PerspectiveTransform", "ElasticTransformation", "WithPolarWarping", "Jigsaw"),
    *("Fliplr", "Flipud", "Crop", "Pad", "CropAndPad", "KeepSizeByResize", "pillike.Affine"),
    *("Sequential", "SomeOf", "OneOf", "Sometimes", "WithChannels"),
    *("BlendAlpha", "BlendAlphaMask", "BlendAlphaElementwise", "BlendAlphaRegularGrid", "BlendAlphaCheckerboard"),
    *("BlendAlphaSimplexNoise", "BlendAlphaFrequencyNoise", "BlendAlphaSomeColors"),
    *("BlendAlphaHorizontalLinearGradient", "BlendAlphaVerticalLinearGradient"),
}
RESIZING = {
    "Resize",
    *(f"{way}{what}To{to}" for way in ("", "Center") for what in ("Crop", "Pad") for to in ("MultiplesOf", "PowersOf")),
    *(f"{way}{what}To{to}" for way in ("", "Center") for what in ("Crop", "Pad") for to in ("AspectRatio", "Square")),
    *("CropToFixedSize", "CenterCropToFixedSize"),
}
# Move pixels and change their colors, so that masks cannot be read from the picture; tested by themselves.
APART = {"RandAugment", "TotalDropout"}
UNUSABLE = {
    "BlendAlphaSegMapClassIds": "class ids",
    "BlendAlphaBoundingBoxes": "class ids or boxes",
}
NOT_FOR_USE = {"Augmenter", "SaveDebugImageEveryNBatches"}  # the abstract class; writes files


def all_augmenters():
    """`{name: class}` of all of imgaug but imgcorruptlike, which needs a further package to be installed."""
    found = {}
    for module in pkgutil.iter_modules(iaa.__path__):
        if module.name == "imgcorruptlike":
            continue
        members = vars(importlib.import_module(f"imgaug.augmenters.{module.name}"))
        for name, item in members.items():
            if inspect.isclass(item) and issubclass(item, iaa.Augmenter) and item.__module__.endswith(module.name):
                found[f"pillike.{name}" if module.name == "pillike" else name] = item
    return {name: item for name, item in found.items() if name not in NOT_FOR_USE and "._" not in f".{name}"}


AUGMENTERS = all_augmenters()
COLORS = set(AUGMENTERS) - MOVING - RESIZING - APART - set(UNUSABLE)


def make(name):
    return AUGMENTERS[name](**ARGUMENTS.get(name, {}))


def test_all_augmenters_were_found():
    assert len(AUGMENTERS) > 160
    assert (MOVING | RESIZING | APART | set(UNUSABLE)) <= set(AUGMENTERS)


@pytest.mark.parametrize("name", sorted(MOVING))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_masks_follow_the_image_through(name, seed):
    image, masks = make_scene()
    new_image, new_masks = apply_augmentation(make(name), image, masks, rng=np.random.default_rng(seed))
    assert new_image.shape == image.shape and new_image.dtype == np.uint8
    assert overlap(new_masks, masks_in(new_image)) > 0.9
    assert not np.array_equal(new_masks, masks), "nothing moved"


@pytest.mark.parametrize("name", sorted(COLORS))
def test_masks_stay_where_only_colors_change_in(name):
    image, masks = make_scene()
    new_image, new_masks = apply_augmentation(make(name), image, masks, rng=np.random.default_rng(0))
    assert new_image.shape == image.shape
    assert np.array_equal(new_masks, masks)


@pytest.mark.parametrize("name", sorted(RESIZING))
def test_a_changed_size_is_an_error_that_names(name):
    sequence = iaa.Sequential([iaa.Fliplr(0.5), iaa.Sometimes(0.9, make(name))])
    with pytest.raises(ConfigError) as error:
        apply_augmentation(sequence, *make_scene(), rng=np.random.default_rng(0))
    assert f"({name} did)" in str(error.value) and "from shape=(120, 160, 3) to shape=" in str(error.value)


@pytest.mark.parametrize("name", sorted(UNUSABLE))
def test_what_chooses_by_class_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name} chooses by {UNUSABLE[name].split(' or')[0]}"):
        apply_augmentation(iaa.Sequential([make(name)]), *make_scene())


def test_a_picture_that_is_dropped_has_no_masks():
    image, masks = apply_augmentation(iaa.TotalDropout(1.0), *make_scene())
    assert not image.any() and not masks.any()


def test_masks_follow_the_image_through_randaugment():
    image, masks = make_scene()
    image = np.where(masks.any(axis=2, keepdims=True), np.uint8([200] * 3), np.uint8(40))
    together = 0
    for seed in range(40):
        new_image, new_masks = apply_augmentation(iaa.RandAugment(n=2), image, masks, rng=np.random.default_rng(seed))
        objects, grey = new_masks.any(axis=2), new_image.astype(float).mean(axis=2)
        with np.errstate(invalid="ignore"):  # a picture of one color
            together += abs(np.corrcoef(objects.ravel(), grey.ravel())[0, 1]) > 0.8  # inverted colors count too
    assert together > 33, "objects and their masks part company"


def test_jigsaw_that_pads_is_told_how_not_to():
    with pytest.raises(ConfigError, match="allow_pad=False"):
        apply_augmentation(iaa.Jigsaw(nb_rows=7, nb_cols=7), *make_scene())


def test_no_value_between_is_made_by_cubic_interpolation():
    image, masks = make_scene()
    smooth = iaa.Affine(rotate=(10, 20), order=3, mode="reflect")
    new_image, new_masks = apply_augmentation(smooth, image, masks, rng=np.random.default_rng(0))
    assert len(np.unique(new_image)) > 3 and new_masks.dtype == bool
    assert overlap(new_masks, masks_in(new_image)) > 0.9


def test_random_states_of_the_program_are_left_alone():
    augmenter = iaa.Sequential([iaa.Fliplr(0.5), iaa.Affine(rotate=(-9, 9)), iaa.GaussianBlur((0, 2))])
    augmenter.seed_(5)
    image, masks = make_scene()
    np.random.seed(3)
    before = np.random.get_state()[1].tobytes()
    first = apply_augmentation(augmenter, image, masks, rng=np.random.default_rng(1))[0]
    assert np.random.get_state()[1].tobytes() == before
    augmenter.seed_(6)  # its own state does not matter either
    assert np.array_equal(apply_augmentation(augmenter, image, masks, rng=np.random.default_rng(1))[0], first)
