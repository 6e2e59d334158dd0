"""The settings that a report asks to change, as Python that can be put into the program."""

from __future__ import annotations

from typing import Any

import numpy as np

from mrcnn_plus.lint.findings import Report


def render_changes(report: Report, config: Any) -> str:
    """A class body with the new values; the old ones, and the rule that asks, stand in comments."""
    changes = report.changes()
    name = type(config).__name__
    if not changes:
        return f"# {name}: no setting has a single right value to put in.\n"
    codes: dict[str, str] = {}
    for finding in report:
        for setting in finding.changes:
            codes.setdefault(setting, finding.code)
    lines = [f"class {name}({type(config).__bases__[0].__name__}):"]
    for setting, value in changes.items():
        lines.append(f"    {setting} = {python_text(value)}  # {_was(config, setting)} ({codes[setting]})")
    if any("np." in line.partition("#")[0] for line in lines):
        lines.insert(0, "import numpy as np\n\n")
    return "\n".join(lines) + "\n"


def python_text(value: Any) -> str:
    """A value as it is written in a program."""
    if isinstance(value, np.ndarray):
        return f"np.array({python_text(value.tolist())})"
    if isinstance(value, np.generic):
        return python_text(value.item())
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) and "e" in f"{value:.6g}" else repr(round(value, 10))
    if isinstance(value, tuple):
        return f"({', '.join(python_text(item) for item in value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(python_text(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{python_text(key)}: {python_text(item)}' for key, item in value.items())}}}"
    return repr(value)


def _was(config, setting) -> str:
    try:
        return f"was {python_text(getattr(config, setting))}"
    except (AttributeError, LookupError):
        return "was not set"
