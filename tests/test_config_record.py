"""Which settings were read while something was built, and what is said when they change."""

import numpy as np
import pytest

from mrcnn_plus.config import Config
from mrcnn_plus.config_record import SettingsRecord
from mrcnn_plus.errors import ConfigError


def test_values_are_those_of_the_configuration():
    record = SettingsRecord(Config())
    assert record.NUM_CLASSES == 1 and record.RPN_ANCHOR_SCALES == (32, 64, 128, 256, 512)
    with pytest.raises(AttributeError, match="NO_SUCH"):
        _ = record.NO_SUCH


def test_only_settings_that_were_read_count():
    config = Config()
    record = SettingsRecord(config)
    assert record.NUM_CLASSES == 1
    config.STEPS_PER_EPOCH = 7
    assert record.changes(config) == []
    config.NUM_CLASSES = 4
    assert record.changes(config) == [("NUM_CLASSES", 1, 4)]


def test_lists_and_arrays_changed_in_place_are_noticed_but_not_another_type_of_the_same_numbers():
    config = Config()
    record = SettingsRecord(config)
    assert len(record.RPN_ANCHOR_RATIOS) == 3 and len(record.BBOX_STD_DEV) == 4
    config.RPN_ANCHOR_RATIOS = (0.5, 1.0, 2.0)
    assert record.changes(config) == []
    config.BBOX_STD_DEV[0] = 0.3
    assert [change.name for change in record.changes(config)] == ["BBOX_STD_DEV"]


def test_a_setting_read_twice_has_the_value_of_the_first_time():
    config = Config()
    record = SettingsRecord(config)
    assert record.POOL_SIZE == 7
    config.POOL_SIZE = 9
    assert record.POOL_SIZE == 9
    assert record.changes(config) == [("POOL_SIZE", 7, 9)]


def test_the_error_names_the_call_the_setting_and_both_values():
    config = Config()
    record = SettingsRecord(config)
    assert np.all(record.MASK_SHAPE) and record.POOL_SIZE
    record.require_unchanged(config, "train")
    config.POOL_SIZE = 9
    with pytest.raises(ConfigError, match="train: .*POOL_SIZE=7 when it was built, POOL_SIZE=9 now.*a new MaskRCNN"):
        record.require_unchanged(config, "train")
