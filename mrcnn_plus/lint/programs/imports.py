"""Replace slow imports in the text of a program by stand-ins, and those of packages that are not installed."""

from __future__ import annotations

import ast
import importlib.util
import sys

from mrcnn_plus import as_mrcnn
from mrcnn_plus.lint.programs import stand_ins


def replace_imports(statements, missing) -> list[ast.stmt]:
    """The statements with stand-ins for slow and missing packages; the insides of functions stay as they are.

    missing: list that the names of packages which are not installed are added to.
    """
    return [part for statement in statements for part in _replaced(statement, missing)]


def _replaced(statement, missing) -> list[ast.stmt]:
    if isinstance(statement, ast.Import):
        return [part for alias in statement.names for part in _replaced_import(alias, statement, missing)]
    if isinstance(statement, ast.ImportFrom):
        return _replaced_import_from(statement, missing)
    if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        for part in ("body", "orelse", "finalbody"):
            if isinstance(getattr(statement, part, None), list):
                setattr(statement, part, replace_imports(getattr(statement, part), missing))
        for handler in getattr(statement, "handlers", ()):
            handler.body = replace_imports(handler.body, missing)
    return [statement]


def _replaced_import(alias, statement, missing):
    top = alias.name.partition(".")[0]
    if top in ("mrcnn", "mrcnn_plus") and not (alias.asname and not _heavy(alias.name)):
        if alias.asname and alias.name != top:
            return [_assignment(alias.asname, "module_stand_in", [alias.name], statement)]
        return [_assignment(alias.asname or top, "PackageStandIn", [], statement)]
    if not _heavy(alias.name) and not _is_missing(alias.name, missing):
        return [ast.copy_location(ast.Import([alias]), statement)]
    if alias.asname or "." not in alias.name:
        return [_assignment(alias.asname or top, "module_stand_in", [alias.name], statement)]
    return [_assignment(top, "top_stand_in", [alias.name], statement)]


def _replaced_import_from(statement, missing):
    module = statement.module or ""
    if statement.level:
        return [statement]
    if any(alias.name == "*" for alias in statement.names):
        is_light = module.partition(".")[0] not in stand_ins.FRAMEWORKS and module not in stand_ins.HEAVY_MODULES
        return [statement] if is_light and not _is_missing(module, missing) else [ast.Pass()]
    if _heavy(module) or _is_missing(module, missing):
        return [_member(alias, statement) for alias in statement.names]
    if module in ("mrcnn", "mrcnn_plus"):
        return [
            _member(alias, statement)
            if _heavy(f"{module}.{alias.name}")
            else ast.copy_location(ast.ImportFrom(module, [alias], 0), statement)
            for alias in statement.names
        ]
    return [statement]


def _heavy(module) -> bool:
    if module in stand_ins.FLAT_HEAVY_MODULES:
        return _is_flat_alias(module)
    return stand_ins.stands_in_for(module)


def _is_flat_alias(module) -> bool:
    spec = importlib.util.find_spec(module)
    return spec is not None and isinstance(spec.loader, as_mrcnn.AliasFinder)


def _is_missing(module, missing) -> bool:
    top = module.partition(".")[0]
    try:
        found = top in sys.modules or importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        found = False
    if not found and top not in missing:
        missing.append(top)
    return not found


def _member(alias, statement):
    return _assignment(alias.asname or alias.name, "member_stand_in", [statement.module, alias.name], statement)


def _assignment(name, function, arguments, statement):
    """`name = function(...)`, with the function of `stand_ins`."""
    call = ast.parse(f"{name} = __import__({stand_ins.__name__!r}, fromlist=['']).{function}(*{arguments!r})").body[0]
    for node in ast.walk(call):
        ast.copy_location(node, statement)
    return call
