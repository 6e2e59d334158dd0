"""A rule is one unit: code, reason, example, fix and check stand together; documentation is made from it.

    @rule("CFG002", ERROR, needs=CONFIG, why="...", example="IMAGE_MAX_DIM = 1000", fix="Use 960 or 1024.")
    def image_max_dim_multiple_of_64(facts):
        '''`IMAGE_MAX_DIM` is no multiple of 64.'''
        if facts.config.IMAGE_MAX_DIM % 64:
            yield Violation("...", setting="IMAGE_MAX_DIM")

Keyword-only parameters of the check with a default are its thresholds; users change them by
`LINT_THRESHOLDS = {"DAT031": {"max_share": 0.2}}` in their `Config`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mrcnn_plus.lint.findings import SEVERITIES

# What a rule reads, from the cheapest to the dearest; rules run in this order.
CONFIG = "config"  # the settings
RUN = "run"  # how the program trains: learning rate, layers, epochs, weights
ENVIRONMENT = "environment"  # installed packages, devices, disk
DATA = "data"  # what the data set registered: images, classes, problems met while reading annotations
HEADERS = "headers"  # headers of the image files
OBJECTS = "objects"  # boxes, areas and classes of the objects: from annotations, or else from the masks that were read
PIXELS = "pixels"  # images and masks
HISTORY = "history"  # what a training run recorded: losses and counts by epoch
EXPERIMENT = "experiment"  # the result of an experiment of `mrcnn_plus.diagnosis`
NEEDS = (CONFIG, RUN, ENVIRONMENT, DATA, HEADERS, OBJECTS, PIXELS, HISTORY, EXPERIMENT)
NEEDS_OF_DATA = {DATA, HEADERS, OBJECTS, PIXELS}
# Rules with one of these give verdicts on training: `engine.judge` runs them, `lint.check` does not.
NEEDS_OF_VERDICTS = (HISTORY, EXPERIMENT)

# Folders whose modules have rules. They are loaded by name, because parts further out have rules of their own.
RULE_PACKAGES = ("mrcnn_plus.lint.rules", "mrcnn_plus.diagnosis.patterns", "mrcnn_plus.diagnosis.experiments")


@dataclass(frozen=True)
class Violation:
    """What a check yields; the rest of a `Finding` comes from the rule.

    message: what is wrong, with the numbers.
    setting: the setting it is about; gives `where`, `value` and the line in the user's program.
    where, value: as in `Finding`, where no setting is concerned. places: all places in the data, the first is shown.
    fix, severity: in place of the rule's own. changes: settings with the values they should get.
    evidence, causes, experiment, epoch, details: of a verdict on training, as in `Finding`.
    """

    message: str
    setting: str | None = None
    where: str = ""
    value: Any = None
    fix: str | None = None
    severity: str | None = None
    places: Iterable[str] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    evidence: Iterable[str] = ()
    causes: Iterable[str] = ()
    experiment: str = ""
    epoch: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Rule:
    """A rule of the linter: see `rule`."""

    code: str
    name: str
    severity: str
    needs: tuple[str, ...]
    checks: str
    why: str
    example: str
    fix: str
    check: Callable[..., Iterable[Violation]]
    about: type | None = None

    @property
    def thresholds(self) -> dict[str, Any]:
        """Names and defaults of the numbers that users can change."""
        parameters = inspect.signature(self.check).parameters.values()
        return {item.name: item.default for item in parameters if item.kind is item.KEYWORD_ONLY}

    @property
    def gives_verdicts(self) -> bool:
        """It judges what training or an experiment did, rather than what was set before."""
        return bool(set(self.needs) & set(NEEDS_OF_VERDICTS))

    def judges(self, result: Any) -> bool:
        """Whether it is about this result of an experiment; None without one."""
        return self.about is None or isinstance(result, self.about)

    @property
    def topic(self) -> str:
        """The module of rules that it stands in, e.g. "anchors"."""
        return self.check.__module__.rpartition(".")[2]

    @property
    def cost(self) -> int:
        """Position of its dearest need, for running cheap rules first; a rule about the other rules comes last."""
        return max((NEEDS.index(need) for need in self.needs), default=len(NEEDS))


_RULES: dict[str, Rule] = {}


def rule(
    code: str,
    severity: str,
    *,
    needs: str | tuple[str, ...],
    why: str,
    example: str,
    fix: str,
    about: type | None = None,
):
    """Register the decorated generator function as a rule.

    code: stable id, e.g. "CFG002". severity: "error", "warning" or "info". needs: what must be given for it to run.
    why: why it matters. example: what would be found. fix: what to do, also the default for its findings.
    about: with EXPERIMENT, the class of result that it judges; on others it does not run.
    The function's name becomes the rule's name, its docstring says what is checked. It gets `Facts`, and yields a
    `Violation` for each thing that it finds.
    """

    def register(check):
        needed = (needs,) if isinstance(needs, str) else tuple(needs)
        name = check.__name__.replace("_", "-")
        if not re.fullmatch(r"[A-Z]{3}\d{3}", code) or severity not in SEVERITIES or not set(needed) <= set(NEEDS):
            raise ValueError(f"rule {code} {name}: malformed code, severity={severity!r} or needs={needed!r}")
        if code in _RULES and _RULES[code].check.__module__ + _RULES[code].name != check.__module__ + name:
            raise ValueError(f"rule {code} is both {_RULES[code].name} and {name}: every rule needs its own code")
        texts = [inspect.cleandoc(text or "") for text in (check.__doc__, why, example, fix)]
        if not all(texts):
            raise ValueError(f"rule {code} {name}: docstring, why, example and fix are all required")
        _RULES[code] = Rule(code, name, severity, needed, *texts, check, about)
        return check

    return register


def all_rules() -> dict[str, Rule]:
    """`{code: Rule}` of every rule, sorted by code."""
    for name in RULE_PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_RULES.items()))


def nearest_codes(code: str) -> str:
    """Words that help with a code that no rule has."""
    nearest = difflib.get_close_matches(str(code).upper(), all_rules(), n=3)
    return f"Nearest: {', '.join(nearest)}." if nearest else "`mrcnn-plus lint --list-rules` lists all."
