"""Every public name of Matterport's five modules exists here and can be called the same way (tests/golden/api.json)."""

import importlib
import inspect
import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest

API = json.loads((Path(__file__).parent / "golden" / "api.json").read_text())
BASES = {
    "object": object,
    "KL.BatchNormalization": keras.layers.BatchNormalization,
    "KE.Layer": keras.layers.Layer,
    "KM.Model": keras.Model,
}


def evaluate(expression):
    """A value as api.json writes it."""
    return eval(expression, {"np": np, "os": os})


def signature_of(text):
    """`"(a, b=1)"` -> `inspect.Signature`."""
    return inspect.signature(evaluate(f"lambda {text[1:-1]}: None"))


def difference(expected, function):
    """What keeps `function` from binding every call that the signature `expected` (a text) binds, or None.

    Names, order, kinds and defaults must be equal; keyword-only parameters with a default may come on top.
    """
    wanted = list(signature_of(expected).parameters.values())
    found = list(inspect.signature(function).parameters.values())
    names = {parameter.name for parameter in wanted}
    extra = [parameter for parameter in found if parameter.name not in names]
    required = [p.name for p in extra if p.kind is not p.KEYWORD_ONLY or p.default is p.empty]
    if required:
        return f"parameters that Matterport's has not: {required}"
    found = [parameter for parameter in found if parameter.name in names]
    if [(p.name, p.kind) for p in found] != [(p.name, p.kind) for p in wanted]:
        return f"expected {expected}, found {inspect.signature(function)}"
    defaults = [(f.name, w.default, f.default) for f, w in zip(found, wanted) if not same(w.default, f.default)]
    return f"defaults (name, expected, found): {defaults}" if defaults else None


def same(first, second):
    """Equal in value and in type; arrays element by element."""
    return type(first) is type(second) and bool(np.all(np.asarray(first == second)))


def method_of(cls, name):
    """A method as the class holds it, the getter of a property."""
    method = inspect.getattr_static(cls, name)
    return method.fget if isinstance(method, property) else method


MODULES = {module: importlib.import_module(f"mrcnn_plus.{module}") for module in API}
FUNCTIONS = [(module, name, text) for module in API for name, text in API[module].items() if str(text).startswith("(")]
VALUES = [
    (module, name, text)
    for module in API
    for name, text in API[module].items()
    if isinstance(text, str) and not text.startswith("(")
]
CLASSES = [(module, name) for module in API for name, entry in API[module].items() if isinstance(entry, dict)]
METHODS = [
    (module, name, method, text) for module, name in CLASSES for method, text in API[module][name]["methods"].items()
]
ATTRIBUTES = [
    (module, name, attribute, text)
    for module, name in CLASSES
    for attribute, text in API[module][name].get("attributes", {}).items()
]


def test_the_list_is_walked_completely():
    assert sum(len(names) for names in API.values()) == len(FUNCTIONS) + len(VALUES) + len(CLASSES)
    assert (len(FUNCTIONS), len(VALUES), len(CLASSES), len(METHODS), len(ATTRIBUTES)) == (74, 2, 9, 49, 45)


@pytest.mark.parametrize(("module", "name", "expected"), FUNCTIONS, ids=[f"{m}.{n}" for m, n, _ in FUNCTIONS])
def test_every_function_is_called_as_before(module, name, expected):
    function = getattr(MODULES[module], name)
    assert callable(function)
    assert difference(expected, function) is None


@pytest.mark.parametrize(("module", "name", "expected"), VALUES, ids=[f"{m}.{n}" for m, n, _ in VALUES])
def test_every_constant_has_its_value(module, name, expected):
    assert same(evaluate(expected), getattr(MODULES[module], name))


@pytest.mark.parametrize(("module", "name"), CLASSES, ids=[f"{m}.{n}" for m, n in CLASSES])
def test_every_class_has_its_bases(module, name):
    cls = getattr(MODULES[module], name)
    assert all(issubclass(cls, BASES[base]) for base in API[module][name]["bases"])


@pytest.mark.parametrize(
    ("module", "name", "method", "expected"), METHODS, ids=[f"{m}.{n}.{method}" for m, n, method, _ in METHODS]
)
def test_every_method_is_called_as_before(module, name, method, expected):
    assert difference(expected, method_of(getattr(MODULES[module], name), method)) is None


@pytest.mark.parametrize(
    ("module", "name", "attribute", "expected"), ATTRIBUTES, ids=[f"{m}.{n}.{a}" for m, n, a, _ in ATTRIBUTES]
)
def test_every_setting_has_its_default(module, name, attribute, expected):
    cls = getattr(MODULES[module], name)
    assert same(evaluate(expected), getattr(cls, attribute))
    assert same(evaluate(expected), getattr(cls(), attribute))


def test_every_name_of_the_list_is_exported_by_its_facade():
    for module, names in API.items():
        exported = getattr(MODULES[module], "__all__", None)
        assert exported is None or set(names) <= set(exported), module


def test_names_that_programs_reach_through_the_model_module():
    model = MODULES["model"]
    assert model.utils is MODULES["utils"]
    assert (
        difference(
            "(dataset, config, shuffle=True, augmentation=None, random_rois=0, detection_targets=False, **kwargs)",
            model.DataGenerator,
        )
        is None
    )


@pytest.mark.parametrize(
    ("expected", "function"),
    [
        ("(a, b=1)", lambda a, b=2: None),
        ("(a, b=1)", lambda a, b=True: None),
        ("(a, b=1)", lambda a, b: None),
        ("(a, b=1)", lambda b=1, a=None: None),
        ("(a, b=1)", lambda a: None),
        ("(a, b=1)", lambda a, *, b=1: None),
        ("(a, b=1)", lambda a, b=1, c=2: None),
        ("(a, b=1)", lambda a, b=1, *, c: None),
        ("(a, **kwargs)", lambda a: None),
        ("(a)", lambda a, **kwargs: None),
        ("(a=(1, 2))", lambda a=[1, 2]: None),
    ],
)
def test_the_comparison_sees_what_would_break_a_call(expected, function):
    assert difference(expected, function) is not None


@pytest.mark.parametrize(
    ("expected", "function"),
    [
        ("(a, b=1)", lambda a, b=1: None),
        ("(a, b=1)", lambda a, b=1, *, c=2: None),
        ("(self, *args, **kwargs)", lambda self, *args, **kwargs: None),
        ("(a=(1, 2))", lambda a=(1, 2): None),
    ],
)
def test_the_comparison_allows_more_keywords(expected, function):
    assert difference(expected, function) is None
