"""The random states that a function draws from: saved, put back, seeded.

So the same random choices can be made twice, and a check leaves no trace in the user's random numbers.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

_GENERATORS = (np.random.Generator, np.random.RandomState, random.Random)
_MOST_OBJECTS = 2000  # looked at in search of generators


class RandomStates:
    """NumPy's and Python's global random states, and every generator that `used_by` holds or refers to."""

    def __init__(self, used_by: Any):
        self.generators = list(_find_generators(used_by))

    def save(self) -> list:
        """The states of this moment."""
        own = [_state(generator) for generator in self.generators]
        return [np.random.get_state(), random.getstate(), *own]

    def restore(self, saved: list):
        """Put states back that `save` returned."""
        np.random.set_state(saved[0])
        random.setstate(saved[1])
        for generator, state in zip(self.generators, saved[2:], strict=True):
            _set_state(generator, state)

    def seed(self, number: int):
        """Seed the global states; generators of the function's own go on from where they are."""
        np.random.seed(number)
        random.seed(number)


def _state(generator):
    if isinstance(generator, np.random.Generator):
        return copy.deepcopy(generator.bit_generator.state)
    return generator.get_state() if isinstance(generator, np.random.RandomState) else generator.getstate()


def _set_state(generator, state):
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)


def _find_generators(start) -> Iterator[Any]:
    """Generators in what a function, method or object refers to: closures, the globals it names, attributes, items."""
    waiting, seen = [start], set()
    while waiting and len(seen) < _MOST_OBJECTS:
        item = waiting.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, _GENERATORS):
            if not isinstance(item, random.SystemRandom):  # it has no state
                yield item
        else:
            waiting += _referred(item)


def _referred(item) -> list:
    if isinstance(item, ModuleType | type | str | bytes | int | float | np.ndarray | None):
        return []
    if isinstance(item, MethodType):
        return [item.__self__, item.__func__]
    if isinstance(item, FunctionType):
        cells = [cell.cell_contents for cell in item.__closure__ or () if _is_filled(cell)]
        named = [item.__globals__[name] for name in item.__code__.co_names if name in item.__globals__]
        return [*cells, *named, *(item.__defaults__ or ()), *(item.__kwdefaults__ or {}).values()]
    if isinstance(item, dict):
        return list(item.values())
    inside = list(item) if isinstance(item, list | tuple | set) else []
    called = [type(item).__call__] if callable(item) else []
    return [*inside, *getattr(item, "__dict__", {}).values(), *called]


def _is_filled(cell):
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
