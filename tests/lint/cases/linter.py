"""Examples for `lint/rules/linter.py`; LNT001 has its own in `tests/lint/test_engine.py` too."""

from mrcnn_plus.config import Config
from tests.support.lint_cases import Case


class Misspelt(Config):
    LINT_IGNORE = ("CFG9999",)


class Correct(Config):
    LINT_IGNORE = ("CFG002", "DAT0")


class Broken(Config):
    """Makes every rule fail that reads the setting."""

    @property
    def IMAGE_MAX_DIM(self):
        raise RuntimeError("no size today")


CASES = {
    "LNT001": Case(lambda _: {"config": Broken(), "select": ("CFG002", "LNT001")}, lambda _: {"config": Correct()}),
    "LNT002": Case(lambda _: {"config": Misspelt()}, lambda _: {"config": Correct()}),
}
