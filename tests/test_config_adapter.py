"""An object that is no `Config` but has the settings as attributes, as Matterport's code takes it."""

import argparse
import copy
import linecache
import pickle
import types

import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.config import Config
from mrcnn_plus.config_adapter import as_config
from mrcnn_plus.config_record import plain_settings
from mrcnn_plus.errors import ConfigError


class Plain:
    """Settings of the class, of the instance, a computed one, and what is no setting."""

    NAME = "plain"
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 128
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    DATA_DIR = "photos"
    STEPS_PER_EPOCHS = 7

    def __init__(self, classes=2):
        self.NUM_CLASSES = 1 + classes
        self.MEAN_PIXEL = np.array([1.0, 2.0, 3.0])
        self.IMAGES_PER_GPU = 1
        self.GPU_COUNT = 1
        self.BATCH_SIZE = 1
        self.IMAGE_SHAPE = np.array([128, 128, 3])
        self.IMAGE_META_SIZE = 12 + 1 + classes
        self.class_names = ["BG", "nut", "bolt"]

    def names(self):
        return ", ".join(self.class_names)


def test_settings_are_those_of_the_object_and_the_defaults():
    config = as_config(Plain())
    assert isinstance(config, Config) and type(config).__name__ == "Plain"
    assert (config.NAME, config.NUM_CLASSES, config.IMAGE_MAX_DIM, config.BATCH_SIZE) == ("plain", 3, 128, 1)
    assert config.MEAN_PIXEL.tolist() == [1, 2, 3]
    assert config.IMAGE_SHAPE.tolist() == [128, 128, 3] and config.IMAGE_META_SIZE == 15
    assert config.DETECTION_MIN_CONFIDENCE == Config.DETECTION_MIN_CONFIDENCE
    assert config.is_overridden("NUM_CLASSES") and not config.is_overridden("LEARNING_RATE")
    assert plain_settings(config)["RPN_ANCHOR_SCALES"] == [8, 16, 32, 64, 128]
    assert "NUM_CLASSES=3" in repr(config)


def test_what_is_no_setting_can_be_read_too():
    config = as_config(Plain())
    assert (config.DATA_DIR, config.class_names[1], config.names()) == ("photos", "nut", "BG, nut, bolt")
    with pytest.raises(AttributeError, match="no_such"):
        config.no_such  # noqa: B018


def test_later_values_of_the_object_count_and_those_of_the_config_stay_with_it():
    given = Plain()
    config = as_config(given)
    given.STEPS_PER_EPOCH, given.MEAN_PIXEL = 12, np.zeros(3)
    assert config.STEPS_PER_EPOCH == 12 and config.MEAN_PIXEL.tolist() == [0, 0, 0]
    config.NUM_CLASSES = 9
    other = copy.copy(config)
    other.NUM_CLASSES = 11
    assert (given.NUM_CLASSES, config.NUM_CLASSES, other.NUM_CLASSES) == (3, 9, 11)
    del config.NUM_CLASSES
    assert config.NUM_CLASSES == 3


class KeysAsAttributes(dict):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


@pytest.mark.parametrize(
    "given",
    [
        types.SimpleNamespace(NUM_CLASSES=3, NAME="x"),
        argparse.Namespace(NUM_CLASSES=3, NAME="x"),
        type("Slots", (), {"__slots__": (), "NUM_CLASSES": 3, "NAME": "x"})(),
        type("TheClassItself", (), {"NUM_CLASSES": 3, "NAME": "x"}),
        KeysAsAttributes(NUM_CLASSES=3, NAME="x"),
    ],
)
def test_any_object_with_the_attributes_will_do(given):
    config = as_config(given)
    assert (config.NUM_CLASSES, config.NAME, config.IMAGE_META_SIZE) == (3, "x", 15)
    assert config.is_overridden("NUM_CLASSES")


def test_derived_values_stand_for_settings_that_the_object_lacks():
    config = as_config(types.SimpleNamespace(NUM_CLASSES=3, BATCH_SIZE=4, IMAGE_SHAPE=[256, 256, 1]))
    assert (config.IMAGES_PER_GPU, config.BATCH_SIZE, config.IMAGE_MAX_DIM, config.IMAGE_MIN_DIM) == (4, 4, 256, 256)
    assert config.IMAGE_CHANNEL_COUNT == 1 and config.IMAGE_SHAPE.tolist() == [256, 256, 1]
    config = as_config(types.SimpleNamespace(NUM_CLASSES=3, IMAGE_MAX_DIM=256, IMAGE_SHAPE=np.array([256, 256, 4])))
    assert config.IMAGE_SHAPE.tolist() == [256, 256, 4]


