"""Molded images and image metas: recorded answers, round trips, wrong input."""

import numpy as np
import pytest

from mrcnn_plus.constants import META_FIELDS
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.geometry.molding import compose_image_meta, mold_image, parse_image_meta, unmold_image

MEAN = np.array([123.7, 116.8, 103.9])
META = (7, (90, 150, 3), (256, 256, 3), (51, 0, 204, 256), 1.7066, [1, 0, 1, 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_molding_subtracts_the_mean_of_each_channel(batch, dtype):
    image = np.random.default_rng(0).integers(0, 256, (*batch, 5, 6, 3)).astype(dtype)
    molded = mold_image(image, MEAN)
    assert molded.dtype == np.float32 and molded.shape == image.shape
    for channel in range(3):
        np.testing.assert_allclose(molded[..., channel], image[..., channel] - MEAN[channel], rtol=1e-6, atol=1e-5)


def test_unmolding_gives_back_every_grey_level():
    image = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    unmolded = unmold_image(mold_image(image, MEAN), MEAN)
    assert unmolded.dtype == np.uint8
    np.testing.assert_array_equal(unmolded, image)


def test_unmolding_stays_within_the_grey_levels():
    np.testing.assert_array_equal(unmold_image(np.array([[[-900.0], [900.0]]]), 100), [[[0], [255]]])


def test_one_mean_serves_all_channels():
    image = np.full((2, 3, 5), 50, np.uint8)
    np.testing.assert_array_equal(mold_image(image, 20), np.full((2, 3, 5), 30))


@pytest.mark.parametrize("function", [mold_image, unmold_image])
def test_channels_that_do_not_match_the_mean_are_named(function):
    with pytest.raises(
        ConfigError, match=rf"{function.__name__}: .* 1 channels, received MEAN_PIXEL=\[123.7, 116.8, 103.9\]"
    ):
        function(np.zeros((4, 4, 1), np.float32), MEAN)
    with pytest.raises(DatasetError, match=rf"{function.__name__}: expected an image .* received shape=\(4, 4\)"):
        function(np.zeros((4, 4), np.float32), 20)


def test_meta_is_laid_out_as_recorded(golden):
    meta = compose_image_meta(*META)
    assert meta.dtype == np.float64
    np.testing.assert_allclose(meta, golden["meta/out"])


def test_meta_can_be_taken_apart_again():
    parsed = parse_image_meta(np.stack([compose_image_meta(*META), compose_image_meta(8, *META[1:])]))
    assert list(parsed) == list(META_FIELDS)
    np.testing.assert_array_equal(parsed["image_id"], [7, 8])
    np.testing.assert_allclose(parsed["scale"], [1.7066, 1.7066])
    for name, expected in zip(("original_image_shape", "image_shape", "window"), META[1:4]):
        np.testing.assert_array_equal(parsed[name], [expected, expected])
    np.testing.assert_array_equal(parsed["active_class_ids"], [META[5], META[5]])
    assert {name: values.dtype for name, values in parsed.items()} == {
        name: np.float32 if name == "scale" else np.int32 for name in META_FIELDS
    }


def test_parts_of_a_wrong_length_are_refused():
    with pytest.raises(DatasetError, match=r"expected 3 numbers, received original_image_shape=\(90, 150\)"):
        compose_image_meta(7, (90, 150), *META[2:])
    with pytest.raises(DatasetError, match=r"parse_image_meta: .* received shape=\(16,\).*newaxis"):
        parse_image_meta(compose_image_meta(*META))
