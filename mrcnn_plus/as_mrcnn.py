"""`import mrcnn_plus.as_mrcnn`: from then on `import mrcnn` and its modules mean those of mrcnn_plus.

    import mrcnn_plus.as_mrcnn
    from mrcnn.config import Config
    from mrcnn import model as modellib, utils

An alias loads its module when something of it is first used, so `import mrcnn.model` alone does not load Keras.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from pathlib import Path

_MODULES = ("config", "model", "utils", "visualize", "parallel_model")

# The names of Matterport's package, and those of the time when its modules lay side by side in one folder.
ALIASES = {"mrcnn": "mrcnn_plus", **{f"mrcnn.{name}": f"mrcnn_plus.{name}" for name in _MODULES}}
FLAT_ALIASES = {name: f"mrcnn_plus.{name}" for name in _MODULES}

# A file of such a name that holds these words is a copy of Matterport's, not a module of the user's own.
_MARKS_OF_A_COPY = {
    "config": ("class Config", "RPN_ANCHOR_SCALES"),
    "model": ("class MaskRCNN", "def build_rpn_targets"),
    "utils": ("class Dataset", "def resize_mask"),
    "visualize": ("def display_instances", "def random_colors"),
    "parallel_model": ("class ParallelModel", "def make_parallel"),
}


class AliasModule(types.ModuleType):
    """Stands for another module, which is imported when an attribute is first asked for or set."""

    def __init__(self, name, target):
        super().__init__(name)
        vars(self)["_target"] = target

    def __getattr__(self, name):
        if name.startswith("__") and name not in ("__all__", "__file__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        package = importlib.import_module("mrcnn_plus")
        if name in package._EXPORTS:
            return getattr(package, name)  # without loading all of `utils` for `Dataset`
        module = importlib.import_module(vars(self)["_target"])
        if name == "__all__" and not hasattr(module, "__all__"):
            return [public for public in vars(module) if not public.startswith("_")]
        return getattr(module, name)

    def __setattr__(self, name, value):
        if name.startswith("__"):
            super().__setattr__(name, value)
        else:
            setattr(importlib.import_module(vars(self)["_target"]), name, value)

    def __dir__(self):
        return dir(importlib.import_module(vars(self)["_target"]))


class AliasFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers `import` for the names in `aliases`, before any package of these names is looked for."""

    def __init__(self, aliases):
        self.aliases = aliases

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self.aliases or (fullname in FLAT_ALIASES and _is_users_own(fullname)):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=fullname == "mrcnn")

    def create_module(self, spec):
        return None if spec.name == "mrcnn" else AliasModule(spec.name, self.aliases[spec.name])

    def exec_module(self, module):
        """Nothing to run: the module stands for another one."""


def install(*, flat=False) -> AliasFinder:
    """Put the aliases in force; flat: also `import model`, `import utils`, ... where the user has no such module."""
    finder = AliasFinder({**ALIASES, **FLAT_ALIASES} if flat else ALIASES)
    _forget(finder.aliases)
    sys.meta_path.insert(0, finder)
    return finder


def uninstall(finder) -> None:
    """Take the aliases back."""
    sys.meta_path.remove(finder)
    _forget(finder.aliases)


def _forget(names):
    """Take modules of these names out of Python's table, but not those that are the user's own."""
    for name in names:
        if name not in FLAT_ALIASES or isinstance(sys.modules.get(name), AliasModule):
            sys.modules.pop(name, None)


def _is_users_own(name) -> bool:
    """Whether Python finds a module of this name that is no copy of Matterport's."""
    spec = importlib.machinery.PathFinder.find_spec(name)
    if spec is None:
        return False
    try:
        text = Path(spec.origin).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        return True
    return not all(mark in text for mark in _MARKS_OF_A_COPY[name])


# The flat names are only for `mrcnn-plus`: a program that imports this module may have a `utils.py` of its own.
if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
    install()
