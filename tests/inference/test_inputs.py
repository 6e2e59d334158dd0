"""From images of any kind to what the network takes."""

import logging

import numpy as np
import pytest

from mrcnn_plus.data.notices import forget_notices
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.molding import parse_image_meta
from mrcnn_plus.geometry.resizing import ResizeSettings
from mrcnn_plus.inference.inputs import as_color_image, as_list_of_images, as_molded, crop_padding, mold_images

MEAN = np.array([100.0, 110.0, 120.0])
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def fresh_notices():
    forget_notices()


def mold(image, **settings):
    resize = ResizeSettings(**{"min_dim": 64, "max_dim": 64, "min_scale": 0, "mode": "square", **settings})
    (molded,), (meta,), (window,) = mold_images([image], resize=resize, mean_pixel=MEAN, num_classes=4)
    return molded, parse_image_meta(meta[None]), window


# ---- kinds of images ----


def test_colour_images_pass_unchanged():
    assert as_color_image(RGB, 3, place="x") is RGB


@pytest.mark.parametrize("grey", [RGB[..., 0], RGB[..., :1]], ids=["two axes", "one channel"])
def test_grey_images_are_repeated_where_colour_is_expected(grey):
    np.testing.assert_array_equal(as_color_image(grey, 3, place="x"), np.stack([RGB[..., 0]] * 3, axis=-1))


def test_alpha_is_dropped_where_colour_is_expected():
    np.testing.assert_array_equal(as_color_image(np.dstack([RGB, RGB[..., 0]]), 3, place="x"), RGB)


def test_a_grey_network_takes_images_of_two_axes():
    assert as_color_image(RGB[..., 0], 1, place="x").shape == (20, 30, 1)


@pytest.mark.parametrize(
    ("shape", "channels"),
    [((20, 30, 2), 3), ((2, 20, 30, 3), 3), ((20, 30, 3), 1), ((20, 30, 4), 5), ((0, 30, 3), 3), ((3,), 3)],
)
def test_images_of_other_shapes_are_refused_by_place_and_shape(shape, channels):
    with pytest.raises(DatasetError) as error:
        as_color_image(np.zeros(shape, np.uint8), channels, place="detect: image 2 of 5")
    assert "detect: image 2 of 5" in str(error.value) and f"shape={shape}" in str(error.value)


def test_pixels_that_are_no_finite_numbers_are_refused():
    broken = RGB.astype("float32")
    broken[3, 4, 1] = np.nan
    with pytest.raises(DatasetError, match="image 0: expected finite numbers"):
        as_color_image(broken, 3, place="image 0")
    with pytest.raises(DatasetError, match=r"image 0: expected numbers \(uint8\), received: dtype="):
        as_color_image(np.array([["a"]]), 3, place="image 0")


@pytest.mark.parametrize(("scale", "warned"), [(1 / 255, True), (257.0, True), (1.0, False)])
def test_other_ranges_than_grey_levels_are_warned_of(caplog, scale, warned):
    with caplog.at_level(logging.WARNING):
        as_color_image(RGB * scale, 3, place="image 0")
    assert bool(caplog.records) == warned


@pytest.mark.parametrize("images", [RGB, "photo.jpg", None, 3])
def test_what_is_no_list_of_images_is_told_what_to_write(images):
    with pytest.raises(DatasetError, match=r"Write detect\(\[image\]\)"):
        as_list_of_images(images)


def test_lists_generators_and_stacks_are_lists_of_images():
    for images in ([RGB, RGB], (RGB, RGB), np.stack([RGB, RGB]), (image for image in (RGB, RGB))):
        assert [image.shape for image in as_list_of_images(images)] == [RGB.shape] * 2
    assert as_list_of_images([]) == []


# ---- molding ----


def test_an_image_is_enlarged_padded_and_shifted_by_the_mean():
    molded, meta, window = mold(np.full((20, 32, 3), 200, np.uint8))
    assert molded.shape == (64, 64, 3) and molded.dtype == np.float32
    assert tuple(window) == (12, 0, 52, 64)
    np.testing.assert_allclose(molded[30, 30], 200 - MEAN)
    np.testing.assert_allclose(molded[5, 30], -MEAN, err_msg="padding is black")
    assert meta["original_image_shape"][0].tolist() == [20, 32, 3] and meta["image_shape"][0].tolist() == [64, 64, 3]
    assert meta["window"][0].tolist() == [12, 0, 52, 64] and meta["scale"][0] == 2
    assert meta["active_class_ids"].shape == (1, 4)


def test_pad64_keeps_the_proportions():
    molded, _, window = mold(RGB, mode="pad64")
    assert molded.shape == (64, 128, 3) and tuple(window) == (0, 16, 64, 112)


