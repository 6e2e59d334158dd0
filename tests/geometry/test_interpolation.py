"""Interpolation against scikit-image and SciPy, whose answers Matterport's users have."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
import skimage.transform

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.interpolation import nearest_indices, resize_bilinear, sample_bilinear, share_inside


def resized_by_skimage(image, shape):
    return skimage.transform.resize(
        image.astype(np.float64), shape, order=1, mode="constant", cval=0, preserve_range=True, anti_aliasing=False
    )


@pytest.fixture(params=[True, False], ids=["with Intel IPP", "without Intel IPP"])
def opencv_build(request):
    """OpenCV computes positions in float64 where it has Intel's library, and in float32 elsewhere."""
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(request.param)
    yield
    cv2.ipp.setUseIPP(before)


def sizes(count, largest, seed):
    """Random heights and widths of input and output, one pixel among them."""
    rng = np.random.default_rng(seed)
    return [tuple(int(side) for side in rng.integers(1, largest, 4)) for _ in range(count)] + [
        (1, 1, 7, 9),
        (7, 9, 1, 1),
        (1, 9, 5, 20),
        (12, 12, 6, 6),
        (5, 5, 5, 5),
        (4, 4, 64, 128),
    ]


def test_bilinear_resizing_is_that_of_scikit_image_at_any_size(opencv_build):
    rng = np.random.default_rng(1)
    for height, width, new_height, new_width in sizes(300, 80, seed=2):
        image = rng.random((height, width, 3))
        resized = resize_bilinear(image, (new_height, new_width))
        assert resized.dtype == np.float64
        np.testing.assert_allclose(resized, resized_by_skimage(image, (new_height, new_width)), atol=2e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 9, 130, 600])
def test_any_number_of_channels_is_resized_channel_by_channel(channels):
    image = np.random.default_rng(3).random((9, 11, channels))
    image[0, 0] = 0  # a black pixel in each, because the darkest of all channels bounds the borders
    expected = np.stack([resize_bilinear(image[..., i], (14, 8)) for i in range(channels)], axis=-1)
    np.testing.assert_allclose(resize_bilinear(image, (14, 8)), expected, atol=1e-6)


@pytest.mark.parametrize("low", [-3.0, 0.0, 2.0])
def test_borders_blend_with_black_only_as_far_as_the_range_of_the_image(low):
    image = low + np.random.default_rng(4).random((5, 6))
    np.testing.assert_allclose(resize_bilinear(image, (17, 23)), resized_by_skimage(image, (17, 23)), atol=1e-6)
    image[0, 0] = 1.5 if low < 0 else -1
    np.testing.assert_allclose(resize_bilinear(image, (17, 23)), resized_by_skimage(image, (17, 23)), atol=1e-6)


def test_share_inside_by_hand():
    # Two pixels become four: samples at -0.25, 0.25, 0.75, 1.25; a quarter of the outer ones is outside.
    np.testing.assert_allclose(share_inside(2, 4), [0.75, 1, 1, 0.75])
    np.testing.assert_allclose(share_inside(4, 2), [1, 1])


def test_samples_equal_scipy_to_the_last_bit():
    rng = np.random.default_rng(5)
    for height, width, new_height, new_width in sizes(300, 60, seed=6):
        rows, columns = np.arange(new_height)[:, np.newaxis], np.arange(new_width)
        values = rng.random((height, width))
        for plane in (values, values < 0.5):
            expected = resized_by_skimage(plane, (new_height, new_width))
            samples = sample_bilinear(plane, (new_height, new_width), rows, columns)
            np.testing.assert_array_equal(np.clip(samples, plane.min(), plane.max()), expected)


def test_single_samples_are_those_of_the_whole():
    plane = np.random.default_rng(7).random((8, 9))
    whole = sample_bilinear(plane, (20, 5), np.arange(20)[:, np.newaxis], np.arange(5))
    np.testing.assert_array_equal(
        sample_bilinear(plane, (20, 5), np.array([0, 19]), np.array([4, 2])), whole[[0, 19], [4, 2]]
    )


def test_nearest_indices_copy_the_pixels_that_scipy_copies():
    lost = 0
    for length in range(1, 120):
        for new_length in range(1, 200, 7):
            numbers = np.arange(1, length + 1)
            expected = scipy.ndimage.zoom(numbers, new_length / length, order=0)
            indices = nearest_indices(length, len(expected))
            np.testing.assert_array_equal(np.where(indices < 0, 0, numbers[indices]), expected)
            lost += indices[-1] < 0
    assert lost > 0  # SciPy's rounding at the end did occur, so that branch was compared


@pytest.mark.parametrize(("size", "new_size"), [((4, 5), (0, 5)), ((0, 5), (4, 5)), ((4, 5, 0), (4, 5))])
def test_images_and_outputs_without_a_pixel_are_refused(size, new_size):
    with pytest.raises(DatasetError, match=r"resize: expected .* at least one pixel, received image.shape="):
        resize_bilinear(np.zeros(size), new_size)
