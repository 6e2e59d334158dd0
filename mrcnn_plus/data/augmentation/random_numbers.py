"""Random numbers of augmentations: the same change for an image in every run, also where threads load images.

A transform of a library holds the state of its random numbers. Threads would take numbers from each other, and which
thread gets which would change from run to run; so each has a copy of its own, which is seeded for every image. A user's
function draws from NumPy's or Python's global state: one thread at a time is in it.
"""

import contextlib
import random
import threading
import weakref

import numpy as np

_of_this_thread = threading.local()
# Their transforms have random numbers of their own, and may draw them in several threads at once.
_LIBRARIES = {"imgaug", "albumentations", "keras"}
_alone = threading.RLock()


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


@contextlib.contextmanager
def seeded_global_states(rng):
    """Inside, `np.random` and `random` draw what `rng` decides; afterwards their states are what they were before.

    One thread at a time is inside: the states belong to the whole process. rng: `numpy.random.Generator`.
    """
    numpy_seed, python_seed = rng.integers(2**32, size=2).tolist()
    with _alone:
        before = np.random.get_state(), random.getstate()
        np.random.seed(numpy_seed)
        random.seed(python_seed)
        try:
            yield
        finally:
            np.random.set_state(before[0])
            random.setstate(before[1])


def may_draw_globally(augmentation):
    """True for a user's function or callable object, which may draw from the global states; False for a library's."""
    return not any(base.__module__.split(".")[0] in _LIBRARIES for base in type(augmentation).__mro__)
