"""Imports: of Matterport's package, of imgaug, and of modules that Keras or Python have moved."""

from __future__ import annotations

import ast
import importlib.machinery
import os

from mrcnn_plus import as_mrcnn
from mrcnn_plus.compat import keras_2, standard_library
from mrcnn_plus.migration.names import plain

_FACADES = tuple(as_mrcnn.FLAT_ALIASES)
_IMGAUG = "from mrcnn_plus.data.augmentation import import_imgaug"
_ABSTRACT = next(patch.missing for patch in standard_library.PATCHES if patch.module == "collections")


def apply(changes) -> None:
    """Collect the changes of all import statements, and of the names that they brought."""
    renames_mrcnn = False
    for node in ast.walk(changes.source.tree):
        if isinstance(node, ast.Import):
            renames_mrcnn |= _change_import(changes, node)
        elif isinstance(node, ast.ImportFrom):
            _change_import_from(changes, node)
    if renames_mrcnn:
        for node in ast.walk(changes.source.tree):
            if isinstance(node, ast.Name) and node.id == "mrcnn":
                changes.replace(node, "mrcnn_plus")


def facade_of(changes, dotted: str) -> str | None:
    """`model` for `mrcnn.model`, the flat `model`, and `Mask_RCNN.mrcnn.model`; "" for `mrcnn` itself; else None."""
    if dotted == "mrcnn":
        return ""
    package, _, name = dotted.rpartition(".")
    if name not in _FACADES:
        return None
    if package == "mrcnn":
        return name
    if not package:
        return name if _is_flat_module(changes, name) else None
    return name if package.endswith(".mrcnn") or _is_copy_in(changes, package, name) else None


def _folders(changes):
    folder = os.path.dirname(os.path.abspath(changes.source.path))
    above = os.path.dirname(folder)
    return [folder, above, os.path.dirname(above)]


def _is_flat_module(changes, name):
    """Whether `import utils` means Matterport's: no such file beside the program, or a copy, and its names are used."""
    path = os.path.join(_folders(changes)[0], f"{name}.py")
    if os.path.isfile(path):
        return as_mrcnn.is_copy(name, path)
    others = {as_name.partition(".")[0] for as_name in changes.names.imported.values()}
    return len(others & set(_FACADES)) > 1 or importlib.machinery.PathFinder.find_spec(name) is None


def _is_copy_in(changes, package, name):
    paths = [os.path.join(folder, *package.split("."), f"{name}.py") for folder in _folders(changes)]
    return any(as_mrcnn.is_copy(name, path) for path in paths)


def _change_import(changes, node) -> bool:
    """True if the program reaches the package by its name, `mrcnn.model.MaskRCNN`."""
    before = [(alias.name, alias.asname) for alias in node.names]
    kept, extra, renames = [], [], False
    for name, asname in before:
        facade = facade_of(changes, name)
        if facade is not None:
            renames |= name.partition(".")[0] == "mrcnn" and not asname
            if "." not in name and facade and not asname:
                extra.append(f"from mrcnn_plus import {name}")
            elif facade and asname:
                extra.append(f"from mrcnn_plus import {facade}" + (f" as {asname}" if asname != facade else ""))
            elif name.partition(".")[0] != "mrcnn":
                changes.leave_to_person(node, f"import {name}: write `from mrcnn_plus import {facade}` and its names")
                kept.append(_alias(name, asname))
            else:
                kept.append(_alias(f"mrcnn_plus.{facade}" if facade else "mrcnn_plus", asname))
        elif name == "imgaug":
            extra += [_IMGAUG, f"{asname or 'imgaug'} = import_imgaug()"]
        elif name == "imgaug.augmenters" and asname:
            extra += [_IMGAUG, f"{asname} = import_imgaug().augmenters"]
        elif plain(name) in keras_2.MOVED and asname:
            kept.append(_alias(keras_2.MOVED[plain(name)][0], asname))
        elif name == "keras.backend" or plain(name) != "keras.backend" or not asname:
            kept.append(_alias(name, asname))
        else:
            kept.append(_alias(plain(name), asname))
    lines = ([f"import {', '.join(kept)}"] if kept else []) + extra
    if lines != [f"import {', '.join(_alias(*pair) for pair in before)}"]:
        changes.remove(node, instead="\n".join(lines))
    return renames


def _alias(name, asname):
    return f"{name} as {asname}" if asname else name


def _change_import_from(changes, node):
    if not node.module:
        return
    if node.level:
        _change_relative(changes, node)
        return
    facade = facade_of(changes, node.module)
    if facade is not None or node.module.endswith(".mrcnn"):
        module = f"mrcnn_plus.{facade}" if facade else "mrcnn_plus"
        unknown = [alias.name for alias in node.names if not facade and alias.name not in _FACADES]
        if unknown:
            changes.leave_to_person(
                node, f"from {node.module} import {', '.join(unknown)}: mrcnn_plus has no such module"
            )
        _rename_module(changes, node, module)
    elif node.module == "imgaug" or node.module.startswith("imgaug."):
        rest = node.module.partition(".")[2]
        owner = "import_imgaug()" + (f".{rest}" if rest else "")
        lines = [f"{alias.asname or alias.name} = {owner}.{alias.name}" for alias in node.names]
        if any(alias.name == "*" for alias in node.names) or rest not in ("", "augmenters"):
            lines = ["import_imgaug()", changes.source.text_of(node)]
        changes.remove(node, instead="\n".join([_IMGAUG, *lines]))
    elif plain(node.module) in keras_2.MOVED:
        _rename_module(changes, node, keras_2.MOVED[plain(node.module)][0])
    elif node.module == "collections":
        _split_abstract(changes, node)


def _change_relative(changes, node):
    """`from .mrcnn import utils` where that is a copy of the package."""
    if node.module == "mrcnn" or node.module.endswith(".mrcnn"):
        _rename_module(changes, node, "mrcnn_plus")


def _rename_module(changes, node, module):
    text = changes.source.text_of(node)
    old = "." * node.level + node.module
    changes.remove(node, instead=text.replace(old, module, 1))


def _split_abstract(changes, node):
    abstract = [alias for alias in node.names if alias.name in _ABSTRACT]
    if not abstract:
        return
    lines = []
    for module, aliases in (
        ("collections", [alias for alias in node.names if alias not in abstract]),
        ("collections.abc", abstract),
    ):
        if aliases:
            lines.append(f"from {module} import {', '.join(_alias(alias.name, alias.asname) for alias in aliases)}")
    changes.remove(node, instead="\n".join(lines))
