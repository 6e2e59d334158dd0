"""Examples for `lint/rules/anchors.py`."""

from mrcnn_plus.lint import Run
from tests.support.lint_boxes import settings, similar_objects
from tests.support.lint_cases import Case

SIZE = {"IMAGE_MIN_DIM": 512, "IMAGE_MAX_DIM": 512}


def only_settings(**values):
    return lambda _: {"config": settings(**values)}


def with_objects(height, width):
    return lambda _: {"config": settings(**SIZE), "train": similar_objects(height=height, width=width)}


CASES = {
    "CFG040": Case(only_settings(RPN_ANCHOR_RATIOS=[0, 1, 2]), only_settings(RPN_ANCHOR_RATIOS=(0.5, 1, 2))),
    "CFG041": Case(
        lambda _: {"config": settings(RPN_ANCHOR_RATIOS=[0.3, 0.5, 1, 2, 3]), "run": Run(weights="coco")},
        lambda _: {"config": settings(RPN_ANCHOR_RATIOS=[0.3, 1, 3]), "run": Run(weights="coco")},
    ),
    "CFG042": Case(
        only_settings(RPN_ANCHOR_SCALES=(512, 256, 128, 64, 32)), only_settings(RPN_ANCHOR_SCALES=(8, 16, 32, 64, 128))
    ),
    "CFG043": Case(only_settings(RPN_ANCHOR_STRIDE=0), only_settings(RPN_ANCHOR_STRIDE=2)),
    "CFG044": Case(
        only_settings(**SIZE, RPN_ANCHOR_SCALES=(128, 256, 512, 1024, 2048)),
        only_settings(**SIZE, RPN_ANCHOR_SCALES=(8, 16, 32, 64, 128)),
    ),
    "DAT031": Case(with_objects(11, 11), with_objects(64, 64)),
    "DAT032": Case(with_objects(10, 100), with_objects(40, 80)),
}
