"""Masks that follow the image are told from those that do not, whatever else an augmentation does to a picture."""

import random

import albumentations as A
import cv2
import keras
import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.data.augmentation import import_imgaug
from mrcnn_plus.lint.measuring.augmentation_check import Sample, observe_augmentation
from mrcnn_plus.lint.measuring.random_states import RandomStates

iaa = import_imgaug().augmenters
OWN = np.random.default_rng(5)
WITHOUT_STATE = random.SystemRandom()


def rotated(image, degrees, method=cv2.INTER_LINEAR):
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1)
    return cv2.warpAffine(image, matrix, (width, height), flags=method)


def rotate_both(image, masks):
    degrees = random.uniform(-30, 30)
    return rotated(image, degrees), rotated(masks.astype(np.uint8), degrees, cv2.INTER_NEAREST)


def flip_both_by_own_generator(image, masks):
    return (image[:, ::-1], masks[:, ::-1]) if OWN.random() < 0.5 else (image, masks)


def flip_both_unrepeatably(image, masks):
    return (image[:, ::-1], masks[:, ::-1]) if WITHOUT_STATE.random() < 0.5 else (image, masks)


NUCLEUS = iaa.SomeOf(
    (0, 2),
    [
        *(iaa.Fliplr(0.5), iaa.Flipud(0.5), iaa.Multiply((0.8, 1.5)), iaa.GaussianBlur(sigma=(0.0, 5.0))),
        iaa.OneOf([iaa.Affine(rotate=90), iaa.Affine(rotate=180), iaa.Affine(rotate=270)]),
    ],
)
HEAVY = iaa.Sequential(
    [
        *(iaa.Fliplr(0.5), iaa.GaussianBlur((0, 3)), iaa.LinearContrast((0.5, 2)), iaa.Dropout(0.1), iaa.Invert(0.1)),
        *(iaa.AdditiveGaussianNoise(scale=(0, 40)), iaa.Affine(scale=(0.8, 1.2), rotate=(-25, 25), shear=(-8, 8))),
    ],
    random_order=True,
)
ORDINARY = {
    "Fliplr": iaa.Fliplr(0.5),
    "Affine": iaa.Affine(rotate=(-180, 180), scale=(0.5, 1.5), shear=(-20, 20)),
    "Affine with mirrored border": iaa.Affine(rotate=(-40, 40), mode="reflect"),
    "Affine with bright border": iaa.Affine(rotate=(-40, 40), cval=255),
    "Multiply": iaa.Multiply((0.5, 1.5), per_channel=True),
    "hue": iaa.AddToHueAndSaturation((-50, 50)),
    "strong blur": iaa.GaussianBlur(12.0),
    "motion blur": iaa.MotionBlur(k=15),
    "contrast": iaa.SigmoidContrast(gain=(3, 10), cutoff=(0.2, 0.7)),
    "equalized": iaa.HistogramEqualization(),
    "CLAHE": iaa.CLAHE(),
    "Invert": iaa.Invert(0.5),
    "CoarseDropout": iaa.CoarseDropout((0.1, 0.4), size_percent=(0.02, 0.1)),
    "Cutout": iaa.Cutout(nb_iterations=(1, 5)),
    "noise": iaa.AdditiveGaussianNoise(scale=(0, 60), per_channel=0.5),
    "Grayscale": iaa.Grayscale((0, 1.0)),
    "Emboss": iaa.Emboss(alpha=(0, 1.0), strength=(0, 2)),
    "Superpixels": iaa.Superpixels(p_replace=0.5, n_segments=(20, 200)),
    "compressed": iaa.JpegCompression((70, 99)),
    "Crop": iaa.Crop(percent=(0, 0.2)),
    "CropAndPad": iaa.CropAndPad(percent=(-0.25, 0.25)),
    "PiecewiseAffine": iaa.PiecewiseAffine(scale=(0.01, 0.03)),
    "PerspectiveTransform": iaa.PerspectiveTransform(scale=(0.01, 0.15)),
    "ElasticTransformation": iaa.ElasticTransformation(alpha=(0, 50.0), sigma=5.0),
    "Rot90": iaa.Rot90((0, 3)),
    "blended move": iaa.BlendAlpha((0, 1.0), iaa.Affine(rotate=20)),
    "the nucleus sample": NUCLEUS,
    "heavy": HEAVY,
    "Albumentations": A.Compose([A.HorizontalFlip(), A.Affine(rotate=(-20, 20), p=1), A.RandomBrightnessContrast()]),
    "Keras layers": keras.layers.Pipeline([keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)]),
    "a function of Python's random numbers": rotate_both,
    "a function with a generator": flip_both_by_own_generator,
    "a function that cannot be repeated": flip_both_unrepeatably,
}


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_augmentations_have_no_warning(name):
    report = lint.check(run=lint.Run(augmentation=ORDINARY[name]), select="TRN")
    assert not report.at_least("warning"), str(report)


