"""Copies of packages beside a program that are passed over: Matterport's, and one of pycocotools that cannot work.

Functions and classes that somebody added to a copy of Matterport's are taken from it, and what it has besides is said.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import types
from pathlib import Path

from mrcnn_plus.compat.shims import PACKAGE, is_users_file


class PassedOver:
    """Collects the paths of copies that were passed over; to be given to `as_mrcnn.install(found_copy=...)`."""

    def __init__(self):
        self._paths: dict[str, None] = {}
        self._loaded: dict[str, dict] = {}
        self._supplied: dict[tuple[str, str], None] = {}
        self._failed: dict[str, str] = {}

    def __call__(self, path) -> bool:
        """Take in a copy. False if it belongs to an installed package, which keeps what it was made with."""
        if path is None or not is_users_file(path):
            return path is None
        self._paths[os.path.realpath(path)] = None
        return True

    def supply(self, module: str, name: str):
        """What a copy of a module defines and this package lacks, such as a function that was added to `visualize`.

        Raises AttributeError if no copy defines it, or if the copy fails when it is loaded.
        """
        for path in self._paths:
            if Path(path).stem != module or name not in _top_level(path):
                continue
            try:
                value = self._load(path)[name]
            except Exception as error:
                # For the list at the end as well: Python leaves this text out of an ImportError.
                self._failed[path] = f"{type(error).__name__}: {error}"
                raise AttributeError(
                    f"module 'mrcnn.{module}' has no attribute {name!r}. {os.path.relpath(path)} defines it, but fails "
                    f"when it is loaded ({type(error).__name__}: {error}). Move it into a file of your own."
                ) from error
            self._supplied[path, name] = None
            return value
        raise AttributeError(f"module 'mrcnn.{module}' has no attribute {name!r}")

    def _load(self, path):
        """The names of a copy after it was run, with `mrcnn` and its modules meaning this package."""
        if path not in self._loaded:
            namespace = {"__name__": f"mrcnn.{Path(path).stem}", "__package__": "mrcnn", "__file__": path}
            with _ipython():
                exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), namespace)
            self._loaded[path] = namespace
        return self._loaded[path]

    def notes(self) -> list[str]:
        """A sentence for every copy that defines something that the module here does not."""
        notes = []
        for path in self._paths:
            taken = [name for of, name in self._supplied if of == path]
            if note := _note(path, taken):
                failed = self._failed.get(path)
                notes.append(
                    note + (f" It could not be loaded for what the program asks of it ({failed})." if failed else "")
                )
        return notes


class UnbuiltCopies(importlib.abc.MetaPathFinder):
    """Passes over a folder `pycocotools` beside the program whose compiled part is not there for this Python.

    Checkouts of Matterport's time hold one, built for Python 3.6; the installed package takes its place.
    """

    def __init__(self, log):
        self._log = log

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "pycocotools":
            return None
        found = importlib.machinery.PathFinder.find_spec(fullname)
        folders = list(getattr(found, "submodule_search_locations", None) or ())
        if not folders or not is_users_file(os.path.join(folders[0], "mask.py")):
            return None
        if importlib.machinery.PathFinder.find_spec("pycocotools._mask", folders) is not None:
            return None
        others = [entry for entry in sys.path if not is_users_file(os.path.join(entry or ".", "module.py"))]
        installed = importlib.machinery.PathFinder.find_spec(fullname, others)
        if installed is not None:
            name = f"{os.path.relpath(folders[0])}, which is not built for this Python"
            self._log.note(name, "remove the folder: the installed pycocotools is used", sys._getframe(1))
        return installed


@contextlib.contextmanager
def _ipython():
    """Matterport's `visualize` imports IPython, to show tables in notebooks; a copy of it loads without it too."""
    if "IPython" in sys.modules or importlib.util.find_spec("IPython") is not None:
        yield
        return
    package, display = types.ModuleType("IPython"), types.ModuleType("IPython.display")
    package.get_ipython = lambda: None  # for Matplotlib: this is no notebook
    package.display, display.display, display.HTML, display.Image = display, print, str, str
    sys.modules.update({"IPython": package, "IPython.display": display})
    try:
        yield
    finally:
        del sys.modules["IPython"], sys.modules["IPython.display"]


