"""Sessions and graphs of TensorFlow 1, as programs hold them around Mask R-CNN.

Keras 3 works without either. A session here keeps nothing, and a program that enters a graph of its own around Mask
R-CNN (`with tf.Graph().as_default():`) leaves it again for as long as Mask R-CNN works.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sys

from mrcnn_plus.compat.shims import ModulePatch, Shim, is_users_frame
from mrcnn_plus.errors import ConfigError

logger = logging.getLogger(__name__)


class Graph:
    """What `tf.get_default_graph()` and `session.graph` return, unless the program made a graph itself."""

    @contextlib.contextmanager
    def as_default(self):
        yield self

    def finalize(self):
        """Nothing to finalize."""

    def __getattr__(self, name):
        raise _no_graph("graph", name)


class Operation:
    """What `tensor.op` returns for a tensor of a Keras model: its name, as programs collect it to freeze a network."""

    def __init__(self, name):
        self.name = name

    def __getattr__(self, name):
        raise _no_graph("tensor.op", name)


def _no_graph(owner, name):
    if name.startswith("__"):
        return AttributeError(name)
    return ConfigError(
        f"{owner}.{name}: there is no TensorFlow 1 graph under Keras 3 that could answer it. To look at tensors "
        "inside the network use model.run_graph(images, [(name, model.keras_model.get_layer(name).output)]); to "
        "save the network for other programs use model.keras_model.export(path); its weights: "
        "model.keras_model.save_weights('weights.h5')."
    )


GRAPH = Graph()


class Session:
    """What `tf.Session(...)` returns. It carries out what its configuration says of GPUs.

    There is nothing in it for Keras. Only tensors of a graph that the program made itself are computed, by a session of
    TensorFlow: a frozen network beside Mask R-CNN, for example.
    """

    def __init__(self, target="", graph=None, config=None):
        self.graph = graph if graph is not None else default_graph()
        self._real = {}
        if config is not None:
            configure_gpus(config)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @contextlib.contextmanager
    def as_default(self):
        yield self

    def close(self):
        """Close the sessions of the program's own graphs."""
        while self._real:
            self._real.popitem()[1].close()

    def list_devices(self):
        import tensorflow as tf

        return tf.config.list_logical_devices()

    def run(self, fetches, feed_dict=None, **options):
        """The values of eager tensors; None for what only initialized variables; else run in the tensors' own graph."""
        if fetches is None or isinstance(fetches, Nothing):
            return None
        if isinstance(fetches, list | tuple):
            return [self.run(fetch, feed_dict) for fetch in fetches]
        if isinstance(fetches, dict):
            return {name: self.run(fetch, feed_dict) for name, fetch in fetches.items()}
        graph = self.graph if isinstance(fetches, str) else getattr(fetches, "graph", None)
        if graph is None and hasattr(fetches, "numpy"):
            return fetches.numpy()
        import tensorflow as tf

        if not isinstance(graph, tf.Graph):
            raise ConfigError(
                f"session.run: expected a tensor with a value, received {type(fetches).__name__}. Keras 3 has no "
                "session that could compute it: use model.run_graph(images, [(name, tensor)]) for tensors of the "
                "network."
            )
        if graph not in self._real:
            self._real[graph] = tf.compat.v1.Session(graph=graph)  # to this file, that is TensorFlow's own
        return self._real[graph].run(fetches, feed_dict=feed_dict)


class Nothing:
    """What `tf.global_variables_initializer()` returns."""

    def run(self, *args, **kwargs):
        """Nothing to do."""


def configure_gpus(config) -> None:
    """What a `tf.ConfigProto` says of GPUs, for TensorFlow today. Too late once a GPU is in use; then it says so."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    try:
        if dict(getattr(config, "device_count", {})).get("GPU") == 0:
            tf.config.set_visible_devices([], "GPU")
        elif gpus and config.gpu_options.allow_growth:
            for gpu in gpus:
                tf.config.experimental.set_memory_growth(gpu, True)
    except (RuntimeError, ValueError) as error:
        logger.warning("tf.ConfigProto: its options for GPUs could not be set any more (%s).", error)


def default_graph():
    """The graph that the program has entered (`with tf.Graph().as_default():`), else one that stands for none."""
    import tensorflow as tf

    return GRAPH if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def initializer():
    """What `tf.global_variables_initializer()` returns: in a graph of the program TensorFlow's own, else nothing."""
    import tensorflow as tf

    return Nothing() if tf.executing_eagerly() else tf.compat.v1.global_variables_initializer()


# ---- Mask R-CNN within a graph ----


_WITHIN = Shim(
    "Mask R-CNN in `with graph.as_default():`", "leave the graph out: Keras 3 works in TensorFlow's eager mode", None
)
_OF_MASK_RCNN = (
    *("__init__", "build", "load_weights", "compile", "train", "train_stages", "detect", "detect_molded", "run_graph"),
)
_OF_MODELS = ("predict", "predict_on_batch", "fit", "evaluate")


def _leave_graph(names, owner_of):
    """A `finish` of a `ModulePatch`: methods of a class leave the graph that the program is in, while they work."""

    def finish(module, patcher):
        owner = owner_of(module)
        for name in names:
            patcher.set(owner, name, _outside_of_graphs(getattr(owner, name), patcher))

    return finish


def _outside_of_graphs(method, patcher):
    @functools.wraps(method)
    def call(self, *args, **kwargs):
        tf = sys.modules.get("tensorflow")
        if tf is None or tf.executing_eagerly() or tf.inside_function():
            return method(self, *args, **kwargs)
        from tensorflow.python.eager import context  # `tf.init_scope` leaves functions, not graphs

        patcher.note(_WITHIN, sys._getframe(1))
        with context.eager_mode():
            return method(self, *args, **kwargs)

    return call


_OPERATION = Shim("tensor.op", "write tensor.name; keras_model.export(path) saves the network for others", None)


def _give_operations(module, patcher):
    def op(tensor):
        if not is_users_frame(sys._getframe(1)):
            raise AttributeError("op")
        patcher.note(_OPERATION, sys._getframe(1))
        return Operation(tensor.name)

    patcher.set(module.KerasTensor, "op", property(op))


PATCHES = (
    ModulePatch("keras", finish=_give_operations),
    ModulePatch("mrcnn_plus.mask_rcnn", finish=_leave_graph(_OF_MASK_RCNN, lambda module: module.MaskRCNN)),
    ModulePatch("keras", finish=_leave_graph(_OF_MODELS, lambda module: module.Model)),
    ModulePatch(
        "mrcnn_plus.weights.model_mixin",
        finish=_leave_graph(("save_weights", "load_weights"), lambda module: module.MatterportWeightsMixin),
    ),
)
