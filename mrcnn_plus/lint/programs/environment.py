"""Where a user's program can be run: `mrcnn` is known, its folder is searched, slow imports are replaced by stand-ins.

What that changes is put back afterwards.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np

from mrcnn_plus import as_mrcnn
from mrcnn_plus.lint.programs import stand_ins
from mrcnn_plus.lint.programs.source import ProgramSource

# Names that NumPy had until 1.23, and programs of Matterport's time use.
OLD_NUMPY_NAMES = {
    name: kind
    for name, kind in {"bool": bool, "int": int, "float": float, "object": object, "str": str}.items()
    if name not in vars(np)
}


@contextlib.contextmanager
def program_environment(source: ProgramSource, arguments=()):
    """Where a program can be run: with `mrcnn`, its folder on `sys.path`, its own `sys.argv`; then all as before."""
    path, argv, folder = list(sys.path), sys.argv, os.getcwd()
    modules = set(sys.modules)
    helpers = _HelperFinder(source.folder)
    sys.path.insert(0, str(source.folder))
    sys.argv = [source.path, *arguments]
    if source.cells:
        os.chdir(source.folder)  # as Jupyter does
    aliases = as_mrcnn.install(flat=True)
    sys.meta_path.insert(1, helpers)
    added = list(OLD_NUMPY_NAMES) if imports_mrcnn(source.tree) else []
    for name in added:
        setattr(np, name, OLD_NUMPY_NAMES[name])
    try:
        yield
    finally:
        for name in added:
            delattr(np, name)
        sys.meta_path.remove(helpers)
        as_mrcnn.uninstall(aliases)
        sys.path[:], sys.argv = path, argv
        os.chdir(folder)
        for name in set(sys.modules) - modules:  # another program may have modules of the same names
            if isinstance(getattr(sys.modules[name], "__loader__", None), HelperLoader):
                del sys.modules[name]


def imports_mrcnn(tree) -> bool:
    """Whether a program is written for Matterport's package (and will be run by `mrcnn-plus run`)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name.partition(".")[0] == "mrcnn" for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mrcnn":
            return True
    return False


def old_numpy_names(tree) -> list[str]:
    """Names such as `np.int` that a program uses and today's NumPy does not have."""
    used = {
        f"np.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in ("np", "numpy")
        if node.attr in OLD_NUMPY_NAMES
    }
    return sorted(used)


class HelperLoader(importlib.machinery.SourceFileLoader):
    """Loads a module of the user's with slow imports replaced."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        tree = ast.parse(Path(path).read_bytes())
        tree.body = [part for part in replace_imports(tree.body, []) if not _downloads(part)]
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)


class _HelperFinder(importlib.abc.MetaPathFinder):
    """Finds modules that stand in the program's folder, or in folders that the program put on `sys.path`."""

    def __init__(self, folder):
        self.before = {os.path.realpath(entry or ".") for entry in sys.path} - {str(folder)}

    def find_spec(self, fullname, path=None, target=None):
        if path is None:
            path = [entry for entry in sys.path if os.path.realpath(entry or ".") not in self.before]
        elif not isinstance(getattr(sys.modules[fullname.rpartition(".")[0]], "__loader__", None), HelperLoader):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return None
        if fullname == "mrcnn_plus":
            return None
        spec.loader = HelperLoader(spec.loader.name, spec.loader.path)
        return spec


def _downloads(statement) -> bool:
    return isinstance(statement, ast.If | ast.Expr) and "download_trained_weights" in {
        getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
    }


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
