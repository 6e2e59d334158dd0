"""Examples for `lint/rules/memory.py`."""

from mrcnn_plus.lint import Run
from mrcnn_plus.lint.measuring.environment_facts import Environment
from tests.support.lint_boxes import settings
from tests.support.lint_cases import Case


def on_machine(gpus, **known):
    return Run(environment=Environment(gpus=("NVIDIA A100",) * gpus, **known))


TWELVE = {"CFG010": {"gigabytes": 12}}

CASES = {
    "CFG010": Case(
        lambda _: {"config": settings(IMAGES_PER_GPU=8), "thresholds": TWELVE},
        lambda _: {"config": settings(IMAGES_PER_GPU=2), "thresholds": TWELVE},
    ),
    "CFG110": Case(
        lambda _: {"config": settings(GPU_COUNT=4), "run": on_machine(gpus=2)},
        lambda _: {"config": settings(GPU_COUNT=4), "run": on_machine(gpus=4)},
    ),
}