def test_without_a_name_it_is_called_after_its_class(caplog):
    class Nameless(Plain):
        NAME = None

    assert as_config(Nameless()).NAME == "Nameless"
    assert "defaults: NAME=Nameless, STEPS_PER_EPOCH=1000" in caplog.text


def test_derived_values_that_contradict_are_told(caplog):
    config = as_config(types.SimpleNamespace(NUM_CLASSES=3, IMAGES_PER_GPU=2, GPU_COUNT=1, BATCH_SIZE=8))
    assert config.BATCH_SIZE == 2
    assert "BATCH_SIZE=8" in caplog.text and "is ignored, because it is computed (2)" in caplog.text


def test_what_the_object_lacks_is_told_once(caplog):
    class Lacking(Plain):
        pass

    as_config(Lacking())
    assert "Lacking is no subclass of Config" in caplog.text
    assert "PRE_NMS_LIMIT=6000" in caplog.text and "BACKBONE_STRIDES=[4, 8, 16, 32, 64]" in caplog.text
    assert "IMAGE_MAX_DIM" not in caplog.text
    caplog.clear()
    as_config(Lacking())
    assert caplog.text == ""


def test_misspelt_and_wrong_settings_are_told_with_their_place():
    report = lint.check(as_config(Plain()), select=["CFG014"])
    (finding,) = report
    assert "STEPS_PER_EPOCHS=7 is no setting" in finding.message and "did you mean STEPS_PER_EPOCH?" in finding.message
    assert finding.where == "Plain.STEPS_PER_EPOCHS"
    assert finding.file == __file__ and linecache.getline(__file__, finding.line).strip() == "STEPS_PER_EPOCHS = 7"


@pytest.mark.parametrize("given", [5, None, "config", {"NUM_CLASSES": 3}, [1], object()])
def test_what_has_no_settings_is_left_alone(given):
    assert as_config(given) is given


def test_a_config_and_its_class_are_left_alone():
    config = Config()
    assert as_config(config) is config and as_config(Config) is Config


def test_a_wrong_value_is_a_config_error(tmp_path):
    from mrcnn_plus.training.config_checks import check_config

    given = Plain()
    given.IMAGE_MAX_DIM = 100
    with pytest.raises(ConfigError, match=r"Plain\.IMAGE_MAX_DIM"):
        check_config(as_config(given))


def test_a_setting_that_the_object_gets_later_counts_as_set():
    given = types.SimpleNamespace(NAME="later", NUM_CLASSES=2)
    config = as_config(given)
    assert not config.is_overridden("VALIDATION_STEPS")
    given.VALIDATION_STEPS = 5
    assert config.is_overridden("VALIDATION_STEPS") and config.VALIDATION_STEPS == 5


def test_an_object_that_answers_none_to_every_name_has_what_it_was_given():
    class DotDict(dict):
        __getattr__ = dict.get

    config = as_config(DotDict(NAME="dots", NUM_CLASSES=3, IMAGE_MAX_DIM=256, SEED=None))
    assert (config.NUM_CLASSES, config.IMAGE_MAX_DIM, config.IMAGES_PER_GPU) == (3, 256, Config.IMAGES_PER_GPU)
    assert config.CACHE_ANNOTATIONS is False and config.SEED is None


def test_a_placeholder_for_a_derived_value_is_none():
    class Placeholder:
        NAME, IMAGE_MAX_DIM, IMAGE_SHAPE, BATCH_SIZE = "later", 512, None, None

    assert as_config(Placeholder()).IMAGE_MAX_DIM == 512


def test_an_adapter_survives_pickling_and_copying():
    given = types.SimpleNamespace(NAME="pickled", NUM_CLASSES=4)
    config = as_config(given)
    config.IMAGE_MAX_DIM = 256
    for twin in (pickle.loads(pickle.dumps(config)), copy.copy(config)):
        assert (twin.NAME, twin.NUM_CLASSES, twin.IMAGE_MAX_DIM) == ("pickled", 4, 256)
