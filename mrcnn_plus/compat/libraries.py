"""All shims, and how they are put in force and taken back."""

from __future__ import annotations

import contextlib
import sys

from mrcnn_plus.compat import (
    keras_2,
    keras_backend,
    keras_training,
    numpy_names,
    older_mrcnn,
    other_libraries,
    scikit_image,
    scipy_misc,
    sessions,
    standard_library,
    tensorflow_1,
)
from mrcnn_plus.compat.copies import UnbuiltCopies
from mrcnn_plus.compat.patching import ModulePatcher, MovedModules
from mrcnn_plus.compat.shims import UseLog

LIBRARIES = (
    *(numpy_names, tensorflow_1, sessions, keras_2, keras_backend, keras_training),
    *(scikit_image, scipy_misc, other_libraries, standard_library, older_mrcnn),
)


@contextlib.contextmanager
def installed(log: UseLog | None = None):
    """Within it, the user's files see the libraries as they were; afterwards everything is as before.

    Yields the record of what was used.
    """
    log = log or UseLog()
    patcher = ModulePatcher(tuple(patch for library in LIBRARIES for patch in library.PATCHES), log)
    moved = {name: targets for library in LIBRARIES for name, targets in getattr(library, "MOVED", {}).items()}
    modules = MovedModules(moved, log)
    unbuilt = UnbuiltCopies(log)
    patcher.install()
    modules.install()
    sys.meta_path.insert(0, unbuilt)
    try:
        yield log
    finally:
        sys.meta_path.remove(unbuilt)
        modules.uninstall()
        patcher.uninstall()
