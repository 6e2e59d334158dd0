"""Compute an expression of a program without running the program: numbers, lists, names, a few harmless functions."""

from __future__ import annotations

import ast
import math
import operator
import os.path
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from mrcnn_plus.config_base import ConfigBase

_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY = {ast.USub: operator.neg, ast.UAdd: operator.pos, ast.Not: operator.not_}
_COMPARE = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
_BUILTINS = {
    function.__name__: function
    for function in (abs, bool, dict, float, int, len, list, max, min, range, round, set, sorted, str, sum, tuple)
}
# What may be called or read of these modules, under whatever name the program imports them.
_NUMPY = (
    *("array", "asarray", "arange", "linspace", "logspace", "zeros", "ones"),
    *("prod", "sum", "max", "min", "mean", "sqrt", "round", "ceil", "floor", "power"),
    *("int32", "int64", "float32", "float64", "uint8", "bool_", "pi", "inf"),
)
MODULES = {
    "numpy": {name: getattr(np, name) for name in _NUMPY} | {"int": int, "float": float},
    "math": {name: value for name, value in vars(math).items() if not name.startswith("_") and name != "factorial"},
    "os.path": {name: getattr(os.path, name) for name in ("join", "basename", "dirname", "splitext", "abspath")},
}
_PLAIN = (str, dict, list, tuple, set, int, float, np.ndarray, np.generic)
_LARGEST = 10_000  # items of a sequence, or exponent: beyond, a program is not computed but run


class SettingsModule:
    """A module of which only some attributes are known: those of the instance."""

    def __init__(self, **attributes):
        vars(self).update(attributes)


class Unreadable(ValueError):
    """An expression that cannot be computed; `node` is the part that is to blame."""

    def __init__(self, node, reason):
        super().__init__(reason)
        self.node = node


def evaluate(node: ast.expr, lookup: Callable[[str], Any]) -> Any:
    """The value of an expression. lookup: value of a name, or `KeyError`. Raises `Unreadable`."""
    try:
        return _value(node, lookup)
    except (Unreadable, RecursionError):
        raise
    except Exception as error:  # any operation on the user's values may fail
        raise Unreadable(node, f"{type(error).__name__}: {error}") from error


def _value(node, lookup):
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return _name(node, lookup)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_items(node.elts, lookup))
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key, lookup): _value(value, lookup) for key, value in zip(node.keys, node.values)}
    if isinstance(node, ast.BinOp):
        return _binary(node, lookup)
    if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
        return _UNARY[type(node.op)](_value(node.operand, lookup))
    if isinstance(node, ast.Attribute):
        return _attribute(node, lookup)
    if isinstance(node, ast.Call):
        return _call(node, lookup)
    return _rarer_value(node, lookup)


def _rarer_value(node, lookup):
    if isinstance(node, ast.Subscript):
        return _value(node.value, lookup)[_value(node.slice, lookup)]
    if isinstance(node, ast.Slice):
        return slice(*(part and _value(part, lookup) for part in (node.lower, node.upper, node.step)))
    if isinstance(node, ast.IfExp):
        return _value(node.body if _value(node.test, lookup) else node.orelse, lookup)
    if isinstance(node, ast.BoolOp):
        for part in node.values:
            value = _value(part, lookup)
            if bool(value) is isinstance(node.op, ast.Or):
                break
        return value
    if isinstance(node, ast.Compare):
        values = [_value(part, lookup) for part in (node.left, *node.comparators)]
        return all(_COMPARE[type(op)](*pair) for op, *pair in zip(node.ops, values, values[1:]))
    if isinstance(node, ast.JoinedStr):
        return "".join(str(_value(part, lookup)) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        spec = _value(node.format_spec, lookup) if node.format_spec else ""
        return format(_value(node.value, lookup), spec)
    if isinstance(node, ast.ListComp | ast.GeneratorExp) and len(node.generators) == 1:
        return _comprehension(node, lookup)
    raise Unreadable(node, f"{ast.unparse(node)[:80]} is not computed")


def _items(nodes, lookup):
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from _value(node.value, lookup)
        else:
            yield _value(node, lookup)


def _name(node, lookup):
    try:
        return lookup(node.id)
    except KeyError:
        if node.id in _BUILTINS:
            return _BUILTINS[node.id]
        raise Unreadable(node, f"{node.id} is not known") from None


def _binary(node, lookup):
    left, right = _value(node.left, lookup), _value(node.right, lookup)
    if type(node.op) not in _BINARY:
        raise Unreadable(node, "an operation that is not computed")
    if isinstance(node.op, ast.Pow) and np.max(np.abs(right)) > 64:
        raise Unreadable(node, "a power too large to compute")
    if isinstance(node.op, ast.Mult) and any(isinstance(side, str | list | tuple) for side in (left, right)):
        length, count = (left, right) if isinstance(right, int) else (right, left)
        if len(length) * count > _LARGEST:
            raise Unreadable(node, "a sequence too long to compute")
    return _BINARY[type(node.op)](left, right)


def _attribute(node, lookup):
    value = _value(node.value, lookup)
    if any(value is module for module in MODULES.values()):
        if node.attr not in value:
            raise Unreadable(node, f"{ast.unparse(node)} is not computed")
        return value[node.attr]
    is_config = isinstance(value, ConfigBase) or (isinstance(value, type) and issubclass(value, ConfigBase))
    is_module = isinstance(value, types.ModuleType | SettingsModule)
    if (
        not is_config
        and not isinstance(value, _PLAIN)
        and not (is_module and node.attr in ("Config", "config", "path"))
    ):
        raise Unreadable(node, f"{ast.unparse(node)} is not computed")
    if node.attr.startswith("_"):
        raise Unreadable(node, f"{ast.unparse(node)} is not read")
    return getattr(value, node.attr)


def _call(node, lookup):
    function = _value(node.func, lookup)
    allowed = [*_BUILTINS.values(), *(item for module in MODULES.values() for item in module.values())]
    bound = getattr(function, "__self__", None)
    is_method_of_value = isinstance(bound, _PLAIN)
    if not is_method_of_value and not any(function is item for item in allowed):
        raise Unreadable(node, f"{ast.unparse(node.func)}() is not called")
    arguments = list(_items(node.args, lookup))
    if function is range and len(range(*arguments)) > _LARGEST:
        raise Unreadable(node, "a sequence too long to compute")
    return function(*arguments, **{item.arg: _value(item.value, lookup) for item in node.keywords if item.arg})


def _comprehension(node, lookup):
    generator = node.generators[0]
    if not isinstance(generator.target, ast.Name):
        raise Unreadable(node, "a comprehension that is not computed")
    values = []
    for item in _value(generator.iter, lookup):

        def inner(name, item=item):
            return item if name == generator.target.id else lookup(name)

        if all(_value(test, inner) for test in generator.ifs):
            values.append(_value(node.elt, inner))
    return values
