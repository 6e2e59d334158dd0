"""The calls of TensorFlow 1 that programs make around the package: sessions, graphs, their configuration, logging.

There is no session and no graph to hold on to any more, so most of these do nothing. Where an option of a session does
have a meaning today (memory growth, hidden GPUs) it is carried out. Everything else that TensorFlow 1 had is answered
by `tf.compat.v1`.
"""

from __future__ import annotations

import sys

from mrcnn_plus.compat.sessions import Session, default_graph, initializer
from mrcnn_plus.compat.shims import ModulePatch, Shim, is_users_frame
from mrcnn_plus.errors import ConfigError

_LEAVE_OUT = "leave it out: there is no session or graph to keep"
_EAGER = "leave it out: the package needs TensorFlow's eager mode"
_INITIALIZED = "leave it out: variables have their values from the start"

# Parts of TensorFlow that had more names before; `tf.compat.v1` has them under the same part.
_PARTS = ("image", "nn", "train", "summary", "test", "io", "random", "math", "saved_model")


def _v1(name):
    def make():
        import tensorflow as tf

        return getattr(tf.compat.v1, name)

    return make


def _seed():
    import tensorflow as tf

    return tf.random.set_seed


def _does_nothing(*args, **kwargs):
    return None


def _initializer(*args, **kwargs):
    return initializer()


# Sessions and graphs: `tf` lacks them, `tf.compat.v1` has them, and both need the same answers.
_SESSIONS = {
    "Session": lambda: Session,
    "InteractiveSession": lambda: Session,
    "get_default_graph": lambda: default_graph,
    "reset_default_graph": lambda: _does_nothing,
    "get_default_session": lambda: Session,
}
_INITIALIZERS = (
    *("global_variables_initializer", "local_variables_initializer", "initialize_all_variables"),
    "tables_initializer",
)
_SWITCHES = (
    *("disable_eager_execution", "enable_eager_execution", "disable_v2_behavior", "enable_v2_behavior"),
    *("disable_v2_tensorshape", "enable_resource_variables", "disable_resource_variables"),
)


def _inert(prefix):
    """Shims under `tf.` or `tf.compat.v1.` that do nothing, by name."""
    shims = {name: Shim(f"{prefix}.{name}", _LEAVE_OUT, make) for name, make in _SESSIONS.items()}
    for name in _INITIALIZERS:
        shims[name] = Shim(f"{prefix}.{name}", _INITIALIZED, lambda: _initializer)
    for name in _SWITCHES:
        shims[name] = Shim(f"{prefix}.{name}", _EAGER, lambda: _does_nothing)
    return shims


MISSING = {
    **_inert("tf"),
    "ConfigProto": Shim(
        "tf.ConfigProto",
        "tf.config.experimental.set_memory_growth(gpu, True) for allow_growth, otherwise leave it out",
        _v1("ConfigProto"),
    ),
    "GPUOptions": Shim(
        "tf.GPUOptions", "leave it out, or tf.config.set_logical_device_configuration", _v1("GPUOptions")
    ),
    "set_random_seed": Shim("tf.set_random_seed", "write tf.random.set_seed", _seed, "tf.random.set_seed"),
}


def _fallback(part=None):
    """Shims for any other name that TensorFlow 1 had, in `tf` or in a part of it."""
    prefix = f"{part}." if part else ""

    def fallback(name):
        if name == "contrib" and part is None:
            raise ConfigError(
                "tf.contrib is gone since TensorFlow 2, and nothing stands for all of it. Leave out what uses it; for "
                "tf.contrib.slim there is the package tf-slim, for tf.contrib.tensorrt tf.experimental.tensorrt."
            )
        import tensorflow as tf

        owner = getattr(tf.compat.v1, part, None) if part else tf.compat.v1
        if not hasattr(owner, name):
            return None
        today = f"tf.compat.v1.{prefix}{name}"
        return Shim(f"tf.{prefix}{name}", f"write {today}", lambda: getattr(owner, name), rewrite=today)

    return fallback


def _finish(module, patcher):
    """The parts of `tf`, and `tf.compat.v1`: entering a real session there would turn eager mode off."""
    for part in _PARTS:
        patcher.answer_missing_names(getattr(module, part), {}, _fallback(part))
    version_1 = module.compat.v1
    for name, shim in _inert("tf.compat.v1").items():
        if hasattr(version_1, name):
            patcher.set(version_1, name, _noted(shim, getattr(version_1, name), patcher))
    patcher.set(version_1, "keras", KerasOfVersion1(patcher))


def _noted(shim, original, patcher):
    """A function that calls the shim for the user's files, and the original for all others."""

    def call(*args, **kwargs):
        frame = sys._getframe(1)
        if not is_users_frame(frame):
            return original(*args, **kwargs)
        patcher.note(shim, frame)
        return shim.make()(*args, **kwargs)

    call.original = original
    return call


class KerasOfVersion1:
    """`tf.compat.v1.keras`, which needs the package of Keras 2 today: the names of `tf.keras` in its place."""

    def __init__(self, patcher):
        self._patcher = patcher

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        import importlib

        self._patcher.note(Shim(f"tf.compat.v1.keras.{name}", f"write tf.keras.{name}", None), sys._getframe(1))
        import tensorflow as tf

        if name == "backend":  # the session calls live there; they have shims of their own
            return importlib.import_module("keras._tf_keras.keras.backend")
        return getattr(tf.keras, name)


PATCHES = (ModulePatch("tensorflow", missing=MISSING, fallback=_fallback(), finish=_finish),)
