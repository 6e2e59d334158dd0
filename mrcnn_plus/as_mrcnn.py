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


# What Matterport's modules had imported themselves, and programs took from them: `visualize.plt`, `modellib.np`.
_IMPORTED_THERE = {
    "config": {"np": "numpy"},
    "model": {
        **{name: name for name in ("os", "random", "datetime", "re", "math", "logging", "multiprocessing", "keras")},
        **{"OrderedDict": "collections.OrderedDict", "np": "numpy", "tf": "tensorflow", "K": "keras.backend"},
        **{"KL": "keras.layers", "KE": "keras.layers", "KM": "keras.models"},
    },
    "utils": {
        **{name: name for name in ("sys", "os", "logging", "math", "random", "shutil", "warnings", "scipy", "skimage")},
        **{"np": "numpy", "tf": "tensorflow", "urllib": "urllib.request"},
    },
    "visualize": {
        **{name: name for name in ("os", "sys", "random", "itertools", "colorsys")},
        **{"np": "numpy", "plt": "matplotlib.pyplot", "patches": "matplotlib.patches", "lines": "matplotlib.lines"},
        **{"Polygon": "matplotlib.patches.Polygon", "find_contours": "skimage.measure.find_contours"},
        "utils": "mrcnn_plus.utils",
    },
    "parallel_model": {"tf": "tensorflow", "K": "keras.backend", "KL": "keras.layers", "KM": "keras.models"},
}
_SLOW = ("tf", "keras", "K", "KL", "KE", "KM")


class AliasModule(types.ModuleType):
    """Stands for another module, which is imported when an attribute is first asked for or set.

    supply: if given, a function `(module, name)` for names that the other module lacks: a value, or an AttributeError.
    """

    def __init__(self, name, target, supply=None):
        super().__init__(name)
        vars(self).update(_target=target, _supply=supply)

    def __getattr__(self, name):
        if name.startswith("__") and name not in ("__all__", "__file__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        package = importlib.import_module("mrcnn_plus")
        if name in package._EXPORTS:
            return getattr(package, name)  # without loading all of `utils` for `Dataset`
        module = importlib.import_module(vars(self)["_target"])
        imported = _IMPORTED_THERE[vars(self)["_target"].rpartition(".")[2]]
        if name == "__all__":  # Matterport's modules had none: `from mrcnn.utils import *` brought `np` and the rest
            public = getattr(module, "__all__", [public for public in vars(module) if not public.startswith("_")])
            return sorted({*public, *imported} - set(_SLOW))
        if name in imported and not hasattr(module, name):
            return _find(imported[name])
        if vars(self)["_supply"] is not None and not hasattr(module, name):
            return vars(self)["_supply"](vars(self)["_target"].rpartition(".")[2], name)
        return getattr(module, name)

    def __setattr__(self, name, value):
        if name.startswith("__"):
            super().__setattr__(name, value)
        else:
            setattr(importlib.import_module(vars(self)["_target"]), name, value)

    def __dir__(self):
        return dir(importlib.import_module(vars(self)["_target"]))


def _find(dotted):
    """The module or the member of one that has a dotted name; of `urllib.request` the package, as `import` binds it."""
    try:
        module = importlib.import_module(dotted)
    except ModuleNotFoundError:
        owner, _, name = dotted.rpartition(".")
        return getattr(importlib.import_module(owner), name)
    return sys.modules["urllib"] if dotted == "urllib.request" else module


class AliasFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Answers `import` for the names in `aliases`, before any package of these names is looked for.

    found_copy: if given, copies of Matterport's modules in other places are replaced too (`Mask_RCNN.mrcnn.model`),
        and it is called with the path of every copy that is passed over; False of it leaves that copy in place. If it
        has a method `supply`, that is asked for names which this package lacks; see `AliasModule`.
    """

    def __init__(self, aliases, found_copy=None):
        self.aliases = aliases
        self.found_copy = found_copy

    def find_spec(self, fullname, path=None, target=None):
        name = fullname.rpartition(".")[2]
        if fullname == "mrcnn":
            spec = importlib.machinery.ModuleSpec(fullname, self, is_package=True)
            spec.submodule_search_locations += self._folders_of_copy()
            return spec
        if fullname in self.aliases and fullname not in FLAT_ALIASES:
            self._tell(fullname, path)
        elif not self._may_stand_for(fullname, name):
            return None
        else:
            found = importlib.machinery.PathFinder.find_spec(fullname, path)
            if found is None and fullname not in self.aliases:
                return None
            if found is not None and not (is_copy(name, found.origin) and self._tell(fullname, path)):
                return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec):
        if spec.name == "mrcnn":
            return None
        supply = getattr(self.found_copy, "supply", None)
        return AliasModule(spec.name, f"mrcnn_plus.{spec.name.rpartition('.')[2]}", supply)

    def exec_module(self, module):
        """Nothing to run: the module stands for another one."""

    def _may_stand_for(self, fullname, name):
        """Whether a module could be a copy of Matterport's: by its name, and not one of this package."""
        known = fullname in self.aliases or self.found_copy is not None
        return name in _MODULES and known and not fullname.startswith("mrcnn_plus.")

    def _folders_of_copy(self):
        """Where an old copy of the package stands, because programs may have added modules of their own to it."""
        found = importlib.machinery.PathFinder.find_spec("mrcnn") if self.found_copy is not None else None
        return list(found.submodule_search_locations or ()) if found is not None else []

    def _tell(self, fullname, path):
        """Report the copy that an alias takes the place of. Returns False if it is to stay."""
        if self.found_copy is None:
            return True
        found = importlib.machinery.PathFinder.find_spec(fullname, path)
        return found is None or self.found_copy(found.origin) is not False


def install(*, flat=False, found_copy=None) -> AliasFinder:
    """Put the aliases in force; flat: also `import model`, `import utils`, ... where the user has no such module.

    found_copy: see `AliasFinder`.
    """
    finder = AliasFinder({**ALIASES, **FLAT_ALIASES} if flat else ALIASES, found_copy)
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


def is_copy(name, path) -> bool:
    """Whether the file of a module is a copy of Matterport's, and no module of the user's own."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):
        return False
    return all(mark in text for mark in _MARKS_OF_A_COPY[name])


# The flat names are only for `mrcnn-plus`: a program that imports this module may have a `utils.py` of its own.
if not any(isinstance(finder, AliasFinder) for finder in sys.meta_path):
    install()
