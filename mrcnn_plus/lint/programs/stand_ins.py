"""Stand-ins for what takes seconds to import, and what a look at the settings does not need: TensorFlow, plots, ...

A stand-in is a recipe. As long as the program's definitions are run (`defining()`), taking an attribute, calling and
computing only make longer recipes; nothing is imported, no network is built, nothing is trained. Afterwards, when a
data set is read, the first use of a stand-in follows its recipe and goes on with the real thing.

Those of libraries that compute (`value_counts=True`: scikit-image, OpenCV, SciPy) follow it at once where a value is
asked for, e.g. a length, because a setting may depend on it.
"""

from __future__ import annotations

import contextlib
import importlib
import operator
import sys
import types
from typing import Any

# Never needed for settings: frameworks, augmentation, plots.
FRAMEWORKS = frozenset(
    [
        "tensorflow",
        "keras",
        "tf_keras",
        "tensorflow_addons",
        "torch",
        "torchvision",
        "jax",
        "imgaug",
        "albumentations",
        "matplotlib",
        "seaborn",
        "IPython",
        "ipywidgets",
        "tensorboard",
        "google",
    ]
)
# Needed when data are read.
LIBRARIES = frozenset({"skimage", "cv2", "scipy"})
# Modules of the package, or of Matterport's, that load Keras or draw.
_HEAVY = (
    "model",
    "parallel_model",
    "visualize",
    "mask_rcnn",
    "training",
    "network",
    "drawing",
    "inference",
    "MaskRCNN",
    "EvaluationCallback",
)
HEAVY_MODULES = frozenset(f"{package}.{name}" for package in ("mrcnn", "mrcnn_plus") for name in _HEAVY)
FLAT_HEAVY_MODULES = frozenset({"model", "parallel_model", "visualize"})

_defining = False
_submodules: dict[str, set[str]] = {}  # top-level name -> dotted names that the program imports


@contextlib.contextmanager
def defining():
    """While the definitions of a program are run."""
    global _defining
    _defining = True
    try:
        yield
    finally:
        _defining = False


class _Base:
    """What a class becomes that is derived from a stand-in, e.g. a layer of the user's own."""

    def __init__(self, *args, **kwargs):
        pass

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(lambda: None, name, False)


class StandIn:
    """A recipe for an object; see the module."""

    def __init__(self, recipe, words: str, value_counts: bool):
        vars(self).update(_recipe=recipe, _words=words, _value_counts=value_counts, _result=None)

    def _is_recipe_only(self, for_value=False) -> bool:
        return _defining and not (for_value and self._value_counts)

    def _longer(self, recipe, words) -> StandIn:
        return StandIn(recipe, words, self._value_counts)

    def __getattr__(self, name):
        if name == "__version__" and not self._value_counts:
            return installed_version(self._words)
        if name == "__version__":
            return resolve(self).__version__
        if name.startswith("__"):
            raise AttributeError(name)
        if self._is_recipe_only():
            return self._longer(lambda: getattr(resolve(self), name), f"{self._words}.{name}")
        return getattr(resolve(self), name)

    def __call__(self, *args, **kwargs):
        def call():
            return resolve(self)(*resolve(args), **resolve(kwargs))

        return self._longer(call, f"{self._words}()") if self._is_recipe_only() else call()

    def __getitem__(self, key):
        def item():
            return resolve(self)[resolve(key)]

        return self._longer(item, f"{self._words}[]") if self._is_recipe_only() else item()

    def __iter__(self):
        return iter(()) if self._is_recipe_only(for_value=True) else iter(resolve(self))

    def __len__(self):
        return 0 if self._is_recipe_only(for_value=True) else len(resolve(self))

    def __bool__(self):
        return True if self._is_recipe_only(for_value=True) else bool(resolve(self))

    def _number(self, kind):
        if self._is_recipe_only(for_value=True):
            raise TypeError(f"{self._words} is not computed while settings are read")
        return kind(resolve(self))

    def __int__(self):
        return self._number(int)

    def __float__(self):
        return self._number(float)

    def __index__(self):
        return self._number(operator.index)

    def __array__(self, dtype=None, copy=None):
        import numpy as np

        return self._number(lambda value: np.asarray(value, dtype))

    def __enter__(self):
        return self if self._is_recipe_only() else resolve(self).__enter__()

    def __exit__(self, *error):
        return None if self._is_recipe_only() else resolve(self).__exit__(*error)

    def __mro_entries__(self, bases):
        first = next(base for base in bases if isinstance(base, StandIn))
        if not self._is_recipe_only():
            return (resolve(self),)
        return (_Base,) if first is self else ()

    def __instancecheck__(self, instance):
        return False if self._is_recipe_only() else isinstance(instance, resolve(self))

    def __repr__(self):
        return f"<{self._words}, not imported>"


def _binary(name):
    compute = getattr(operator, name)

    def forward(self, other):
        def result():
            return compute(resolve(self), resolve(other))

        return self._longer(result, self._words) if self._is_recipe_only() else result()

    def backward(self, other):
        def result():
            return compute(resolve(other), resolve(self))

        return self._longer(result, self._words) if self._is_recipe_only() else result()

    return forward, backward