def test_mode_none_pads_black_to_multiples_of_64():
    """As training does: its batches are padded at the bottom and on the right."""
    molded, meta, window = mold(np.full((70, 60, 3), 200, np.uint8), mode="none")
    assert molded.shape == (128, 64, 3) and tuple(window) == (0, 0, 70, 60)
    np.testing.assert_allclose(molded[69, 59], 200 - MEAN)
    for corner in (molded[70, 59], molded[69, 60], molded[127, 63]):
        np.testing.assert_allclose(corner, -MEAN)
    assert meta["image_shape"][0].tolist() == [128, 64, 3] and meta["window"][0].tolist() == [0, 0, 70, 60]


def test_the_notice_about_a_range_is_given_once(caplog):
    for _ in range(3):
        as_color_image(RGB / 255, 3, place="image 0")
    assert len(caplog.records) == 1


# ---- molded images ----

MOLDED, METAS = np.zeros((2, 64, 128, 3), np.float32), np.zeros((2, 12 + 4))


def check(images=MOLDED, metas=METAS):
    return as_molded(images, metas, channels=3, num_classes=4, place="detect_molded")


def test_molded_images_and_metas_pass_also_as_lists():
    images, metas = check(list(MOLDED), list(METAS))
    assert images.shape == MOLDED.shape and metas.shape == METAS.shape


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"images": MOLDED[0]}, r"molded images \[images, height, width, 3\].*shape=\(64, 128, 3\)"),
        ({"images": MOLDED[:, :60]}, r"multiples of 64.*shape=\(2, 60, 128, 3\)"),
        ({"images": MOLDED[..., :1]}, r"shape=\(2, 64, 128, 1\)"),
        ({"images": [MOLDED[0], MOLDED[1, :, :64]]}, "expected arrays of one shape"),
        ({"images": MOLDED + np.nan}, "expected finite numbers"),
        ({"metas": METAS[:1]}, "2 images, 1 image metas"),
        ({"metas": METAS[:, :15]}, r"12 \+ NUM_CLASSES=4\], received: shape=\(2, 15\)"),
    ],
)
def test_what_is_not_molded_is_an_error(given, words):
    with pytest.raises(DatasetError, match="detect_molded: .*" + words):
        check(**given)


# ---- padding ----


def test_cropped_padding_is_all_that_is_gone_and_the_rest_lies_where_it_lay():
    """Two of 512 x 256 and 512 x 320 in a square of 512: what is left is a multiple of 64 and holds both."""
    photos = [RNG.integers(1, 256, (height, 512, 3), dtype=np.uint8) for height in (256, 320)]
    resize = ResizeSettings(min_dim=512, max_dim=512, min_scale=0, mode="square")
    whole = [np.stack(part) for part in mold_images(photos, resize=resize, mean_pixel=MEAN, num_classes=4)]
    images, metas, windows = crop_padding(*whole)
    assert images.shape == (2, 384, 512, 3)
    np.testing.assert_array_equal(images, whole[0][:, 64:448])
    np.testing.assert_array_equal(windows, whole[2] - [64, 0, 64, 0])
    meta = parse_image_meta(metas)
    np.testing.assert_array_equal(meta["window"], windows)
    np.testing.assert_array_equal(meta["image_shape"], [[384, 512, 3]] * 2)
    assert parse_image_meta(whole[1])["image_shape"][0].tolist() == [512, 512, 3], "the given ones are as they were"
    for photo, image, (top, left, bottom, right) in zip(photos, images, windows, strict=True):
        np.testing.assert_allclose(image[top:bottom, left:right] + MEAN, photo, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "window", "kept"),
    [
        (1024, (170, 853), (128, 896)),  # 3:2
        (1024, (128, 896), (128, 896)),  # 4:3
        (1024, (224, 800), (128, 896)),  # 16:9
        (1024, (0, 576), (0, 768)),
        (1024, (448, 1024), (256, 1024)),
        (1024, (256, 768), (256, 768)),
        (1024, (400, 600), (256, 768)),
        (1024, (100, 900), (0, 1024)),
        (320, (100, 220), (64, 256)),
        (64, (20, 40), (0, 64)),
    ],
)
def test_what_is_left_of_a_side_is_a_half_or_three_quarters_or_all(size, window, kept):
    metas, windows = np.zeros((1, 16)), np.array([[0, window[0], 64, window[1]]])
    images, _, moved = crop_padding(np.arange(64.0 * size).reshape(1, 64, size, 1), metas, windows)
    assert images[0, 0, [0, -1], 0].tolist() == [kept[0], kept[1] - 1]
    assert moved.tolist() == [[0, window[0] - kept[0], 64, window[1] - kept[0]]]


def test_without_padding_nothing_is_cropped():
    molded, _, window = mold(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    meta = np.zeros((1, 16))
    assert crop_padding(molded[None], meta, np.array([window]))[0].shape == (1, 64, 64, 3)
