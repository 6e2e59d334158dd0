"""Matterport's own package before its last commit: what it answered in 2017 and 2018, and programs still ask for.

The last commit is the reference of this package, so only `mrcnn-plus run` knows of these.
"""

from __future__ import annotations

import functools
import math
import os
import sys

from mrcnn_plus.compat.patching import results_asked_for
from mrcnn_plus.compat.shims import ModulePatch, Shim, is_users_frame

FIND_LAST = Shim("model.find_last()[1]", "write model.find_last(): it returns the path alone", None)
BACKBONE_SHAPES = Shim(
    "config.BACKBONE_SHAPES", "write modellib.compute_backbone_shapes(config, config.IMAGE_SHAPE)", None
)
IMAGE_PADDING = Shim("config.IMAGE_PADDING", 'write config.IMAGE_RESIZE_MODE, "square" or "none"', None)
PADDING = Shim(
    "utils.resize_image(padding=), or four results of it",
    'write image, window, scale, padding, crop = utils.resize_image(..., mode="square")',
    None,
)
STEPS = Shim(
    "a fraction as STEPS_PER_EPOCH or VALIDATION_STEPS", "write math.ceil(images / batch): Keras 2 rounded up", None
)
AP_OF_BOXES = Shim(
    "utils.compute_ap without masks",
    "give gt_masks and pred_masks: objects are matched by their masks since 2018; or mrcnn_plus.evaluation.evaluate",
    None,
)


class CheckpointPath(str):
    """The path that `find_last` returns. Programs of the time when it returned a folder and a path take `[1]` of it."""

    def __getitem__(self, index):
        frame = sys._getframe(1)
        if index not in (0, 1) or not is_users_frame(frame):
            return super().__getitem__(index)
        self.note(FIND_LAST, frame)
        return str(self) if index else os.path.dirname(self)

    def __reduce__(self):
        return str, (str(self),)


def _finish_mask_rcnn(module, patcher):
    original = module.MaskRCNN.find_last

    @functools.wraps(original)
    def find_last(self):
        frame = sys._getframe(1)
        path = original(self)
        if results_asked_for(frame) == 2 and is_users_frame(frame):
            patcher.note(FIND_LAST, frame)
            return os.path.dirname(path), path
        path = CheckpointPath(path)
        path.note = patcher.note
        return path

    patcher.set(module.MaskRCNN, "find_last", find_last)


def _finish_config(module, patcher):
    """Settings that `Config` computed or had. A class or instance of the program may still give them a value."""

    def backbone_shapes(config):
        import importlib

        patcher.note(BACKBONE_SHAPES, sys._getframe(2))
        return importlib.import_module("mrcnn_plus.model").compute_backbone_shapes(config, config.IMAGE_SHAPE)

    def image_padding(config):
        patcher.note(IMAGE_PADDING, sys._getframe(2))
        return config.IMAGE_RESIZE_MODE == "square"

    computed = {"BACKBONE_SHAPES": backbone_shapes, "IMAGE_PADDING": image_padding}

    def __getattr__(config, name):
        if name in computed and is_users_frame(sys._getframe(1)):
            return computed[name](config)
        raise AttributeError(f"{type(config).__name__!r} object has no attribute {name!r}")

    patcher.set(module.Config, "__getattr__", __getattr__)
    _round_steps(module.Config, patcher)


def _round_steps(config_class, patcher):
    """`STEPS_PER_EPOCH = images / batch`: `fit_generator` of Keras 2 went on while fewer steps than that were done."""
    assign, prepare = config_class.__setattr__, config_class.__init_subclass__.__func__

    def whole(name, value, frame):
        if name not in ("STEPS_PER_EPOCH", "VALIDATION_STEPS") or not isinstance(value, float) or not 0 < value < 1e9:
            return value
        patcher.note(STEPS, frame)
        return math.ceil(value)

    def __setattr__(config, name, value):
        assign(config, name, whole(name, value, sys._getframe(1)))

    def __init_subclass__(cls, **options):
        for name, value in list(vars(cls).items()):
            if (rounded := whole(name, value, sys._getframe(1))) is not value:
                setattr(cls, name, rounded)
        prepare(cls, **options)

    patcher.set(config_class, "__setattr__", __setattr__)
    patcher.set(config_class, "__init_subclass__", classmethod(__init_subclass__))


def _finish_utils(module, patcher):
    resize_image = module.resize_image

    @functools.wraps(resize_image)
    def resize(image, min_dim=None, max_dim=None, *more, **options):
        frame = sys._getframe(1)
        padding = options.pop("padding", more[0] if len(more) == 1 and isinstance(more[0], bool) else None)
        if padding is None:
            found = resize_image(image, min_dim, max_dim, *more, **options)
            if results_asked_for(frame) != 4 or not is_users_frame(frame):
                return found
            patcher.note(PADDING, frame)
            return found[:4]
        patcher.note(PADDING, frame)
        return _padded_or_not(resize_image(image, min_dim, max_dim, **options), padding)

    patcher.set(module, "resize_image", resize)
    for name in ("compute_ap", "compute_ap_range", "compute_matches"):
        patcher.set(module, name, _by_boxes(getattr(module, name), patcher))


def _padded_or_not(resized, padding):
    """The four results of `resize_image` in 2017: a square image, or without `padding` its window alone."""
    image, window, scale, pads, _ = resized
    if padding:
        return image, window, scale, pads
    top, left, bottom, right = window
    return image[top:bottom, left:right], (0, 0, bottom - top, right - left), scale, [(0, 0)] * image.ndim


def _by_boxes(original, patcher):
    """A function that takes boxes without masks too, and then compares the boxes: masks are made that fill them."""

    @functools.wraps(original)
    def call(gt_boxes, gt_class_ids, *rest, **options):
        import numpy as np

        frame = sys._getframe(1)
        if not rest or np.ndim(rest[0]) == 3 or not is_users_frame(frame):
            return original(gt_boxes, gt_class_ids, *rest, **options)
        patcher.note(AP_OF_BOXES, frame)
        pred_boxes, pred_class_ids, pred_scores, *more = rest
        gt_masks, pred_masks = _filled(gt_boxes, pred_boxes)
        return original(
            gt_boxes, gt_class_ids, gt_masks, pred_boxes, pred_class_ids, pred_scores, pred_masks, *more, **options
        )

    return call


def _filled(*several):
    """For each array of boxes `[N, (y1, x1, y2, x2)]` in pixels, bool masks `[H, W, N]` of one size that fill them."""
    import numpy as np

    several = [np.asarray(boxes, int).reshape(-1, 4) for boxes in several]
    height, width = np.concatenate([boxes[:, 2:] for boxes in several] + [np.ones((1, 2), int)]).max(axis=0)
    ys, xs = np.ogrid[:height, :width]
    return [
        (ys[..., None] >= boxes[:, 0]) & (ys[..., None] < boxes[:, 2])
        & (xs[..., None] >= boxes[:, 1]) & (xs[..., None] < boxes[:, 3])
        for boxes in several
    ]  # fmt: skip


PATCHES = (
    ModulePatch("mrcnn_plus.mask_rcnn", finish=_finish_mask_rcnn),
    ModulePatch("mrcnn_plus.config", finish=_finish_config),
    ModulePatch("mrcnn_plus.utils", finish=_finish_utils),
)
