"""Anchors against the recorded answers and against four nested loops."""

import numpy as np
import pytest

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.geometry.anchors import AnchorCache, feature_shapes, generate_anchors, generate_pyramid_anchors

SCALES, RATIOS, STRIDES = (32, 64, 128, 256, 512), (0.5, 1, 2), (4, 8, 16, 32, 64)


@pytest.mark.parametrize("size", ["128x128", "256x256", "192x320", "1024x1024"])
def test_anchors_are_those_recorded(golden, size):
    height, width = (int(side) for side in size.split("x"))
    shapes = feature_shapes((height, width, 3), STRIDES)
    np.testing.assert_array_equal(shapes, golden[f"anchors/{size}/shapes"])
    anchors = generate_pyramid_anchors(SCALES, RATIOS, shapes, STRIDES, 1)
    assert anchors.dtype == np.float64
    assert len(anchors) == golden[f"anchors/{size}/count"]
    np.testing.assert_allclose(anchors[:: max(1, len(anchors) // 200)], golden[f"anchors/{size}/some"], rtol=1e-12)
    np.testing.assert_allclose(anchors.sum(axis=0), golden[f"anchors/{size}/sum"], rtol=1e-9)


@pytest.mark.parametrize("anchor_stride", [1, 2])
def test_anchors_of_one_level_agree_with_nested_loops(anchor_stride):
    expected = []
    for row in range(0, 3, anchor_stride):
        for column in range(0, 5, anchor_stride):
            for ratio in RATIOS:
                for scale in (8, 24):
                    height, width = scale / ratio**0.5, scale * ratio**0.5
                    y, x = row * 16, column * 16
                    expected.append([y - height / 2, x - width / 2, y + height / 2, x + width / 2])
    np.testing.assert_allclose(generate_anchors((8, 24), RATIOS, (3, 5), 16, anchor_stride), expected)


def test_ratio_one_half_is_taller_than_wide_and_keeps_the_area():
    y1, x1, y2, x2 = generate_anchors(32, [0.5], (1, 1), 4, 1)[0]
    assert y2 - y1 == pytest.approx(2 * (x2 - x1))
    assert (y2 - y1) * (x2 - x1) == pytest.approx(32 * 32)


def test_feature_maps_round_up():
    np.testing.assert_array_equal(feature_shapes((100, 130, 3), (4, 64)), [[25, 33], [2, 3]])


@pytest.mark.parametrize("scales", [(32, 64, 128), (8, 16, 32, 64, 128, 256), ()])
def test_a_wrong_number_of_scales_names_both_numbers(scales):
    shapes = feature_shapes((128, 128), STRIDES)
    with pytest.raises(ConfigError, match=rf"received {len(scales)} scales=.* for 5 levels .*RPN_ANCHOR_SCALES"):
        generate_pyramid_anchors(scales, RATIOS, shapes, STRIDES, 1)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"scales": 0}, r"scales=\[0\]"),
        ({"ratios": [0.5, -1]}, r"ratios=\[0.5, -1\.?0?\]"),
        ({"ratios": []}, r"ratios=\[\]"),
        ({"anchor_stride": 0}, "anchor_stride=0"),
    ],
)
def test_sizes_that_are_not_positive_are_named(changed, named):
    arguments = {"scales": 32, "ratios": RATIOS, "shape": (4, 4), "feature_stride": 4, "anchor_stride": 1} | changed
    with pytest.raises(ConfigError, match=f"generate_anchors: expected .* received {named}"):
        generate_anchors(**arguments)


def test_strides_that_are_not_positive_are_named():
    with pytest.raises(ConfigError, match="feature_shapes: expected strides above 0"):
        feature_shapes((64, 64, 3), (4, 0))


# ---- anchors of whole images ----

SETTINGS = ((8, 16, 32, 64, 128), [0.5, 1, 2], [4, 8, 16, 32, 64], 1)


def test_anchors_fit_the_padded_shape_and_are_made_once():
    cache = AnchorCache(*SETTINGS)
    anchors = cache.pixels((64, 128, 3))
    shapes = [[16, 32], [8, 16], [4, 8], [2, 4], [1, 2]]
    np.testing.assert_array_equal(anchors, generate_pyramid_anchors(*SETTINGS[:2], shapes, *SETTINGS[2:]))
    assert cache.pixels((64, 128, 3)) is anchors and cache.pixels((128, 64, 3)) is not anchors


def test_normalized_anchors_count_to_the_last_pixel():
    cache = AnchorCache(*SETTINGS)
    pixels, normalized = cache.pixels((64, 128, 3)), cache.normalized((64, 128, 3))
    assert normalized.dtype == np.float32
    np.testing.assert_allclose(normalized, (pixels - [0, 0, 1, 1]) / [63, 127, 63, 127], rtol=1e-5, atol=1e-6)


def test_a_backbone_of_other_geometry_says_its_shapes_itself():
    asked = []

    def shapes(image_shape):
        asked.append(image_shape)
        return np.array([[2, 3], [1, 2], [1, 1], [1, 1], [1, 1]])

    cache = AnchorCache(*SETTINGS, feature_shapes=shapes)
    assert len(cache.pixels((64, 96, 3))) == (6 + 2 + 3) * 3 and asked == [(64, 96, 3)]


def test_only_the_shapes_asked_for_last_are_kept():
    asked = []

    def shapes(image_shape):
        asked.append(image_shape[0])
        return np.ones((5, 2), int)

    cache = AnchorCache(*SETTINGS, feature_shapes=shapes)
    for side in range(64, 64 * 18, 64):
        cache.normalized((side, 64))
    assert len(asked) == 17
    cache.pixels((64 * 17, 64))
    cache.normalized((64 * 17, 64))
    assert len(asked) == 17, "kept"
    cache.pixels((64, 64))
    assert len(asked) == 18, "made again"
