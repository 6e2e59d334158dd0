"""Copies of packages beside a program that are not used: Matterport's, and one of pycocotools that cannot work.

Of Matterport's it is said what they have that this package lacks.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import os
import sys
from pathlib import Path

from mrcnn_plus.compat.shims import is_users_file


class PassedOver:
    """Collects the paths of copies that were passed over; to be given to `as_mrcnn.install(found_copy=...)`."""

    def __init__(self):
        self._paths: dict[str, None] = {}

    def __call__(self, path) -> bool:
        """Take in a copy. False if it belongs to an installed package, which keeps what it was made with."""
        if path is None or not is_users_file(path):
            return path is None
        self._paths[os.path.realpath(path)] = None
        return True

    def notes(self) -> list[str]:
        """A sentence for every copy that defines something that the module here does not."""
        return [note for path in self._paths if (note := _note(path))]


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


def _note(path):
    import importlib

    name = Path(path).stem
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    module = importlib.import_module(f"mrcnn_plus.{name}")
    extra = [item for item in _definitions(tree) if not _has(module, item)]
    changed = _changed_settings(tree, module) if name == "config" else []
    if not (extra or changed):
        return None
    text = f"{os.path.relpath(path)} was not used, because mrcnn_plus takes its place."
    if extra:
        text += (
            f" It defines what mrcnn_plus has not: {_some(extra)}. If that is needed, move it into a file of your own."
        )
    if changed:
        text += f" Its settings differ: {_some(changed)}. Set them in your own Config class."
    return text


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


def _has(module, name):
    value = module
    for part in name.split("."):
        value = getattr(value, part, None)
        if value is None:
            return False
    return True


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
