"""Histories of training runs that are made here: a healthy one, of which tests change what they are about."""

import numpy as np

from mrcnn_plus.diagnosis.history import LOSSES, History

#: (first epoch, last epoch) of what a healthy run from loaded weights logs; between them exponential, with some noise.
HEALTHY = {
    "rpn_class_loss": (0.30, 0.05),
    "rpn_bbox_loss": (0.60, 0.12),
    "mrcnn_class_loss": (0.60, 0.14),
    "mrcnn_bbox_loss": (0.45, 0.13),
    "mrcnn_mask_loss": (0.55, 0.22),
    "skill_rpn_class_loss": (0.30, 0.80),
    "skill_rpn_bbox_loss": (0.30, 0.80),
    "skill_mrcnn_class_loss": (0.25, 0.75),
    "skill_mrcnn_bbox_loss": (0.15, 0.60),
    "skill_mrcnn_mask_loss": (0.20, 0.62),
    "skill_labels": (0.20, 0.80),
    "objects": (3.0, 3.0),
    "objects_reached": (0.8, 0.97),
    "positive_anchors": (9.0, 9.0),
    "positive_rois": (20.0, 40.0),
    "sampled_rois": (80.0, 120.0),
    "anchor_recall": (0.4, 0.9),
    "false_anchors": (0.02, 0.01),
    "anchor_iou": (0.62, 0.62),
    "anchor_scale": (1.0, 1.0),
    "anchor_box_iou": (0.65, 0.80),
    "roi_recall": (0.4, 0.92),
    "roi_iou": (0.64, 0.76),
    "box_iou": (0.66, 0.84),
    "false_alarms": (0.2, 0.03),
    "far_rois": (0.5, 0.3),
    "mask_iou": (0.62, 0.80),
    "input_mean": (4.0, 4.0),
    "input_std": (58.0, 58.0),
    "label_accuracy": (0.65, 0.93),
    "label_recall": (0.6, 0.92),
    "majority_share": (0.5, 0.5),
    "majority_predicted": (0.6, 0.51),
    "classes_seen": (3.0, 3.0),
    "gradient_norm": (4.0, 2.0),
    "gradient_norm_max": (12.0, 6.0),
    "gradient_norm_backbone": (2.0, 1.0),
    "gradient_norm_fpn": (1.0, 0.5),
    "gradient_norm_rpn": (1.0, 0.5),
    "gradient_norm_class_head": (1.0, 0.5),
    "gradient_norm_mask_head": (0.5, 0.3),
    "moved_backbone": (0.05, 0.03),
    "moved_fpn": (0.08, 0.04),
    "moved_rpn": (0.10, 0.05),
    "moved_class_head": (0.08, 0.04),
    "moved_mask_head": (0.08, 0.04),
    "loss_jumps": (0.0, 0.0),
    "loss_max": (4.0, 1.5),
    "learning_rate": (0.001, 0.001),
    "steps": (100.0, 100.0),
}
_BOTH = [
    *LOSSES,
    *(name for name in HEALTHY if name.startswith(("skill", "label", "mask_iou", "roi_recall", "objects"))),
]
_EXACT = ("steps", "learning_rate", "loss_jumps", "classes_seen")
PARAMETERS = {
    "backbone": 23_000_000,
    "fpn": 3_300_000,
    "rpn": 1_200_000,
    "class_head": 14_000_000,
    "mask_head": 2_600_000,
}


def history(epochs=8, *, noise=0.03, run=None, only=None, seed=0, **changes):
    """A `History`: `HEALTHY` with other courses by name.

    changes: `(first, last)`, a list with a value for each epoch, a number, or None for nothing recorded. Validation is
    a little worse than training unless it is given. only: beginnings of the names to keep, for logs of other programs.
    run: replaces entries of `run_of()`; False for none.
    """
    rng = np.random.default_rng(seed)
    courses = {**HEALTHY}
    for name in _BOTH:
        first, last = HEALTHY[name]
        worse = 1.08 if name in LOSSES else 0.95
        courses[f"val_{name}"] = (first * worse, last * worse)
    courses.update(changes)
    columns = {name: _course(course, epochs, rng, 0 if name in _EXACT else noise) for name, course in courses.items()}
    for beginning in ("", "val_"):
        total = f"{beginning}loss"
        if total not in changes:
            columns[total] = sum(columns[f"{beginning}{name}"] for name in LOSSES if f"{beginning}{name}" in columns)
    columns = {name: values for name, values in columns.items() if values is not None}
    if only:
        columns = {name: values for name, values in columns.items() if name.startswith(tuple(only))}
    rows = [{name: float(values[index]) for name, values in columns.items()} for index in range(epochs)]
    return History.of_logs(rows, run={} if run is False else run_of(**(run or {})))


def _course(course, epochs, rng, noise):
    if course is None:
        return None
    if isinstance(course, list | np.ndarray):
        return np.array(course, float)
    first, last = (course, course) if isinstance(course, int | float) else course
    decay = np.exp(-3.0 * np.arange(epochs) / max(epochs - 1, 1))
    decay = (decay - decay[-1]) / (1 - decay[-1]) if epochs > 1 else np.ones(1)
    return (last + (first - last) * decay) * (1 + noise * rng.standard_normal(epochs))


def run_of(**changes):
    """The content of a `run.json`: layers='all', COCO's weights loaded but for the last layers of the heads."""
    parts = {name: {"trainable": count, "parameters": count} for name, count in PARAMETERS.items()}
    loaded = {name: {"loaded": 10, "initial": 0} for name in PARAMETERS}
    loaded["class_head"], loaded["mask_head"] = {"loaded": 4, "initial": 2}, {"loaded": 9, "initial": 1}
    content = {
        "settings": {"NUM_CLASSES": 4, "STEPS_PER_EPOCH": 100, "IMAGES_PER_GPU": 2, "NORMALIZATION": "batch"},
        "changed": {},
        "data": {"train": {"images": 400, "instances": None}, "val": {"images": 80, "instances": None}},
        "stages": [{"layers": "all", "first_epoch": 1, "last_epoch": 8, "parts": parts}],
        "weights": [{"headline": "coco.h5: 370 of 376 tensors loaded", "parts": loaded, "excluded": [], "skipped": []}],
        "pretrained": True,
        "lint": [],
        "failure": None,
    }
    return {**content, **changes}


def parts_trained(*names):
    """`parts` of a stage in which only these train."""
    return {
        name: {"trainable": count if name in names else 0, "parameters": count} for name, count in PARAMETERS.items()
    }


def from_random(**stage):
    """Entries of `run_of` for a run without loaded weights. stage: replaces entries of its stage."""
    first = {"layers": "all", "first_epoch": 1, "last_epoch": 8, "parts": parts_trained(*PARAMETERS)}
    return {"weights": [], "pretrained": False, "stages": [{**first, **stage}]}
