"""How a program trains, read from its text: learning rate, epochs, layers, weights, mode."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from mrcnn_plus.lint.facts import Run
from mrcnn_plus.lint.programs.evaluation import Unreadable, evaluate

_TRAIN_ARGUMENTS = (
    *("train_dataset", "val_dataset", "learning_rate", "epochs", "layers"),
    *("augmentation", "custom_callbacks", "no_augmentation_sources"),
)
_STAGE_ARGUMENTS = ("layers", "epochs", "learning_rate", "settings")
_MODEL_ARGUMENTS = ("mode", "config", "model_dir")
_INFERENCE_WORDS = ("inference", "infer", "test", "eval", "predict", "detect")


@dataclass
class Call:
    """A call with its arguments by name. function: the function that it stands in, None at the top of the program."""

    node: ast.Call
    arguments: dict[str, ast.expr]
    function: ast.FunctionDef | None


@dataclass
class TrainingCalls:
    """Calls of a program that make, load and train a model, in the order of the text."""

    models: list[Call] = field(default_factory=list)
    trains: list[Call] = field(default_factory=list)
    weights: list[Call] = field(default_factory=list)


def find_training_calls(tree: ast.Module) -> TrainingCalls:
    """`MaskRCNN(...)`, `.train(...)`, `.train_stages([...])`, `.load_weights(...)` of a program."""
    found = TrainingCalls()
    for node, function in _calls(tree, None):
        name = getattr(node.func, "attr", None) or getattr(node.func, "id", "")
        if name == "train_stages" and isinstance(node.func, ast.Attribute):
            found.trains += [Call(node, arguments, function) for arguments in _stages_of(node)]
        elif name == "train" and isinstance(node.func, ast.Attribute):
            arguments = _by_name(node, _TRAIN_ARGUMENTS)
            if {"epochs", "layers"} & set(arguments):
                found.trains.append(Call(node, arguments, function))
        elif name == "load_weights":
            found.weights.append(Call(node, _by_name(node, ("filepath",)), function))
        elif name.endswith("MaskRCNN") or {"mode", "config", "model_dir"} <= set(_by_name(node, ())):
            found.models.append(Call(node, _by_name(node, _MODEL_ARGUMENTS), function))
    return found


def describe_run(calls: TrainingCalls, value: Callable[..., Any]) -> Run:
    """How the program trains. value: computes an expression that stands in a function, or raises `Unreadable`."""

    def read(call, name, kinds):
        node = call.arguments.get(name)
        try:
            result = None if node is None else value(node, call.function)
        except (Unreadable, LookupError):
            return None
        return result if isinstance(result, kinds) and not isinstance(result, bool) else None

    if not calls.trains and not calls.models:
        return Run()
    stages = [
        (read(call, "learning_rate", (int, float)), read(call, "epochs", int), read(call, "layers", str))
        for call in calls.trains
    ]
    folders = [read(call, "model_dir", str) for call in calls.models if "model_dir" in call.arguments]
    weights = list(dict.fromkeys(_weights_words(call) for call in calls.weights))
    run = Run(
        mode="training" if stages else "inference",
        pretrained=bool(calls.weights),
        weights=weights[0] if len(weights) == 1 else None,
        model_dir=folders[0] if folders else None,
    )
    if stages:
        run.learning_rate, run.epochs, run.layers = stages[0]
        run.stages = stages if len(stages) > 1 else []
    return run


def mode_of_config(name: str) -> str:
    """ "inference" for a name such as `InferenceConfig`, else "training"."""
    return "inference" if any(word in name.lower() for word in _INFERENCE_WORDS) else "training"


def value_with_config(config, lookup) -> Callable[..., Any]:
    """Computes expressions; `anything.LEARNING_RATE` is the configuration's where `anything` is not known."""

    def value(node, function=None):
        def with_settings(name):
            if name.startswith(_Settings.PREFIX):
                return getattr(config, name.removeprefix(_Settings.PREFIX))
            local = _local_value(name, node, function)
            return lookup(name) if local is None else value(local, function)

        try:
            return evaluate(node, lookup)
        except Unreadable:
            return evaluate(_Settings().visit(ast.parse(ast.unparse(node), mode="eval")).body, with_settings)

    return value


def _local_value(name, node, function) -> ast.expr | None:
    """What a function assigns to a name of its own, before the expression."""
    found = None
    for statement in ast.walk(function) if function else ():
        is_before = isinstance(statement, ast.Assign) and statement.lineno < node.lineno
        if is_before and name in [getattr(target, "id", None) for target in statement.targets]:
            found = statement.value
    return found


class _Settings(ast.NodeTransformer):
    """`config.LEARNING_RATE` -> a name that is looked up in the configuration."""

    PREFIX = "the setting "

    def visit_Attribute(self, node):
        if node.attr.isupper():
            return ast.copy_location(ast.Name(self.PREFIX + node.attr, ast.Load()), node)
        return self.generic_visit(node)


def _calls(node, function):
    """`(call, function that it stands in)`, in the order of the text."""
    for child in ast.iter_child_nodes(node):
        inside = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(child, ast.Call):
            yield child, function
        yield from _calls(child, inside)


def _stages_of(call) -> Iterator[dict[str, ast.expr]]:
    """The arguments of each stage that stands in a call of `train_stages`: `Stage(...)`, tuples, or dicts.

    Without any they are those of TRAIN_STAGES, which has rules of its own.
    """
    stages = _by_name(call, ("train_dataset", "val_dataset", "stages")).get("stages")
    for stage in stages.elts if isinstance(stages, ast.List | ast.Tuple) else ():
        if isinstance(stage, ast.Call):
            yield _by_name(stage, _STAGE_ARGUMENTS)
        elif isinstance(stage, ast.Tuple | ast.List):
            yield dict(zip(_STAGE_ARGUMENTS, stage.elts))
        elif isinstance(stage, ast.Dict):
            yield {key.value: value for key, value in zip(stage.keys, stage.values) if isinstance(key, ast.Constant)}


def _by_name(call, names) -> dict[str, ast.expr]:
    arguments = dict(zip(names, call.args))
    arguments.update({keyword.arg: keyword.value for keyword in call.keywords if keyword.arg})
    return arguments


def _weights_words(call) -> str | None:
    """Which weights are loaded: "coco", "imagenet", "last", or the path that stands there."""
    node = call.arguments.get("filepath")
    if node is None:
        return None
    text = ast.unparse(node)
    for word in ("imagenet", "coco"):
        if word in text.lower():
            return word
    if "find_last" in text or "last" in text.lower():
        return "last"
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
