"""The five losses of Mask R-CNN, one number each for a batch.

| name               | what it measures                            | its terms                            |
|--------------------|---------------------------------------------|--------------------------------------|
| `rpn_class_loss`   | is the anchor an object? (cross-entropy)    | sampled anchors                      |
| `rpn_bbox_loss`    | anchor to object (smooth L1)                | coordinates of positive anchors      |
| `mrcnn_class_loss` | which class? (cross-entropy)                | ROIs whose predicted class is active |
| `mrcnn_bbox_loss`  | ROI to object (smooth L1)                   | coordinates of positive ROIs         |
| `mrcnn_mask_loss`  | is the pixel inside? (binary cross-entropy) | mask pixels of positive ROIs         |

What their sum is divided by:

| name               | choices                                                                                |
|--------------------|----------------------------------------------------------------------------------------|
| `rpn_class_loss`   | "sampled" anchors; "positives", the positive ones                                      |
| `rpn_bbox_loss`    | "positives", their coordinates; "sampled" anchors, positive and negative               |
| `mrcnn_class_loss` | "rows", all these ROIs with padding; "sampled", without padding; "positives"           |
| `mrcnn_bbox_loss`  | "positives", their coordinates; "sampled" ROIs, positive and negative, without padding |
| `mrcnn_mask_loss`  | "positives", their pixels                                                              |

The first choice is Matterport's and the default. "sampled" for the box losses is the rule of torchvision and
detectron2, by which an image with few positives weighs little; there the four coordinates are added, not averaged.
"positives" for the class losses is RetinaNet's rule for focal loss.

Every divisor is a count over the whole batch, and at least 1: there is no epsilon to choose, and what is divided by
nothing is 0, with gradient 0. A batch without objects or positive ROIs is harmless. Weights of classes and positives
are factors of the terms and no part of the divisor. Divided by their own sum, they would cancel where a batch has one
class only, and raising positives would quietly lower the background; so instead the table of class weights has mean 1
over the instances (`training.class_weights`), and the sum keeps its size.

All computing is in float32. Sources: arXiv 1506.01497 equation 1, arXiv 1703.06870 section 3, and the functions of
Matterport's `model` that are named at each one.
"""

from typing import NamedTuple

from keras import ops

from mrcnn_plus.network import replicas
from mrcnn_plus.network.heads import select_class

_LEAST_DISTANCE = 1e-7  # of a probability from 1: powers below 1 have no finite slope at 0


class Focal(NamedTuple):
    """Focal loss (arXiv 1708.02002): cross-entropy times (1 - p) ** gamma, p the probability of the right class.

    alpha: factor of objects, background has 1 - alpha; None for 1 and 1.
    """

    gamma: float = 2.0
    alpha: float | None = None


def smooth_l1(target, prediction):
    """Huber loss with the bend at 1, element by element (Fast R-CNN, arXiv 1504.08083, equation 3)."""
    distance = ops.abs(ops.cast(target, "float32") - ops.cast(prediction, "float32"))
    return ops.where(distance < 1.0, 0.5 * ops.square(distance), distance - 0.5)


def masked_mean(values, mask, counted=None):
    """Sum of the `values` where `mask` holds, divided by how often `counted` holds, by default the mask; at least by 1.

    `mask` broadcasts against `values`; 0 where nothing holds.
    """
    mask = ops.cast(mask, "float32") + ops.zeros_like(values)
    counted = mask if counted is None else ops.cast(counted, "float32")
    return replicas.ratio(ops.sum(values * mask), ops.sum(counted))


def class_terms(class_ids, logits, *, class_weights=None, positive_weight=1.0, focal=None):
    """The class loss of each row before summing, float32 `[...]`: ids int `[...]`, logits `[..., C]`.

    Cross-entropy, or focal loss with `focal`, a `Focal`. class_weights: `[C]`, a factor for each class;
    positive_weight: a further factor of all classes but the background. Rows with ids outside 0 .. C - 1 give 0.
    """
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    classes = ops.arange(logits.shape[-1], dtype="int32")
    log_right = ops.sum(ops.where(class_ids[..., None] == classes, log_probabilities, 0.0), axis=-1)
    terms = -log_right
    if focal is not None:
        if focal.gamma:
            terms = terms * ops.power(ops.maximum(-ops.expm1(log_right), _LEAST_DISTANCE), float(focal.gamma))
        if focal.alpha is not None:
            terms = terms * ops.where(class_ids > 0, float(focal.alpha), 1.0 - float(focal.alpha))
    if positive_weight != 1.0:
        terms = terms * ops.where(class_ids > 0, float(positive_weight), 1.0)
    return terms if class_weights is None else terms * _weights_of(class_ids, class_weights)


