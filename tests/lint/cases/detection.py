"""Examples for `lint/rules/detection.py`."""

from mrcnn_plus.lint import Run
from tests.support.lint_boxes import boxes_dataset, settings, similar_objects
from tests.support.lint_cases import Case


def only_settings(**values):
    return lambda _: {"config": settings(**values)}


def in_pairs(distance):
    """Ten images with two objects of 100 x 100 each, `distance` pixels apart."""
    return boxes_dataset([[(50, 50, 100, 100), (50, 50 + distance, 100, 100)]] * 10)


def crowded(count):
    return lambda _: {"config": settings(), "train": similar_objects(count, images=1, height=20, width=20)}


CASES = {
    "CFG056": Case(only_settings(DETECTION_MIN_CONFIDENCE=90), only_settings(DETECTION_MIN_CONFIDENCE=0.05)),
    "CFG057": Case(
        only_settings(DETECTION_MIN_CONFIDENCE=0.95),
        lambda _: {"config": settings(DETECTION_MIN_CONFIDENCE=0.95), "run": Run(mode="inference")},
    ),
    "CFG058": Case(
        only_settings(DETECTION_MAX_INSTANCES=2000),
        only_settings(DETECTION_MAX_INSTANCES=2000, POST_NMS_ROIS_INFERENCE=4000),
    ),
    "CFG067": Case(
        lambda _: {"config": settings(), "train": in_pairs(30)}, lambda _: {"config": settings(), "train": in_pairs(90)}
    ),
    "DAT019": Case(crowded(101), crowded(100)),
}
