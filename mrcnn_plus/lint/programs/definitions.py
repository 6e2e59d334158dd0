"""Run the definitions of a program: imports, functions, classes, assignments. Nothing else of it is run.

A program is more than its settings: it loads data, trains, draws, downloads. So statement by statement those are picked
that define something. One that fails is noted, and the rest goes on. Slow imports are replaced (`stand_ins.py`).
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path

from mrcnn_plus.lint.programs import stand_ins
from mrcnn_plus.lint.programs.environment import HelperLoader, replace_imports
from mrcnn_plus.lint.programs.source import ProgramSource

# Calls that stand alone are run if their last name is one of these: they prepare, or fill a list.
_PREPARING_CALLS = frozenset(
    ["append", "extend", "insert", "update", "add", "setdefault", "seed", "filterwarnings", "simplefilter", "chdir"]
)
# A loop over one of these looks at data, or works with a model.
_DATA_CALLS = frozenset(
    ["load_image", "load_mask", "load_image_gt", "detect", "train", "predict", "imread", "imwrite", "show"]
)


@dataclass
class Definitions:
    """namespace: what the program defines. failures: `(line, error)` of statements that failed.

    missing: packages that the program imports and that are not installed.
    """

    namespace: dict
    failures: list[tuple[int, BaseException]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def run_definitions(source: ProgramSource) -> Definitions:
    """What the program defines. To be called within `program_environment`."""
    module = types.ModuleType(f"program_{Path(source.path).stem}")
    module.__file__ = str(Path(source.path).resolve())
    sys.modules[module.__name__] = module  # classes are looked up there when they are sent to another process
    module.__loader__ = HelperLoader(module.__name__, module.__file__)
    found = Definitions(vars(module))
    with _silence(), stand_ins.defining():
        for statement in defining_statements(source.tree.body):
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                continue
            lines = statement.lineno
            parts = replace_imports([copy.deepcopy(statement)], found.missing)
            code = compile(ast.fix_missing_locations(ast.Module(parts, [])), module.__file__, "exec", dont_inherit=True)
            try:
                exec(code, found.namespace)
            except (Exception, SystemExit) as error:
                found.failures.append((lines, error))
    return found


def defining_statements(statements) -> list[ast.stmt]:
    """The statements that define something, without those that work with data or models."""
    return [kept for statement in statements for kept in _defining_part(statement)]


def is_main_guard(statement) -> bool:
    """`if __name__ == "__main__":`"""
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _defining_part(statement) -> list[ast.stmt]:
    """The statement, a copy with less in it, or nothing."""
    if isinstance(
        statement,
        ast.Import
        | ast.ImportFrom
        | ast.FunctionDef
        | ast.AsyncFunctionDef
        | ast.ClassDef
        | ast.Assign
        | ast.AnnAssign
        | ast.AugAssign,
    ):
        return [statement]
    if isinstance(statement, ast.Expr):
        return [statement] if _prepares(statement.value) else []
    if is_main_guard(statement) or not isinstance(statement, ast.If | ast.Try | ast.With | ast.For):
        return []
    if isinstance(statement, ast.For) and _names_of_calls(statement) & _DATA_CALLS:
        return []
    reduced = copy.copy(statement)
    reduced.body = defining_statements(statement.body)
    for part in ("orelse", "finalbody"):
        if hasattr(statement, part):
            setattr(reduced, part, defining_statements(getattr(statement, part)))
    if isinstance(statement, ast.Try):
        reduced.handlers = [_with_body(handler) for handler in statement.handlers]
    if not reduced.body and not getattr(reduced, "orelse", None):
        return []
    reduced.body = reduced.body or [ast.Pass()]
    return [reduced]


def _with_body(handler):
    reduced = copy.copy(handler)
    reduced.body = defining_statements(handler.body) or [ast.Pass()]
    return reduced


def _prepares(value) -> bool:
    """Whether a call that stands alone prepares something (`sys.path.append(ROOT)`)."""
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr in _PREPARING_CALLS


def _names_of_calls(node) -> set[str]:
    calls = (item.func for item in ast.walk(node) if isinstance(item, ast.Call))
    return {getattr(function, "attr", None) or getattr(function, "id", "") for function in calls}


@contextlib.contextmanager
def _silence():
    """Programs say what they import and parse; none of that belongs into the result. Reading input finds none."""
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        sys.stdin = stdin
