"""`keras.backend` as programs of Matterport's time call it: sessions, learning phases, functions of tensors."""

from __future__ import annotations

import importlib

from mrcnn_plus.compat.keras_2 import ROOTS
from mrcnn_plus.compat.sessions import Session
from mrcnn_plus.compat.shims import ModulePatch, Shim

_LEAVE_OUT = "leave it out: there is no session to keep"


def _function():
    def function(inputs, outputs, updates=None, name=None, **kwargs):
        """`K.function`: called with a list of arrays, it returns the outputs as a list of arrays."""
        import keras

        tensors = [value for value in inputs if hasattr(value, "shape")]  # `K.learning_phase()` is a number
        single = not isinstance(outputs, list | tuple)
        model = keras.Model(tensors, [outputs] if single else list(outputs))

        def call(values):
            answers = model.predict_on_batch([value for value in values if hasattr(value, "shape")][: len(tensors)])
            answers = answers if isinstance(answers, list | tuple) else [answers]
            return answers[0] if single else list(answers)

        return call

    return function


def _get_value():
    def get_value(value):
        import keras

        return keras.ops.convert_to_numpy(value) if hasattr(value, "shape") else value

    return get_value


def _set_value():
    def set_value(variable, value):
        variable.assign(value)

    return set_value


def _image_dim_ordering():
    import keras

    return lambda: "tf" if keras.config.image_data_format() == "channels_last" else "th"


def _set_image_dim_ordering():
    import keras

    return lambda order: keras.config.set_image_data_format({"tf": "channels_last", "th": "channels_first"}[order])


_BACKEND = {
    "set_session": Shim("K.set_session", _LEAVE_OUT, lambda: lambda session: None),
    "get_session": Shim("K.get_session", _LEAVE_OUT, lambda: lambda *tensors: Session()),
    "tensorflow_backend": Shim(
        "K.tensorflow_backend", "write keras.backend", lambda: importlib.import_module("keras.backend")
    ),
    "learning_phase": Shim("K.learning_phase", "leave it out: call layers with training=", lambda: lambda: 0),
    "set_learning_phase": Shim(
        "K.set_learning_phase", "leave it out: call layers with training=", lambda: lambda value: None
    ),
    "function": Shim("K.function", "write model.run_graph, or keras.Model(inputs, outputs)", _function),
    "get_value": Shim("K.get_value", "write keras.ops.convert_to_numpy(variable)", _get_value),
    "set_value": Shim("K.set_value", "write variable.assign(value)", _set_value),
    "manual_variable_initialization": Shim(
        "K.manual_variable_initialization",
        "leave it out: variables have their values from the start",
        lambda: lambda value: None,
    ),
    "image_dim_ordering": Shim("K.image_dim_ordering", "write keras.config.image_data_format()", _image_dim_ordering),
    "set_image_dim_ordering": Shim(
        "K.set_image_dim_ordering", "write keras.config.set_image_data_format", _set_image_dim_ordering
    ),
    "tf": Shim("K.tf", "write import tensorflow as tf", lambda: importlib.import_module("tensorflow")),
}


def _backend_fallback(name):
    """Functions of the old backend that `tf.keras.backend` still has."""
    module = importlib.import_module("keras._tf_keras.keras.backend")
    value = vars(module).get(name)
    if value is None:
        return None
    return Shim(f"K.{name}", "write the function of keras.ops", lambda: value)


PATCHES = tuple(ModulePatch(f"{root}.backend", missing=_BACKEND, fallback=_backend_fallback) for root in ROOTS)
