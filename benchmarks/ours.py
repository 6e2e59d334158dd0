"""This package at the tasks that benchmarks compare, in a process of its own, as the others are."""

import tempfile

import measure
import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.mask_rcnn import MaskRCNN

#: The layers of a stage as Matterport's `train` spells them.
STAGES = {"heads": r"(mrcnn\_.*)|(rpn\_.*)|(fpn\_.*)", "all": ".*"}


def detector(side, settings, weights=None):
    """A model of random weights, or those of a file. side: `PRECISION` or `ENGINE:PRECISION`."""
    engine, _, precision = side.rpartition(":")
    own = {"NAME": "benchmark", "SEED": 0, "PRECISION": precision, "INFERENCE_ENGINE": engine or "keras"}
    model = MaskRCNN("inference", type("BenchmarkConfig", (Config,), {**settings, **own})(), tempfile.mkdtemp())
    if weights:
        model.keras_model.load_weights(weights, by_name=True)
    else:
        _randomize_offsets(model.keras_model)
    return model


def _randomize_offsets(keras_model):
    """Biases and the like begin as zeros, whose addition TensorFlow leaves out; trained ones are none."""
    rng = np.random.default_rng(0)
    for weight in keras_model.weights:
        if weight.path.endswith(("/bias", "/beta", "/moving_mean")):
            weight.assign(rng.normal(0, 0.01, weight.shape))


def trainer(settings, precision, layers, weights=None):
    """A model that is ready to train these layers."""
    own = {"NAME": "benchmark", "SEED": 0, "PRECISION": precision}
    config = type("BenchmarkConfig", (Config,), {**settings, **own})()
    model = MaskRCNN("training", config, tempfile.mkdtemp())
    if weights:
        model.keras_model.load_weights(weights, by_name=True)
    model.set_trainable(STAGES[layers], verbose=0)
    model.compile(config.LEARNING_RATE, config.LEARNING_MOMENTUM)
    return model


def detection(settings, side, weights, image):
    """A function that detects in one image; it returns the number of detections."""
    model, image = detector(side, settings, weights), np.load(image)
    return lambda: {"detections": len(model.detect([image], allow_untrained=True)[0]["scores"])}


def training_step(settings, precision, weights, batch, layers):
    """A function that runs a step on one batch; it returns the losses before it."""
    keras_model = trainer(settings, precision, layers, weights).keras_model
    inputs = dict(np.load(batch))

    def step():
        keras_model.reset_metrics()
        return {name: float(value) for name, value in keras_model.train_on_batch(inputs, return_dict=True).items()}

    return step


TASKS = {"detection": detection, "training_step": training_step}


def main():
    args = measure.task_parser(TASKS, __doc__).parse_args()
    measure.answer(TASKS[args.task], args.arguments)


if __name__ == "__main__":
    main()
