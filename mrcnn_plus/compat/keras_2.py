"""Keras 2 as programs of Matterport's time call it, on Keras 3: moved modules, the backend's functions, lost arguments.

`keras`, `tf.keras` and `tensorflow.keras` are one and the same today, but Python knows their parts as several modules,
so every patch stands for each of these names.
"""

from __future__ import annotations

import functools
import logging

from mrcnn_plus.compat.patching import ModuleAlias
from mrcnn_plus.compat.shims import ModulePatch, Shim
from mrcnn_plus.compat.tensorflow_1 import Session

logger = logging.getLogger(__name__)

_ROOTS = ("keras", "keras._tf_keras.keras", "tensorflow.keras")
_LEAVE_OUT = "leave it out: there is no session to keep"

_LAYERS = (
    *("core", "convolutional", "pooling", "normalization", "merge", "advanced_activations", "embeddings"),
    *("recurrent", "wrappers", "noise", "local", "convolutional_recurrent"),
)
_UTILS = (
    *("np_utils", "generic_utils", "data_utils", "vis_utils", "layer_utils", "training_utils", "io_utils"),
    "multi_gpu_utils",
)
_ENGINE = ("topology", "training", "base_layer", "input_layer", "network", "saving", "sequential")

# Modules that Keras 3 does not have, and those that have their names now.
MOVED = {
    "keras.engine": ("keras.layers", "keras"),
    **{f"keras.engine.{name}": ("keras.layers", "keras") for name in _ENGINE},
    **{f"{root}.layers.{name}": ("keras.layers",) for root in _ROOTS for name in _LAYERS},
    **{f"{root}.utils.{name}": ("keras.utils",) for root in _ROOTS for name in _UTILS},
    "keras.backend.tensorflow_backend": ("keras.backend",),
    "keras.objectives": ("keras.losses",),
    "keras.preprocessing.sequence": ("keras.utils",),
}


# ---- keras.backend ----


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


def _member(module, name):
    def make():
        import importlib

        return getattr(importlib.import_module(module), name)

    return make


def _module(name):
    def make():
        import importlib

        return importlib.import_module(name)

    return make


_SESSION = Session()

_BACKEND = {
    "set_session": Shim("K.set_session", _LEAVE_OUT, lambda: lambda session: None),
    "get_session": Shim("K.get_session", _LEAVE_OUT, lambda: lambda *tensors: _SESSION),
    "tensorflow_backend": Shim("K.tensorflow_backend", "write keras.backend", _module("keras.backend")),
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
    "tf": Shim("K.tf", "write import tensorflow as tf", _module("tensorflow")),
}


def _backend_fallback(name):
    """Functions of the old backend that `tf.keras.backend` still has."""
    import importlib

    module = importlib.import_module("keras._tf_keras.keras.backend")
    value = vars(module).get(name)
    if value is None:
        return None
    return Shim(f"K.{name}", "write the function of keras.ops", lambda: value)


# ---- Optimizers and callbacks ----


def _with_old_arguments(original, note):
    """An optimizer that takes `lr` and `decay`."""

    class Optimizer(original):
        @functools.wraps(original.__init__)
        def __init__(self, *args, lr=None, decay=None, epsilon=None, **kwargs):
            if lr is not None or decay is not None:
                note()
            if lr is not None:
                kwargs["learning_rate"] = lr
            if decay:
                import keras

                rate = kwargs.pop("learning_rate", args[0] if args else 0.01)
                args = args[1:]
                kwargs["learning_rate"] = keras.optimizers.schedules.InverseTimeDecay(rate, 1, decay)
            if epsilon is not None:
                kwargs["epsilon"] = epsilon
            super().__init__(*args, **kwargs)

    return Optimizer


