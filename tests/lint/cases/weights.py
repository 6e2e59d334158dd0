"""Examples for `lint/rules/weights.py`: files with the names and shapes of recorded networks."""

import re

import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.lint import Run
from tests.support.lint_cases import Case
from tests.support.weights_files import COCO_LIKE, RESNET50_FIVE_CLASSES, write_shapes


class PartsConfig(Config):
    NAME = "parts"
    NUM_CLASSES = 5
    BACKBONE = "resnet50"


class DeepConfig(PartsConfig):
    BACKBONE = "resnet101"


class CocoConfig(DeepConfig):
    NUM_CLASSES = 81


class OtherScales(PartsConfig):
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)


class OneImageAtATime(PartsConfig):
    IMAGES_PER_GPU = 1


class FiveChannels(PartsConfig):
    IMAGE_CHANNEL_COUNT = 5
    MEAN_PIXEL = [100.0] * 5


class RgbImages(Dataset):
    """One red picture."""

    def __init__(self):
        super().__init__()
        self.add_class("parts", 1, "part")
        self.add_image("parts", 1, None)
        self.prepare()

    def load_image(self, image_id):
        return np.full((64, 64, 3), (200, 10, 10), np.uint8)

    def load_mask(self, image_id):
        return np.zeros((64, 64, 0), bool), np.zeros(0, np.int32)


def is_backbone(name):
    return re.fullmatch(r"conv1|bn_conv1|(res|bn)[2-5].*", name) is not None


def loading(config, layout, *, mode="inference", name="weights.h5", layers=lambda name: True):
    """A model that loads a file of this layout."""

    def arguments(folder):
        path = write_shapes(folder / name, layout, layers=layers)
        return {"config": config(), "run": Run(mode=mode, weights=path)}

    return arguments


def broken_file(folder):
    path = folder / "mask_rcnn_coco.h5"
    path.write_text("<!DOCTYPE html><html>Not Found</html>")
    return {"config": PartsConfig(), "run": Run(weights=str(path))}


def inference(config):
    return lambda _: {"config": config(), "run": Run(mode="inference")}


FITTING = loading(PartsConfig, RESNET50_FIVE_CLASSES)

CASES = {
    "WGT001": Case(loading(CocoConfig, RESNET50_FIVE_CLASSES), FITTING),
    "WGT002": Case(loading(DeepConfig, RESNET50_FIVE_CLASSES), FITTING),
    "WGT003": Case(loading(PartsConfig, RESNET50_FIVE_CLASSES, layers=is_backbone), FITTING),
    "WGT004": Case(
        loading(DeepConfig, RESNET50_FIVE_CLASSES, mode="training", layers=is_backbone),
        loading(PartsConfig, RESNET50_FIVE_CLASSES, mode="training", layers=is_backbone),
    ),
    "WGT005": Case(broken_file, FITTING),
    "WGT006": Case(
        loading(PartsConfig, RESNET50_FIVE_CLASSES, name="mask_rcnn_coco.h5"),
        loading(CocoConfig, COCO_LIKE, name="mask_rcnn_coco.h5"),
    ),
    "INF001": Case(
        lambda _: {"config": FiveChannels(), "train": RgbImages(), "run": Run(mode="inference")},
        lambda _: {"config": PartsConfig(), "train": RgbImages(), "run": Run(mode="inference")},
    ),
    "INF003": Case(inference(OtherScales), inference(OneImageAtATime)),
}
