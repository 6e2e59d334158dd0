"""Examples for `lint/rules/proposals.py`."""

import numpy as np

from mrcnn_plus.lint import Run
from tests.support.lint_boxes import settings, similar_objects
from tests.support.lint_cases import Case


def only_settings(**values):
    return lambda _: {"config": settings(**values)}


def crowded(objects_per_image, **values):
    objects = similar_objects(3 * objects_per_image, images=3, height=30, width=30)
    return lambda _: {"config": settings(**values), "train": objects}


CASES = {
    "CFG050": Case(only_settings(RPN_TRAIN_ANCHORS_PER_IMAGE=1), only_settings(RPN_TRAIN_ANCHORS_PER_IMAGE=2)),
    "CFG051": Case(only_settings(PRE_NMS_LIMIT=1000), only_settings(PRE_NMS_LIMIT=2000)),
    "CFG052": Case(
        only_settings(POST_NMS_ROIS_TRAINING=100),
        only_settings(POST_NMS_ROIS_TRAINING=100, TRAIN_ROIS_PER_IMAGE=64),
    ),
    "CFG053": Case(only_settings(ROI_POSITIVE_RATIO=0), only_settings(ROI_POSITIVE_RATIO=1)),
    "CFG054": Case(only_settings(TRAIN_ROIS_PER_IMAGE=2), only_settings(TRAIN_ROIS_PER_IMAGE=4)),
    "CFG055": Case(only_settings(DETECTION_NMS_THRESHOLD=30), only_settings(RPN_NMS_THRESHOLD=0.9)),
    "CFG059": Case(
        lambda _: {"config": settings(USE_RPN_ROIS=False), "run": Run(mode="training")},
        lambda _: {"config": settings(USE_RPN_ROIS=False), "run": Run(mode="inference")},
    ),
    "CFG065": Case(crowded(1), crowded(5)),
    "CFG066": Case(crowded(30, TRAIN_ROIS_PER_IMAGE=64), crowded(10, TRAIN_ROIS_PER_IMAGE=64)),
    "CFG068": Case(crowded(3, RPN_MIN_SIZE=100), crowded(3, RPN_MIN_SIZE=16)),
    "CFG080": Case(
        only_settings(BBOX_STD_DEV=[0.1, 0.1, 0.2]), only_settings(RPN_BBOX_STD_DEV=np.array([0.1, 0.1, 0.2, 0.2]))
    ),
}