def _weights_of(class_ids, class_weights):
    """The weight of each row's class, float32 in the shape of the ids."""
    table = ops.convert_to_tensor(class_weights, dtype="float32")
    return ops.take(table, ops.clip(ops.cast(class_ids, "int32"), 0, table.shape[0] - 1), axis=0)


def rpn_class_loss(labels, logits, *, positive_weight=1.0, focal=None, normalization="sampled"):
    """labels int `[B, S]`: 1 object, 0 background, -1 not used; logits `[B, S, 2]`. compat: rpn_class_loss_graph."""
    terms = class_terms(labels, logits, positive_weight=positive_weight, focal=focal)
    return masked_mean(terms, labels >= 0, counted=labels == 1 if normalization == "positives" else None)


def rpn_bbox_loss(labels, target_deltas, deltas, *, normalization="positives"):
    """labels int `[B, S]`, of which the 1 count; deltas `[B, S, 4]`. compat: rpn_bbox_loss_graph."""
    terms = smooth_l1(target_deltas, deltas)
    return masked_mean(terms, (labels == 1)[..., None], counted=labels >= 0 if normalization == "sampled" else None)


def mrcnn_class_loss(
    target_class_ids,
    class_logits,
    active_class_ids,
    *,
    class_weights=None,
    positive_weight=1.0,
    focal=None,
    normalization="rows",
    is_roi=None,
    chosen=None,
):
    """target ids int `[B, R]`, logits `[B, R, C]`, active `[B, C]` of 0 and 1.

    A ROI counts when the class predicted for it can occur in its image's data source, so that data sets with different
    classes can be mixed. Padding ROIs have target 0 and count; with another normalization than "rows" those do not
    that are False in `is_roi`, bool `[B, R]`. chosen: bool `[B, R]`, ROIs that count at all, for hard examples.
    compat: mrcnn_class_loss_graph, which uses the active classes of the first image for the whole batch; here each
    image has its own.
    """
    terms = class_terms(
        target_class_ids, class_logits, class_weights=class_weights, positive_weight=positive_weight, focal=focal
    )
    counts = predicts_active_class(class_logits, active_class_ids)
    if chosen is not None:
        counts = counts * ops.cast(chosen, "float32")
    if normalization != "rows" and is_roi is not None:
        counts = counts * ops.cast(is_roi, "float32")
    counted = counts * ops.cast(target_class_ids > 0, "float32") if normalization == "positives" else None
    return masked_mean(terms, counts, counted)


def predicts_active_class(class_logits, active_class_ids):
    """1 for ROIs whose predicted class is active in their image, else 0, float32 `[B, R]`; as `mrcnn_class_loss`."""
    predicted = ops.argmax(class_logits, axis=-1)
    active = ops.cast(active_class_ids, "float32")[:, None] + ops.zeros_like(class_logits, dtype="float32")
    return select_class(active, predicted, axis=2)


def mrcnn_bbox_loss(
    target_deltas,
    target_class_ids,
    deltas,
    *,
    class_weights=None,
    normalization="positives",
    is_roi=None,
    chosen=None,
):
    """target deltas `[B, R, 4]`, target ids int `[B, R]`, deltas `[B, R, C, 4]`. compat: mrcnn_bbox_loss_graph.

    class_weights, is_roi and chosen as for `mrcnn_class_loss`; `is_roi` tells "sampled" ROIs from padding.
    """
    terms = box_terms(target_deltas, target_class_ids, deltas, class_weights=class_weights)
    positive = target_class_ids > 0
    if chosen is not None:
        positive = ops.logical_and(positive, chosen)
    counted = None
    if normalization == "sampled":
        counted = ops.ones_like(target_class_ids, dtype="bool") if is_roi is None else is_roi
        counted = counted if chosen is None else ops.logical_and(counted, chosen)
    return masked_mean(terms, positive[..., None], counted)


def box_terms(target_deltas, target_class_ids, deltas, *, class_weights=None):
    """Smooth L1 of each coordinate for the target class, `[B, R, 4]`, also where the target is background."""
    terms = smooth_l1(target_deltas, select_class(deltas, target_class_ids, axis=2))
    return terms if class_weights is None else terms * _weights_of(target_class_ids, class_weights)[..., None]


def mrcnn_mask_loss(target_masks, target_class_ids, masks, *, class_weights=None):
    """target masks `[B, R, h, w]` of 0 and 1, ids int `[B, R]`, masks `[B, R, h, w, C]`, sigmoid values.

    Only the mask of the target class counts: classes do not compete. compat: mrcnn_mask_loss_graph.
    """
    chosen = select_class(masks, target_class_ids, axis=4)
    pixels = ops.binary_crossentropy(ops.cast(target_masks, "float32"), ops.cast(chosen, "float32"))
    if class_weights is not None:
        pixels = pixels * _weights_of(target_class_ids, class_weights)[..., None, None]
    return masked_mean(pixels, (target_class_ids > 0)[..., None, None])
