"""The devices that share the steps of training (`GPU_COUNT`), by the engine of each backend.

TensorFlow: `tf.distribute.MirroredStrategy`. JAX: `keras.distribution.DataParallel`, also over several hosts. Both keep
the weights on every device, give each its rows of the batch and add up the gradients, so that a step has the result of
one device with the same batch. A model is made and compiled in their scope: a training model keeps its `Devices`.
"""

import contextlib
import functools
import json
import logging
import os

import keras

from mrcnn_plus.constants import round_up
from mrcnn_plus.data.notices import warn_once
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network import replicas

logger = logging.getLogger(__name__)


class Devices:
    """What Keras takes by itself: one device.

    count: number of devices, of all hosts. host, hosts: number of this host, from 0, and how many share the steps. The
    first one writes checkpoints and logs. can_compile: whether XLA can compile their training step.
    """

    count = hosts = 1
    host = 0
    can_compile = True

    def building(self):
        """Context in which the layers, the optimizer and the metrics of a model are made."""
        return contextlib.nullcontext()

    def fitting(self):
        """Context in which a model is trained."""
        return contextlib.nullcontext()

    def prepare(self, model):
        """Get a model that was just compiled ready for these devices."""

    def rows_of(self, images):
        """Which rows of a step with so many images this host computes, a range.

        Rows from number `images` on have no image: they fill up the last step of validation, so that every device gets
        as many (`input_pipeline.fill_rows`).
        """
        rows = round_up(images, self.count)
        return range(rows * self.host // self.hosts, rows * (self.host + 1) // self.hosts)


class MirroredDevices(Devices):
    """Devices of TensorFlow; strategy: a `tf.distribute.MirroredStrategy`."""

    can_compile = False

    def __init__(self, strategy):
        self.strategy = strategy
        self.count = strategy.num_replicas_in_sync

    def building(self):
        return self.strategy.scope()

    def prepare(self, model):
        """Let the optimizer see the gradients of the whole batch.

        Keras 3 clips, measures and accumulates the gradients of each device, looks at those of the first one for
        overflow, and adds them up afterwards. Here they are added up before the optimizer gets them.
        """
        if model.jit_compile:
            model.jit_compile = False
            warn_once(
                *(logger, "JIT_COMPILE"),
                "JIT_COMPILE=True: TensorFlow does not compile a training step that several devices share. It runs as "
                "a plain graph; with KERAS_BACKEND=jax it is compiled.",
            )
        # Keras would build what is built, with the mean of the batches of all devices, which masks (bool) do not have.
        model._maybe_symbolic_build = _nothing_to_build
        # Keras divides its own losses by the number of devices, but not what `compute_loss` returns.
        compute_loss = model._compute_loss
        if not isinstance(compute_loss, functools.partial):  # of an earlier `compile`
            model._compute_loss = functools.partial(_share_of_loss, compute_loss)
        optimizer = model.optimizer
        if optimizer is None or getattr(optimizer, "_all_reduce_sum_gradients", None) is _as_they_are:
            return  # nothing to train with, or prepared before
        for part in _with_parts(optimizer):
            _refuse_accumulation(part)
        apply = optimizer.apply

        def apply_to_whole_batch(grads, trainable_variables=None):
            return apply(replicas.sum_of_gradients(grads), trainable_variables)

        optimizer.apply = apply_to_whole_batch
        for part in _with_parts(optimizer):
            part._all_reduce_sum_gradients = _as_they_are


class ShardedDevices(Devices):
    """Devices of JAX, of one host or several; distribution: a `keras.distribution.DataParallel`."""

    def __init__(self, distribution):
        import jax

        self.distribution = distribution
        self.count = distribution.num_model_replicas
        self.host, self.hosts = jax.process_index(), jax.process_count()

    def building(self):
        return self.distribution.scope()

    def fitting(self):
        return self.distribution.scope()


def current_devices():
    """The `Devices` in whose context the caller is, be it made here or by a program's own strategy."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return MirroredDevices(tf.distribute.get_strategy()) if tf.distribute.has_strategy() else Devices()
    distribution = keras.distribution.distribution() if keras.backend.backend() == "jax" else None
    return Devices() if distribution is None else ShardedDevices(distribution)


def devices_of(config):
    """The `Devices` that train what is built from a configuration; those of the caller's context if it has some.

    Where there are fewer devices than `GPU_COUNT`, those that can share the batch evenly compute all of it. Raises
    ConfigError on a backend, or for hosts, that cannot share steps.
    """
    here = current_devices()
    if here.count > 1:
        return here
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _of_tensorflow(config)
    if backend == "jax":
        return _of_jax(config)
    if config.GPU_COUNT > 1:
        raise ConfigError(
            "GPU_COUNT: expected 1, because on PyTorch training takes one device, received: "
            f"GPU_COUNT={config.GPU_COUNT}. Set GPU_COUNT = 1 and IMAGES_PER_GPU to what it holds, or train with "
            "KERAS_BACKEND=tensorflow or jax; weights files are the same."
        )
    return Devices()


def _of_tensorflow(config):
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    hosts = sum(len(cluster.get(task, ())) for task in ("chief", "worker"))
    if hosts > 1:  # measured with Keras 3.15: `fit` fails on the logs of the first step
        raise ConfigError(
            "TF_CONFIG: expected one host, because Keras 3 cannot train with TensorFlow's MultiWorkerMirroredStrategy, "
            f"received: {hosts} hosts. Train with KERAS_BACKEND=jax, where keras.distribution.initialize(...) as the "
            "first line of the program joins the hosts, or unset TF_CONFIG."
        )
    if config.GPU_COUNT == 1:
        return Devices()
    import tensorflow as tf

    found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    count = _usable(config, len(found))
    return Devices() if count == 1 else MirroredDevices(_mirrored(tuple(device.name for device in found[:count])))


@functools.cache
def _mirrored(names):
    """One strategy for the same devices: TensorFlow does not let the scopes of two be mixed."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names)


def _of_jax(config):
    import jax

    hosts = jax.process_count()
    if config.GPU_COUNT == 1 and hosts == 1:
        return Devices()
    found = keras.distribution.list_devices()  # of all hosts
    if hosts > 1:
        _check_hosts(config, hosts, len(found))
        count = len(found)
    else:
        count = _usable(config, len(found))
    # Each host builds its own rows of a batch: there is nothing for Keras to share out.
    distributed = functools.partial(keras.distribution.DataParallel, auto_shard_dataset=False)
    return Devices() if count == 1 else ShardedDevices(distributed(devices=found[:count]))


def _check_hosts(config, hosts, found):
    """Raise ConfigError for settings by which several hosts would not train the same model."""
    if found != config.GPU_COUNT:
        raise ConfigError(
            f"GPU_COUNT: expected {found}, the devices of all {hosts} hosts together, received: "
            f"GPU_COUNT={config.GPU_COUNT}."
        )
    if config.SEED is None:
        raise ConfigError(
            f"SEED: expected a number, because {hosts} hosts must draw the same images and random numbers, received: "
            "SEED=None."
        )
    if config.IMAGE_RESIZE_MODE in ("none", "pad64"):
        raise ConfigError(
            f"IMAGE_RESIZE_MODE: expected 'square' or 'crop', because {hosts} hosts must build images of one size, "
            f"received: IMAGE_RESIZE_MODE={config.IMAGE_RESIZE_MODE!r}."
        )


def _usable(config, found):
    """How many of the devices found share a batch: the most that divide it, and at most GPU_COUNT."""
    count = max(number for number in range(1, min(found, config.GPU_COUNT) + 1) if config.BATCH_SIZE % number == 0)
    if count < config.GPU_COUNT:
        warn_once(
            *(logger, ("GPU_COUNT", config.GPU_COUNT, found)),
            "GPU_COUNT=%d, but %s shows %d device%s: steps of %d images (IMAGES_PER_GPU x GPU_COUNT) are computed on "
            "%d, %d each. If they do not fit into its memory, lower IMAGES_PER_GPU.",
            *(config.GPU_COUNT, keras.backend.backend(), found, "" if found == 1 else "s", config.BATCH_SIZE, count),
            config.BATCH_SIZE // count,
        )
    return count


def _refuse_accumulation(optimizer):
    """Raise ConfigError for what Keras 3.15 fails in: a condition around the update that all devices make together."""
    steps = getattr(optimizer, "gradient_accumulation_steps", None)
    if steps:
        raise ConfigError(
            "GRADIENT_ACCUMULATION_STEPS: expected 1, because Keras cannot accumulate gradients where several devices "
            f"share a step on TensorFlow, received: GRADIENT_ACCUMULATION_STEPS={steps}. Raise IMAGES_PER_GPU, set "
            "GPU_COUNT = 1, or train with KERAS_BACKEND=jax."
        )


def _with_parts(optimizer):
    """An optimizer and those inside of it."""
    inside = [getattr(optimizer, "inner_optimizer", None), *getattr(optimizer, "optimizers", ())]
    return [optimizer, *(part for one in inside if one is not None for part in _with_parts(one))]


def _as_they_are(grads_and_vars):
    return grads_and_vars


def _share_of_loss(compute_loss, *args, **kwargs):
    return replicas.share_of_loss(compute_loss(*args, **kwargs))


def _nothing_to_build(iterator=None, data_batch=None):
    return None
