"""Augmentation of image and masks together: imgaug's augmenters, functions, and what must be refused."""

import subprocess
import sys

import numpy as np
import pytest

from mrcnn_plus.data.augmentation import apply_augmentation, flip_left_right_sometimes, import_imgaug
from mrcnn_plus.errors import ConfigError, DatasetError

iaa = import_imgaug().augmenters

HEIGHT, WIDTH = 120, 160

# Whatever moves pixels and keeps the size. A single number as alpha of ElasticTransformation fails inside imgaug on
# NumPy 2 (see REFUSED).
GEOMETRIC = {
    "Fliplr": iaa.Fliplr(1.0),
    "Flipud": iaa.Flipud(1.0),
    "Affine": iaa.Affine(rotate=(-40, 40), scale=(0.8, 1.2), shear=(-10, 10), translate_percent=(-0.1, 0.1)),
    "Affine with reflection": iaa.Affine(rotate=30, mode="reflect"),
    "Affine with bright border": iaa.Affine(rotate=30, cval=255, order=3),
    "Affine by OpenCV": iaa.Affine(rotate=25, backend="cv2"),
    "ScaleX": iaa.ScaleX(1.3),
    "ScaleY": iaa.ScaleY(0.7),
    "TranslateX": iaa.TranslateX(px=18),
    "TranslateY": iaa.TranslateY(percent=0.1),
    "Rotate": iaa.Rotate((20, 45)),
    "ShearX": iaa.ShearX(15),
    "ShearY": iaa.ShearY(-15),
    "Rot90": iaa.Rot90((1, 3)),
    "PiecewiseAffine": iaa.PiecewiseAffine(scale=0.03),
    "PerspectiveTransform": iaa.PerspectiveTransform(scale=0.1),
    "ElasticTransformation": iaa.ElasticTransformation(alpha=(50.0, 50.1), sigma=5.0),
    "Jigsaw": iaa.Jigsaw(nb_rows=3, nb_cols=4, max_steps=5),
    "WithPolarWarping": iaa.WithPolarWarping(iaa.CropAndPad(percent=(-0.1, 0.1))),
    "Crop": iaa.Crop(percent=(0.05, 0.15)),
    "Pad": iaa.Pad(percent=(0.05, 0.15)),
    "CropAndPad": iaa.CropAndPad(percent=(-0.2, 0.2)),
    "KeepSizeByResize": iaa.KeepSizeByResize(iaa.CropToFixedSize(100, 80)),
    "BlendAlpha": iaa.BlendAlpha(1.0, iaa.Affine(rotate=20)),
    "Sequential": iaa.Sequential([iaa.Fliplr(0.5), iaa.Sometimes(0.9, iaa.Affine(rotate=(-30, 30)))]),
    "SomeOf": iaa.SomeOf(2, [iaa.Fliplr(1.0), iaa.Flipud(1.0), iaa.Affine(rotate=90)]),
    "OneOf": iaa.OneOf([iaa.Rotate(10), iaa.ShearX(20)]),
}


@pytest.fixture
def scene():
    """A bright disc and a bright rectangle on black, with their masks."""
    yy, xx = np.mgrid[:HEIGHT, :WIDTH]
    disc = (yy - 44) ** 2 + (xx - 60) ** 2 < 28**2
    rectangle = (abs(yy - 84) < 16) & (abs(xx - 100) < 32) & ~disc
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[disc], image[rectangle] = (240, 0, 0), (0, 240, 0)
    return image, np.stack([disc, rectangle], axis=-1)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_masks_follow_the_image_through_every_geometric_augmenter(scene, name, seed):
    image, masks = scene
    new_image, new_masks = apply_augmentation(GEOMETRIC[name], image, masks, rng=np.random.default_rng(seed))
    assert new_image.shape == image.shape and new_image.dtype == np.uint8
    assert new_masks.shape == masks.shape and new_masks.dtype == bool
    if "bright border" in name:
        new_image = new_image * (new_image.min(axis=2, keepdims=True) < 120)
    seen = np.stack([new_image[..., 0] > 120, new_image[..., 1] > 120], axis=-1)
    for n in range(2):
        assert iou(new_masks[..., n], seen[..., n]) > 0.9, n
    assert name in ("Sequential", "OneOf") or iou(new_masks[..., 0], masks[..., 0]) < 0.98, "nothing moved"


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
    "one inside a sequence": (iaa.Sequential([iaa.Fliplr(1.0), iaa.Resize(0.5)]), ["Sequential([Fliplr, Resize])"]),
    "an imgaug augmenter that fails": (iaa.pillike.Affine(rotate=9), ["pillike", "Affine", "failed"]),
    "an elastic one with a single alpha": (iaa.ElasticTransformation(alpha=50, sigma=5), ["alpha=(50.0, 50.1)"]),
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


def test_a_function_does_not_import_imgaug():
    done = run_python(
        "import sys, numpy as np\n"
        "from mrcnn_plus.data.augmentation import apply_augmentation\n"
        "apply_augmentation(lambda i, m: (i, m), np.zeros((4, 4, 3), 'uint8'), np.zeros((4, 4, 1), bool))\n"
        "assert 'imgaug' not in sys.modules and 'keras' not in sys.modules"
    )
    assert done.returncode == 0, done.stderr
