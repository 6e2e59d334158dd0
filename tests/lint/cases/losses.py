"""Examples for `lint/rules/losses.py`."""

from tests.support.lint_boxes import settings, similar_objects
from tests.support.lint_cases import Case


def only_settings(**values):
    return lambda _: {"config": settings(**values)}


def weighted(weights):
    return lambda _: {
        "config": settings(NUM_CLASSES=3, CLASS_WEIGHTS=weights),
        "train": similar_objects(classes=("crop", "weed")),
    }


CASES = {
    "CFG093": Case(
        only_settings(LOSS_WEIGHTS={"mask_loss": 2.0}), only_settings(LOSS_WEIGHTS={"mrcnn_mask_loss": 2.0})
    ),
    "CFG094": Case(
        only_settings(LOSS_WEIGHTS={"mrcnn_mask_loss": -1.0}), only_settings(LOSS_WEIGHTS={"mrcnn_mask_loss": 2})
    ),
    "CFG097": Case(weighted({"crop": 1.0, "wed": 5.0, "*": 1.0}), weighted({"crop": 1.0, 2: 5.0})),
    "CFG107": Case(
        only_settings(CLASS_WEIGHTS="balanced", SAMPLER="repeat_factor"), only_settings(CLASS_WEIGHTS="balanced")
    ),
    "CFG108": Case(
        only_settings(CLASS_WEIGHTS="balanced", CLASS_WEIGHTS_LOSSES=("mrcnn_class_loss", "mrcnn_mask_loss")),
        only_settings(CLASS_WEIGHTS="balanced", CLASS_WEIGHTS_LOSSES=("mrcnn_class_loss", "mrcnn_bbox_loss")),
    ),
    "CFG109": Case(
        only_settings(CLASS_LOSS="focal", FOCAL_ALPHA=0.25),
        only_settings(CLASS_LOSS="focal", LOSS_NORMALIZATION={"mrcnn_class_loss": "positives"}),
    ),
}
