"""All changes of a program together."""

from __future__ import annotations

import ast

from mrcnn_plus.migration import imports, older_mrcnn, polygons, renamed, sessions
from mrcnn_plus.migration.changes import Changes
from mrcnn_plus.migration.names import Names
from mrcnn_plus.migration.source import Edit, Source

# What Keras 3 has no place for, wherever it is called; the words say what to do.
_METHODS = {
    "add_loss": "losses are computed in compute_loss: subclass MaskRCNN and override build, or see LOSS_WEIGHTS",
    "add_metric": "give train() a callback in custom_callbacks",
    "metrics_tensors": "give train() a callback in custom_callbacks",
    "fit_generator": "write keras_model.fit",
    "predict_generator": "write keras_model.predict",
}


def rewrite(source: Source) -> tuple[list[str], list[tuple[int, str]]]:
    """The texts of the program as they should be, and `(line, what a person has to decide)`."""
    changes = Changes(source, Names(source.tree))
    sessions.apply(changes)
    imports.apply(changes)
    polygons.apply(changes)
    renamed.apply(changes)
    older_mrcnn.apply(changes)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and node.attr in _METHODS:
            changes.leave_to_person(node, f"{node.attr}: {_METHODS[node.attr]}")
    _add_imports(changes)
    return source.apply(changes.edits), sorted(changes.undecided)


def _add_imports(changes):
    """New imports stand after the last one at the beginning of the program."""
    last = None
    for node in changes.source.tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            last = node
        elif last is not None or not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            break
    have = {name for node in ast.walk(changes.source.tree) if isinstance(node, ast.Import) for name in _imported(node)}
    new = [line for line in changes.imports if line.removeprefix("import ") not in have]
    if new:
        place = _line_after(changes.source, last) if last is not None else (1, 0)
        changes.edits.append(Edit(place, place, "\n".join(new) + "\n"))


def _line_after(source, statement):
    """The line below a statement, or its own if it is the last of the text that it stands in."""
    below = statement.end_lineno + 1
    is_last = below >= len(source.lines) or source.cell_of(below) != source.cell_of(statement.lineno)
    return (statement.lineno, 0) if is_last else (below, 0)


def _imported(node):
    return [alias.name for alias in node.names if not alias.asname]
