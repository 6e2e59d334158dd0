"""The five losses of Mask R-CNN, one number each for a batch.

| name               | what it measures                          | divided by                              |
|--------------------|-------------------------------------------|-----------------------------------------|
| `rpn_class_loss`   | is the anchor an object? (cross-entropy)  | sampled anchors of the batch            |
| `rpn_bbox_loss`    | anchor to object (smooth L1)              | coordinates of positive anchors         |
| `mrcnn_class_loss` | which class? (cross-entropy)              | ROIs whose predicted class is active    |
| `mrcnn_bbox_loss`  | ROI to object (smooth L1)                 | coordinates of positive ROIs            |
| `mrcnn_mask_loss`  | is the pixel inside? (binary cross-entropy)| mask pixels of positive ROIs           |

What is divided by nothing is 0, with gradient 0: a batch without objects or positive ROIs is harmless.
All computing is in float32. Sources: arXiv 1506.01497 equation 1, arXiv 1703.06870 section 3, and the functions of
Matterport's `model` that are named at each one.
"""

from keras import ops

from mrcnn_plus.network.heads import select_class

LOSS_NAMES = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")


def smooth_l1(target, prediction):
    """Huber loss with the bend at 1, element by element (Fast R-CNN, arXiv 1504.08083, equation 3)."""
    distance = ops.abs(ops.cast(target, "float32") - ops.cast(prediction, "float32"))
    return ops.where(distance < 1.0, 0.5 * ops.square(distance), distance - 0.5)


def masked_mean(values, mask):
    """Mean of the `values` where `mask` holds, 0 where it holds nowhere; `mask` broadcasts against `values`."""
    mask = ops.cast(mask, "float32") + ops.zeros_like(values)
    return ops.sum(values * mask) / ops.maximum(ops.sum(mask), 1.0)


def _cross_entropy(class_ids, logits):
    """Cross-entropy of each row, `[...]` against logits `[..., C]`; ids outside 0 .. C - 1 count as 0."""
    log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    classes = ops.arange(logits.shape[-1], dtype="int32")
    return -ops.sum(ops.where(class_ids[..., None] == classes, log_probabilities, 0.0), axis=-1)


def rpn_class_loss(labels, logits):
    """labels int `[B, S]`: 1 object, 0 background, -1 not used; logits `[B, S, 2]`. compat: rpn_class_loss_graph."""
    return masked_mean(_cross_entropy(labels, logits), labels >= 0)


def rpn_bbox_loss(labels, target_deltas, deltas):
    """labels int `[B, S]`, of which the 1 count; deltas `[B, S, 4]`. compat: rpn_bbox_loss_graph."""
    return masked_mean(smooth_l1(target_deltas, deltas), (labels == 1)[..., None])


def mrcnn_class_loss(target_class_ids, class_logits, active_class_ids):
    """target ids int `[B, R]`, logits `[B, R, C]`, active `[B, C]` of 0 and 1.

    A ROI counts when the class predicted for it can occur in its image's data source, so that data sets with different
    classes can be mixed. Padding ROIs have target 0 and count. compat: mrcnn_class_loss_graph, which uses the active
    classes of the first image for the whole batch; here each image has its own.
    """
    predicted = ops.argmax(class_logits, axis=-1)
    active = ops.cast(active_class_ids, "float32")[:, None] + ops.zeros_like(class_logits, dtype="float32")
    counts = select_class(active, predicted, axis=2)
    return ops.sum(_cross_entropy(target_class_ids, class_logits) * counts) / ops.maximum(ops.sum(counts), 1.0)


def mrcnn_bbox_loss(target_deltas, target_class_ids, deltas):
    """target deltas `[B, R, 4]`, target ids int `[B, R]`, deltas `[B, R, C, 4]`. compat: mrcnn_bbox_loss_graph."""
    chosen = select_class(deltas, target_class_ids, axis=2)
    return masked_mean(smooth_l1(target_deltas, chosen), (target_class_ids > 0)[..., None])


def mrcnn_mask_loss(target_masks, target_class_ids, masks):
    """target masks `[B, R, h, w]` of 0 and 1, ids int `[B, R]`, masks `[B, R, h, w, C]`, sigmoid values.

    Only the mask of the target class counts: classes do not compete. compat: mrcnn_mask_loss_graph.
    """
    chosen = select_class(masks, target_class_ids, axis=4)
    pixels = ops.binary_crossentropy(ops.cast(target_masks, "float32"), ops.cast(chosen, "float32"))
    return masked_mean(pixels, (target_class_ids > 0)[..., None, None])