def _checkpoint(original, note):
    """`ModelCheckpoint` with `period`, and with any file name; weights are written in Matterport's layout."""

    class ModelCheckpoint(original):
        def __init__(self, filepath, *args, period=None, save_weights_only=False, **kwargs):
            import os

            self._old_path = os.fspath(filepath)
            self._period = period or 1
            names = ("monitor", "verbose", "save_best_only", "save_weights_only", "mode")
            kwargs.update(zip(names, args, strict=False))
            save_weights_only = kwargs.pop("save_weights_only", save_weights_only)
            # Keras 3 cannot write all of this model to HDF5, and Keras 2 files of it could not be read alone either.
            self._old_name = not self._old_path.endswith((".keras", ".weights.h5"))
            if self._old_name or period is not None:
                note()
            super().__init__(
                "unused.weights.h5" if self._old_name else self._old_path,
                save_weights_only=save_weights_only or self._old_name,
                **kwargs,
            )
            self.filepath = self._old_path

        def on_epoch_end(self, epoch, logs=None):
            if (epoch + 1) % self._period == 0:
                super().on_epoch_end(epoch, logs)

    return ModelCheckpoint


_GONE_FROM_TENSORBOARD = (
    *("batch_size", "write_grads", "embeddings_layer_names", "embeddings_data"),
    *("input_images", "profile"),
)


def _tensorboard(original, note):
    """`TensorBoard` without the arguments that are gone; without the package `tensorboard`, nothing is written."""

    class TensorBoard(original):
        def __init__(self, *args, **kwargs):
            import importlib.util

            for name in _GONE_FROM_TENSORBOARD:
                if kwargs.pop(name, None) is not None:
                    note()
            self._written = importlib.util.find_spec("tensorboard") is not None
            if self._written:
                super().__init__(*args, **kwargs)
                return
            logger.warning("keras.callbacks.TensorBoard: nothing will be written. pip install tensorboard")
            import keras

            keras.callbacks.Callback.__init__(self)

        def __getattribute__(self, name):
            if name.startswith("on_") and not object.__getattribute__(self, "_written"):
                return lambda *args, **kwargs: None
            return super().__getattribute__(name)

        def set_model(self, model):
            if self._written:
                super().set_model(model)

    return TensorBoard


def _reduce_on_plateau(original, note):
    class ReduceLROnPlateau(original):
        def __init__(self, *args, epsilon=None, **kwargs):
            if epsilon is not None:
                note()
                kwargs["min_delta"] = epsilon
            super().__init__(*args, **kwargs)

    return ReduceLROnPlateau


_OPTIMIZERS = ("SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam")
_CALLBACKS = {
    "ModelCheckpoint": Shim(
        "keras.callbacks.ModelCheckpoint(period=), or a file name that Keras 3 refuses",
        "leave it out: train() writes a checkpoint after every epoch; or name the file *.weights.h5",
        _checkpoint,
    ),
    "TensorBoard": Shim("keras.callbacks.TensorBoard(write_grads=, ...)", "leave these arguments out", _tensorboard),
    "ReduceLROnPlateau": Shim("ReduceLROnPlateau(epsilon=)", "write min_delta=", _reduce_on_plateau),
}


# ---- Methods of models and optimizers ----


def _make_predict_function(self):
    """Keras makes the function by itself, and threads may share it."""


# What Matterport's `data_generator` yields, in its order; None is made in the graph today.
_GENERATED = (
    *("input_image", "input_image_meta", None, None),
    *("input_gt_class_ids", "input_gt_boxes", "input_gt_masks"),
)


def _by_name(model, generator):
    """The batches of Matterport's `data_generator` as the dict that the training model takes; others as they are."""
    if not isinstance(model.input, dict) or not hasattr(generator, "__next__"):
        return generator
    return (
        ({name: value for name, value in zip(_GENERATED, batch[0], strict=False) if name},)
        if isinstance(batch[0], list) and len(batch[0]) >= len(_GENERATED)
        else batch
        for batch in generator
    )


def _fit_generator(self, generator, *args, validation_data=None, **kwargs):
    for name in ("max_queue_size", "max_q_size", "workers", "use_multiprocessing", "pickle_safe"):
        kwargs.pop(name, None)
    if validation_data is not None:
        kwargs["validation_data"] = _by_name(self, validation_data)
    return self.fit(_by_name(self, generator), *args, **kwargs)


