"""Plain values from a configuration."""

import numpy as np
import pytest

from mrcnn_plus import config_values
from mrcnn_plus.config import Config
from mrcnn_plus.geometry.resizing import ResizeSettings


@pytest.mark.parametrize(("mode", "in_detection"), [("square", "square"), ("none", "none"), ("crop", "pad64")])
def test_detection_never_cuts_a_random_window(mode, in_detection):
    config = Config()
    config.IMAGE_RESIZE_MODE = mode
    assert config_values.resize_settings(config) == ResizeSettings(800, 1024, 0, mode)
    assert config_values.detection_resize_settings(config).mode == in_detection


def test_mini_masks_have_a_shape_and_whole_masks_none():
    config = Config()
    assert config_values.mini_mask_shape(config) == (56, 56)
    config.USE_MINI_MASK = False
    assert config_values.mini_mask_shape(config) is None


def test_a_backbone_of_the_users_says_its_shapes_and_a_named_one_goes_by_its_strides():
    class Mine(Config):
        COMPUTE_BACKBONE_SHAPE = lambda image_shape: np.ones((5, 2), int)  # noqa: E731

    config = Mine()
    by_strides = [[16, 32], [8, 16], [4, 8], [2, 4], [1, 2]]
    assert config_values.feature_shapes(config, (64, 128, 3)).tolist() == by_strides
    assert len(config_values.anchor_cache(config).pixels((64, 128))) == 3 * sum(h * w for h, w in by_strides)
    config.BACKBONE = lambda image, stage5, train_bn: None
    assert config_values.feature_shapes(config, (64, 128, 3)).tolist() == [[1, 1]] * 5
    assert len(config_values.anchor_cache(config).pixels((64, 128))) == 3 * 5
