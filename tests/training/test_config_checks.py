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
        ("NAME", None, "CFG015.*NAME: expected a short name"),
        ("NUM_CLASSES", "3", "CFG020.*NUM_CLASSES='3'"),
        ("IMAGES_PER_GPU", 0, "CFG100.*IMAGES_PER_GPU=0"),
        ("ROI_POSITIVE_RATIO", 33, "CFG053.*ROI_POSITIVE_RATIO=33"),
        ("DETECTION_MIN_CONFIDENCE", 70, "CFG056.*DETECTION_MIN_CONFIDENCE=70"),
        ("PRECISION", "fp16", "CFG019.*mixed_bfloat16.*PRECISION='fp16'"),
        ("BBOX_STD_DEV", [0.1, 0.1, 0.2], "CFG080.*BBOX_STD_DEV: expected four numbers"),
        ("LOSS_WEIGHTS", {"mrcnn_mask": 0.0}, "CFG093.*'mrcnn_mask'.*mrcnn_mask_loss"),
        ("LOSS_WEIGHTS", None, "CFG094.*LOSS_WEIGHTS=None"),
        ("IMAGE_RESIZE_MODE", "squre", "CFG001.*IMAGE_RESIZE_MODE='squre'"),
        ("IMAGE_MAX_DIM", 1000, "CFG002.*IMAGE_MAX_DIM=1000.*Use 960 or 1024"),
        ("IMAGE_MAX_DIM", -64, "IMAGE_MAX_DIM=-64"),
        ("MEAN_PIXEL", [1.0, 2.0], "CFG070.*IMAGE_CHANNEL_COUNT=3 channels"),
        ("BACKBONE_STRIDES", [2, 4, 8, 16, 32], "CFG034.*resnet101 has the strides"),
        ("RPN_ANCHOR_SCALES", (32, 64, 128), "CFG033.*RPN_ANCHOR_SCALES.*for 5 pyramid levels"),
        ("RPN_ANCHOR_RATIOS", [], "CFG040.*RPN_ANCHOR_RATIOS"),
        ("MINI_MASK_SHAPE", 56, "CFG061.*MINI_MASK_SHAPE=56"),
        ("MASK_SHAPE", [56, 56], "CFG060.*MASK_SHAPE"),
        ("TRAIN_ROIS_PER_IMAGE", 2, "CFG054.*Use 16 or more"),
        ("TOP_DOWN_PYRAMID_SIZE", 0, "CFG019.*TOP_DOWN_PYRAMID_SIZE=0"),
        ("DETECTION_MAX_INSTANCES", 2.5, "CFG019.*DETECTION_MAX_INSTANCES=2.5"),
        ("DETECTION_NMS_THRESHOLD", 1.5, "CFG055.*DETECTION_NMS_THRESHOLD=1.5"),
    ],
)
def test_a_setting_that_cannot_work_is_named_with_its_rule_and_what_was_received(setting, value, message):
    with pytest.raises(ConfigError, match=message):
        check_config(config_with(**{setting: value}))


def test_all_settings_that_cannot_work_are_named_at_once():
    with pytest.raises(ConfigError, match="CFG002(.|\n)*CFG060"):
        check_config(config_with(IMAGE_MAX_DIM=1000, MASK_SHAPE=[56, 56]))


def test_detection_does_not_ask_for_settings_that_only_training_reads():
    config = config_with(STEPS_PER_EPOCH=0, TRAIN_ROIS_PER_IMAGE=2, LOSS_WEIGHTS=None)
    check_config(config, "inference")
    with pytest.raises(ConfigError, match="STEPS_PER_EPOCH=0"):
        config.LOSS_WEIGHTS = Config.LOSS_WEIGHTS
        check_config(config, "training")
    with pytest.raises(ConfigError, match="IMAGE_MAX_DIM=1000"):
        check_config(config_with(IMAGE_MAX_DIM=1000), "inference")


def test_what_merely_makes_little_sense_does_not_keep_a_network_from_being_built():
    check_config(config_with(LEARNING_RATE=0.5, IMAGE_MIN_DIM=2000, STEPS_PER_EPOCHS=7, PRE_NMS_LIMIT=10))


def test_a_rule_that_the_configuration_ignores_does_not_stop_it():
    check_config(config_with(NUM_CLASSES=1, LINT_IGNORE=("CFG020",)))


def test_what_is_no_configuration_is_refused():
    with pytest.raises(ConfigError, match="expected an instance of a Config subclass, received: dict"):
        check_config({})
