"""Examples for `lint/rules/settings.py`."""

from mrcnn_plus.config import Config
from tests.support.lint_boxes import settings
from tests.support.lint_cases import Case


class DerivedInBody(Config):
    NAME, NUM_CLASSES = "case", 2
    BATCH_SIZE = 8


class DerivedAsComputed(Config):
    """What programs write that repeat the computed value."""

    NAME, NUM_CLASSES = "case", 2
    IMAGES_PER_GPU = 4
    BATCH_SIZE = 4
    IMAGE_SHAPE = [1024, 1024, 3]


def fine(_):
    return {"config": settings()}


CASES = {
    "CFG011": Case(lambda _: {"config": DerivedInBody()}, lambda _: {"config": DerivedAsComputed()}),
    "CFG014": Case(
        lambda _: {"config": settings(LOSS_WEIGHT={"mask_loss": 2.0})},
        lambda _: {"config": settings(DATA_DIR="data", LEARNING_RATE_2=0.0001)},
    ),
    "CFG015": Case(lambda _: {"config": Config()}, fine),
    "CFG016": Case(
        lambda _: {"config": settings(NAME="parts / front: 2")}, lambda _: {"config": settings(NAME="Parts_2-b")}
    ),
    "CFG019": Case(lambda _: {"config": settings(USE_MINI_MASK="False")}, fine),
}
