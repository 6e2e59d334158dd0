"""Keras' layers for image augmentation, on every backend; the layers are found in Keras, so that none is forgotten."""

import inspect
import logging
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

from mrcnn_plus.data.augmentation import apply_augmentation, keras_layers
from mrcnn_plus.errors import ConfigError
from tests.support.augmented_scene import make_scene, masks_in, overlap

layers = keras.layers
ON_TORCH = keras.backend.backend() == "torch"

MOVING = {
    "RandomFlip": lambda: layers.RandomFlip("horizontal"),
    "RandomRotation": lambda: layers.RandomRotation(0.1),
    "RandomZoom": lambda: layers.RandomZoom((-0.2, 0.1), (-0.2, 0.1)),
    "RandomTranslation": lambda: layers.RandomTranslation(0.15, 0.15),
    "RandomShear": lambda: layers.RandomShear(0.2, 0.2),
    "RandomPerspective": lambda: layers.RandomPerspective(1.0, scale=0.3),
    "RandomElasticTransform": lambda: layers.RandomElasticTransform(1.0, scale=1.0),
}
COLORS = {
    "AutoContrast": lambda: layers.AutoContrast(),
    "ContrastLimitedAdaptiveHistogramEqualization": lambda: layers.ContrastLimitedAdaptiveHistogramEqualization(),
    "Equalization": lambda: layers.Equalization(),
    "RandomBrightness": lambda: layers.RandomBrightness(0.2),
    "RandomColorDegeneration": lambda: layers.RandomColorDegeneration(0.5),
    "RandomColorJitter": lambda: layers.RandomColorJitter(brightness_factor=0.3, hue_factor=0.2),
    "RandomContrast": lambda: layers.RandomContrast(0.4),
    "RandomErasing": lambda: layers.RandomErasing(),
    "RandomGaussianBlur": lambda: layers.RandomGaussianBlur(),
    "RandomGrayscale": lambda: layers.RandomGrayscale(),
    "RandomHue": lambda: layers.RandomHue(0.3),
    "RandomInvert": lambda: layers.RandomInvert(),
    "RandomPosterization": lambda: layers.RandomPosterization(3),
    "RandomSaturation": lambda: layers.RandomSaturation(0.5),
    "RandomSharpness": lambda: layers.RandomSharpness(0.5),
    "Solarization": lambda: layers.Solarization(0.3, 0.3),
}
RESIZING = {
    "CenterCrop": lambda: layers.CenterCrop(100, 100),
    "RandomCrop": lambda: layers.RandomCrop(100, 100),
    "Resizing": lambda: layers.Resizing(100, 100),
}
BOTH = {"RandAugment"}
USABLE = [name for name in MOVING if not (ON_TORCH and name == "RandomElasticTransform")]


def present(cases):
    """Those that this version of Keras has."""
    return [name for name in cases if hasattr(layers, name)]


def test_every_layer_of_keras_has_a_place_here():
    base = next(item for item in layers.RandomFlip.__mro__ if item.__name__ == "BaseImagePreprocessingLayer")
    found = {name for name, item in vars(layers).items() if inspect.isclass(item) and issubclass(item, base)}
    assert found <= set(MOVING) | set(COLORS) | set(RESIZING) | BOTH | set(keras_layers._REFUSED)


@pytest.mark.parametrize("name", present(USABLE))
def test_masks_follow_the_image_through(name):
    image, masks = make_scene()
    layer, moved = MOVING[name](), 0
    for seed in range(4):
        new_image, new_masks = apply_augmentation(layer, image, masks, rng=np.random.default_rng(seed))
        assert new_image.shape == image.shape and new_image.dtype == np.uint8 and new_masks.dtype == bool
        assert overlap(new_masks, masks_in(new_image)) > 0.88
        moved += not np.array_equal(new_masks, masks)
    assert moved, "nothing moved"


@pytest.mark.parametrize("name", present(COLORS))
def test_masks_stay_where_only_colors_change_in(name):
    image, masks = make_scene()
    image = image // 2 + 30
    layer, changed = COLORS[name](), 0
    for seed in range(4):
        new_image, new_masks = apply_augmentation(layer, image, masks, rng=np.random.default_rng(seed))
        assert np.array_equal(new_masks, masks) and new_image.dtype == np.uint8
        changed += not np.array_equal(new_image, image)
    assert changed or name == "RandomColorJitter", "nothing changed"


def test_a_pipeline_and_a_sequential_move_masks_through_all_their_layers():
    image, masks = make_scene()
    inner = layers.Pipeline([layers.RandomRotation(0.05, fill_mode="constant"), layers.RandomBrightness(0.1)])
    for whole in (layers.Pipeline([layers.RandomFlip(), inner]), keras.Sequential([layers.RandomFlip(), inner])):
        new_image, new_masks = apply_augmentation(whole, image, masks, rng=np.random.default_rng(3))
        assert overlap(new_masks, masks_in(new_image)) > 0.9 and not np.array_equal(new_masks, masks)


@pytest.mark.parametrize("count", [0, 1, 8, 9, 40])
def test_any_number_of_overlapping_masks_keeps_its_order(count):
    rng = np.random.default_rng(0)
    image, masks = rng.integers(0, 256, (24, 32, 3), np.uint8), rng.random((24, 32, count)) > 0.4
    flip = layers.RandomFlip("horizontal")
    answers = [apply_augmentation(flip, image, masks, rng=np.random.default_rng(seed)) for seed in range(6)]
    flipped = [np.array_equal(new_image, image[:, ::-1]) for new_image, _ in answers]
    assert set(flipped) == {True, False}
    for (_, new_masks), is_flipped in zip(answers, flipped, strict=True):
        assert np.array_equal(new_masks, masks[:, ::-1] if is_flipped else masks)


