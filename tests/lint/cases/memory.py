"""Examples for `lint/rules/memory.py`."""

from tests.support.lint_boxes import settings
from tests.support.lint_cases import Case

TWELVE = {"CFG010": {"gigabytes": 12}}

CASES = {
    "CFG010": Case(
        lambda _: {"config": settings(IMAGES_PER_GPU=8), "thresholds": TWELVE},
        lambda _: {"config": settings(IMAGES_PER_GPU=2), "thresholds": TWELVE},
    ),
    "CFG110": Case(lambda _: {"config": settings(GPU_COUNT=4)}, lambda _: {"config": settings(GPU_COUNT=1)}),
}
