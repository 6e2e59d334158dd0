"""Resizing of images against the recorded answers, against scikit-image, and with settings that cannot work."""

import random

import numpy as np
import pytest
import skimage.transform

from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.geometry.resizing import ResizeSettings, resize, resize_image

RECORDED = {
    "square": ResizeSettings(128, 256),
    "square_up": ResizeSettings(200, 256),
    "minscale": ResizeSettings(64, 512, 2),
    "pad64": ResizeSettings(128, None, mode="pad64"),
    "none": ResizeSettings(mode="none"),
}


def random_image(*shape, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    top = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    return (rng.random(shape) * top).astype(dtype)


# --- resize_image ---


@pytest.mark.parametrize("case", RECORDED)
def test_images_are_resized_as_recorded(golden, case):
    image, window, scale, padding, crop = resize_image(golden["resize/in"], *RECORDED[case])
    recorded = golden[f"resize/{case}/image"]
    assert image.dtype == np.uint8 and image.shape == recorded.shape
    np.testing.assert_array_equal(image, recorded)
    np.testing.assert_array_equal(window, golden[f"resize/{case}/window"])
    assert scale == golden[f"resize/{case}/scale"]
    np.testing.assert_array_equal(padding, golden[f"resize/{case}/padding"])
    assert crop is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3, 4, 7])
@pytest.mark.parametrize("mode", ["square", "pad64", "crop", "none"])
def test_every_mode_keeps_dtype_and_channels(mode, channels, dtype):
    image = random_image(40, 70, channels, dtype=dtype)
    resized, (y1, x1, y2, x2), _, _, _ = resize_image(image, 64, 128, mode=mode)
    assert resized.dtype == dtype
    expected = {"square": (128, 128), "pad64": (64, 128), "crop": (64, 64), "none": (40, 70)}[mode]
    assert resized.shape == (*expected, channels)
    assert 0 <= y1 < y2 <= expected[0] and 0 <= x1 < x2 <= expected[1]


def test_16_bit_images_keep_their_grey_levels():
    image = random_image(30, 40, 1, dtype=np.uint16)
    resized, (y1, x1, y2, x2), _, _, _ = resize_image(image, 57, 128)
    expected = skimage.transform.resize(image, (57, 76), order=1, mode="constant", preserve_range=True)
    assert np.abs(resized[y1:y2, x1:x2].astype(float) - np.floor(expected)).max() <= 1


def test_an_evenly_colored_image_stays_evenly_colored():
    image = np.full((50, 70, 3), 120, np.uint8)
    resized, (y1, x1, y2, x2), _, _, _ = resize_image(image, 91, 128)
    assert np.unique(resized[y1:y2, x1:x2]).tolist() == [120]


def test_padding_is_black_and_the_window_surrounds_the_image():
    image = np.full((40, 60, 3), 200, np.uint8)
    padded, (y1, x1, y2, x2), scale, padding, _ = resize_image(image, max_dim=65)
    assert scale == 1 and (y2 - y1, x2 - x1) == (40, 60)
    assert padding == [(12, 13), (2, 3), (0, 0)]
    assert (padded[y1:y2, x1:x2] == 200).all() and padded.sum() == image.sum()


@pytest.mark.parametrize(
    ("size", "settings", "scale"),
    [
        ((100, 200), ResizeSettings(50, 1024), 1),  # never made smaller for min_dim
        ((100, 200), ResizeSettings(300, 1024), 3),
        ((100, 200), ResizeSettings(300, 400), 2),  # max_dim wins
        ((100, 200), ResizeSettings(50, 1024, 1.5), 1.5),
        ((100, 200), ResizeSettings(0, 50), 0.25),
        ((100, 200), ResizeSettings(128, 150, mode="pad64"), 1.28),  # max_dim does not count here
        ((100, 200), ResizeSettings(None, None, 2, "pad64"), 2),
    ],
)
def test_the_scale_follows_from_the_settings(size, settings, scale):
    _, (y1, x1, y2, x2), answer, _, _ = resize_image(random_image(*size, 3), *settings)
    assert answer == scale
    assert (y2 - y1, x2 - x1) == (round(size[0] * scale), round(size[1] * scale))


def test_a_thin_image_keeps_at_least_one_pixel():
    image, window, _, _, _ = resize_image(random_image(1, 3000, 3), max_dim=512)
    assert window == (255, 0, 256, 512) and image.shape == (512, 512, 3)


@pytest.mark.parametrize("rng", [None, np.random.default_rng(1), np.random.RandomState(1)])
def test_crops_are_windows_of_the_scaled_image_and_cover_it(rng):
    image = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30, 1)
    offsets = set()
    for _ in range(400):
        cropped, window, scale, padding, (y, x, height, width) = resize_image(image, 16, mode="crop", rng=rng)
        assert (height, width, scale, window) == (16, 16, 1, (0, 0, 16, 16))
        assert padding == [(0, 0), (0, 0), (0, 0)]
        np.testing.assert_array_equal(cropped, image[y : y + 16, x : x + 16])
        offsets.add((y, x))
    assert {y for y, _ in offsets} == set(range(5)) and {x for _, x in offsets} == set(range(15))