def test_objects_at_the_border_are_not_mirrored_and_the_change_is_said_once(caplog):
    image, masks = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 1), bool)
    image[20:40, :12] = 240
    masks[20:40, :12] = True
    shift = layers.RandomTranslation(0.0, (0.3, 0.3))  # to the right; fill_mode is "reflect" unless it is given
    assert shift.fill_mode == "reflect"
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            new_image, new_masks = apply_augmentation(shift, image, masks)
    # Keras up to 3.12 leaves out the column whose place comes to lie half outside of the image.
    for area in (new_masks.sum(), (new_image[..., 0] > 120).sum()):
        assert masks.sum() - 20 <= area <= masks.sum()
    assert not new_masks[:, :15].any()
    said = [record.getMessage() for record in caplog.records if "fill_mode" in record.getMessage()]
    assert len(said) == 1 and "RandomTranslation fill_mode='reflect'" in said[0]
    assert shift.fill_mode == "reflect", "the user's layer is left as it is"


def test_layers_inside_of_randaugment_do_not_mirror_either():
    copies = keras_layers._copy_for_masks(layers.RandAugment())
    inside = keras_layers._layers_inside(copies[0])
    assert len(inside) > 8 and {part.fill_mode for part in inside if hasattr(part, "fill_mode")} == {"constant"}


def test_the_rng_decides_and_the_users_layer_is_not_asked():
    image, masks = make_scene()
    rotate = layers.RandomRotation(0.2, fill_mode="constant", seed=1)
    before = keras.ops.convert_to_numpy(rotate.generator.state).tolist()

    def rotated(seed):
        return apply_augmentation(rotate, image, masks, rng=np.random.default_rng(seed))[0]

    assert np.array_equal(rotated(4), rotated(4)) and not np.array_equal(rotated(4), rotated(5))
    assert keras.ops.convert_to_numpy(rotate.generator.state).tolist() == before


def test_masks_are_exact_under_mixed_precision():
    image, masks = make_scene()
    half = layers.RandomFlip("horizontal", dtype="mixed_float16")
    image[0, 0] = 239
    for seed in range(4):
        new_image, new_masks = apply_augmentation(half, image, masks, rng=np.random.default_rng(seed))
        flipped = not np.array_equal(new_masks, masks)
        assert np.array_equal(new_image, image[:, ::-1] if flipped else image)
        assert np.array_equal(new_masks, masks[:, ::-1] if flipped else masks)


class WithoutConfig(layers.RandomFlip):
    def __init__(self, direction):
        super().__init__(direction)


REFUSED = {
    "MixUp": (lambda: layers.MixUp(), ["MixUp", "two images of a batch"]),
    "CutMix": (lambda: layers.CutMix(), ["CutMix", "one by one"]),
    "AugMix": (lambda: layers.AugMix(), ["AugMix", "no mask fits"]),
    "Rescaling": (lambda: layers.Rescaling(1 / 255), ["Rescaling", "MEAN_PIXEL"]),
    "a layer of another kind in a pipeline": (
        lambda: layers.Pipeline([layers.RandomFlip(), layers.GaussianNoise(0.3)]),
        ["received GaussianNoise", "function (image, masks)"],
    ),
    "values up to one": (
        lambda: layers.RandomContrast(0.3, value_range=(0, 1)),
        ["RandomContrast", "value_range=(0, 1)", "value_range=(0, 255)"],
    ),
    "a layer without get_config": (lambda: WithoutConfig("vertical"), ["WithoutConfig", "get_config"]),
    "a resizing layer in a pipeline": (
        lambda: layers.Pipeline([layers.RandomFlip(), layers.Resizing(60, 60)]),
        ["Pipeline([RandomFlip, Resizing])", "(Resizing did)", "(60, 60, 3)"],
    ),
}


@pytest.mark.parametrize("case", present(RESIZING))
def test_a_changed_size_is_an_error_that_names(case):
    with pytest.raises(ConfigError, match=f"augmentation: {case} changed the image from shape"):
        apply_augmentation(RESIZING[case](), *make_scene())


@pytest.mark.parametrize("case", [case for case in REFUSED if hasattr(layers, case) or " " in case])
def test_it_is_an_error_that_names_the_layer_if_it_is(case):
    make, words = REFUSED[case]
    with pytest.raises(ConfigError) as error:
        apply_augmentation(make(), *make_scene(), rng=np.random.default_rng(0))
    for word in ["augmentation", *words]:
        assert word in str(error.value)


def test_what_draws_without_a_seed_on_pytorch_is_refused_there():
    elastic = MOVING["RandomElasticTransform"]()
    if ON_TORCH:
        with pytest.raises(ConfigError, match="without a seed on PyTorch"):
            apply_augmentation(elastic, *make_scene())
    else:
        apply_augmentation(elastic, *make_scene())


def test_threads_that_augment_at_once_get_what_one_alone_would():
    image, masks = make_scene(64, 64)
    whole = layers.Pipeline([layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomBrightness(0.2)])

    def augmented(number):
        arrays = apply_augmentation(whole, image, masks, rng=np.random.default_rng([5, number]))
        return b"".join(array.tobytes() for array in arrays)

    alone = [augmented(number) for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(augmented, range(12))) == alone
    assert len(set(alone)) > 8
