"""Training with Keras 2: arguments of optimizers and callbacks, and methods of models, that Keras 3 has lost."""

from __future__ import annotations

import functools
import importlib
import logging
import sys

from mrcnn_plus.compat.keras_2 import ROOTS
from mrcnn_plus.compat.shims import ModulePatch, Shim

logger = logging.getLogger(__name__)


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


# How Keras 2 loaded batches: arguments that `fit` no longer has.
_QUEUE = ("max_queue_size", "max_q_size", "workers", "use_multiprocessing", "pickle_safe", "nb_worker")


def _without(names, kwargs):
    return {name: value for name, value in kwargs.items() if name not in names}


def _fit_generator(self, generator, *args, validation_data=None, **kwargs):
    if validation_data is not None:
        kwargs["validation_data"] = _by_name(self, validation_data)
    return self.fit(_by_name(self, generator), *args, **_without(_QUEUE, kwargs))


def _predict_generator(self, generator, *args, **kwargs):
    return self.predict(generator, *args, **_without(_QUEUE, kwargs))


def _evaluate_generator(self, generator, *args, **kwargs):
    return self.evaluate(_by_name(self, generator), *args, **_without(_QUEUE, kwargs))


_METHODS = {
    "_make_predict_function": (_make_predict_function, "leave it out: threads may share a model"),
    "_make_train_function": (_make_predict_function, "leave it out"),
    "_make_test_function": (_make_predict_function, "leave it out"),
    "fit_generator": (_fit_generator, "write keras_model.fit"),
    "predict_generator": (_predict_generator, "write keras_model.predict"),
    "evaluate_generator": (_evaluate_generator, "write keras_model.evaluate"),
}


def _finish(module, patcher):
    """Methods that models and optimizers have lost."""
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


def _lower_case(name):
    today = f"keras.optimizers.{name}"
    return Shim(
        f"keras.optimizers.{name.lower()}",
        f"write {today}",
        lambda: getattr(importlib.import_module("keras.optimizers"), name),
        today,
    )


def _patches():
    yield ModulePatch("keras", finish=_finish)
    for root in ROOTS:
        yield ModulePatch(f"{root}.callbacks", replaced=_CALLBACKS)
        yield ModulePatch(
            f"{root}.optimizers",
            missing={name.lower(): _lower_case(name) for name in _OPTIMIZERS},
            replaced={
                name: Shim(f"keras.optimizers.{name}(lr=)", "write learning_rate=", _with_old_arguments)
                for name in _OPTIMIZERS
            },
        )


PATCHES = tuple(_patches())
