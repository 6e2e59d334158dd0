"""Masks of turned, mirrored and swapped pictures are recognised by what the pictures show."""

import numpy as np
import pytest

from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.readers.photo_frames import apply_orientation
from mrcnn_plus.geometry.boxes import extract_bboxes
from mrcnn_plus.lint.measuring.picture_fit import ORIENTATIONS, best_orientation, measure_fit, structure
from tests.support.lint_data import coco_content, noise, write_coco

INVERSE = {6: 8, 8: 6}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    dataset = open_dataset(write_coco(folder, coco_content(images=16)))
    return [(dataset.load_image(number), dataset.load_mask(number)[0]) for number in dataset.image_ids]


def fits_of(pictures):
    return np.concatenate(
        [measure_fit(image, masks, extract_bboxes(masks), masks.sum(axis=(0, 1))) for image, masks in pictures]
    )


def in_frame(masks, shape):
    """Masks cut and filled to a height and width, as drawing into an array of that shape does."""
    placed = np.zeros((*shape, masks.shape[2]), bool)
    height, width = (min(sides) for sides in zip(shape, masks.shape[:2], strict=True))
    placed[:height, :width] = masks[:height, :width]
    return placed


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_each_orientation_is_recognised(pictures, orientation):
    # The stored picture is the upright one turned back; masks are drawn on the upright one.
    back = INVERSE.get(orientation, orientation)
    turned = []
    for image, masks in pictures:
        stored = apply_orientation(image, back)
        turned.append((stored, in_frame(masks, stored.shape[:2])))
    found = best_orientation(fits_of(turned))
    assert found == (None if orientation == 1 else orientation)


def test_masks_of_other_pictures_fit_no_orientation(pictures):
    others = [(image, masks) for (image, _), (_, masks) in zip(pictures, pictures[1:] + pictures[:1], strict=True)]
    assert best_orientation(fits_of(others)) is None


def test_pictures_of_noise_say_nothing(pictures):
    unseen = [(noise(image.shape[:2], number), masks[::-1]) for number, (image, masks) in enumerate(pictures)]
    assert best_orientation(fits_of(unseen)) is None


def test_a_few_objects_are_no_proof(pictures):
    assert best_orientation(fits_of([(image, masks[::-1]) for image, masks in pictures[:3]])) is None


def test_nothing_to_measure_gives_nothing():
    image = noise((40, 60), 0)
    assert measure_fit(image, np.zeros((40, 60, 0), bool), np.zeros((0, 4), int), np.zeros(0, int)).shape == (0, 8)
    assert best_orientation(np.zeros([0, 8])) is None


def test_noise_has_no_structure_and_pictures_have(pictures):
    assert structure(noise((160, 200), 0)) < 1.2
    assert min(structure(image) for image, _ in pictures) > 3
    assert structure(np.zeros((40, 40, 3), np.uint8)) == 0
    assert structure(noise((5, 5), 0)) == 0
