"""What the linter says: `Finding`, one thing that is wrong or worth knowing, and `Report`, all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mrcnn_plus.errors import ConfigError, DatasetError

ERROR = "error"  # training would fail, or learn something else than the user means
WARNING = "warning"  # training runs, and is probably worse or slower for it
INFO = "info"  # worth knowing
SEVERITIES = (ERROR, WARNING, INFO)


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found.

    code: of the rule, e.g. "CFG002"; severity: "error", "warning" or "info".
    message: what is wrong, with the numbers; fix: what to do about it.
    where: the setting ("PartsConfig.IMAGE_MAX_DIM") or the first place in the data ("train: a.png, annotation 17").
    value: what stands there, as received.
    places: every place, if the same thing was found in several.
    file, line: of the setting in the user's program, where they are known.
    changes: settings and the values they should get, `{"IMAGE_MAX_DIM": 1024}`; empty if no single value is right.

    Of a verdict on training, empty for what the linter finds beforehand:
    evidence: what was seen, with numbers and epochs. causes: what most likely brought it about, the likeliest first.
    experiment: the command that decides between them, e.g. "mrcnn-plus experiment overfit program.py".
    epoch: the first epoch, counted from 1, at which it was clear. details: numbers for programs.
    follows_from: code of the verdict that explains this one, which is then no cause of its own.
    """

    code: str
    severity: str
    message: str
    where: str = ""
    value: Any = None
    fix: str = ""
    places: tuple[str, ...] = ()
    file: str | None = None
    line: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    experiment: str = ""
    epoch: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    follows_from: str = ""

    @property
    def verdict_lines(self) -> list[tuple[str, tuple[str, ...]]]:
        """`(heading, texts)` of what a verdict has beyond message and fix, in the order to be shown."""
        follows = (f"most likely a consequence of {self.follows_from}, see there",) if self.follows_from else ()
        decides = (self.experiment,) if self.experiment else ()
        parts = (("Follows", follows), ("Evidence", self.evidence), ("Likely causes", self.causes), ("Decide", decides))
        return [(heading, texts) for heading, texts in parts if texts]

    def __str__(self) -> str:
        line = f" ({self.file}:{self.line})" if self.file and self.line else ""
        where = f"{self.where}{line}: " if self.where or line else ""
        fix = f" {self.fix}" if self.fix else ""
        return f"{self.code} {self.severity}: {where}{self.message}{fix}"

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain values that JSON can hold."""
        return {name: plain(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Report:
    """All findings of one check, errors first.

    skipped: `{rule code: reason}` of rules that could not run, e.g. because no data was given.
    """

    findings: tuple[Finding, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == ERROR]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == WARNING]

    @property
    def infos(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == INFO]

    @property
    def ok(self) -> bool:
        """True without a finding of severity error."""
        return not self.errors

    @property
    def summary(self) -> str:
        """`2 errors, 1 warning, 0 infos`"""
        counts = {"error": len(self.errors), "warning": len(self.warnings), "info": len(self.infos)}
        return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())

    def at_least(self, severity: str) -> list[Finding]:
        """Findings of this severity or a worse one."""
        return [
            finding for finding in self.findings if SEVERITIES.index(finding.severity) <= SEVERITIES.index(severity)
        ]

    def changes(self) -> dict[str, Any]:
        """Settings that the findings ask to change, with the new values; the first finding on a setting decides."""
        changed: dict[str, Any] = {}
        for finding in self.findings:
            for name, value in finding.changes.items():
                changed.setdefault(name, value)
        return changed

    def to_json(self, **options: Any) -> str:
        """`{"summary": ..., "findings": [{"code": ..., "severity": ..., ...}], "skipped": {...}}`"""
        content = {
            "summary": self.summary,
            "findings": [finding.to_dict() for finding in self.findings],
            "skipped": dict(self.skipped),
        }
        return json.dumps(content, **{"indent": 2, "ensure_ascii": False, **options})

    def raise_for_errors(self) -> None:
        """Raise if there is an error: `DatasetError` if all errors are about data, else `ConfigError`."""
        if self.ok:
            return
        kind = DatasetError if all(finding.code.startswith("DAT") for finding in self.errors) else ConfigError
        raise kind("\n".join(str(finding) for finding in self.errors))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __str__(self) -> str:
        return "\n".join([*(str(finding) for finding in self.findings), self.summary])


def plain(value: Any) -> Any:
    """Arrays, NumPy numbers, tuples and objects as what JSON knows."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)  # JSON has no NaN
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
