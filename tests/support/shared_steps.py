"""Trains the same two steps on one and on several devices, in a process of its own, which makes CPU devices first.

    python -m tests.support.shared_steps OUT.npz '{"backend": "tensorflow", "counts": [1, 2]}'

Writes losses and weights by number of devices: `2/loss/rpn_class_loss` `[steps]`, `2/weight/stage1/kernel`.
Further keys: "settings" of the configuration; "eager": without tracing; "broken": what to take out
(`break_something`), so that a test can see it fail; "host": [address, number of hosts, number of this one], with JAX.
"""

import json
import os
import sys

#: Objects of four images of 64 x 64; the second has none.
IMAGES = (
    [(1, 20, 24, 24), (2, 44, 40, 24), (1, 44, 12, 20)],
    [],
    [(2, 32, 32, 26)],
    [(1, 20, 20, 24), (2, 40, 44, 22)],
    [(1, 28, 36, 24)],
)
SETTINGS = {
    "USE_NEGATIVE_IMAGES": True,
    "RPN_ANCHOR_SCALES": (20, 24, 24, 32, 48),  # so that anchors, and with them proposals, lie on the objects
    "PRE_NMS_LIMIT": 60,
    "POST_NMS_ROIS_TRAINING": 20,
    "MAX_GT_INSTANCES": 3,
    "GRADIENT_CLIP_NORM": 0.5,
    "LEARNING_MOMENTUM": 0.9,
}


def make_devices(backend, count):
    """Let the processor appear as several devices; before the backend starts."""
    os.environ["KERAS_BACKEND"] = backend
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    if backend == "jax":
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={count}"
        return
    import tensorflow as tf

    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * count)


def break_something(name):
    """Take one of the remedies of `network.replicas` out."""
    import keras

    from mrcnn_plus.network import replicas

    if name == "counts":
        replicas.ratio = lambda total, count: total / keras.ops.maximum(count, 1.0)
    elif name == "samples":
        replicas.uniform = lambda shape, *, seed: keras.random.uniform(shape, seed=seed, dtype="float32")
    elif name == "gradients":
        replicas.sum_of_gradients = lambda gradients: gradients


def build(gpu_count, settings, folder):
    """A compiled `MaskRCNN` in training mode with weights of a seed, for steps of four images."""
    import numpy as np

    from mrcnn_plus.mask_rcnn import MaskRCNN

    from .tiny import FiveConvolutions

    values = {**SETTINGS, **settings, "GPU_COUNT": gpu_count, "IMAGES_PER_GPU": 4 // gpu_count}
    config = type("SharedConfig", (FiveConvolutions,), values)()
    model = MaskRCNN(mode="training", config=config, model_dir=folder)
    rng = np.random.default_rng(0)
    for weight in model.keras_model.weights:
        if weight.name == "kernel":  # small, so that no score is near another one by chance
            weight.assign(rng.normal(0, 0.05, weight.shape))
    model.set_trainable("all", verbose=0)
    model.compile(0.01, config.LEARNING_MOMENTUM)
    return model


def train(model, epochs=1, steps=2):
    """Losses of each step by name, of validation by name, weights by path, and statistics of validation by name."""
    import keras

    from mrcnn_plus.training import fitting
    from mrcnn_plus.training.input_pipeline import input_of

    from .tiny import Figures, weights_of

    keras_model, config = model.keras_model, model.config
    builder = fitting.batch_builder(Figures(IMAGES), config, shuffle=False, use_negative_images=True)
    sequences = [
        fitting.BatchSequence(builder, steps=number, repeat=repeat, workers=0)
        for number, repeat in ((steps, True), (2, False))
    ]
    for sequence in sequences:
        sequence.devices = keras_model.devices
    losses = []
    each_step = keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: losses.append(dict(logs)))
    with keras_model.devices.fitting():
        keras_model.fit(
            input_of(sequences[0], keras_model), epochs=epochs, verbose=0, shuffle=False, callbacks=[each_step]
        )
        weights = weights_of(keras_model)
        validation = keras_model.evaluate(input_of(sequences[1], keras_model), verbose=0, return_dict=True)
        statistics, _ = keras_model.statistics.read()
    return {name: [float(step[name]) for step in losses] for name in losses[0]}, validation, weights, statistics


def main(path, task):
    task = json.loads(task)
    hosts = task["host"][1] if "host" in task else 1
    make_devices(task["backend"], max(task["counts"]) // hosts)
    import numpy as np

    if hosts > 1:
        import keras

        keras.distribution.initialize(*task["host"])

    if task.get("eager"):
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
    break_something(task.get("broken"))
    found = {}
    for count in task["counts"]:
        results = train(build(count, task.get("settings", {}), os.path.dirname(path)))
        for kind, values in zip(("loss", "val", "weight", "statistic"), results, strict=True):
            found |= {f"{count}/{kind}/{name}": np.asarray(value) for name, value in values.items()}
    np.savez(path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