def _predict_generator(self, generator, *args, **kwargs):
    for name in ("max_queue_size", "workers", "use_multiprocessing"):
        kwargs.pop(name, None)
    return self.predict(generator, *args, **kwargs)


_METHODS = {
    "_make_predict_function": (_make_predict_function, "leave it out: threads may share a model"),
    "_make_train_function": (_make_predict_function, "leave it out"),
    "_make_test_function": (_make_predict_function, "leave it out"),
    "fit_generator": (_fit_generator, "write keras_model.fit"),
    "predict_generator": (_predict_generator, "write keras_model.predict"),
    "evaluate_generator": (_predict_generator, "write keras_model.evaluate"),
}


def _finish(module, patcher):
    """Methods that models and optimizers have lost."""
    import sys

    for name, (function, today) in _METHODS.items():
        shim = Shim(f"keras_model.{name}", today, None)

        def method(self, *args, _function=function, _shim=shim, **kwargs):
            patcher.note(_shim, sys._getframe(1))
            return _function(self, *args, **kwargs)

        patcher.set(module.Model, name, method)
    rate = Shim("optimizer.lr", "write optimizer.learning_rate", None)

    def get(self):
        patcher.note(rate, sys._getframe(1))
        return self.learning_rate

    def put(self, value):
        patcher.note(rate, sys._getframe(1))
        self.learning_rate = value

    patcher.set(module.optimizers.Optimizer, "lr", property(get, put))
    _finish_top(module, patcher)


def _finish_top(module, patcher):
    """`keras.engine` as an attribute, for programs that import `keras` alone."""
    engine = Shim("keras.engine", "write keras.layers", lambda: ModuleAlias("keras.engine", MOVED["keras.engine"]))
    patcher.answer_missing_names(module, {"engine": engine})


def _lower_case(name):
    today = f"keras.optimizers.{name}"
    return Shim(f"keras.optimizers.{name.lower()}", f"write {today}", _member("keras.optimizers", name), today)


def _multi_gpu_model():
    def multi_gpu_model(model, gpus=None, **kwargs):
        logger.warning("keras.utils.multi_gpu_model: the model is returned as it is. Set GPU_COUNT in the Config.")
        return model

    return multi_gpu_model


def _image_data_generator():
    import tensorflow as tf

    return tf.keras.preprocessing.image.ImageDataGenerator


_UTILS_MISSING = {
    "multi_gpu_model": Shim("keras.utils.multi_gpu_model", "leave it out and set GPU_COUNT", _multi_gpu_model),
    "print_summary": Shim("keras.utils.print_summary", "write model.summary()", lambda: lambda model: model.summary()),
}
_LAYERS_MISSING = {
    "CuDNNLSTM": Shim("keras.layers.CuDNNLSTM", "write keras.layers.LSTM", _member("keras.layers", "LSTM")),
    "CuDNNGRU": Shim("keras.layers.CuDNNGRU", "write keras.layers.GRU", _member("keras.layers", "GRU")),
}
_IMAGE_MISSING = {
    "ImageDataGenerator": Shim(
        "keras.preprocessing.image.ImageDataGenerator",
        "write tf.keras.preprocessing.image.ImageDataGenerator",
        _image_data_generator,
    ),
}


def _patches():
    yield ModulePatch("keras", finish=_finish)
    for root in _ROOTS:
        yield ModulePatch(f"{root}.backend", missing=_BACKEND, fallback=_backend_fallback)
        yield ModulePatch(f"{root}.callbacks", replaced=_CALLBACKS)
        yield ModulePatch(
            f"{root}.optimizers",
            missing={name.lower(): _lower_case(name) for name in _OPTIMIZERS},
            replaced={
                name: Shim(f"keras.optimizers.{name}(lr=)", "write learning_rate=", _with_old_arguments)
                for name in _OPTIMIZERS
            },
        )
        yield ModulePatch(f"{root}.utils", missing=_UTILS_MISSING)
        yield ModulePatch(f"{root}.layers", missing=_LAYERS_MISSING)
        if root == "keras":
            yield ModulePatch(f"{root}.preprocessing.image", missing=_IMAGE_MISSING)


PATCHES = tuple(_patches())
