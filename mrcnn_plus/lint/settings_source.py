"""Where a setting stands in the user's program: class, file and line."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from typing import NamedTuple


class SettingPlace(NamedTuple):
    """name: "PartsConfig.IMAGE_MAX_DIM"; file and line: None where they cannot be found."""

    name: str
    file: str | None = None
    line: int | None = None


def find_setting(config, setting: str) -> SettingPlace:
    """The place of a setting: the class of the program that gives it its value, or else the configuration's class."""
    if config is None:
        return SettingPlace(setting)
    for cls in type(config).__mro__:
        if cls.__module__.startswith("mrcnn_plus."):
            break
        places = _places(cls)
        if setting in places:
            return SettingPlace(f"{cls.__name__}.{setting}", *places[setting])
    return SettingPlace(f"{type(config).__name__}.{setting}")


def _places(cls) -> dict[str, tuple[str | None, int]]:
    """`{setting: (file, line)}` of what a class assigns; who reads programs leaves it at the class."""
    return vars(cls)["_setting_places"] if "_setting_places" in vars(cls) else _places_in_file(cls)


@functools.lru_cache(maxsize=256)
def _places_in_file(cls) -> dict[str, tuple[str | None, int]]:
    """`{setting: (file, line)}` of what the body of a class, or its methods by `self.`, assign."""
    try:
        source, first = inspect.getsourcelines(cls)
        tree = ast.parse(textwrap.dedent("".join(source)))
    except (OSError, TypeError, SyntaxError):
        return {}
    file = inspect.getsourcefile(cls)
    return {name: (file, line) for name, line in assigned_lines(tree.body[0], first - 1).items()}


def assigned_lines(class_node: ast.ClassDef, offset: int = 0) -> dict[str, int]:
    """`{NAME: line}` for `NAME = ...` in the body of a class and `self.NAME = ...` in its methods."""
    lines = {}
    for node in ast.walk(class_node):
        for target in _targets(node):
            name = getattr(target, "id", None) or getattr(target, "attr", None)
            if name:
                lines.setdefault(name, target.lineno + offset)
    return lines


def _targets(node) -> list:
    """What a statement assigns to; `A, B = 1, 2` has two targets."""
    if isinstance(node, ast.AnnAssign):
        return [node.target]
    if not isinstance(node, ast.Assign):
        return []
    return [item for target in node.targets for item in (target.elts if isinstance(target, ast.Tuple) else [target])]
