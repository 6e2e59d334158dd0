"""How shims come into a module: when a program imports it, or at once if it was imported before.

A name that a module lacks is answered by the module's `__getattr__`, so nothing is added to the module. A function that
exists is replaced by one that looks at its caller: the user's files get the shim, everybody else the original.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
import warnings

from mrcnn_plus.compat.shims import ModulePatch, UseLog, is_users_frame

_NOTHING = object()


@contextlib.contextmanager
def _silent():
    """Without the warning that a module gives when it is imported: the list of what was used says more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


class ModulePatcher(importlib.abc.MetaPathFinder):
    """Finds modules as Python does, and patches those that have shims after they were run."""

    def __init__(self, patches: tuple[ModulePatch, ...], log: UseLog):
        self._patches: dict[str, list[ModulePatch]] = {}
        for patch in patches:
            self._patches.setdefault(patch.module, []).append(patch)
        self._log = log
        self._undo = []
        self._searching: set[str] = set()

    def install(self) -> None:
        sys.meta_path.insert(0, self)
        for name in self._patches:
            if name in sys.modules:
                self._apply(sys.modules[name])

    def uninstall(self) -> None:
        """Take everything back."""
        sys.meta_path.remove(self)
        while self._undo:
            self._undo.pop()()

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self._patches or fullname in self._searching:
            return None
        self._searching.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._searching.discard(fullname)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_patch(module):
            deprecated = any(patch.deprecated for patch in self._patches[fullname])
            with _silent() if deprecated else contextlib.nullcontext():
                run(module)
            self._apply(module)

        spec.loader.exec_module = run_and_patch
        return spec

    def _apply(self, module) -> None:
        for patch in self._patches[module.__name__]:
            if patch.missing or patch.fallback:
                self.answer_missing_names(module, patch.missing or {}, patch.fallback, also=patch.also)
            for name, shim in (patch.replaced or {}).items():
                original = getattr(module, name, _NOTHING)
                if original is not _NOTHING:
                    self.set(module, name, self._for_users(original, shim))
            if patch.finish is not None:
                patch.finish(module, self)

    def answer_missing_names(self, module, missing, fallback=None, *, also=()) -> None:
        """Let the user's files, and modules named in `also`, find names that a module lacks."""
        before = vars(module).get("__getattr__")
        made = {}

        def __getattr__(name):
            frame = sys._getframe(1)
            while frame.f_code.co_filename == __file__:  # asked through a module that stands for this one
                frame = frame.f_back
            if not name.startswith("__") and is_users_frame(frame, also):
                shim = missing.get(name) or (fallback(name) if fallback else None)
                if shim:
                    if name not in made:
                        made[name] = shim.make()
                    self.note(shim, frame)
                    return made[name]
            if before is not None:
                return before(name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        self.set(module, "__getattr__", __getattr__)

    def note(self, shim, frame=None) -> None:
        """Record that a shim was used."""
        self._log.note(shim.name, shim.today, frame or sys._getframe(1))

    def _for_users(self, original, shim):
        """What calls the shim for the user's files, and the original for all others."""

        def note():
            self.note(shim, sys._getframe(1))

        replacement = shim.make(original, note)
        if isinstance(original, type):
            return _class_for_users(original, replacement)

        @functools.wraps(original)
        def call(*args, **kwargs):
            function = replacement if is_users_frame(sys._getframe(1)) else original
            return function(*args, **kwargs)

        return call

    def set(self, owner, name, value) -> None:
        """Set an attribute of a module or class until `uninstall`."""
        before = vars(owner).get(name, _NOTHING)
        setattr(owner, name, value)
        self._undo.append(lambda: delattr(owner, name) if before is _NOTHING else setattr(owner, name, before))


def _class_for_users(original, replacement):
    """A subclass of `replacement` that makes objects of it for the user's files, and of `original` for all others.

    For `isinstance` and `issubclass` it is the original.
    """

    class Meta(type(original)):
        def __call__(cls, *args, **kwargs):
            if cls is stand_in and not is_users_frame(sys._getframe(1)):
                return original(*args, **kwargs)
            return super().__call__(*args, **kwargs)

        def __instancecheck__(cls, instance):
            return isinstance(instance, original) if cls is stand_in else super().__instancecheck__(instance)

        def __subclasscheck__(cls, subclass):
            return issubclass(subclass, original) if cls is stand_in else super().__subclasscheck__(subclass)

    names = {name: getattr(original, name) for name in ("__module__", "__qualname__", "__doc__")}
    stand_in = Meta(original.__name__, (replacement,), names)
    return stand_in


def results_asked_for(frame) -> int | None:
    """How many names the answer of the call that a frame is at will be unpacked into; None if it is not unpacked."""
    following = [step for step in dis.get_instructions(frame.f_code) if step.offset > frame.f_lasti]
    for step in following:
        if step.opname not in ("CACHE", "PRECALL", "EXTENDED_ARG"):
            return step.argval if step.opname == "UNPACK_SEQUENCE" else None
    return None


class ModuleAlias(types.ModuleType):
    """Stands for a module that was moved or dissolved: its names are looked up in the modules that have them now."""

    def __init__(self, name, targets):
        super().__init__(name)
        self.__path__ = []  # so that it can be imported from as a package
        vars(self)["_targets"] = targets

    def __getattr__(self, name):
        if not name.startswith("__"):
            for target in vars(self)["_targets"]:
                value = getattr(importlib.import_module(target), name, _NOTHING)
                if value is not _NOTHING:
                    return value
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


class _AliasLoader(importlib.abc.Loader):
    """Makes the module that stands for others."""

    def __init__(self, targets):
        self._targets = targets

    def create_module(self, spec):
        return ModuleAlias(spec.name, self._targets)

    def exec_module(self, module):
        """Nothing to run: the module stands for others."""


class MovedModules(importlib.abc.MetaPathFinder):
    """Answers imports of modules that no longer exist. moved: `{old name: (modules that have its names now)}`.

    It stands behind all other finders, so a module that does exist is found as usual.
    """

    def __init__(self, moved: dict[str, tuple[str, ...]], log: UseLog):
        self._moved = moved
        self._log = log

    def install(self) -> None:
        sys.meta_path.append(self)

    def uninstall(self) -> None:
        sys.meta_path.remove(self)
        for name in self._moved:
            if isinstance(sys.modules.get(name), ModuleAlias):
                del sys.modules[name]

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in self._moved:
            return None
        frame = sys._getframe(1)
        while frame is not None and "importlib" in frame.f_code.co_filename:
            frame = frame.f_back
        if frame is None or not is_users_frame(frame):
            return None
        if self._moved[fullname]:
            self._log.note(fullname, f"import from {' or '.join(self._moved[fullname])}", frame)
        return importlib.machinery.ModuleSpec(fullname, _AliasLoader(self._moved[fullname]), is_package=True)
