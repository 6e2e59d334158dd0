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
from mrcnn_plus.lint.findings import WARNING
from mrcnn_plus.lint.measuring import devices
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
    device = devices.find_device(use_gpu=facts.environment.gpu_support is not False)
    if shape is None or (device is None and gigabytes is None):
        return
    name, memory = (f"{gigabytes} GB", gigabytes * 2**30) if gigabytes else (device.name, device.memory)
    detects = facts.run.mode == "inference"
    layers = _widest_stage(facts.run)

    def forecast(settings, size):
        return forecast_detection(settings, size) if detects else forecast_training(settings, size, layers=layers)

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
    needs=CONFIG,
    why="GPU_COUNT multiplies the images of a step; one device computes all of them, so memory and time of a step grow "
    "with it.",
    example="GPU_COUNT = 4; IMAGES_PER_GPU = 2",
    fix="Set GPU_COUNT = 1 and choose IMAGES_PER_GPU for one device.",
)
def several_gpus_asked_for(facts):
    """`GPU_COUNT` is larger than 1."""
    config = facts.config
    if fits(config, "GPU_COUNT", "IMAGES_PER_GPU") and config.GPU_COUNT > 1:
        yield Violation(
            f"GPU_COUNT={config.GPU_COUNT} makes steps of {config.BATCH_SIZE} images, all on one device.",
            setting="GPU_COUNT",
            changes={"GPU_COUNT": 1},
        )
