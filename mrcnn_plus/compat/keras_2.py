"""Keras 2 as programs of Matterport's time import it, on Keras 3: modules that were moved, and what they lost.

`keras_backend.py` has `keras.backend`, `keras_training.py` what has to do with training.

`keras`, `tf.keras` and `tensorflow.keras` are one and the same today, but Python knows their parts as several modules,
so every patch stands for each of these names.
"""

from __future__ import annotations

import importlib
import logging

from mrcnn_plus.compat.patching import ModuleAlias
from mrcnn_plus.compat.shims import ModulePatch, Shim

logger = logging.getLogger(__name__)

ROOTS = ("keras", "keras._tf_keras.keras", "tensorflow.keras")

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
    **{f"{root}.layers.{name}": ("keras.layers",) for root in ROOTS for name in _LAYERS},
    **{f"{root}.utils.{name}": ("keras.utils",) for root in ROOTS for name in _UTILS},
    "keras.backend.tensorflow_backend": ("keras.backend",),
    "keras.objectives": ("keras.losses",),
    "keras.preprocessing.sequence": ("keras.utils",),
}


def _multi_gpu_model():
    def multi_gpu_model(model, gpus=None, **kwargs):
        logger.warning("keras.utils.multi_gpu_model: the model is returned as it is. Set GPU_COUNT in the Config.")
        return model

    return multi_gpu_model


def _image_data_generator():
    import tensorflow as tf

    return tf.keras.preprocessing.image.ImageDataGenerator


def _layer(name):
    return getattr(importlib.import_module("keras.layers"), name)


# `keras.engine` as an attribute is for programs that import `keras` alone.
_ENGINE_MISSING = {
    "engine": Shim("keras.engine", "write keras.layers", lambda: ModuleAlias("keras.engine", MOVED["keras.engine"]))
}
_UTILS_MISSING = {
    "multi_gpu_model": Shim("keras.utils.multi_gpu_model", "leave it out and set GPU_COUNT", _multi_gpu_model),
    "print_summary": Shim("keras.utils.print_summary", "write model.summary()", lambda: lambda model: model.summary()),
}
_LAYERS_MISSING = {
    "CuDNNLSTM": Shim("keras.layers.CuDNNLSTM", "write keras.layers.LSTM", lambda: _layer("LSTM")),
    "CuDNNGRU": Shim("keras.layers.CuDNNGRU", "write keras.layers.GRU", lambda: _layer("GRU")),
}
_IMAGE_MISSING = {
    "ImageDataGenerator": Shim(
        "keras.preprocessing.image.ImageDataGenerator",
        "write tf.keras.preprocessing.image.ImageDataGenerator",
        _image_data_generator,
    ),
}


def _patches():
    yield ModulePatch("keras", missing=_ENGINE_MISSING)
    yield ModulePatch("keras.preprocessing.image", missing=_IMAGE_MISSING)
    for root in ROOTS:
        yield ModulePatch(f"{root}.utils", missing=_UTILS_MISSING)
        yield ModulePatch(f"{root}.layers", missing=_LAYERS_MISSING)


PATCHES = tuple(_patches())
