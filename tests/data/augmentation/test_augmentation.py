"""Augmentation of image and masks together: functions, what must be refused, threads. The libraries: files beside."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import albumentations as A
import numpy as np
import pytest

from mrcnn_plus.data.augmentation import apply_augmentation, flip_left_right_sometimes, import_imgaug
from mrcnn_plus.errors import ConfigError, DatasetError
from tests.support.augmented_scene import make_scene

iaa = import_imgaug().augmenters


@pytest.fixture
def scene():
    return make_scene()


def test_an_augmenter_of_colors_leaves_masks_alone(scene):
    image, masks = scene
    colors = iaa.Sequential([iaa.Multiply(0.5), iaa.GaussianBlur(2.0), iaa.AdditiveGaussianNoise(scale=9)])
    new_image, new_masks = apply_augmentation(colors, image, masks)
    assert np.array_equal(new_masks, masks) and not np.array_equal(new_image, image)


@pytest.mark.parametrize("count", [0, 1, 15, 16, 40])
def test_any_number_of_overlapping_masks_keeps_its_order(count):
    rng = np.random.default_rng(0)
    masks = rng.random((20, 30, count)) > 0.4
    image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    new_image, new_masks = apply_augmentation(iaa.Fliplr(1.0), image, masks)
    assert np.array_equal(new_masks, masks[:, ::-1]) and np.array_equal(new_image, image[:, ::-1])


@pytest.mark.parametrize("channels", [1, 5])
def test_images_of_other_channel_counts_are_augmented(channels):
    image = np.random.default_rng(0).integers(0, 256, (20, 30, channels), dtype=np.uint8)
    masks = np.zeros((20, 30, 1), bool)
    assert np.array_equal(apply_augmentation(iaa.Flipud(1.0), image, masks)[0], image[::-1])


def test_the_rng_decides_what_an_imgaug_augmenter_draws(scene):
    image, masks = scene
    rotate = iaa.Sequential([iaa.Affine(rotate=(-90, 90))])

    def rotated(seed):
        return apply_augmentation(rotate, image, masks, rng=np.random.default_rng(seed))

    assert np.array_equal(rotated(4)[0], rotated(4)[0])
    assert not np.array_equal(rotated(4)[0], rotated(5)[0])


def test_without_an_rng_the_augmenter_draws_anew_each_time(scene):
    image, masks = scene
    rotate = iaa.Affine(rotate=(-90, 90))
    answers = {apply_augmentation(rotate, image, masks)[1].tobytes() for _ in range(4)}
    assert len(answers) > 1


def test_arguments_are_left_as_they_are(scene):
    image, masks = scene[0].copy(), scene[1].copy()

    def scribble(image, masks):
        image[:], masks[:] = 9, True
        return image, masks

    for augmentation in (iaa.Fliplr(1.0), iaa.Multiply(2.0), scribble):
        apply_augmentation(augmentation, image, masks)
        assert np.array_equal(image, scene[0]) and np.array_equal(masks, scene[1])


def test_a_function_is_an_augmentation_and_its_masks_become_bool(scene):
    image, masks = scene
    new_image, new_masks = apply_augmentation(lambda i, m: [i[:, ::-1], m[:, ::-1].astype(np.uint8) * 255], *scene)
    assert np.array_equal(new_image, image[:, ::-1])
    assert np.array_equal(new_masks, masks[:, ::-1]) and new_masks.dtype == bool


def test_the_old_random_flip_flips_both_or_none(scene):
    image, masks = scene
    outcomes = set()
    for _ in range(20):
        new_image, new_masks = apply_augmentation(flip_left_right_sometimes, image, masks)
        flipped = bool(np.array_equal(new_image, image[:, ::-1]))
        assert np.array_equal(new_masks, masks[:, ::-1] if flipped else masks)
        outcomes.add(flipped)
    assert outcomes == {True, False}


REFUSED = {
    "an imgaug augmenter that changes the size": (
        iaa.Crop(px=5, keep_size=False),
        ["Crop", "(120, 160, 3)", "keep_size"],
    ),
    "one inside a sequence": (
        iaa.Sequential([iaa.Fliplr(1.0), iaa.Resize(0.5)]),
        ["Sequential([Fliplr, Resize])", "(Resize did)"],
    ),
    "an imgaug augmenter that fails": (
        iaa.WithChannels(7, iaa.Add(9)),
        ["imgaug's WithChannels failed", "shape=(120, 160, 3)", "IndexError"],
    ),
    "a function that changes the image's size": (lambda i, m: (i[2:], m[2:]), ["<lambda>", "(118, 160, 3)"]),
    "a function that loses a mask": (lambda i, m: (i, m[..., :1]), ["masks", "(120, 160, 2)", "(120, 160, 1)"]),
    "a function that changes the type": (lambda i, m: (i / 255, m), ["uint8", "float64", "to 0.9"]),
    "a function that returns one array": (lambda i, m: i, ["(image, masks)", "ndarray"]),
    "a class in place of an instance": (iaa.Fliplr, ["the class Fliplr", "Write Fliplr(...)"]),
    "something that cannot be called": (["Fliplr"], ["list", "Sequential"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_an_error_that_names_the_augmenter_if_it_is(scene, case):
    augmentation, words = REFUSED[case]
    with pytest.raises(ConfigError) as error:
        apply_augmentation(augmentation, *scene)
    for word in ["augmentation", *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    "masks_of",
    [lambda m: m * 0.5 + 0.25, lambda m: np.where(m, np.nan, 0), lambda m: m.astype(int) + 1, lambda m: m.astype(str)],
    ids=["soft", "NaN", "never zero", "text"],
)
def test_masks_that_are_not_inside_or_outside_are_refused(scene, masks_of):
    with pytest.raises(DatasetError, match="<lambda> to return masks of two values"):
        apply_augmentation(lambda image, masks: (image, masks_of(masks)), *scene)


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_imgaug_is_imported_on_numpy_2_and_nothing_is_left_behind():
    done = run_python(
        "import numpy as np\n"
        "before = hasattr(np, 'sctypes')\n"
        "from mrcnn_plus.data.augmentation import import_imgaug\n"
        "assert import_imgaug().augmenters.Fliplr(1.0)\n"
        "assert hasattr(np, 'sctypes') == before"
    )
    assert done.returncode == 0, done.stderr


def test_a_function_imports_none_of_the_libraries():
    done = run_python(
        "import sys, numpy as np\n"
        "from mrcnn_plus.data.augmentation import apply_augmentation\n"
        "apply_augmentation(lambda i, m: (i, m), np.zeros((4, 4, 3), 'uint8'), np.zeros((4, 4, 1), bool))\n"
        "assert not {'imgaug', 'albumentations', 'keras'} & set(sys.modules)"
    )
    assert done.returncode == 0, done.stderr


THREADED = {
    "imgaug": iaa.Sequential([iaa.Fliplr(0.5), iaa.Sometimes(0.5, iaa.Affine(rotate=(-30, 30))), iaa.MotionBlur()]),
    "imgaug with randomness of OpenCV": iaa.Sequential([iaa.KMeansColorQuantization(), iaa.Rain()]),
    "Albumentations": A.Compose([A.HorizontalFlip(), A.OneOf([A.Affine(rotate=(-20, 20)), A.GaussNoise()], p=1)]),
}


@pytest.mark.parametrize("name", THREADED)
def test_threads_that_augment_at_once_get_what_one_alone_would(name):
    rng = np.random.default_rng(0)
    image, masks = rng.integers(0, 256, (96, 96, 3), np.uint8), rng.random((96, 96, 20)) > 0.7

    def augmented(number):
        arrays = apply_augmentation(THREADED[name], image, masks, rng=np.random.default_rng([5, number]))
        return b"".join(array.tobytes() for array in arrays)

    alone = [augmented(number) for number in range(24)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(augmented, range(24))) == alone
    assert len(set(alone)) > 5
