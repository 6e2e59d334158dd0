"""The picture shows what training is given: sizes, masks, boxes, and what an augmentation made of them."""

import numpy as np
import pytest

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.lint.preview import preview

from ..support.tiny import Figures, TinyConfig

TILE = 128


def tiles(picture, rows, columns):
    """The pictures of a grid as a list of rows, captions and gaps cut off."""
    height, width = picture.shape[0] // rows, (picture.shape[1] - 6) // columns
    return [
        [
            picture[row * height + 20 : row * height + 20 + TILE, 6 + column * width : 6 + column * width + TILE]
            for column in range(columns)
        ]
        for row in range(rows)
    ]


def test_images_of_a_data_set_stand_in_a_grid():
    picture = preview(Figures([2] * 9), TinyConfig(), count=6, tile=TILE)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    shown = tiles(picture, 2, 4)
    assert all(tile.std() > 10 for tile in [*shown[0], *shown[1][:2]])
    assert (shown[1][2] == 255).all(), "six of eight places are taken"


def test_masks_lie_on_their_objects():
    """Only the disc is tinted; the noise around it is drawn as it is."""
    data = Figures([[(2, 32, 32, 30)]])
    shown = tiles(preview(data, TinyConfig(), count=1, tile=64), 1, 1)[0][0][:64, :64]
    image = data.load_image(0)
    changed = np.abs(shown.astype(int) - image).max(axis=2) > 3
    mask = data.load_mask(0)[0][..., 0]
    assert changed[mask].mean() > 0.9
    outside = np.ones((64, 64), bool)
    outside[14:50, 14:50] = False
    outside[:20, :40] = False  # the label
    assert not changed[outside].any()


def test_an_augmented_image_follows_the_one_it_is_made_of():
    def mirror(image, masks):
        return image[:, ::-1], masks[:, ::-1]

    class NoMiniMasks(TinyConfig):
        USE_MINI_MASK = False

    picture = preview(Figures([[(1, 20, 14, 16)]]), NoMiniMasks(), augmentation=mirror, count=1, versions=2, tile=TILE)
    plain, first, second = tiles(picture, 1, 3)[0]
    assert np.array_equal(first, second) and not np.array_equal(plain, first)
    rows = slice(60, None)  # under the labels
    assert np.abs(plain[rows, ::-1].astype(int) - first[rows]).mean() < 1


def test_the_seed_chooses_images_and_random_numbers():
    from mrcnn_plus.data.augmentation import import_imgaug

    augmenter = import_imgaug().augmenters.Affine(rotate=(-90, 90))
    data = Figures([1] * 20)

    def drawn(seed):
        return preview(data, TinyConfig(), augmentation=augmenter, count=1, versions=1, seed=seed, tile=TILE)

    assert np.array_equal(drawn(1), drawn(1)) and not np.array_equal(drawn(1), drawn(2))


def test_an_image_that_fails_shows_why_and_the_others_are_drawn():
    class Broken(Figures):
        def load_image(self, image_id):
            if image_id == 1:
                raise OSError("no such file")
            return super().load_image(image_id)

    shown = tiles(preview(Broken([1, 1, 1]), TinyConfig(), count=3, tile=TILE), 1, 3)[0]
    assert np.median(shown[1]) == 235 and np.median(shown[0]) < 150 and np.median(shown[2]) < 150


def test_images_without_objects_and_of_one_channel_are_drawn():
    class Grey(TinyConfig):
        IMAGE_CHANNEL_COUNT = 1
        MEAN_PIXEL = [90.0]

    picture = preview(Figures([0, 2], channels=1), Grey(), count=2, tile=TILE)
    assert all(60 < np.median(tile) < 130 for tile in tiles(picture, 1, 2)[0])


def test_a_data_set_without_images_is_an_error():
    with pytest.raises(DatasetError, match="no images"):
        preview(Figures([]), TinyConfig())
