"""Random numbers of user functions that draw from NumPy's or Python's global state: decided by a generator."""

import contextlib
import random
import threading

import numpy as np

# Their transforms have random numbers of their own, and may draw them in several threads at once.
_LIBRARIES = {"imgaug", "albumentations", "keras"}
_alone = threading.RLock()


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
