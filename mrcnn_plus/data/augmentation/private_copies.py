"""Copies of a user's transform, one for each thread.

A transform holds the state of its random numbers. Threads that load images would take numbers from each other, and
which thread gets which would change from run to run; so each has a copy of its own, which is seeded for every image.
"""

import threading
import weakref

import numpy as np

_of_this_thread = threading.local()


def private_copy(augmentation, make_copy):
    """The copy of `augmentation` that belongs to this thread; `make_copy(augmentation)` makes it at the first call.

    Copies are forgotten together with the original, and with the thread.
    """
    if not hasattr(_of_this_thread, "copies"):
        _of_this_thread.copies = weakref.WeakKeyDictionary()
    copies = _of_this_thread.copies
    if augmentation not in copies:
        copies[augmentation] = make_copy(augmentation)
    return copies[augmentation]


def draw_seed(rng):
    """A seed for a transform, from `rng`, or from NumPy's global random state where that is None."""
    return int(rng.integers(2**31)) if rng is not None else int(np.random.randint(2**31 - 1))
