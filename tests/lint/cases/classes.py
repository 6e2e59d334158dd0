"""Examples for `lint/rules/classes.py`."""

from tests.support.lint_boxes import settings, similar_objects
from tests.support.lint_cases import Case


def two_classes(**values):
    return {"config": settings(**values), "train": similar_objects(classes=("crop", "weed"))}


CASES = {
    "CFG020": Case(lambda _: {"config": settings(NUM_CLASSES=1)}, lambda _: {"config": settings(NUM_CLASSES=2)}),
    "CFG021": Case(lambda _: two_classes(NUM_CLASSES=2), lambda _: two_classes(NUM_CLASSES=1 + 2)),
}
