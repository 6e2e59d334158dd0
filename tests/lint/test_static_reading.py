"""Settings that are read from the text of a program: what is computed, and what is said to be unknown."""

import ast

import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.lint.programs import open_program
from mrcnn_plus.lint.programs.evaluation import MODULES, Unreadable, evaluate
from mrcnn_plus.lint.programs.static import UnknownSetting, without_unknown_settings
from tests.support.programs import SETTINGS, write


def compute(text, **names):
    return evaluate(ast.parse(text, mode="eval").body, {"np": MODULES["numpy"], **names}.__getitem__)


@pytest.mark.parametrize(
    "text, value",
    [
        ("1 + 80", 81),
        ("-2 ** 3", -8),
        ("(8, 16) + (32,)", (8, 16, 32)),
        ("[2 ** i for i in range(3, 6) if i != 4]", [8, 32]),
        ("max([1, 5, 3]) if len('ab') == 2 else 0", 5),
        ("{'a': 1}['a']", 1),
        ("f'{1 + 1}x'", "2x"),
        ("1 < 2 <= 2 and not False", True),
        ("'train,val'.split(',')", ["train", "val"]),
        ("int(1024 / 3)", 341),
        ("sum(x)", 6),
        ("[*x, 4][1:]", [2, 3, 4]),
    ],
)
def test_harmless_expressions_are_computed(text, value):
    assert compute(text, x=[1, 2, 3]) == value


def test_arrays_are_computed():
    np.testing.assert_array_equal(compute("np.array([1.5, 2]) * 2"), [3, 4])


@pytest.mark.parametrize(
    "text",
    [
        *("open('a')", "__import__('os')", "x.__class__", "np.load('a')", "unknown", "10 ** 10 ** 10"),
        *("[0] * 10 ** 9", "range(10 ** 9)", "eval('1')", "lambda: 0", "print(1)", "1 / 0"),
    ],
)
def test_what_could_do_harm_or_is_unknown_is_not_computed(text):
    with pytest.raises(Unreadable):
        compute(text, x=1)


def static_config(tmp_path, *parts):
    with open_program(str(write(tmp_path, "a.py", *parts)), static=True) as program:
        return program.configs[-1]


def test_nothing_of_the_program_is_run(tmp_path):
    found = static_config(tmp_path, "raise SystemExit('ran')", "import no_such_thing", SETTINGS, "1 / 0")
    assert (found.name, found.config.IMAGE_MAX_DIM) == ("PartsConfig", 600)


def test_settings_follow_names_bases_and_other_settings(tmp_path):
    found = static_config(
        tmp_path,
        """
        import numpy as np
        import mrcnn.config as c
        CLASSES = ["a", "b"]
        FAST = True
        if FAST:
            STEPS = 5
        else:
            STEPS = 500

        class Base(c.Config):
            NAME = "x"
            IMAGE_MIN_DIM = IMAGE_MAX_DIM = 256
            NUM_CLASSES = 1 + len(CLASSES)

        class Derived(Base):
            IMAGE_MAX_DIM = Base.IMAGE_MIN_DIM * 2
            RPN_ANCHOR_SCALES = tuple(s // 2 for s in c.Config.RPN_ANCHOR_SCALES)
            MEAN_PIXEL = np.array([1, 2, 3.5])
            STEPS_PER_EPOCH, VALIDATION_STEPS = STEPS, 2
            def __init__(self):
                super().__init__()
                self.LEARNING_RATE = self.LEARNING_MOMENTUM / 100
        """,
    )
    config = found.config
    assert (config.IMAGE_MIN_DIM, config.IMAGE_MAX_DIM, config.NUM_CLASSES) == (256, 512, 3)
    assert config.RPN_ANCHOR_SCALES == (16, 32, 64, 128, 256)
    assert (config.STEPS_PER_EPOCH, config.VALIDATION_STEPS) == (5, 2)
    assert pytest.approx(0.009) == config.LEARNING_RATE
    np.testing.assert_array_equal(config.MEAN_PIXEL, [1, 2, 3.5])
    assert found.unread == {}


def test_modules_beside_the_program_are_read_too(tmp_path):
    write(tmp_path, "base.py", SETTINGS, "SIZE = 320")
    found = static_config(
        tmp_path, "from base import PartsConfig, SIZE\nclass Mine(PartsConfig):\n    IMAGE_MIN_DIM = SIZE"
    )
    assert (found.config.IMAGE_MIN_DIM, found.config.IMAGE_MAX_DIM) == (320, 600)


def test_rules_about_an_unknown_setting_are_skipped_and_the_others_run(tmp_path):
    found = static_config(tmp_path, SETTINGS.replace("NUM_CLASSES = 1 + 1", "NUM_CLASSES = count_classes()"))
    with pytest.raises(UnknownSetting):
        found.config.NUM_CLASSES  # noqa: B018
    assert "a.py:8: count_classes is not known" in found.unread["NUM_CLASSES"]
    report = without_unknown_settings(lint.check(found.config, run=found.run))
    codes = {finding.code for finding in report}
    assert "CFG002" in codes
    assert not codes & {"CFG020", "LNT001"}
    assert "NUM_CLASSES" in report.skipped["CFG020"]
