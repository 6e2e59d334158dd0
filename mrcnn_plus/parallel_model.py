"""Matterport's `mrcnn.parallel_model`: `ParallelModel`, kept so that programs which wrap their model go on working."""

import logging

import keras

from mrcnn_plus.data.notices import warn_once
from mrcnn_plus.errors import ConfigError

logger = logging.getLogger(__name__)

# What the wrapper answers itself; Python's own names (`__class__`, ...) are always its own.
_OWN = frozenset({"inner_model", "gpu_count", "make_parallel", "summary"})


class ParallelModel(keras.Model):
    """Stands for a Keras model: whatever it is asked, called with or told to remember, it passes on to that model.

    Matterport sliced each batch and ran a copy of the model on every GPU. In Keras 3 a model that several devices share
    is built so, and not wrapped afterwards: `MaskRCNN` does that by `GPU_COUNT` (`training.devices`). This class splits
    nothing, and says so once if gpu_count is above 1 and the model was built for one device.

    keras_model: the model, afterwards `inner_model`. gpu_count: whole number from 1, else ConfigError.
    """

    def __init__(self, keras_model, gpu_count):
        if not isinstance(keras_model, keras.Model):
            raise ConfigError(f"ParallelModel: expected a Keras model, received: keras_model={keras_model!r}.")
        if isinstance(gpu_count, bool) or not isinstance(gpu_count, int) or gpu_count < 1:
            raise ConfigError(f"ParallelModel: expected a whole number from 1, received: gpu_count={gpu_count!r}.")
        devices = getattr(keras_model, "devices", None)
        if gpu_count > 1 and (devices is None or devices.count == 1):
            warn_once(
                logger,
                "ParallelModel",
                "ParallelModel: gpu_count=%d, but the model was built for one device, and wrapping it splits no batch "
                "in Keras 3. MaskRCNN(mode='training') builds one that the GPU_COUNT devices of its configuration "
                "share; build others inside `tf.distribute.MirroredStrategy().scope()`.",
                gpu_count,
            )
        # Not through keras.Model, whose layers, weights and compiled state would exist a second time.
        vars(self).update(inner_model=keras_model, gpu_count=gpu_count)

    def __call__(self, *args, **kwargs):
        return self.inner_model(*args, **kwargs)

    def __getattribute__(self, attrname):
        # Without a model as long as Keras prepares the object.
        inner_model = object.__getattribute__(self, "__dict__").get("inner_model")
        if inner_model is None or attrname in _OWN or attrname.startswith("__"):
            return object.__getattribute__(self, attrname)
        return getattr(inner_model, attrname)

    def __setattr__(self, name, value):
        inner_model = vars(self).get("inner_model")
        if inner_model is None or name in _OWN:
            object.__setattr__(self, name, value)
        else:
            setattr(inner_model, name, value)

    def summary(self, *args, **kwargs):
        """Print the summary of the model that this one stands for."""
        self.inner_model.summary(*args, **kwargs)

    def make_parallel(self):
        """The outputs of the model; there are no copies to merge."""
        return self.inner_model.outputs
