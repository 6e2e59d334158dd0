"""Examples for `lint/rules/masks.py`."""

import numpy as np

from tests.support.lint_boxes import settings, similar_objects
from tests.support.lint_cases import Case


def only_settings(**values):
    return lambda _: {"config": settings(**values)}


CASES = {
    "CFG060": Case(only_settings(MASK_SHAPE=[56, 56]), only_settings(MASK_SHAPE=np.array([56, 56]), MASK_POOL_SIZE=28)),
    "CFG061": Case(only_settings(MINI_MASK_SHAPE=56), only_settings(MINI_MASK_SHAPE=[56, 56])),
    "CFG062": Case(only_settings(MINI_MASK_SHAPE=(20, 20)), only_settings(MINI_MASK_SHAPE=(28, 28))),
    "CFG063": Case(
        only_settings(USE_MINI_MASK=False, IMAGES_PER_GPU=8),
        only_settings(USE_MINI_MASK=False, IMAGES_PER_GPU=8, MAX_GT_INSTANCES=20),
    ),
    "CFG064": Case(
        lambda _: {"config": settings(), "train": similar_objects(height=400, width=300)},
        lambda _: {"config": settings(), "train": similar_objects(height=100, width=100)},
    ),
}
