"""Examples for `lint/rules/learning.py`."""

from mrcnn_plus.lint import Run
from tests.support.lint_boxes import settings
from tests.support.lint_cases import Case


def swin_tiny(image, stage5=True, train_bn=None):
    raise AssertionError("a check of the settings builds no network")


def only_settings(**values):
    return lambda _: {"config": settings(**values)}


CASES = {
    "CFG090": Case(only_settings(LEARNING_RATE=0.01), only_settings(LEARNING_RATE=0.01, IMAGES_PER_GPU=8)),
    "CFG091": Case(
        lambda _: {"config": settings(LEARNING_RATE=0.002), "run": Run(learning_rate=0.0013)},
        lambda _: {"config": settings(LEARNING_RATE=0.002), "run": Run(learning_rate=0.0002)},
    ),
    "CFG092": Case(only_settings(GRADIENT_CLIP_NORM=0), only_settings(GRADIENT_CLIP_NORM=None)),
    "CFG098": Case(
        only_settings(OPTIMIZER="AdamW", LEARNING_RATE=0.01), only_settings(OPTIMIZER="AdamW", LEARNING_RATE=0.001)
    ),
    "CFG099": Case(only_settings(LEARNING_RATE=1e-8), only_settings(LEARNING_RATE=1e-5)),
    "CFG105": Case(only_settings(BACKBONE=swin_tiny), only_settings(BACKBONE=swin_tiny, OPTIMIZER="adamw")),
    "CFG111": Case(only_settings(WEIGHT_DECAY=0.5), only_settings(LEARNING_MOMENTUM=0.95)),
    "CFG106": Case(
        only_settings(GRADIENT_CLIP_NORM=None, PRECISION="mixed_float16"), only_settings(GRADIENT_CLIP_NORM=None)
    ),
}
