"""Names that Python's own library had until 3.7 to 3.12, and modules that others used to import on the way.

After `import xml.etree` alone, `xml.etree.ElementTree` is there only if some other module has imported it; Matterport's
modules, by what they imported, used to.
"""

from __future__ import annotations

import collections.abc
import importlib
import importlib.util
import inspect
import math
import time

from mrcnn_plus.compat.shims import ModulePatch, Shim

_ABSTRACT = (
    *("Callable", "Container", "Generator", "Hashable", "ItemsView", "Iterable", "Iterator", "KeysView", "Mapping"),
    *("MappingView", "MutableMapping", "MutableSequence", "MutableSet", "Sequence", "Set", "Sized", "ValuesView"),
)


def _abstract(name):
    today = f"collections.abc.{name}"
    return Shim(f"collections.{name}", f"write {today}", lambda: getattr(collections.abc, name))


# Packages whose modules programs reach without importing them.
PACKAGES = ("xml", "xml.etree", "xml.dom", "urllib", "concurrent", "logging", "multiprocessing", "PIL", "matplotlib")


def _module_of(package):
    def fallback(name):
        module = f"{package}.{name}"
        if importlib.util.find_spec(module) is None:
            return None
        line = f"import {module}"
        return Shim(
            f"{module} without its import", f"write {line}", lambda: importlib.import_module(module), needs=line
        )

    return fallback


PATCHES = (
    *(ModulePatch(package, fallback=_module_of(package)) for package in PACKAGES),
    ModulePatch("collections", missing={name: _abstract(name) for name in _ABSTRACT}),
    ModulePatch(
        "time",
        missing={
            "clock": Shim(
                "time.clock", "write time.perf_counter", lambda: time.perf_counter, rewrite="time.perf_counter"
            )
        },
    ),
    ModulePatch(
        "fractions",
        missing={"gcd": Shim("fractions.gcd", "write math.gcd", lambda: math.gcd)},
    ),
    ModulePatch(
        "inspect",
        missing={
            "getargspec": Shim(
                "inspect.getargspec",
                "write inspect.getfullargspec",
                lambda: inspect.getfullargspec,
                rewrite="inspect.getfullargspec",
            )
        },
    ),
)