def _comparison(name):
    compute = getattr(operator, name)

    def compare(self, other):
        return False if self._is_recipe_only(for_value=True) else compute(resolve(self), resolve(other))

    return compare


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_"):
    _forward, _backward = _binary(_name)
    setattr(StandIn, f"__{_name.rstrip('_')}__", _forward)
    setattr(StandIn, f"__r{_name.rstrip('_')}__", _backward)
for _name in ("lt", "le", "gt", "ge"):
    setattr(StandIn, f"__{_name}__", _comparison(_name))


def resolve(value: Any) -> Any:
    """The real object that a stand-in is the recipe for; inside lists, tuples and dictionaries too."""
    if isinstance(value, StandIn):
        if value._result is None:
            with _not_defining():
                vars(value)["_result"] = value._recipe()
        return value._result
    if type(value) in (list, tuple):
        return type(value)(resolve(item) for item in value)
    if type(value) is dict:
        return {key: resolve(item) for key, item in value.items()}
    return value


def resolve_settings(config: Any) -> None:
    """Put the real objects in the place of stand-ins among the settings of a `Config`, for code that runs with them."""
    for name in filter(str.isupper, dir(config)):
        value = getattr(config, name, None)
        if isinstance(value, StandIn) or name in vars(config):  # lists and dictionaries are copied to the instance
            setattr(config, name, resolve(value))


def replace_library_stand_ins(namespace: dict) -> None:
    """Put the real things in the place of stand-ins of libraries (`LIBRARIES`), before the program reads data.

    They may be handed to functions that know nothing of stand-ins, e.g. `FLAGS = cv2.INTER_NEAREST`, also as defaults.
    """
    modules = [vars(module) for module in list(sys.modules.values()) if _is_helper(module)]
    for names in (namespace, *modules):
        functions = _functions(names.values())
        used = {name for function in functions for name in _names_in_code(function.__code__)}
        for name, value in list(names.items()):
            if name in used and isinstance(value, StandIn) and value._value_counts:
                with contextlib.suppress(Exception):  # then the program will say why, where it uses it
                    names[name] = resolve(value)
        for function in functions:
            with contextlib.suppress(Exception):
                function.__defaults__ = resolve(function.__defaults__)


def _is_helper(module) -> bool:
    return type(getattr(module, "__loader__", None)).__name__ == "HelperLoader"


def _functions(values) -> list[types.FunctionType]:
    members = [item for value in values for item in (vars(value).values() if isinstance(value, type) else [value])]
    return [item for item in members if isinstance(item, types.FunctionType)]


def _names_in_code(code) -> set[str]:
    """Names that a function looks up, those of functions inside of it too."""
    inner = [_names_in_code(item) for item in code.co_consts if isinstance(item, types.CodeType)]
    return set(code.co_names).union(*inner)


@contextlib.contextmanager
def _not_defining():
    global _defining
    before, _defining = _defining, False
    try:
        yield
    finally:
        _defining = before


def stands_in_for(module: str) -> bool:
    """Whether an import of this module is replaced."""
    return module.partition(".")[0] in FRAMEWORKS | LIBRARIES or ".".join(module.split(".")[:2]) in HEAVY_MODULES


def module_stand_in(module: str) -> StandIn:
    """For `import module as name`."""
    module = _package_path(module)
    return StandIn(lambda: importlib.import_module(module), module, module.partition(".")[0] in LIBRARIES)


def top_stand_in(module: str) -> StandIn:
    """For `import a.b`, which binds `a` with everything of it that the program imports."""
    top = module.partition(".")[0]
    _submodules.setdefault(top, set()).add(module)

    def load():
        for name in sorted(_submodules[top]):
            importlib.import_module(name)
        return sys.modules[top]

    return StandIn(load, top, top in LIBRARIES)


def member_stand_in(module: str, name: str) -> StandIn:
    """For `from module import name`."""
    module = _package_path(module)

    def load():
        value = importlib.import_module(module)
        try:
            return getattr(value, name)
        except AttributeError:
            return importlib.import_module(f"{module}.{name}")

    return StandIn(load, f"{module}.{name}", module.partition(".")[0] in LIBRARIES)


class PackageStandIn:
    """For `import mrcnn` and `import mrcnn_plus`: its light parts are real, the others stand-ins."""

    def __getattr__(self, name):
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        package = importlib.import_module("mrcnn_plus")
        if f"mrcnn_plus.{name}" in HEAVY_MODULES:
            return member_stand_in("mrcnn_plus", name)
        try:
            return getattr(package, name)
        except AttributeError:
            return importlib.import_module(f"mrcnn_plus.{name}")


def installed_version(words: str) -> str:
    """Version of an installed package, "0" if it is not there."""
    from importlib import metadata

    try:
        return metadata.version(words.partition(".")[0])
    except metadata.PackageNotFoundError:
        return "0"


def _package_path(module: str) -> str:
    """`mrcnn.model` and the flat `model` as `mrcnn_plus.model`; other names as they are."""
    if module in FLAT_HEAVY_MODULES:
        return f"mrcnn_plus.{module}"
    top, dot, rest = module.partition(".")
    return f"mrcnn_plus{dot}{rest}" if top == "mrcnn" else module
