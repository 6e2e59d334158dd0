"""Read `Config` subclasses from the text of a program: nothing of it is run.

Each becomes a class of its own with the attributes that can be computed (`evaluation.py`). A setting that cannot be
read raises `UnknownSetting` when a rule asks for it, so that no rule mistakes a default for the user's value.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mrcnn_plus.config import Config
from mrcnn_plus.lint.findings import Report
from mrcnn_plus.lint.programs.definitions import is_main_guard
from mrcnn_plus.lint.programs.evaluation import MODULES, SettingsModule, Unreadable, evaluate
from mrcnn_plus.lint.programs.source import ProgramError, ProgramSource, read_source
from mrcnn_plus.lint.programs.stand_ins import StandIn
from mrcnn_plus.lint.settings_source import assigned_lines

_CONFIG_MODULES = ("mrcnn", "mrcnn_plus", "mrcnn.config", "mrcnn_plus.config", "config")

_MODULE = "program"  # what classes that were read give as theirs


class UnknownSetting(LookupError):
    """A setting that the program computes in a way that cannot be followed."""


class StaticNamespace:
    """Names of a program and what they mean, as far as that can be read.

    source: the program; known: values that are known already, e.g. of an import of it that stopped half way.
    """

    def __init__(self, source: ProgramSource, known: Mapping[str, Any] | None = None, depth: int = 3):
        self.source = source
        self._known = {name: value for name, value in (known or {}).items() if not isinstance(value, StandIn)}
        self.names: dict[str, Any] = dict(self._known)
        self._depth = depth
        self.class_nodes: dict[str, ast.ClassDef] = {}
        self._read(source.tree.body)

    def lookup(self, name):
        return self.names[name]

    def value(self, node) -> Any:
        """The value of an expression, or `Unreadable`."""
        return evaluate(node, self.lookup)

    def configs(self) -> list[type]:
        """The `Config` subclasses that the program defines."""
        found = [self.names.get(name) for name in self.class_nodes]
        return [item for item in found if isinstance(item, type) and issubclass(item, Config)]

    def _read(self, statements):
        for statement in statements:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self._import(statement)
            elif isinstance(statement, ast.ClassDef):
                self._class(statement)
            elif isinstance(statement, ast.Assign | ast.AnnAssign):
                self._assign(statement)
            elif isinstance(statement, ast.If) and not is_main_guard(statement):
                self._branch(statement)
            elif isinstance(statement, ast.If | ast.Try | ast.With):
                self._read(statement.body)

    def _branch(self, statement):
        try:
            self._read(statement.body if self.value(statement.test) else statement.orelse)
        except Unreadable:
            self._read(statement.body)
            self._read(statement.orelse)

    def _assign(self, statement):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if statement.value is None:
            return
        try:
            value = self.value(statement.value)
        except Unreadable:
            for target in targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name) and name.id not in self._known:
                        self.names.pop(name.id, None)
            return
        for name, item in _bindings(targets, value):
            if name not in self._known:
                self.names[name] = item

    def _import(self, statement):
        if isinstance(statement, ast.ImportFrom):
            self._import_from(statement)
        else:
            for alias in statement.names:
                if alias.name in MODULES:
                    self.names.setdefault(alias.asname or alias.name, MODULES[alias.name])
                elif alias.name == "os":
                    self.names.setdefault(alias.asname or "os", _OS)
                elif alias.name in _CONFIG_MODULES:
                    top = alias.asname or alias.name.partition(".")[0]
                    self.names.setdefault(top, _CONFIG_MODULE)

    def _import_from(self, statement):
        module = statement.module or ""
        beside = None if module.startswith("mrcnn") else self._beside(module)
        for alias in statement.names:
            name = alias.asname or alias.name
            if beside is not None:
                wanted = beside.names if alias.name == "*" else {name: beside.names.get(alias.name)}
                self.names.update({key: item for key, item in wanted.items() if item is not None})
            elif module in _CONFIG_MODULES and alias.name == "*":
                self.names.setdefault("Config", Config)
            elif module in _CONFIG_MODULES and alias.name in ("Config", "config"):
                self.names.setdefault(name, Config if alias.name == "Config" else _CONFIG_MODULE)
            elif module in MODULES and alias.name in MODULES[module]:
                self.names.setdefault(name, MODULES[module][alias.name])
            elif module == "os" and alias.name == "path":
                self.names.setdefault(name, MODULES["os.path"])

    def _beside(self, module) -> StaticNamespace | None:
        """A module of the user's own that stands beside the program."""
        path = self.source.folder.joinpath(*module.split(".")).with_suffix(".py") if module else None
        if not path or not self._depth or not path.is_file():
            return None
        try:
            return StaticNamespace(read_source(str(path)), depth=self._depth - 1)
        except ProgramError:
            return None

    def _class(self, node):
        bases = []
        for base in node.bases:
            try:
                bases.append(self.value(base))
            except Unreadable:
                return
        if any(isinstance(base, type) and issubclass(base, Config) for base in bases):
            self.class_nodes[node.name] = node
            if node.name not in self._known:
                self.names[node.name] = read_class(node, bases, self)


