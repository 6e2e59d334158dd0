"""Memory and devices: will a step fit?"""

from mrcnn_plus.lint.estimates.memory import (
    can_forecast,
    changes_to_fit,
    forecast_detection,
    forecast_training,
    input_shape,
    readable,
    savings,
)
from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.measuring.environment_facts import find_device
from mrcnn_plus.lint.registry import CONFIG, ENVIRONMENT, Violation, rule
from mrcnn_plus.lint.setting_types import fits


@rule(
    "CFG010",
    WARNING,
    needs=(CONFIG, ENVIRONMENT),
    why="A step that does not fit ends in an out-of-memory error minutes after the start, or in a killed process.",
    example="IMAGES_PER_GPU = 8 with images of 1024 x 1024 on a GPU of 12 GB",
    fix="Lower the settings that the message lists.",
)
def needs_more_memory_than_there_is(facts, *, most_share=1.0, gigabytes=None):
    """The forecast for a step is above `most_share` of the memory of the GPU, or of the machine where none is found.

    gigabytes: the memory to compare with, for training elsewhere. Inference is forecast if the program only detects.
    """
    config = facts.config
    shape = input_shape(facts) if can_forecast(config) else None
    device = find_device(use_gpu=facts.environment.gpu_support is not False)
    if shape is None or (device is None and gigabytes is None):
        return
    name, memory = (f"{gigabytes} GB", gigabytes * 2**30) if gigabytes else (device.words, device.memory)
    detects = facts.run.mode == "inference"
    layers = _widest_stage(facts.run)
    shared_by = 1 if detects else max(1, min(config.GPU_COUNT, len(facts.environment.gpus)))

    def forecast(settings, size):
        if detects:
            return forecast_detection(settings, size)
        step = forecast_training(settings, size, layers=layers)
        return step._replace(batch=step.batch / shared_by)

    needed = forecast(config, shape)
    if needed.total <= most_share * memory:
        return
    lower = savings(config, shape, forecast)
    best = "; ".join(f"{setting} = {value!r} saves {readable(saved)}" for setting, value, saved in lower)
    yield Violation(
        f"{'a detection' if detects else f'a training step (layers={layers!r})'} needs about {readable(needed.total)} "
        f"for {config.BATCH_SIZE} inputs of {shape[0]} x {shape[1]} ({readable(needed.per_image)} each, "
        f"{readable(needed.weights)} for weights), and {name} has {readable(memory)}.",
        setting="IMAGES_PER_GPU" if config.IMAGES_PER_GPU > 1 else "IMAGE_MAX_DIM",
        value=readable(needed.total),
        fix=f"{best}." if best else "Use smaller images or a smaller backbone.",
        changes=changes_to_fit(config, shape, forecast, most_share * memory),
    )


def _widest_stage(run):
    """ "heads" if the program is known to train nothing else, else "all"."""
    stages = [layers for layers in (run.layers, *(stage[2] for stage in run.stages)) if layers]
    return "heads" if stages and all(layers == "heads" for layers in stages) else "all"


@rule(
    "CFG110",
    WARNING,
    needs=(CONFIG, ENVIRONMENT),
    why="Training runs all the same, but the devices that are there compute all IMAGES_PER_GPU x GPU_COUNT images of a "
    "step: each needs more memory than planned, and a step takes longer. PyTorch trains on one device only.",
    example="GPU_COUNT = 4 on a machine with one GPU",
    fix="Set GPU_COUNT to the number of GPUs; LEARNING_RATE belongs to the images of a step, so change it along.",
)
def fewer_devices_than_gpu_count(facts):
    """Training is to take more devices (`GPU_COUNT`) than this machine has, or than the backend can use."""
    config, environment = facts.config, facts.environment
    if not fits(config, "GPU_COUNT", "IMAGES_PER_GPU") or config.GPU_COUNT == 1 or facts.run.mode == "inference":
        return
    if environment.backend == "torch":
        yield Violation(
            f"GPU_COUNT={config.GPU_COUNT}, and on PyTorch training takes one device.",
            setting="GPU_COUNT",
            severity=ERROR,
            fix=f"Set GPU_COUNT = 1 and IMAGES_PER_GPU = {config.BATCH_SIZE}, or train with KERAS_BACKEND=tensorflow "
            "or jax.",
            changes={"GPU_COUNT": 1, "IMAGES_PER_GPU": config.BATCH_SIZE},
        )
        return
    gpus = 0 if environment.gpu_support is False else len(environment.gpus)
    if gpus < config.GPU_COUNT:
        yield Violation(
            f"GPU_COUNT={config.GPU_COUNT}, and this machine has {gpus or 'no'} GPU{'' if gpus == 1 else 's'} that "
            f"{environment.backend} can use: steps of {config.BATCH_SIZE} images are computed by what is there.",
            setting="GPU_COUNT",
            changes={"GPU_COUNT": max(gpus, 1)},
        )