def rotate_image_a_little(image, masks):
    return rotated(image, random.uniform(-6, 6)), masks


def flip_drawn_twice(image, masks):
    return (
        image[:, ::-1] if np.random.rand() < 0.5 else image,
        masks[:, ::-1] if np.random.rand() < 0.5 else masks,
    )


BROKEN = {
    "an image flipped by a generator": lambda image, masks: (image[:, ::-1] if OWN.random() < 0.5 else image, masks),
    "an image flipped unrepeatably": lambda image, masks: (
        image[:, ::-1] if WITHOUT_STATE.random() < 0.5 else image,
        masks,
    ),
    "a quarter turn of the image": lambda image, masks: (np.rot90(image), masks),
    "an image transposed": lambda image, masks: (image.transpose(1, 0, 2), masks),
    "an image enlarged": lambda image, masks: (cv2.resize(image[15:-15, 15:-15], image.shape[1::-1]), masks),
    "a few degrees of the image": rotate_image_a_little,
    "an image shifted by up to 12 pixels": lambda image, masks: (np.roll(image, np.random.randint(-12, 13), 1), masks),
    "masks flipped alone": lambda image, masks: (image, masks[:, ::-1]),
    "flipped along another axis": lambda image, masks: (image[:, ::-1], masks[::-1]),
    "flipped along all axes": lambda image, masks: (image[::-1, ::-1], np.flip(masks)),
    "masks in another order": lambda image, masks: (image, masks[..., ::-1]),
    "drawn twice": flip_drawn_twice,
    "blurred and flipped": lambda image, masks: (cv2.GaussianBlur(image, (0, 0), 3)[:, ::-1], masks),
}


@pytest.mark.parametrize("name", BROKEN)
def test_masks_that_do_not_follow_are_an_error(name):
    report = lint.check(run=lint.Run(augmentation=BROKEN[name]), select="TRN004")
    assert [finding.severity for finding in report] == ["error"], str(report)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (BROKEN["an image transposed"], "moves the image and leaves the masks"),
        (BROKEN["masks flipped alone"], "leaves the image as it is and moves the masks"),
        (BROKEN["flipped along another axis"], "moves image and masks differently"),
    ],
)
def test_the_message_says_what_stayed_behind(function, words):
    assert words in str(lint.check(run=lint.Run(augmentation=function), select="TRN004"))


def soft_masks(image, masks):
    return rotated(image, 20), rotated(masks.astype(np.float32), 20)


def fail_sometimes(image, masks):
    if np.random.rand() < 0.3:
        raise ValueError("crop is larger than the image")
    return image, masks


