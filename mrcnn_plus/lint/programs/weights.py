"""Which weights a program loads before it trains: its calls of `load_weights`, with their arguments."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from mrcnn_plus.lint.programs.slices import NotComputed, evaluate_in_context
from mrcnn_plus.lint.programs.source import ProgramSource
from mrcnn_plus.lint.programs.stand_ins import StandIn
from mrcnn_plus.lint.programs.training import Call, TrainingCalls

# Methods that give a path, and what they stand for.
_ASKED_OF_MODEL = {"find_last": "last", "get_imagenet_weights": "imagenet"}


@dataclass(frozen=True)
class WeightsToLoad:
    """A call of `load_weights` of the program.

    path: the file; or "coco", "imagenet", "last" where the program asks the model for it; None if it cannot be told.
    words: the expression as it stands in the program. why: why the path cannot be told. by_name, exclude: the others of
    its arguments.
    """

    path: str | None
    words: str
    why: str = ""
    by_name: bool = False
    exclude: tuple[str, ...] = ()


def weights_of_program(source: ProgramSource, namespace: dict, calls: TrainingCalls) -> list[WeightsToLoad]:
    """The files that the program loads into the model that it trains, in the order of its text.

    namespace: what the program defines. Calls behind conditions that do not hold for the program's arguments are left
    out, and those that follow the training; a condition that cannot be computed counts as held.
    """
    before = [call for call in calls.weights if not _follows_training(call, calls.trains)]
    return [_described(source, namespace, call) for call in before if _is_reached(source, namespace, call)]


def _follows_training(call: Call, trains: list[Call]) -> bool:
    """Whether a call stands behind all calls of `train` of its function: then it is for another model."""
    lines = [train.node.lineno for train in trains if train.function is call.function]
    return bool(lines) and call.node.lineno > max(lines)


def _described(source, namespace, call):
    node = call.arguments.get("filepath")
    words = ast.unparse(node) if node is not None else ""
    options = {
        "by_name": bool(_value(source, namespace, call, "by_name", False)),
        "exclude": _names(_value(source, namespace, call, "exclude", ())),
    }
    if node is None:
        return WeightsToLoad(None, words, "the call names no file", **options)
    for method, name in _ASKED_OF_MODEL.items():
        if method in words:
            return WeightsToLoad(name, words, **options)
    if _uses_model(node, namespace):
        return WeightsToLoad(None, words, "it depends on the model, which is not built here", **options)
    try:
        return WeightsToLoad(str(evaluate_in_context(source, namespace, node, call.function)), words, **options)
    except NotComputed as error:
        return WeightsToLoad(None, words, str(error), **options)


def _uses_model(node, namespace):
    """Whether an expression takes the model of the program, which computing it would build."""
    values = [namespace.get(item.id) for item in ast.walk(node) if isinstance(item, ast.Name)]
    return any(isinstance(value, StandIn) and "MaskRCNN" in value._words for value in values)


def _names(value):
    return (value,) if isinstance(value, str) else tuple(map(str, value or ()))


def _value(source, namespace, call, name, default):
    node = call.arguments.get(name)
    if node is None:
        return default
    try:
        return evaluate_in_context(source, namespace, node, call.function)
    except NotComputed:
        return default


def _is_reached(source, namespace, call):
    """Whether all conditions around a call hold, as far as they can be computed."""
    for test, wanted in _conditions(source.tree, call.node):
        if _is_main_test(test) or _uses_model(test, namespace):
            continue
        try:
            if bool(evaluate_in_context(source, namespace, test, call.function)) != wanted:
                return False
        except NotComputed:
            continue
    return True


def _is_main_test(test):
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))


def _conditions(node, wanted):
    """`[(test, whether it has to hold)]` of the `if`s around a node of the tree, or None if it is not inside `node`."""
    if node is wanted:
        return []
    for child in ast.iter_child_nodes(node):
        inner = _conditions(child, wanted)
        if inner is not None:
            if isinstance(node, ast.If) and child is not node.test:
                return [(node.test, child in node.body), *inner]
            return inner
    return None
