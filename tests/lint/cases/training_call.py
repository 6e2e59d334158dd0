"""Examples for `lint/rules/training_call.py`."""

import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.lint import Run
from tests.support.lint_cases import Case


class PartsConfig(Config):
    NAME = "parts"
    NUM_CLASSES = 2


class Parts(Dataset):
    """Twelve pictures of one part each."""

    def __init__(self):
        super().__init__()
        self.add_class("parts", 1, "part")
        for number in range(12):
            self.add_image("parts", number, None)
        self.prepare()

    def load_image(self, image_id):
        image = np.full((64, 64, 3), 90, np.uint8)
        image[20:40, 10:40] = 200
        return image

    def load_mask(self, image_id):
        return self.load_image(image_id)[..., :1] == 200, np.array([1], np.int32)


class AModel:
    """Stands in for a `MaskRCNN` that trains."""


def case(failing, passing, *, severity=None, **common):
    """Two runs of the same configuration."""
    return Case(
        lambda _: {"config": PartsConfig(), "run": Run(**failing), **common},
        lambda _: {"config": PartsConfig(), "run": Run(**passing), **common},
        severity,
    )


def on_disk(run, code, free):
    """A run that stores into the folder of the test, on a disk with so much room."""
    return lambda folder: {
        "config": PartsConfig(),
        "run": Run(**run, model_dir=str(folder / "logs")),
        "thresholds": {code: {"bytes_free": free}},
    }


PARTS = Parts()
TRAINS = {"mode": "training", "learning_rate": 0.001, "epochs": 10}
TWO_STAGES = {"mode": "training", "stages": [(0.001, 20, "heads"), (0.0001, 40, "all")]}
SAME_RATE = {"mode": "training", "stages": [(0.001, 20, "heads"), (0.001, 40, "all")]}

CASES = {
    "TRN001": case({"epochs": 5, "start_epoch": 5}, {"epochs": 6, "start_epoch": 5}),
    "TRN002": case({**TRAINS, "layers": "head"}, {**TRAINS, "layers": r"res5.*|mrcnn_.*"}),
    "TRN003": case({**TRAINS, "mode": "inference"}, {"mode": "inference"}),
    "TRN006": case(SAME_RATE, TWO_STAGES),
    "TRN007": case(
        {**TRAINS, "no_augmentation_sources": ["Parts"]}, {**TRAINS, "no_augmentation_sources": ["parts"]}, train=PARTS
    ),
    "TRN008": Case(on_disk({"epochs": 160}, "TRN008", 20e9), on_disk({"epochs": 160}, "TRN008", 900e9)),
    "TRN020": case(
        {**TRAINS, "layers": "all", "pretrained": False}, {**TRAINS, "layers": "all", "pretrained": True}, train=PARTS
    ),
    "TRN021": case(
        {**TRAINS, "layers": "heads", "pretrained": False}, {**TRAINS, "layers": "heads", "pretrained": True}
    ),
    "TRN022": case(TRAINS, {**TRAINS, "pretrained": True}),
    "TRN023": case({**TRAINS, "layers": "res5.*"}, {**TRAINS, "layers": "5+"}),
    "TRN024": case({"learning_rate": 0}, {"learning_rate": 0.001}),
    "TRN025": Case(
        lambda _: {"config": PartsConfig(), "train": PARTS, "run": Run(**TRAINS, model=AModel())},
        lambda _: {"config": PartsConfig(), "train": PARTS, "val": Parts(), "run": Run(**TRAINS, model=AModel())},
    ),
}
