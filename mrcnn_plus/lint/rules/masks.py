"""Sizes of masks: predicted ones, and those of the ground truth."""

import numpy as np

from mrcnn_plus.lint.estimates.memory import full_mask_bytes, input_shape, readable
from mrcnn_plus.lint.estimates.molded import can_resize, mold_objects
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, HEADERS, OBJECTS, Violation, rule
from mrcnn_plus.lint.setting_types import EXPECTED, fits, received

_LEAST_SIDE = 14


@rule(
    "CFG060",
    ERROR,
    needs=CONFIG,
    why="The mask head doubles its patch once, so it predicts masks of twice MASK_POOL_SIZE; targets of another shape "
    "cannot be compared with them.",
    example="MASK_SHAPE = [56, 56] with MASK_POOL_SIZE = 14",
    fix="Change both together: MASK_SHAPE = [2 * MASK_POOL_SIZE, 2 * MASK_POOL_SIZE].",
)
def mask_shape_not_twice_pool_size(facts):
    """`MASK_SHAPE` is not twice `MASK_POOL_SIZE`."""
    config = facts.config
    if not fits(config, "MASK_SHAPE", "MASK_POOL_SIZE"):
        return
    side = 2 * config.MASK_POOL_SIZE
    if [int(length) for length in config.MASK_SHAPE] != [side, side]:
        # Whichever of the two the program set is what it wants.
        wanted = int(config.MASK_SHAPE[0]) // 2
        keep_shape = config.is_overridden("MASK_SHAPE") and wanted > 0 and not config.is_overridden("MASK_POOL_SIZE")
        yield Violation(
            f"the mask head predicts {side} x {side} with MASK_POOL_SIZE={config.MASK_POOL_SIZE}, the targets are "
            f"{config.MASK_SHAPE[0]} x {config.MASK_SHAPE[1]}.",
            setting="MASK_SHAPE",
            changes={"MASK_POOL_SIZE": wanted, "MASK_SHAPE": [2 * wanted] * 2}
            if keep_shape
            else {"MASK_SHAPE": [side] * 2},
        )


@rule(
    "CFG061",
    ERROR,
    needs=CONFIG,
    why="A mini mask is the content of an object's box; with few pixels nothing of its outline is left.",
    example="MINI_MASK_SHAPE = 56",
    fix="Use (56, 56).",
)
def mini_mask_shape_impossible(facts, *, least_side=_LEAST_SIDE):
    """`MINI_MASK_SHAPE` is not two whole numbers of at least `least_side`, and mini masks are used."""
    config = facts.config
    if not fits(config, "USE_MINI_MASK") or not config.USE_MINI_MASK:
        return
    if not fits(config, "MINI_MASK_SHAPE") or min(config.MINI_MASK_SHAPE) < least_side:
        yield Violation(
            f"expected {EXPECTED['MINI_MASK_SHAPE'].text} of at least {least_side}, received "
            f"{received(config, 'MINI_MASK_SHAPE')}.",
            setting="MINI_MASK_SHAPE",
            changes={"MINI_MASK_SHAPE": (56, 56)},
        )


@rule(
    "CFG062",
    WARNING,
    needs=CONFIG,
    why="The masks to learn are cut out of the mini masks; from smaller ones they have to be enlarged, so the network "
    "learns blocky outlines.",
    example="MINI_MASK_SHAPE = (20, 20) with MASK_SHAPE = [28, 28]",
    fix="Use at least MASK_SHAPE; twice as much is usual.",
)
def mini_mask_smaller_than_mask(facts):
    """`MINI_MASK_SHAPE` is smaller than `MASK_SHAPE`."""
    config = facts.config
    if not fits(config, "USE_MINI_MASK", "MINI_MASK_SHAPE", "MASK_SHAPE") or not config.USE_MINI_MASK:
        return
    if min(config.MINI_MASK_SHAPE) >= _LEAST_SIDE and np.any(np.less(config.MINI_MASK_SHAPE, config.MASK_SHAPE)):
        better = tuple(2 * int(side) for side in config.MASK_SHAPE)
        yield Violation(
            f"MINI_MASK_SHAPE={tuple(config.MINI_MASK_SHAPE)} is smaller than MASK_SHAPE={list(config.MASK_SHAPE)}.",
            setting="MINI_MASK_SHAPE",
            changes={"MINI_MASK_SHAPE": better},
        )


@rule(
    "CFG063",
    WARNING,
    needs=CONFIG,
    why="Without mini masks every object has a mask of the whole image, for as many objects as MAX_GT_INSTANCES "
    "allows, in every batch that is prepared or waiting.",
    example="USE_MINI_MASK = False with images of 1024 x 1024: 200 MB for two images of up to 100 objects",
    fix="Set USE_MINI_MASK = True, or lower MAX_GT_INSTANCES or the image size.",
)
def full_masks_need_much_memory(facts, *, most_megabytes=512):
    """`USE_MINI_MASK` is False and the masks of a batch take more than `most_megabytes`."""
    config = facts.config
    needed = ("USE_MINI_MASK", "MAX_GT_INSTANCES", "IMAGES_PER_GPU", "GPU_COUNT")
    if not can_resize(config) or not fits(config, *needed) or config.USE_MINI_MASK:
        return
    shape = input_shape(facts)
    size = full_mask_bytes(config, shape) if shape else 0
    if size > most_megabytes * 2**20:
        yield Violation(
            f"the masks of a batch take {readable(size)}: {shape[0]} x {shape[1]} pixels x "
            f"MAX_GT_INSTANCES={config.MAX_GT_INSTANCES} x {config.BATCH_SIZE} images.",
            setting="USE_MINI_MASK",
            changes={"USE_MINI_MASK": True},
        )


@rule(
    "CFG064",
    INFO,
    needs=(CONFIG, OBJECTS, HEADERS),
    why="A mini mask spans the object's box. In objects that are several times larger, fine parts of the outline are "
    "lost before training sees them.",
    example="MINI_MASK_SHAPE = (56, 56) with leaves of 600 pixels",
    fix="Use (112, 112).",
)
def mini_mask_coarse_for_objects(facts, *, most_times=6):
    """A tenth of the objects have sides more than `most_times` those of the mini mask, and of the predicted mask."""
    config = facts.config
    if not can_resize(config) or not fits(config, "USE_MINI_MASK", "MINI_MASK_SHAPE") or not config.USE_MINI_MASK:
        return
    for split, objects in facts.splits_with_objects:
        molded = mold_objects(split, objects, config)
        if split.role != "train" or not len(molded.row):
            continue
        side = float(np.quantile(np.maximum(molded.heights, molded.widths), 0.9))
        mini = max(config.MINI_MASK_SHAPE)
        if side > most_times * mini and mini < 112:
            yield Violation(
                f"a tenth of the objects have {side:.0f} pixels in length or more after resizing, {side / mini:.1f} "
                f"times MINI_MASK_SHAPE={tuple(config.MINI_MASK_SHAPE)}.",
                setting="MINI_MASK_SHAPE",
                changes={"MINI_MASK_SHAPE": (112, 112)},
            )
