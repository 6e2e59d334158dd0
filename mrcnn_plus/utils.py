"""Matterport's `mrcnn.utils`: the same names and signatures, answered by the modules of the package.

New programs may import from those modules directly; ARCHITECTURE.md has the table of old names and new places.
Importing this module imports neither Keras nor a backend.
"""

from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.evaluation.average_precision import compute_ap, compute_ap_range
from mrcnn_plus.evaluation.matching import compute_matches, compute_recall
from mrcnn_plus.geometry import masks as _masks
from mrcnn_plus.geometry import resizing as _resizing
from mrcnn_plus.geometry.anchors import generate_anchors, generate_pyramid_anchors
from mrcnn_plus.geometry.boxes import (
    apply_box_deltas,
    box_refinement,
    compute_iou,
    compute_overlaps,
    denorm_boxes,
    extract_bboxes,
    non_max_suppression,
    norm_boxes,
    trim_zeros,
)
from mrcnn_plus.geometry.masks import compute_overlaps_masks, expand_mask, minimize_mask, resize_mask, unmold_mask
from mrcnn_plus.geometry.resizing import resize
from mrcnn_plus.weights import pretrained as _pretrained
from mrcnn_plus.weights.pretrained import COCO_MODEL_URL

__all__ = [
    "COCO_MODEL_URL",
    "Dataset",
    "apply_box_deltas",
    "batch_slice",
    "box_refinement",
    "box_refinement_graph",
    "compute_ap",
    "compute_ap_range",
    "compute_iou",
    "compute_matches",
    "compute_overlaps",
    "compute_overlaps_masks",
    "compute_recall",
    "denorm_boxes",
    "download_trained_weights",
    "expand_mask",
    "extract_bboxes",
    "generate_anchors",
    "generate_pyramid_anchors",
    "minimize_mask",
    "mold_mask",
    "non_max_suppression",
    "norm_boxes",
    "resize",
    "resize_image",
    "resize_mask",
    "trim_zeros",
    "unmold_mask",
]


def resize_image(image, min_dim=None, max_dim=None, min_scale=None, mode="square"):
    """Scale, then pad or crop an image; see `mrcnn_plus.geometry.resizing.resize_image`.

    Returns `(image, window, scale, padding, crop)`.
    """
    return _resizing.resize_image(image, min_dim, max_dim, min_scale, mode)


def download_trained_weights(coco_model_path, verbose=1):
    """Download Matterport's COCO weights to a file; see `mrcnn_plus.weights.pretrained.download_trained_weights`."""
    return _pretrained.download_trained_weights(coco_model_path, verbose)


def mold_mask(mask, config):
    """Masks `[H, W, N]` as training takes them: bool, shrunk to `config.MINI_MASK_SHAPE` if `config.USE_MINI_MASK`.

    Matterport named this function but left it empty.
    """
    return _masks.mold_mask(mask, mini_shape=config.MINI_MASK_SHAPE if config.USE_MINI_MASK else None)


def box_refinement_graph(box, gt_box):
    """`box_refinement` for tensors: `[N, (y1, x1, y2, x2)]` twice, returns `[N, (dy, dx, log(dh), log(dw))]`."""
    from keras import ops

    from mrcnn_plus.network.box_ops import box_refinement as box_refinement_of_tensors

    return box_refinement_of_tensors(ops.cast(box, "float32"), ops.cast(gt_box, "float32"))


def batch_slice(inputs, graph_fn, batch_size, names=None):
    """Call a function written for one image on each image of a batch, and stack its answers.

    inputs: a tensor or a list of tensors `[B, ...]`; graph_fn: takes one slice of each, returns a tensor or several.
    batch_size: B, a Python int. names: accepted for compatibility; Keras tensors are not renamed.

    Returns one tensor `[B, ...]`, or a list of them when `graph_fn` returns several.
    """
    from keras import ops

    inputs = inputs if isinstance(inputs, list) else [inputs]
    answers = [graph_fn(*(tensor[image] for tensor in inputs)) for image in range(batch_size)]
    answers = [answer if isinstance(answer, (tuple, list)) else [answer] for answer in answers]
    stacked = [ops.stack(parts, axis=0) for parts in zip(*answers)]
    return stacked[0] if len(stacked) == 1 else stacked