def test_crops_follow_pythons_seed_or_the_generator_that_is_given():
    image = random_image(50, 60, 3)

    def crops(**arguments):
        return [resize_image(image, 32, mode="crop", **arguments)[4] for _ in range(5)]

    random.seed(3)
    first = crops()
    random.seed(3)
    assert crops() == first
    assert crops(rng=np.random.default_rng(7)) == crops(rng=np.random.default_rng(7))
    assert crops(rng=np.random.RandomState(7)) == crops(rng=np.random.RandomState(7))
    state = random.getstate()
    crops(rng=np.random.default_rng(7))
    assert random.getstate() == state


@pytest.mark.parametrize("mode", ["square", "pad64", "crop"])
def test_the_image_handed_in_is_neither_changed_nor_shared(mode):
    image = random_image(64, 64, 3)
    copy = image.copy()
    resized = resize_image(image, 64, 64, mode=mode)[0]
    resized[:] = 0
    np.testing.assert_array_equal(image, copy)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ResizeSettings(512, 1024, mode="squre"),
            "expected a mode of none, square, pad64, crop, received mode='squre'",
        ),
        (ResizeSettings(512, None), "mode 'square' expected .* received IMAGE_MAX_DIM=None. Set IMAGE_MAX_DIM"),
        (ResizeSettings(512, 0), "received IMAGE_MAX_DIM=0"),
        (ResizeSettings(100, None, mode="pad64"), "multiple of 64 .* received IMAGE_MIN_DIM=100.* to 128"),
        (ResizeSettings(None, 128, mode="crop"), "mode 'crop' expected .* received IMAGE_MIN_DIM=None"),
        (ResizeSettings(-5, 128), "expected a whole number .* received IMAGE_MIN_DIM=-5"),
        (ResizeSettings(64, 127.5), "expected a whole number .* received IMAGE_MAX_DIM=127.5"),
        (ResizeSettings(64, 128, -1), "received IMAGE_MIN_SCALE=-1"),
    ],
)
def test_settings_that_cannot_work_are_named_with_what_to_do(settings, message):
    with pytest.raises(ConfigError, match=f"resize_image: .*{message}"):
        resize_image(random_image(20, 30, 3), *settings)


@pytest.mark.parametrize("shape", [(20, 30), (2, 20, 30, 3), (0, 30, 3), (20, 30, 0)])
def test_what_is_not_an_image_is_refused(shape):
    with pytest.raises(
        DatasetError, match=r"resize_image: expected an image \[height, width, channels\].* received shape="
    ):
        resize_image(np.zeros(shape, np.uint8), 16, 32)


# --- resize ---


@pytest.mark.parametrize("preserve_range", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int64, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(17, 31), (40, 22)])
def test_resize_agrees_with_scikit_image_in_values_and_dtype(shape, dtype, preserve_range):
    image = random_image(20, 30, 3, dtype=dtype)
    expected = skimage.transform.resize(
        image, shape, order=1, mode="constant", cval=0, preserve_range=preserve_range, anti_aliasing=False
    )
    resized = resize(image, shape, preserve_range=preserve_range)
    assert resized.dtype == expected.dtype
    np.testing.assert_allclose(resized, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        {"order": 0},
        {"order": 3},
        {"mode": "edge"},
        {"cval": 9},
        {"clip": False},
        {"anti_aliasing": True},
        {"anti_aliasing": None},
        {"anti_aliasing": True, "anti_aliasing_sigma": (2, 0, 0)},
    ],
)
def test_other_arguments_mean_what_scikit_image_says(arguments):
    image = 50 + random_image(20, 30, 3) / 4
    defaults = {"order": 1, "mode": "constant", "cval": 0, "clip": True, "anti_aliasing": False, "preserve_range": True}
    expected = skimage.transform.resize(image, (11, 41), **(defaults | arguments))
    resized = resize(image, (11, 41), preserve_range=True, **arguments)
    np.testing.assert_allclose(resized, expected, rtol=1e-9)


def test_bool_is_interpolated_as_zero_and_one_and_copied_without_interpolation():
    mask = np.random.default_rng(0).random((9, 12)) < 0.5
    smooth = resize(mask, (30, 30))
    np.testing.assert_allclose(smooth, resize(mask.astype(float), (30, 30)))
    assert 0 < smooth[10, 10] <= 1
    np.testing.assert_allclose(resize(mask, (30, 30), mode="edge"), resize(mask.astype(float), (30, 30), mode="edge"))
    assert resize(mask, (30, 30), order=0).dtype == bool


@pytest.mark.parametrize("shape", [(8, 9, 3), (8, 9, 2)])
def test_an_output_shape_with_channels_is_taken_as_scikit_image_takes_it(shape):
    image = random_image(20, 30, 3)
    expected = skimage.transform.resize(image, shape, order=1, mode="constant", anti_aliasing=False)
    np.testing.assert_allclose(resize(image, shape), expected, rtol=1e-6)
