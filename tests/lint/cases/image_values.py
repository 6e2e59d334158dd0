"""Examples for `lint/rules/image_values.py`."""

import numpy as np

from mrcnn_plus.lint import Run
from tests.support.lint_boxes import settings, similar_objects
from tests.support.lint_cases import Case
from tests.support.lint_data import Told, noise

GREY = {"IMAGE_CHANNEL_COUNT": 1, "MEAN_PIXEL": [110.0]}


def clean(_):
    return {"train": Told()}


CASES = {
    "CFG070": Case(
        lambda _: {"config": settings(IMAGE_CHANNEL_COUNT=1)},
        lambda _: {"config": settings(IMAGE_CHANNEL_COUNT=4, MEAN_PIXEL=np.array([120, 115, 100, 0]))},
    ),
    "CFG071": Case(
        lambda _: {"config": settings(**GREY), "train": similar_objects()},
        lambda _: {"config": settings(**GREY), "train": Told()},  # has a load_image of its own
    ),
    "CFG072": Case(
        lambda _: {"config": settings(**GREY), "run": Run(weights="coco")},
        lambda _: {"config": settings(), "run": Run(weights="coco")},
    ),
    "CFG073": Case(
        lambda _: {"config": settings(MEAN_PIXEL=[0.485, 0.456, 0.406])},
        lambda _: {"config": settings(MEAN_PIXEL=[43.5, 39.6, 48.2])},
    ),
    "DAT030": Case(lambda _: {"train": Told(images=[noise((40, 60), number) / 255 for number in range(3)])}, clean),
    "DAT050": Case(lambda _: {"train": Told(images=[np.zeros((40, 60, 3), np.uint8), None, None])}, clean),
}
