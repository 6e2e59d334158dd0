"""The code cells of a notebook as Python: lines for IPython and the shell become what they mean here, or nothing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from mrcnn_plus.errors import ConfigError

# Cell magics whose cell is Python all the same.
_TRANSPARENT = ("time", "timeit", "capture", "prun")
_MAGIC = re.compile(r"^(\s*)(?:([A-Za-z_]\w*)\s*=\s*)?([%!?])(.*)$")


@dataclass(frozen=True)
class Cell:
    """number: counted over the code cells from 1. text: Python, with as many lines as the cell has.

    dropped: `(line, text)` of lines that were left out and may have mattered (shell commands, unknown magics).
    """

    number: int
    text: str
    dropped: list[tuple[int, str]] = field(default_factory=list)


def read_cells(content: bytes, name: str) -> list[Cell]:
    """The code cells of a notebook. Raises ConfigError if it is none."""
    try:
        notebook = json.loads(content)
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        texts = ["".join(cell.get("source", cell.get("input", ""))) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(f"{name}: expected a notebook in JSON ({error!r}).") from error
    return [translate_cell(number, text) for number, text in enumerate(texts, start=1)]


def translate_cell(number: int, text: str) -> Cell:
    """A cell as Python. Every line keeps its number, so that tracebacks name the line of the cell."""
    dropped: list[tuple[int, str]] = []
    lines = text.splitlines()
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith("%%"):
        magic = first[2:].split()[0] if first[2:].split() else ""
        if magic not in _TRANSPARENT:
            return Cell(number, "\n" * len(lines), [(1, first)])
        lines[next(index for index, line in enumerate(lines) if line.strip())] = ""
    kept = [_translate_line(line, position, dropped) for position, line in enumerate(lines, start=1)]
    return Cell(number, "\n".join(kept) + "\n", dropped)


def _translate_line(line, position, dropped):
    """A line as Python: a magic with a meaning here is carried out, any other becomes `pass`."""
    match = _MAGIC.match(line)
    if match is None:
        return "pass" if _asks_for_help(line) else line
    indent, target, kind, rest = match.groups()
    words = rest.lstrip("%!").split(None, 1)
    magic, argument = (words[0] if words else ""), (words[1].strip() if len(words) > 1 else "")
    if kind == "%" and not target:
        if magic == "cd" and argument:
            return f"{indent}import os; os.chdir(os.path.expanduser({argument.strip(chr(34) + chr(39))!r}))"
        if magic in ("time", "timeit") and argument and not argument.startswith("-"):
            return f"{indent}{argument}"
        if magic in ("env", "set_env") and "=" in argument:
            name, _, value = argument.partition("=")
            return f"{indent}import os; os.environ[{name.strip()!r}] = {value.strip()!r}"
    if kind == "!" or magic not in _HARMLESS:
        dropped.append((position, line.strip()))
    return f"{indent}{target} = None" if target else f"{indent}pass"


# Magics that say how a notebook looks or reloads: leaving them out changes no result.
_HARMLESS = frozenset(
    ["matplotlib", "load_ext", "reload_ext", "autoreload", "config", "pylab", "precision", "pinfo", "who", "whos"]
    + ["pwd", "time", "timeit", "xmode", "reset", "clear", "pdb", "debug", "tensorflow_version", "tensorboard"]
)


def _asks_for_help(line):
    """`name?` and `name??`, which IPython answers with a text."""
    return re.fullmatch(r"\s*[\w.]+\?{1,2}\s*", line) is not None
