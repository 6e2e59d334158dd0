"""Sizes after resizing are those that `resize_image` gives, without its pixels."""

import numpy as np
import pytest

from mrcnn_plus.geometry.resizing import ResizeSettings, resize_image
from mrcnn_plus.lint.estimates.molded import mold_objects, mold_sizes
from mrcnn_plus.lint.facts import Split
from tests.support.lint_boxes import boxes_dataset, settings

SIZES = [
    (480, 640),
    (640, 480),
    (100, 30),
    (511, 513),
    (64, 64),
    (7, 1000),
    (1, 1),
    (333, 334),
    (799, 1023),
]  # the last rounds to 1024 of 1024


@pytest.mark.parametrize(
    "resize",
    [
        ResizeSettings(800, 1024, 0, "square"),
        ResizeSettings(0, 512, None, "square"),
        ResizeSettings(256, 256, 2, "square"),
        ResizeSettings(128, 0, 0, "pad64"),
        ResizeSettings(None, None, 1.5, "pad64"),
        ResizeSettings(64, 64, 0, "crop"),
        ResizeSettings(800, 1024, 2, "none"),
    ],
)
def test_shapes_scales_and_places_are_those_of_resize_image(resize):
    molded = mold_sizes(SIZES, resize)
    for row, size in enumerate(SIZES):
        image, window, scale, _, _ = resize_image(np.zeros((*size, 1), np.uint8), *resize)
        assert molded.scale[row] == pytest.approx(scale)
        if resize.mode != "none":
            assert tuple(molded.shape[row]) == image.shape[:2]
        if resize.mode in ("square", "pad64"):
            assert tuple(molded.offset[row]) == window[:2]
            assert tuple(molded.content[row]) == (window[2] - window[0], window[3] - window[1])


def test_images_of_unknown_size_stay_unknown():
    molded = mold_sizes([(np.nan, np.nan), (100, 200), (0, 50)], ResizeSettings(0, 256, 0, "square"))
    assert molded.known.tolist() == [False, True, False]
    assert np.isnan(molded.shape[0]).all()


def test_padding_is_the_share_of_the_input_that_no_image_covers():
    molded = mold_sizes([(256, 512), (512, 512)], ResizeSettings(0, 512, 0, "square"))
    assert molded.padding_share.tolist() == [0.5, 0]


def test_boxes_are_clipped_to_their_image_scaled_and_moved():
    dataset = boxes_dataset([[(10, -20, 100, 50), (0, 300, 10, 10)]], size=(128, 256))
    split = Split("train", dataset)
    config = settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512)
    molded = mold_objects(split, split.objects, config)
    # The image is doubled to 256 x 512 and stands in the middle of 512 x 512; the second box lies outside.
    np.testing.assert_allclose(molded.boxes, [[20 + 128, 0, 220 + 128, 60]])
    assert molded.row.tolist() == [0]
    assert molded.short_sides.tolist() == [60]


def test_crowds_are_left_out():
    split = Split("train", boxes_dataset([[(10, 20, 100, 50)]], crowd=True))
    assert len(mold_objects(split, split.objects, settings()).row) == 0
