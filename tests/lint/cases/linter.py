"""Examples for `lint/rules/linter.py`; LNT001 has its own in `tests/lint/test_engine.py` too."""

from mrcnn_plus.config import Config
from tests.support.lint_cases import Case


class Misspelt(Config):
    LINT_IGNORE = ("CFG9999",)


class Correct(Config):
    LINT_IGNORE = ("CFG002", "DAT0")


class Unhashable(Config):
    """Makes rule LNT002 fail, because it iterates over a number."""

    LINT_THRESHOLDS = {"DAT031": 3}


CASES = {
    "LNT001": Case(lambda _: {"config": Unhashable(), "select": "LNT"}, lambda _: {"config": Correct()}),
    "LNT002": Case(lambda _: {"config": Misspelt()}, lambda _: {"config": Correct()}),
}
