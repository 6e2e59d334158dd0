"""What is to change in a program: edits, imports to add, and what a person has to decide."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from mrcnn_plus.migration.names import Names
from mrcnn_plus.migration.source import Edit, Source


@dataclass
class Changes:
    """Collected by the rules; `source` and `names` are there for them to read."""

    source: Source
    names: Names
    edits: list[Edit] = field(default_factory=list)
    imports: list[str] = field(default_factory=list)
    undecided: list[tuple[int, str]] = field(default_factory=list)
    handled: set[int] = field(default_factory=set)

    def replace(self, node, text: str) -> None:
        """Put other text in the place of a node."""
        self.edits.append(Edit((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset), text))

    def add_import(self, line: str) -> None:
        """Add an import after the others, once."""
        if line not in self.imports:
            self.imports.append(line)

    def leave_to_person(self, node, text: str) -> None:
        """List something that cannot be decided from the text."""
        if (node.lineno, text) not in self.undecided:
            self.undecided.append((node.lineno, text))

    def remove(self, statement, instead: str = "") -> None:
        """Remove a statement with its lines, or put another text of the same indentation in its place."""
        for node in ast.walk(statement):
            self.handled.add(id(node))
        line = self.source.lines[statement.lineno - 1]
        indent = line[: len(line) - len(line.lstrip())]
        alone = line[: statement.col_offset].strip() == "" and self._nothing_after(statement)
        if not instead and self._is_only_one(statement):
            instead = "pass"
        if instead:
            self.replace(statement, instead.replace("\n", "\n" + indent))
        elif alone and self._has_next_line(statement):
            self.edits.append(Edit((statement.lineno, 0), (statement.end_lineno + 1, 0), ""))
        else:
            self.replace(statement, "pass")

    def _has_next_line(self, statement):
        cell = self.source.cell_of(statement.lineno)
        lines = self.source.texts[cell].splitlines()
        last = statement.end_lineno - self.source.first_lines[cell]
        return last + 1 < len(lines) or self.source.texts[cell].endswith("\n")

    def _nothing_after(self, statement):
        rest = self.source.lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].decode().strip()
        return rest == "" or rest.startswith("#")

    def _is_only_one(self, statement):
        """Whether a statement is all that a block consists of, but for others that are removed too."""
        for node in ast.walk(self.source.tree):
            for part in ("body", "orelse", "finalbody"):
                block = getattr(node, part, None)
                if isinstance(block, list) and statement in block and not isinstance(node, ast.Module):
                    return all(id(other) in self.handled for other in block)
        return False
