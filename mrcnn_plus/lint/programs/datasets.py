"""The data sets of a program: as it builds them itself, or by an expression of the user's."""

from __future__ import annotations

import ast
import contextlib
import inspect
import shlex
import sys
from typing import Any

from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.lint.programs.slices import NotComputed, evaluate_in_context
from mrcnn_plus.lint.programs.source import ProgramSource
from mrcnn_plus.lint.programs.training import Call

_NO_LOADERS = {"load_image", "load_mask"}


def datasets_of_call(source: ProgramSource, namespace: dict, call: Call) -> tuple[Any, Any]:
    """`(train, val)` of a call of `train`; val may be None. Raises `NotComputed`."""
    parts = [call.arguments.get(name, ast.Constant(None)) for name in ("train_dataset", "val_dataset")]
    both = ast.copy_location(ast.Tuple(parts, ast.Load()), call.node)
    with contextlib.redirect_stdout(sys.stderr):
        train, val = evaluate_in_context(source, namespace, ast.fix_missing_locations(both), call.function)
    for dataset in (train, val):
        if not isinstance(dataset, Dataset | None) or train is None:
            raise NotComputed(f"the data set is a {type(dataset).__name__}, not a Dataset of mrcnn_plus")
    return train, val


def dataset_from_words(words: str, classes: list[type], namespace: dict) -> Dataset:
    """The data set that `--train` or `--val` asks for, prepared.

    words: an expression that builds it, `PartsDataset.load_parts(40, 0)` (the class is instantiated first), or only the
    arguments of the loader, `40, 0`, where the program has one class with one `load_...` method.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            dataset = _evaluate(words, classes, namespace)
            if not hasattr(dataset, "num_classes"):
                dataset.prepare()
    except DatasetError:
        raise
    except (Exception, SystemExit) as error:
        raise DatasetError(f"{words!r}: the data set cannot be built: {type(error).__name__}: {error}.") from error
    return dataset


def loaders(dataset_class: type) -> list[str]:
    """Names of the methods with which a data set class reads its data."""
    return [
        name
        for name, value in inspect.getmembers(dataset_class, inspect.isfunction)
        if name.startswith("load_") and name not in _NO_LOADERS and not hasattr(Dataset, name)
    ]


def example_of_expression(classes: list[type]) -> str:
    """What a user could write after `--train`."""
    for item in classes:
        for name in loaders(item):
            parameters = list(inspect.signature(getattr(item, name)).parameters.values())[1:]
            needed = [
                one.name.upper() for one in parameters if one.default is one.empty and one.kind < one.VAR_POSITIONAL
            ]
            return f"{item.__name__}.{name}({', '.join(needed)})"
    return "MyDataset.load_data(PATH)"


def _evaluate(words, classes, namespace) -> Dataset:
    scope = {**namespace, **{item.__name__: item for item in classes}}
    try:
        node = ast.parse(words.strip(), mode="eval").body
    except SyntaxError:
        node = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        owner = _value(node.func.value, scope)
        if isinstance(owner, type) and issubclass(owner, Dataset):
            owner = owner()
        if isinstance(owner, Dataset):
            scope["_dataset"] = owner
            call = ast.Call(
                ast.Attribute(ast.Name("_dataset", ast.Load()), node.func.attr, ast.Load()), node.args, node.keywords
            )
            result = _value(call, scope)
            return result if isinstance(result, Dataset) else owner
    if isinstance(node, ast.Call | ast.Name):
        result = _value(node, scope)
        if isinstance(result, Dataset):
            return result
        raise DatasetError(f"{words!r}: expected an expression that gives a Dataset, received {type(result).__name__}.")
    return _by_only_loader(words, classes, scope)


def _by_only_loader(words, classes, scope) -> Dataset:
    """The data set of the only loader, which gets the words as its arguments."""
    found = [(item, name) for item in classes for name in loaders(item)]
    if len(found) != 1:
        names = ", ".join(f"{item.__name__}.{name}" for item, name in found) or "none"
        raise DatasetError(
            f"{words!r}: expected an expression such as {example_of_expression(classes)}, because there is not exactly "
            f"one loader to give arguments to; there are: {names}."
        )
    dataset_class, name = found[0]
    dataset = dataset_class()
    positional, keywords = _arguments(words, scope)
    result = getattr(dataset, name)(*positional, **keywords)
    return result if isinstance(result, Dataset) else dataset


def _arguments(words, scope):
    """`40, 0` as Python, or `/data/balloon train` as words."""
    try:
        call = ast.parse(f"f({words})", mode="eval").body
        return [_value(item, scope) for item in call.args], {
            item.arg: _value(item.value, scope) for item in call.keywords
        }
    except (SyntaxError, NameError):
        return [_literal(word) for word in shlex.split(words.replace(",", " "))], {}


def _literal(word):
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


def _value(node, scope):
    return eval(compile(ast.fix_missing_locations(ast.Expression(node)), "<command line>", "eval"), scope)
