"""Settings that cannot work are named before a network is built."""

import pytest

from mrcnn_plus.config import Config
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.config_checks import check_config


def config_with(**settings):
    config = Config()
    for name, value in {"NAME": "test", "NUM_CLASSES": 3, **settings}.items():
        setattr(config, name, value)
    return config


def test_the_defaults_pass_and_so_do_numpy_numbers():
    import numpy as np

    check_config(config_with())
    check_config(config_with(NUM_CLASSES=np.int64(5), RPN_NMS_THRESHOLD=np.float32(0.5), DETECTION_MIN_CONFIDENCE=None))


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("NAME", None, "NAME: expected a short name"),
        ("NUM_CLASSES", "3", "NUM_CLASSES: expected a whole number of at least 1, received: NUM_CLASSES='3'"),
        ("IMAGES_PER_GPU", 0, "IMAGES_PER_GPU=0"),
        ("ROI_POSITIVE_RATIO", 33, "a number above 0 and up to 1, received: ROI_POSITIVE_RATIO=33"),
        ("DETECTION_MIN_CONFIDENCE", 70, "from 0 to 1, received: DETECTION_MIN_CONFIDENCE=70"),
        ("PRECISION", "fp16", "mixed_bfloat16.*received: PRECISION='fp16'"),
        ("BBOX_STD_DEV", [0.1, 0.1, 0.2], "BBOX_STD_DEV: expected four numbers"),
        ("LOSS_WEIGHTS", {"mrcnn_mask": 0.0}, "mrcnn_mask_loss.*received: LOSS_WEIGHTS={'mrcnn_mask': 0.0}"),
        ("LOSS_WEIGHTS", None, "received: LOSS_WEIGHTS=None"),
        ("IMAGE_RESIZE_MODE", "squre", "IMAGE_RESIZE_MODE='squre'"),
        ("IMAGE_MAX_DIM", 1000, "multiple of 64.*IMAGE_MAX_DIM=1000. Use 960 or 1024"),
        ("IMAGE_MAX_DIM", -64, "IMAGE_MAX_DIM=-64. Use 64 or 128"),
        ("MEAN_PIXEL", [1.0, 2.0], "IMAGE_CHANNEL_COUNT=3 channels"),
        ("BACKBONE_STRIDES", [2, 4, 8, 16, 32], "the strides of resnet101"),
        ("RPN_ANCHOR_SCALES", (32, 64, 128), "one scale above 0 for each of the 5 pyramid levels"),
        ("RPN_ANCHOR_RATIOS", [], "RPN_ANCHOR_RATIOS: expected a list of numbers above 0"),
        ("MINI_MASK_SHAPE", 56, "MINI_MASK_SHAPE: expected \\(height, width\\), received: MINI_MASK_SHAPE=56"),
        ("MASK_SHAPE", [56, 56], "\\[28, 28\\], twice MASK_POOL_SIZE=14.*Change both"),
        ("TRAIN_ROIS_PER_IMAGE", 2, "enough for one positive ROI"),
    ],
)
def test_a_setting_that_cannot_work_is_named_with_what_was_expected(setting, value, message):
    with pytest.raises(ConfigError, match=message):
        check_config(config_with(**{setting: value}))