@pytest.mark.parametrize(
    ("augmentation", "code", "words"),
    [
        (iaa.Crop(10, keep_size=False), "TRN005", "changed the image from shape"),
        (iaa.Resize(100), "TRN005", "changed the image from shape"),
        (A.Resize(60, 60), "TRN005", "Resize changed the image from shape"),
        (A.Normalize(), "TRN012", "Leave out Normalize"),
        (keras.layers.Rescaling(1 / 255), "TRN012", "leave Rescaling and Normalization out"),
        (lambda image, masks: (image, masks[..., :-1]), "TRN005", "changed the masks from shape"),
        (lambda image, masks: (image / 255.0, masks), "TRN012", "dtype=uint8 to dtype=float64"),
        (soft_masks, "TRN012", "masks of two values"),
        (fail_sometimes, "TRN012", "ValueError: crop is larger than the image"),
        (lambda image: image, "TRN012", "TypeError"),
        (lambda image, masks: image, "TRN012", "to return (image, masks)"),
        ("fliplr", "TRN012", "received augmentation='fliplr'"),
        (iaa.BlendAlphaSegMapClassIds([1], foreground=iaa.Add(9)), "TRN012", "chooses by class ids"),
    ],
)
def test_what_training_would_refuse_is_an_error(augmentation, code, words):
    report = lint.check(run=lint.Run(augmentation=augmentation), select="TRN")
    assert code in [finding.code for finding in report.errors]
    assert words in str(report)


def test_images_that_need_not_be_square_are_tried_so():
    def quarter_turn(image, masks):
        return np.rot90(image), np.rot90(masks)

    assert not observe_augmentation(quarter_turn, image_shape=(128, 128, 3)).errors
    assert "changed the image" in observe_augmentation(quarter_turn, image_shape=(128, 192, 3)).errors[0]
    assert not observe_augmentation(iaa.Rot90((0, 3)), image_shape=(128, 192, 3)).astray


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels_is_tried(channels):
    facts = observe_augmentation(iaa.Affine(rotate=(-30, 30)), image_shape=(96, 96, channels))
    assert facts.compared > 10 and not facts.astray and not facts.errors


def test_an_augmentation_that_wants_the_networks_size_gets_it():
    def only_large(image, masks):
        if image.shape[0] < 512:
            raise ValueError("too small")
        return image[:, ::-1], masks

    facts = observe_augmentation(only_large, image_shape=(512, 512, 3))
    assert not facts.errors and facts.astray == facts.compared > 0


def test_objects_of_the_data_are_counted():
    masks = np.zeros((64, 64, 2), bool)
    masks[10:20, 2:8, 0] = masks[10:20, 40:60, 1] = True
    sample = Sample(np.full((64, 64, 3), 50, np.uint8) + 100 * masks.any(2)[..., None].astype(np.uint8), masks)

    def cut_left(image, masks):
        return image, masks & (np.arange(64) > 20)[:, None]

    facts = observe_augmentation(cut_left, image_shape=(64, 64, 3), samples=[sample])
    assert (facts.objects, facts.emptied, facts.images, facts.left_empty) == (8, 4, 4, 0)


def test_random_numbers_are_as_before():
    np.random.seed(1)
    random.seed(1)
    expected = np.random.rand(), random.random(), np.random.default_rng(9).random()
    own = np.random.default_rng(9)
    np.random.seed(1)
    random.seed(1)

    def jitter(image, masks):
        np.random.rand(), random.random(), own.random()
        return image, masks

    observe_augmentation(jitter, image_shape=(64, 64, 3))
    assert (np.random.rand(), random.random(), own.random()) == expected


def test_generators_are_found_in_closures_globals_and_attributes():
    class Augmenter:
        def __init__(self):
            self.parts = [{"rng": np.random.RandomState(0)}]

        def __call__(self, image, masks):
            return OWN.random()

    inside = np.random.default_rng(0)
    assert inside in RandomStates(lambda image, masks: inside.random()).generators
    found = RandomStates(Augmenter()).generators
    assert OWN in found and any(isinstance(item, np.random.RandomState) for item in found)
