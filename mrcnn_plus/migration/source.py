"""A program or notebook as text that edits are applied to by their place; and writing it back."""

from __future__ import annotations

import ast
import difflib
import json
import os
import shutil
import tokenize
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.compat.notebooks import translate_cell
from mrcnn_plus.errors import ConfigError


@dataclass(frozen=True)
class Edit:
    """Replace the text from `start` to `end`, each `(line, column)` with lines from 1 and columns in bytes of UTF-8."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


class Source:
    """A program: `tree` to read it, `texts` to change it.

    A Python file is one text, a notebook one for each code cell. Lines of `tree` are counted over all of them.
    """

    def __init__(self, path: str, texts: list[str], readable: list[str], write_back):
        self.path = path
        self.texts = texts
        self._write_back = write_back
        self.first_lines, line = [], 1
        for text in readable:
            self.first_lines.append(line)
            line += len(text.splitlines()) or 1
        self.is_notebook = path.endswith(".ipynb")
        whole = "\n".join("\n".join(text.splitlines()) for text in readable) + "\n"
        self.lines = whole.split("\n")
        self.tree = self._parse(whole)

    def _parse(self, whole):
        try:
            return ast.parse(whole)
        except SyntaxError as error:
            shown = f"\n    {error.text.strip()}" if error.text else ""
            hint = " It looks like Python 2." if "Missing parentheses" in str(error.msg) else ""
            raise ConfigError(f"{self.place(error.lineno or 1)}: {error.msg}.{hint}{shown}") from error
        except ValueError as error:
            raise ConfigError(f"{self.path}: expected a Python program: {error}.") from error

    def cell_of(self, line: int) -> int:
        """Which of `texts` a line of the tree stands in."""
        return max(index for index, first in enumerate(self.first_lines) if first <= line)

    def place(self, line: int) -> str:
        """`train.py:12`, or `train.ipynb, cell 3, line 2`."""
        cell = self.cell_of(line)
        if not self.is_notebook:
            return f"{self.path}:{line}"
        return f"{self.path}, cell {cell + 1}, line {line - self.first_lines[cell] + 1}"

    def text_of(self, node) -> str:
        """The text of a node as it stands in the program."""
        return ast.get_source_segment("\n".join(self.lines), node)

    def apply(self, edits: list[Edit]) -> list[str]:
        """The texts with the edits made. Of two edits at overlapping places the earlier and wider one counts."""
        changed = list(self.texts)
        for index, first in enumerate(self.first_lines):
            own = [edit for edit in edits if self.cell_of(edit.start[0]) == index]
            changed[index] = _apply(self.texts[index], own, first)
        return changed

    def diff(self, changed: list[str]) -> str:
        """The unified diff; in a notebook one for each cell that changes."""
        parts = []
        for number, (before, after) in enumerate(zip(self.texts, changed, strict=True), start=1):
            name = f"{self.path}, cell {number}" if self.is_notebook else self.path
            lines = difflib.unified_diff(_lines(before), _lines(after), f"{name} (before)", f"{name} (after)")
            parts += lines
        return "".join(parts)

    def write(self, changed: list[str]) -> str:
        """Write the program anew; the old file is kept beside it. Returns the path of that copy."""
        return self._write_back(changed)


def _lines(text):
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return lines


def _apply(text, edits, first_line):
    lines = text.splitlines(keepends=True)
    starts, position = [], 0
    for line in lines:
        starts.append(position)
        position += len(line.encode())
    starts.append(position)
    data = text.encode()
    spans = sorted(
        (starts[edit.start[0] - first_line] + edit.start[1], starts[edit.end[0] - first_line] + edit.end[1], edit.text)
        for edit in set(edits)
    )
    spans.sort(key=lambda span: (span[0], -span[1]))
    result, done = [], 0
    for start, end, new in spans:
        if start < done:
            continue  # within an edit that was made already
        result += [data[done:start], new.encode()]
        done = end
    result.append(data[done:])
    return b"".join(result).decode()


def read(path: str) -> Source:
    """Read a `.py` or `.ipynb` file. Raises ConfigError if there is none, or if it is not Python 3."""
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"{path}: there is no such file.")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    return _read_notebook(path, content) if file.suffix == ".ipynb" else _read_python(path, content)


def _read_python(path, content):
    try:
        encoding, _ = tokenize.detect_encoding(BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a Python program: {error}.") from error
    newline = "\r\n" if "\r\n" in text else "\n"
    text = text.replace("\r\n", "\n")

    def write_back(changed):
        return _replace(path, content, changed[0].replace("\n", newline).encode(encoding))

    return Source(path, [text], [text], write_back)


def _read_notebook(path, content):
    try:
        notebook = json.loads(content)
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        texts = ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: expected a notebook of version 4 in JSON ({error!r}).") from error

    def write_back(changed):
        for cell, text in zip(cells, changed, strict=True):
            cell["source"] = text.splitlines(keepends=True) if isinstance(cell["source"], list) else text
        indent = 1 if b'\n "' in content[:2000] else None
        ending = "\n" if content.endswith(b"\n") else ""
        return _replace(path, content, (json.dumps(notebook, indent=indent, ensure_ascii=False) + ending).encode())

    return Source(path, texts, [translate_cell(0, text).text.rstrip("\n") or "" for text in texts], write_back)


def _replace(path, before, after) -> str:
    """Put `after` in the place of a file that still holds `before`, and keep the old one under another name."""
    if Path(path).read_bytes() != before:
        raise ConfigError(f"{path}: was changed while it was read; nothing was written. Try again.")
    backup = _free_name(path)
    shutil.copy2(path, backup)
    with replacing(path) as temporary:
        Path(temporary).write_bytes(after)
    return backup


def _free_name(path):
    """`train.py.bak`, or `train.py.bak2`, ... if that is there already: no copy is ever overwritten."""
    number = 1
    while os.path.lexists(name := f"{path}.bak{number if number > 1 else ''}"):
        number += 1
    return name
