"""A shim: a name that a library no longer has, what answers for it, and what to write today. And who has used it."""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Shim:
    """name: as a program writes it, `np.int`. today: the line to write instead, a phrase that follows "now: ".

    make: for a name that is gone, a function without arguments that returns what answers for it. For a function or
        class that still exists, `make(original, note)` returns the one that answers the user's calls; it calls
        `note()` when it does something else than the original.
    rewrite: the expression that `mrcnn-plus migrate` puts in its place, or None if a person has to decide.
    needs: the import that is all that is missing, as `migrate` adds it.
    """

    name: str
    today: str
    make: Callable[..., Any]
    rewrite: str | None = None
    needs: str | None = None


@dataclass(frozen=True)
class ModulePatch:
    """The shims of one module. module: its import name.

    missing: shims of names that it no longer has. replaced: shims of functions and classes that do something else
    today, by name. fallback: a function that returns a Shim, or None, for any other name that the module lacks.
    finish: a function `(module, patcher)` for what is neither, such as a method that a class has lost.
    also: beginnings of module names that see the shims too, besides the user's own files.
    deprecated: importing the module gives a warning, which is left out.
    """

    module: str
    missing: dict[str, Shim] | None = None
    replaced: dict[str, Shim] | None = None
    fallback: Callable[[str], Shim | None] | None = None
    finish: Callable[..., None] | None = None
    also: tuple[str, ...] = ()
    deprecated: bool = False


class UseLog:
    """Which shims were used, at which lines of the user's files. Threads may use shims at the same time."""

    def __init__(self):
        self._places: dict[tuple[str, str], list[tuple[str, int]]] = {}
        self._lock = threading.Lock()

    def note(self, name: str, today: str, frame=None) -> None:
        """Record a use at the line of the user's file that is nearest on the stack."""
        place = user_place(frame or sys._getframe(1))
        with self._lock:
            places = self._places.setdefault((name, today), [])
            if place is not None and place not in places:
                places.append(place)

    def uses(self) -> list[tuple[str, str, list[tuple[str, int]]]]:
        """`(name, what to write today, [(file, line), ...])` in the order of their first use."""
        with self._lock:
            return [(name, today, list(places)) for (name, today), places in self._places.items()]


@functools.lru_cache(maxsize=4096)
def is_users_file(path: str) -> bool:
    """Whether a file is the user's own, not of Python, of an installed package, or of this one."""
    if path.startswith("<") and not path.startswith("<ipython"):
        return False
    real = os.path.realpath(path)
    return not any(real == folder or real.startswith(folder + os.sep) for folder in _library_folders())


@functools.lru_cache(maxsize=1)
def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {str(PACKAGE), *site.getsitepackages(), site.getusersitepackages()}
    return tuple(os.path.realpath(folder) for folder in folders)


def is_users_frame(frame, also: tuple[str, ...] = ()) -> bool:
    """Whether a frame runs code of the user's, or of a module whose name begins with one in `also`."""
    if is_users_file(frame.f_code.co_filename):
        return True
    name = frame.f_globals.get("__name__", "")
    return any(name == beginning or name.startswith(beginning + ".") for beginning in also)


def user_place(frame) -> tuple[str, int] | None:
    """`(file, line)` of the innermost frame that runs the user's code."""
    while frame is not None:
        if is_users_file(frame.f_code.co_filename):
            return frame.f_code.co_filename, frame.f_lineno
        frame = frame.f_back
    return None