def read_class(node: ast.ClassDef, bases, namespace: StaticNamespace) -> type:
    """The class with what can be read of its body and of `self.NAME = ...` in its `__init__`."""
    known, unread = {}, {}
    inherited = {}
    for base in reversed(bases):
        inherited.update({name: getattr(base, name) for name in dir(base) if name.isupper()})

    def lookup(name):
        if name in unread:
            raise KeyError(name)
        return known[name] if name in known else namespace.lookup(name)

    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            try:
                known.update(_bindings(targets, evaluate(statement.value, lookup)))
            except Unreadable as error:
                unread.update({name: _words(error, namespace) for name in _target_names(targets)})
    initial = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    attributes = {
        **known,
        **{name: _unknown(name) for name in unread},
        "__init__": _init_of(initial[0] if initial else None, bases, namespace),
        "__module__": _MODULE,
        "_public_values": _public_values,
        "_setting_places": {name: namespace.source.place(line) for name, line in assigned_lines(node).items()},
        "_unread": {**{key: text for base in bases for key, text in getattr(base, "_unread", {}).items()}, **unread},
    }
    return type(node.name, tuple(bases), attributes)


def is_read(cls) -> bool:
    """Whether a class was read from a text, not imported."""
    return cls.__module__ == _MODULE


def unread_settings(config) -> dict[str, str]:
    """`{setting: what stands there}` of the settings that could not be read."""
    return {**getattr(type(config), "_unread", {}), **vars(config).get("_unread_in_init", {})}


def without_unknown_settings(report: Report) -> Report:
    """The report without the failures of rules that asked for a setting which could not be read; they are skipped."""
    kept, skipped = [], dict(report.skipped)
    for finding in report.findings:
        if finding.code == "LNT001" and str(finding.value).startswith(UnknownSetting.__name__):
            skipped[finding.where] = f"a setting could not be read: {str(finding.value).split(chr(39))[1]}"
        else:
            kept.append(finding)
    return replace(report, findings=tuple(kept), skipped=skipped)


# `config` of `import mrcnn.config as config` or `from mrcnn import config`, `mrcnn` of `import mrcnn.config`.
_CONFIG_MODULE = SettingsModule(Config=Config)
_CONFIG_MODULE.config = _CONFIG_MODULE
_OS = SettingsModule(path=MODULES["os.path"])


def _unknown(name):
    """A property in the place of a setting that could not be read."""

    def ask(self):
        if name in vars(self):
            return vars(self)[name]
        raise UnknownSetting(name)

    def give(self, value):
        vars(self)[name] = value

    return property(ask, give)


def _public_values(self):
    hidden = unread_settings(self)
    names = (name for name in sorted(dir(self)) if not name.startswith("_") and name not in hidden)
    values = {}
    for name in names:
        try:
            values[name] = getattr(self, name)
        except (UnknownSetting, TypeError):  # computed from one that is not known
            continue
    return {name: value for name, value in values.items() if name.isupper() or not callable(value)}


def _init_of(node, bases, namespace):
    """An `__init__` that assigns what the user's would, as far as it can be read; no code of the user's is run."""

    def init(self):
        for base in bases:
            if base.__module__ == _MODULE:
                base.__init__(self)
        unread = vars(self).setdefault("_unread_in_init", {})
        for statement in node.body if node else ():
            _assign_to_self(self, statement, namespace, unread)

    return init


def _assign_to_self(config, statement, namespace, unread):
    if not isinstance(statement, ast.Assign | ast.AnnAssign) or statement.value is None:
        return
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    names = [target.attr for target in targets if isinstance(target, ast.Attribute) and _is_self(target.value)]
    if not names:
        return

    def lookup(name):
        return config if name == "self" else namespace.lookup(name)

    try:
        value = evaluate(statement.value, lookup)
        for name in names:
            setattr(config, name, value)
    except (Unreadable, ValueError) as error:
        unread.update({name: _words(error, namespace) for name in names})


def _is_self(node) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _bindings(targets, value):
    """`(name, value)` for each name that an assignment binds."""
    for target in targets:
        if isinstance(target, ast.Name):
            yield target.id, value
        elif isinstance(target, ast.Tuple | ast.List) and hasattr(value, "__len__"):
            yield from (pair for item, part in zip(target.elts, value) for pair in _bindings([item], part))


def _target_names(targets):
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]


def _words(error, namespace) -> str:
    """Place and text of what could not be read."""
    node = getattr(error, "node", None)
    if node is None:
        return str(error)
    file, line = namespace.source.place(node.lineno)
    return f"{file}:{line}: {error}"