def _note(path, taken):
    tree = _tree(path)
    if tree is None:
        return None
    name = Path(path).stem
    extra = [item for item in _definitions(tree) if item not in taken and not _has(f"mrcnn_plus.{name}", item)]
    changed = _changed_settings(tree, importlib.import_module("mrcnn_plus.config")) if name == "config" else []
    if not (taken or extra or changed):
        return None
    text = f"{os.path.relpath(path)} was not used, because mrcnn_plus takes its place"
    text += f", but for {_some(taken)}: move that into a file of your own." if taken else "."
    if extra:
        text += (
            f" It defines what mrcnn_plus has not: {_some(extra)}. If that is needed, move it into a file of your own."
        )
    if changed:
        text += f" Its settings differ: {_some(changed)}. Set them in your own Config class."
    return text


def _tree(path):
    """The syntax tree of a file, or None if it cannot be read as Python 3."""
    try:
        return ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _top_level(path) -> set[str]:
    """Names that a file defines itself: functions, classes and constants, not what it imports."""
    tree = _tree(path)
    found = set()
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return found


def _definitions(tree):
    """Names of functions, classes and public methods of a module: `resize_mask`, `MaskRCNN.train`."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield node.name
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    yield f"{node.name}.{method.name}"


def _has(module, name) -> bool:
    """Whether a module of this package has `name` or `Class.method`; read from its text if it is not loaded.

    Loading `mrcnn_plus.model` at the end of a program that made no use of it would mean to wait for Keras.
    """
    if module not in sys.modules:
        return _text_has(module, name)
    value = sys.modules[module]
    for part in name.split("."):
        value = getattr(value, part, None)
        if value is None:
            return False
    return True


def _text_has(module, name) -> bool:
    """`_has` by reading: True as well for what comes from a library or a base class that cannot be followed."""
    first, _, method = name.partition(".")
    for node in _tree_of_module(module).body:
        if isinstance(node, ast.ClassDef) and node.name == first:
            inside = {getattr(part, "name", None) for part in node.body}
            bases = [base.id if isinstance(base, ast.Name) else None for base in node.bases]
            return not method or method in inside or any(b is None or _text_has(module, f"{b}.{method}") for b in bases)
        if isinstance(node, ast.FunctionDef) and node.name == first:
            return not method
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name).partition(".")[0] == first:
                    source = getattr(node, "module", None) or ""
                    there = ".".join(filter(None, (alias.name, method)))
                    return not source.startswith("mrcnn_plus.") or _text_has(source, there)
        elif isinstance(node, ast.Assign) and any(getattr(target, "id", None) == first for target in node.targets):
            return True
    return False


@functools.cache
def _tree_of_module(module):
    """The syntax tree of a module of this package. Not by `importlib`, which would load the packages around it."""
    path = PACKAGE.joinpath(*module.split(".")[1:])
    return ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_bytes())


def _changed_settings(tree, module):
    """`VALIDATION_STEPS = 10` for literals of the copy's Config that differ from the defaults here."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "Config":
            for part in node.body:
                if not isinstance(part, ast.Assign) or not isinstance(part.targets[0], ast.Name):
                    continue
                name = part.targets[0].id
                try:
                    value = ast.literal_eval(part.value)
                except ValueError:
                    continue
                if not hasattr(module.Config, name) or _differ(value, getattr(module.Config, name)):
                    found.append(f"{name} = {value!r}")
    return found


def _differ(value, other):
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return list(value) != list(other)
    return value != other


def _some(names, most=8):
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
