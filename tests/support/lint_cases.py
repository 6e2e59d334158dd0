"""A failing and a passing example for a rule of the linter; `tests/lint/test_every_rule.py` walks them."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Case(NamedTuple):
    """`failing()` and `passing()` return the keyword arguments of `lint.check`: config, train, val, run, depth...

    Both are functions, so that a case is made when its test runs. `tmp_path` is handed to them. severity: what the
    failing example is reported as, where a rule knows several.
    """

    failing: Callable[[Any], dict[str, Any]]
    passing: Callable[[Any], dict[str, Any]]
    severity: str | None = None
