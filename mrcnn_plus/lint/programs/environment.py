"""Where a user's program can be run: `mrcnn` is known, its folder is searched, and what it changes is put back."""

from __future__ import annotations

import ast
import contextlib
import importlib.abc
import importlib.machinery
import os
import sys
from pathlib import Path

import numpy as np

from mrcnn_plus import as_mrcnn
from mrcnn_plus.lint.programs.imports import replace_imports
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
