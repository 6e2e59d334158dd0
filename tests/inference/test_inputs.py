"""What may be given to `detect`, and how it becomes input of the network."""

import logging

import numpy as np
import pytest

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.resizing import ResizeSettings
from mrcnn_plus.inference.inputs import AnchorCache, as_color_image, as_list_of_images, mold_images


def image_of(height, width, channels=3, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, 256, (height, width, channels)).astype(dtype)


@pytest.mark.parametrize("images", [image_of(5, 7), "photo.png", None, 3])
def test_something_other_than_a_list_is_an_error_that_says_what_to_write(images):
    with pytest.raises(DatasetError, match=r"expected a list of images.*Write detect\(\[image\]\)"):
        as_list_of_images(images)


def test_lists_tuples_generators_and_batches_are_lists_of_images():
    image = image_of(5, 7)
    for images in ([image, image], (image, image), (image for _ in range(2)), np.stack([image, image])):
        assert len(as_list_of_images(images)) == 2
    assert as_list_of_images([]) == []


def test_grey_is_repeated_and_alpha_is_dropped():
    grey, rgba = image_of(5, 7, 1)[..., 0], image_of(5, 7, 4)
    np.testing.assert_array_equal(as_color_image(grey, 3, place="x"), np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(as_color_image(rgba, 3, place="x"), rgba[..., :3])
    assert as_color_image(grey, 1, place="x").shape == (5, 7, 1)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (image_of(5, 7, 2), r"image 3: expected an array \[height, width, 3\], received: shape=\(5, 7, 2\)"),
        (np.zeros((0, 7, 3), np.uint8), r"received: shape=\(0, 7, 3\)"),
        (np.full((5, 7, 3), np.nan), "expected finite numbers"),
        (np.zeros((5, 7, 3), bool), "received: dtype=bool"),
        (np.array([["a"]]), "received: dtype=<U1"),
    ],
)
def test_what_is_no_image_is_named_with_its_place(image, message):
    with pytest.raises(DatasetError, match=message):
        as_color_image(image, 3, place="image 3")


def test_other_ranges_than_grey_levels_are_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        as_color_image(image_of(5, 7, dtype=np.uint16) * 257, 3, place="sixteen bits")
        as_color_image(image_of(5, 7) / 255.0, 3, place="fractions")
        as_color_image(image_of(5, 7), 3, place="ordinary")
    assert [record.message.split(":")[0] for record in caplog.records] == ["sixteen bits", "fractions"]


@pytest.mark.parametrize(
    ("mode", "size", "molded", "window"),
    [
        ("square", (100, 50), (128, 128), (0, 32, 128, 96)),
        ("pad64", (100, 150), (128, 192), (14, 21, 114, 171)),
        ("none", (100, 150), (128, 192), (0, 0, 100, 150)),
    ],
)
def test_images_are_molded_to_multiples_of_64_with_the_mean_subtracted_everywhere(mode, size, molded, window):
    image = image_of(*size)
    settings = ResizeSettings(64 if mode == "square" else None, 128, 2 if mode == "square" else 0, mode)
    images, metas, windows = mold_images([image], resize=settings, mean_pixel=[10.0, 20.0, 30.0], num_classes=4)
    assert images[0].shape[:2] == molded and tuple(windows[0]) == window
    np.testing.assert_allclose(images[0][-1, -1], [-10, -20, -30] if mode != "square" else images[0][-1, -1])
    np.testing.assert_array_equal(metas[0][1:4], image.shape)
    np.testing.assert_array_equal(metas[0][4:7], images[0].shape)
    assert len(metas[0]) == 12 + 4


def test_anchors_are_made_once_for_each_size():
    cache = AnchorCache((8, 16, 32, 64, 128), [0.5, 1, 2], [4, 8, 16, 32, 64], 1)
    assert cache.pixels((128, 192, 3)) is cache.pixels((128, 192, 1))
    assert cache.normalized((128, 192, 3)).shape == cache.pixels((128, 192, 3)).shape
    assert cache.normalized((128, 192, 3)).dtype == np.float32
