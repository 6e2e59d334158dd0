"""Every setting has a row that says what it may hold, and no value of a setting makes a rule fail."""

import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.config import Config
from mrcnn_plus.lint.rules.settings import REPORTED_ELSEWHERE
from mrcnn_plus.lint.setting_types import EXPECTED, fits
from mrcnn_plus.lint.spelling import known_settings
from tests.support.lint_boxes import settings, similar_objects

SETTINGS = sorted(set(known_settings()) - {"BATCH_SIZE", "IMAGE_SHAPE", "IMAGE_META_SIZE"})
FREE = [name for name in SETTINGS if not name.startswith("LINT_")]  # those are read before any rule runs
WITHOUT_PIXELS = ("CFG", "DAT014", "DAT019", "DAT031", "DAT032", "LNT")
JUNK = [None, "none", "", -1, 0, 0.5, 1e9, float("nan"), True, [], {}, [[1], [2, 3]], {"a": "b"}, object(), np.zeros(3)]


def test_every_setting_has_a_row():
    assert set(SETTINGS) <= set(EXPECTED)


def test_every_default_is_accepted_but_those_that_a_program_must_set():
    assert [name for name in SETTINGS if not fits(Config(), name)] == ["NAME", "NUM_CLASSES"]


def test_settings_left_to_other_rules_name_rules_that_exist():
    assert set(REPORTED_ELSEWHERE.values()) <= set(lint.all_rules())
    assert set(REPORTED_ELSEWHERE) <= set(EXPECTED)


def test_arrays_lists_and_tuples_are_equally_good():
    config = settings(
        RPN_ANCHOR_SCALES=np.array([8, 16, 32, 64, 128]),
        RPN_ANCHOR_RATIOS=(0.5, 1.0, 2.0),
        MINI_MASK_SHAPE=[56, 56],
        MASK_SHAPE=(28, 28),
        BACKBONE_STRIDES=np.array([4, 8, 16, 32, 64]),
        MEAN_PIXEL=(123.7, 116.8, 103.9),
        BBOX_STD_DEV=[0.1, 0.1, 0.2, 0.2],
        IMAGES_PER_GPU=np.int64(2),
        LEARNING_RATE=np.float32(0.001),
    )
    assert not config.validate().errors


def test_settings_made_in_init_before_or_after_the_base_class_are_as_good_as_others():
    class Counted(Config):
        NAME = "counted"

        def __init__(self, classes):
            self.NUM_CLASSES = 1 + classes
            super().__init__()
            self.IMAGES_PER_GPU = 1

    assert not Counted(3).validate().errors


@pytest.mark.parametrize("name", FREE)
def test_whatever_a_setting_holds_no_rule_fails(name):
    train = similar_objects(12)
    for junk in JUNK:
        report = lint.check(settings(**{name: junk}), train, train, select=WITHOUT_PIXELS)
        assert not [finding for finding in report if finding.code == "LNT001"], f"{name}={junk!r}: {report}"


@pytest.mark.parametrize("name", FREE)
def test_a_value_of_the_wrong_type_is_an_error_at_its_setting_and_reported_once(name):
    wrong = object()
    findings = settings(**{name: wrong}).validate().errors
    about = [finding for finding in findings if name in finding.where]
    assert [finding.code for finding in about] == [REPORTED_ELSEWHERE.get(name, "CFG019")]
    assert about[0].value is wrong


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("MAX_GT_INSTANCES", 50.0, 50),
        ("USE_MINI_MASK", "false", False),
        ("POOL_SIZE", "7", 7),
        ("WORKERS", "none", None),
    ],
)
def test_where_it_is_plain_what_was_meant_that_is_the_change(name, value, meant):
    (finding,) = [found for found in settings(**{name: value}).validate() if found.code == "CFG019"]
    assert finding.changes == {name: meant}
    assert str(meant) in finding.fix
