"""Examples for `lint/rules/steps.py`."""

from tests.support.lint_boxes import settings, similar_objects
from tests.support.lint_cases import Case


def trained(images, **values):
    return {"config": settings(IMAGES_PER_GPU=2, **values), "train": similar_objects(images)}


def validated(images, **values):
    return {"config": settings(IMAGES_PER_GPU=2, **values), "val": similar_objects(images)}


CASES = {
    "CFG100": Case(
        lambda _: {"config": settings(STEPS_PER_EPOCH=25 / 2)}, lambda _: {"config": settings(STEPS_PER_EPOCH=12)}
    ),
    "CFG101": Case(lambda _: trained(20, STEPS_PER_EPOCH=60), lambda _: trained(20, STEPS_PER_EPOCH=10)),
    "CFG102": Case(lambda _: validated(40, VALIDATION_STEPS=5), lambda _: validated(40, VALIDATION_STEPS=20)),
    "CFG103": Case(lambda _: trained(1), lambda _: trained(2)),
    "CFG104": Case(lambda _: validated(4, VALIDATION_STEPS=50), lambda _: validated(4)),
}
