"""A user's program as text: a Python file, or the code cells of a notebook."""

from __future__ import annotations

import ast
import json
import linecache
from dataclasses import dataclass
from pathlib import Path

from mrcnn_plus.errors import ConfigError


class ProgramError(ConfigError):
    """A program that cannot be read; the message starts with its place."""


@dataclass(frozen=True)
class ProgramSource:
    """path: as the user wrote it. tree: the statements; in a notebook lines are counted over all of its cells.

    cells: `(number of the cell, first line of it in the tree)` in a notebook, else empty.
    """

    path: str
    tree: ast.Module
    cells: tuple[tuple[int, int], ...] = ()

    @property
    def folder(self) -> Path:
        return Path(self.path).resolve().parent

    def place(self, line: int) -> tuple[str, int]:
        """`(file, line)` for a line of the tree; in a notebook `("a.ipynb, cell 3", line in the cell)`."""
        for number, first in reversed(self.cells):
            if line >= first:
                return _cell_name(self.path, number), line - first + 1
        return self.path, line


def read_source(path: str) -> ProgramSource:
    """The program, parsed. Raises `ProgramError` if there is no such file, or if it is not Python."""
    file = Path(path)
    if file.is_dir():
        raise ProgramError(f"{path}: expected a program, received a folder. Name the .py or .ipynb file in it.")
    if not file.is_file():
        raise ProgramError(f"{path}: there is no such file.{_similar_files(file)}")
    try:
        content = file.read_bytes()
        if file.suffix == ".ipynb":
            return _read_notebook(path, content)
        return ProgramSource(path, _parse(content, path))
    except OSError as error:
        raise ProgramError(f"{path}: cannot be read: {error.strerror}.") from error


def _parse(text, name, line_offset=0) -> ast.Module:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        shown = f"\n    {error.text.strip()}" if error.text else ""
        hint = " It looks like Python 2." if "Missing parentheses in call to 'print'" in str(error.msg) else ""
        raise ProgramError(f"{name}:{error.lineno}: {error.msg}.{hint}{shown}") from error
    except ValueError as error:  # null bytes
        raise ProgramError(f"{name}: expected a Python program: {error}.") from error
    return ast.increment_lineno(tree, line_offset) if line_offset else tree


def _read_notebook(path, content) -> ProgramSource:
    try:
        notebook = json.loads(content)
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError) as error:
        raise ProgramError(f"{path}: expected a notebook of version 4 in JSON ({error!r}).") from error
    statements, starts, line = [], [], 0
    for number, text in enumerate(sources, start=1):
        text = _without_magics(text)
        name = _cell_name(path, number)
        lines = text.splitlines(keepends=True)
        linecache.cache[name] = (len(text), None, lines, name)  # so that a line of a cell can be shown
        statements += _parse(text, name, line).body
        starts.append((number, line + 1))
        line += len(lines) + 1
    return ProgramSource(path, ast.Module(statements, []), tuple(starts))


def _cell_name(path, number) -> str:
    return f"{path}, cell {number}"


def _without_magics(text: str) -> str:
    """A cell without lines for IPython or the shell; they become `pass`, so that lines keep their numbers."""
    lines = text.splitlines()
    if lines and lines[0].startswith("%%"):
        return ""
    kept = []
    for line in lines:
        bare = line.lstrip()
        indent = line[: len(line) - len(bare)]
        kept.append(f"{indent}pass" if bare.startswith(("%", "!", "?")) or bare.rstrip().endswith("?") else line)
    return "\n".join(kept) + "\n"


def _similar_files(file: Path) -> str:
    if not file.parent.is_dir():
        return f" There is no folder {file.parent} either."
    programs = sorted(item.name for item in file.parent.iterdir() if item.suffix in (".py", ".ipynb"))
    return f" In that folder there are: {', '.join(programs[:8])}." if programs else ""
