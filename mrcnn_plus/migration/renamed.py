"""Names that a library no longer has: the new one in their place, by the tables of the shims."""

from __future__ import annotations

import ast

from mrcnn_plus.compat import standard_library
from mrcnn_plus.compat.libraries import LIBRARIES
from mrcnn_plus.migration import imports
from mrcnn_plus.migration.names import plain

# Arguments that have other names today: `{old: (what to write, None to keep the value)}`.
_ARGUMENTS = {"as_grey": ("as_gray", None), "multichannel": ("channel_axis", "-1")}
_LEARNING_RATE = {"lr": ("learning_rate", None)}


def _tables():
    """`{"numpy.int": Shim}` for all names that are gone, and the fallbacks of modules."""
    gone, fallbacks = {}, {}
    for library in LIBRARIES:
        for patch in library.PATCHES:
            module = plain(patch.module.replace("keras._tf_keras.keras", "keras"))
            gone.update({f"{module}.{name}": shim for name, shim in (patch.missing or {}).items()})
            if patch.fallback is not None:
                fallbacks[module] = patch.fallback
    gone["keras.engine"] = None
    return gone, fallbacks


GONE, FALLBACKS = _tables()
_PREFIXES = {"np": "numpy", "tf": "tensorflow"}


def apply(changes) -> None:
    """Collect the changes of names, and list those that a person has to decide."""
    for node in ast.walk(changes.source.tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            _change_imported_names(changes, node)
        if id(node) in changes.handled:
            continue
        if isinstance(node, ast.Attribute):
            _change_attribute(changes, node)
        elif isinstance(node, ast.Call):
            _change_arguments(changes, node)


def _change_attribute(changes, node):
    dotted = changes.names.dotted(node)
    if dotted is None:
        return
    if not isinstance(node.ctx, ast.Load):
        return
    facade = _unknown_in_facade(changes, node, dotted)
    if facade:
        changes.leave_to_person(node, f"{dotted}: mrcnn_plus.{facade} has no {node.attr}")
        return
    shim = find_shim(dotted)
    if shim is None:
        return
    if shim.needs is not None:
        changes.add_import(shim.needs)
        return
    if shim.rewrite is None:
        changes.leave_to_person(node, f"{shim.name}: {shim.today}")
        return
    changes.replace(node, _written(changes, node, shim.rewrite))


def find_shim(dotted: str):
    """The shim for a name like `numpy.int` or `tensorflow.log`; None if today's library has the name."""
    if dotted in GONE:
        return GONE[dotted]
    module, _, name = dotted.rpartition(".")
    if module.startswith("tensorflow.compat.v1") or module not in FALLBACKS:
        return None
    try:
        if module in standard_library.PACKAGES:
            return FALLBACKS[module](name)
        return None if _has_today(module, name) else FALLBACKS[module](name)
    except ValueError as error:  # tf.contrib, which nothing stands for
        from mrcnn_plus.compat.shims import Shim

        return Shim(dotted, str(error), None)


def _has_today(module, name) -> bool:
    import importlib

    try:
        value = importlib.import_module(module)
    except ImportError:
        return True
    if hasattr(value, name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


def _written(changes, node, today):
    """The new name with the program's own names of packages; adds the import that it needs."""
    first, _, rest = today.partition(".")
    if first in _PREFIXES:
        name = changes.names.name_of(_PREFIXES[first]) or changes.names.name_of("tensorflow.compat.v1")
        if name is None:
            changes.add_import(f"import {_PREFIXES[first]} as {first}")
            name = first
        return f"{name}.{rest}"
    if rest:
        module = today.rpartition(".")[0]
        if first not in changes.names.imported.values() or module != first:
            changes.add_import(f"import {module}")
    return today


def _change_imported_names(changes, node):
    """`from scipy.misc import imread`: the new module, or a note."""
    facade = imports.facade_of(changes, node.module)
    if facade:
        for alias in node.names:
            if alias.name != "*" and alias.name not in _public_names(facade):
                changes.leave_to_person(node, f"{node.module}.{alias.name}: mrcnn_plus.{facade} has no {alias.name}")
    if id(node) in changes.handled:
        return
    for alias in node.names:
        shim = find_shim(plain(f"{node.module}.{alias.name}"))
        if shim is None or shim.needs or node.module == "collections":
            continue
        if shim.rewrite and "." in shim.rewrite and len(node.names) == 1:
            module, _, name = shim.rewrite.rpartition(".")
            module = {"np": "numpy", "tf": "tensorflow"}.get(module, module)
            changes.remove(node, instead=f"from {module} import {name} as {alias.asname or alias.name}")
        elif shim.rewrite and "." not in shim.rewrite and (alias.asname or alias.name) == shim.rewrite:
            changes.leave_to_person(node, f"{shim.name}: leave it out of the import")
        else:
            changes.leave_to_person(node, f"{shim.name}: {shim.today}")


def _change_arguments(changes, node):
    dotted = changes.names.dotted(node.func) or ""
    table = _ARGUMENTS if dotted.startswith("skimage.") else {}
    if dotted.startswith("keras.optimizers."):
        table = _LEARNING_RATE
    for keyword in node.keywords:
        if keyword.arg in table:
            name, value = table[keyword.arg]
            if value is not None and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is True):
                changes.leave_to_person(node, f"{keyword.arg}=: write {name}={value} where it is true")
                continue
            changes.replace(keyword, f"{name}={value or changes.source.text_of(keyword.value)}")


def _unknown_in_facade(changes, node, dotted):
    """The facade that a name is asked of and that does not have it; None otherwise."""
    facade = imports.facade_of(changes, dotted.rpartition(".")[0])
    if not facade or node.attr.startswith("__"):
        return None
    return None if node.attr in _public_names(facade) else facade


_names_of_facades: dict[str, set[str]] = {}


def _public_names(facade) -> set[str]:
    """Names of one of our modules, read from its text: importing it would load Keras."""
    if facade not in _names_of_facades:
        from pathlib import Path

        tree = ast.parse((Path(__file__).parents[1] / f"{facade}.py").read_text(encoding="utf-8"))
        found = set()
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found.update(alias.asname or alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.Assign):
                found.update(target.id for target in node.targets if isinstance(target, ast.Name))
        _names_of_facades[facade] = found
    return _names_of_facades[facade]
