"""What is counted in every step beside the losses, to tell a network that learns from one that does not.

A loss by itself says little: 0.3 is good for many objects and bad for few. So the step also counts what the network was
asked and what it answered, and from that follows, for each of its five answers, a skill: the share of what can be
known without looking at the image that looking at it adds. 0 is an answer that is the same for every image, 1 a perfect
one; below 0 it would be better to give the same answer always.

| skill                     | the answer without looking                            | measured by                   |
|---------------------------|-------------------------------------------------------|-------------------------------|
| `skill_rpn_class_loss`    | how many of the sampled anchors are objects           | cross-entropy                 |
| `skill_rpn_bbox_loss`     | the mean deltas from anchor to object                 | variance explained            |
| `skill_mrcnn_class_loss`  | how many of the sampled ROIs are of which class       | cross-entropy                 |
| `skill_mrcnn_bbox_loss`   | the mean deltas from ROI to object                    | variance explained            |
| `skill_mrcnn_mask_loss`   | how often each pixel of a 28 x 28 mask is inside      | binary cross-entropy          |
| `skill_labels`            | how many of the positive ROIs are of which class      | cross-entropy, no background  |

The other statistics, each for training and with `val_` for validation:

| statistic                               | what it is                                                              |
|-----------------------------------------|-------------------------------------------------------------------------|
| `objects`                               | in an image                                                             |
| `objects_reached`                       | share of the objects that a sampled ROI overlaps by 0.5                 |
| `positive_anchors`, `positive_rois`     | in an image; `sampled_rois` with the negative ones                      |
| `anchor_iou`, `anchor_scale`            | of positive anchors: overlap with the object, size as a multiple of it  |
| `anchor_box_iou`, `anchor_recall`       | of positive anchors: overlap after the deltas, share called objects     |
| `false_anchors`                         | share of negative anchors that are called objects                       |
| `roi_iou`, `box_iou`, `mask_iou`        | of positive ROIs: overlap before and after the deltas, of the masks     |
| `roi_recall`                            | share of positive ROIs that are called an object of any class           |
| `false_alarms`, `far_rois`              | share without any object near, of ROIs called objects, and of all       |
| `label_accuracy`, `label_recall`        | positive ROIs of the right class, background left out; mean over classes |
| `majority_share`, `majority_predicted`  | share of the most frequent class among targets, and among answers       |
| `classes_seen`                          | number of classes among the positive ROIs                               |
| `input_mean`, `input_std`               | of the pixels, MEAN_PIXEL subtracted, without padding                   |

All of it are sums and counts that add up over steps and devices, so nothing is averaged wrongly.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from mrcnn_plus.network import box_ops, image_meta
from mrcnn_plus.network.heads import select_class
from mrcnn_plus.network.losses import class_terms

_MASKS_PER_IMAGE = 16  # positive ROIs whose masks are looked at; they stand in random order
_PIXEL_STEP = 4  # every fourth pixel tells how bright an image is
_FAR = 0.1  # a ROI that overlaps every object by less is no object in anybody's eyes
_REACHED = 0.5
_LARGEST_ERROR = 400.0  # of a delta, squared, so that one box cannot outweigh an epoch

#: Sums over a step by name; `read` makes the statistics from them.
_SUMS = (
    *("images", "objects", "objects_reached", "pixels", "pixel_sum", "pixel_squares"),
    *("anchors_positive", "anchors_negative", "anchors_found", "anchors_false", "anchor_nll", "anchor_iou"),
    *("anchor_log_scale", "anchor_box_iou"),
    *("rois_positive", "rois", "rois_foreground", "rois_right", "roi_nll", "label_nll", "roi_iou", "box_iou"),
    *("rois_far", "rois_far_foreground", "rois_called_foreground"),
    *("masks", "mask_iou", "mask_bce"),
)
_DELTA_SUMS = ("count", "target", "target_squares", "error_squares")


class Sums(NamedTuple):
    """What a step adds: scalars `[len(_SUMS)]`, deltas `[2, 4, 4]`, classes `[3, C]`, mask `[h, w]`; all float32.

    deltas: for RPN and box head the `_DELTA_SUMS` of each coordinate. classes: positive ROIs by class: how many there
    were, how many were taken for it, how many were right. mask: how often each pixel of a target was inside.
    """

    scalars: object
    deltas: object
    classes: object
    mask: object


class TrainingStatistics(keras.metrics.Metric):
    """Adds up `Sums` over an epoch. It reports nothing by itself: `read` gives the statistics when they are wanted.

    num_classes: with background. mask_shape: of the targets. rpn_std, box_std: by which deltas are divided.
    classes: int `[3, C]` of the last epoch of training, see `Sums`; None before. Who reads them keeps them there.
    """

    classes = None

    def __init__(self, num_classes, mask_shape, *, rpn_std, box_std, name="statistics"):
        super().__init__(name=name, dtype="float32")
        self.rpn_std, self.box_std = tuple(map(float, rpn_std)), tuple(map(float, box_std))
        shapes = Sums((len(_SUMS),), (2, len(_DELTA_SUMS), 4), (3, num_classes), tuple(mask_shape))
        self.sums = [
            self.add_variable(shape, "zeros", name=field) for field, shape in zip(Sums._fields, shapes, strict=True)
        ]

    def update_state(self, inputs, outputs):
        """inputs, outputs: of the training graph, by name."""
        added = step_sums(inputs, outputs, rpn_std=self.rpn_std, box_std=self.box_std)
        for variable, value in zip(self.sums, added, strict=True):
            variable.assign(variable + value)

    def result(self):
        return {}  # not in every line of the progress bar

    def read(self):
        """`(statistics by name, classes int [3, C])` of the epoch so far; statistics without any case are left out."""
        values = Sums(*(np.asarray(ops.convert_to_numpy(variable), np.float64) for variable in self.sums))
        return statistics_of(values), values.classes.round().astype(int)


def step_sums(inputs, outputs, *, rpn_std, box_std):
    """The `Sums` of a step; no gradient flows through them."""
    outputs = {name: ops.stop_gradient(value) for name, value in outputs.items()}
    meta = image_meta.parse(inputs["input_image_meta"])
    is_image = ops.any(meta.active_class_ids > 0, axis=1)
    scalars, rpn_deltas = _of_anchors(outputs, rpn_std)
    of_rois, roi_deltas, classes = _of_rois(inputs, outputs, meta, is_image, box_std)
    of_masks, mask = _of_masks(outputs)
    scalars.update(of_rois, **of_masks, **_of_images(inputs, meta, is_image))
    return Sums(
        ops.stack([ops.cast(scalars[name], "float32") for name in _SUMS]),
        ops.stack([rpn_deltas, roi_deltas]),
        classes,
        mask,
    )


def _of_images(inputs, meta, is_image):
    """How many images, and how bright they are inside their padding, every fourth pixel."""
    image = ops.cast(inputs["input_image"][:, ::_PIXEL_STEP, ::_PIXEL_STEP], "float32")
    height, width = ops.shape(image)[1], ops.shape(image)[2]
    ys = ops.cast(ops.arange(height), "float32")[None, :, None] * _PIXEL_STEP
    xs = ops.cast(ops.arange(width), "float32")[None, None, :] * _PIXEL_STEP
    top, left, bottom, right = (ops.cast(meta.window[:, side], "float32")[:, None, None] for side in range(4))
    inside = is_image[:, None, None]
    for condition in (ys >= top, ys < bottom, xs >= left, xs < right):
        inside = ops.logical_and(inside, condition)
    inside = inside[..., None]
    return {
        "images": _count(is_image),
        "pixels": _count(inside) * image.shape[-1],
        "pixel_sum": ops.sum(ops.where(inside, image, 0.0)),
        "pixel_squares": ops.sum(ops.where(inside, ops.square(image), 0.0)),
    }


def _of_anchors(outputs, std):
    labels, indices = outputs["target_anchor_labels"], outputs["target_anchor_indices"]
    logits = ops.cast(box_ops.gather_rows(outputs["rpn_class_logits"], indices), "float32")
    positive, negative = labels == 1, labels == 0
    says_object = logits[..., 1] > logits[..., 0]
    answered = ops.cast(box_ops.gather_rows(outputs["rpn_bbox"], indices), "float32")
    targets = outputs["target_rpn_bbox"]
    anchor, wanted, found = _boxes_of(targets, answered, std)
    scalars = {
        "anchors_positive": _count(positive),
        "anchors_negative": _count(negative),
        "anchors_found": _count(ops.logical_and(positive, says_object)),
        "anchors_false": _count(ops.logical_and(negative, says_object)),
        "anchor_nll": _sum(class_terms(labels, logits), labels >= 0),
        "anchor_iou": _sum(box_ops.iou(anchor, wanted), positive),
        "anchor_log_scale": _sum((targets[..., 2] * std[2] + targets[..., 3] * std[3]) / 2, positive),
        "anchor_box_iou": _sum(box_ops.iou(found, wanted), positive),
    }
    return scalars, _delta_sums(targets, answered, positive)


def _of_rois(inputs, outputs, meta, is_image, std):
    rois, class_ids = outputs["rois"], outputs["target_class_ids"]
    logits = ops.cast(outputs["mrcnn_class_logits"], "float32")
    is_roi, positive = box_ops.is_not_padding(rois), class_ids > 0
    foreground = ops.logical_and(is_roi, ops.argmax(logits, axis=-1) > 0)
    labelled = ops.cast(ops.argmax(logits[..., 1:], axis=-1), "int32") + 1
    right = ops.logical_and(positive, labelled == class_ids)
    answered = select_class(ops.cast(outputs["mrcnn_bbox"], "float32"), class_ids, axis=2)
    box, wanted, found = _boxes_of(outputs["target_bbox"], answered, std)

    gt_class_ids = ops.cast(inputs["input_gt_class_ids"], "int32")
    gt_boxes = box_ops.norm_boxes(ops.cast(inputs["input_gt_boxes"], "float32"), meta.image_shape[:, None])
    overlaps = ops.where((gt_class_ids != 0)[:, None], box_ops.pairwise_iou(rois, gt_boxes), 0.0)  # [B, R, G]
    far = ops.logical_and(is_roi, ops.max(overlaps, axis=2) < _FAR)
    is_object = ops.logical_and(gt_class_ids > 0, is_image[:, None])
    scalars = {
        "objects": _count(is_object),
        "objects_reached": _count(ops.logical_and(is_object, ops.max(overlaps, axis=1) >= _REACHED)),
        "rois": _count(is_roi),
        "rois_positive": _count(positive),
        "rois_foreground": _count(ops.logical_and(positive, foreground)),
        "rois_right": _count(right),
        "roi_nll": _sum(class_terms(class_ids, logits), is_roi),
        "label_nll": _sum(class_terms(class_ids - 1, logits[..., 1:]), positive),
        "roi_iou": _sum(box_ops.iou(box, wanted), positive),
        "box_iou": _sum(box_ops.iou(found, wanted), positive),
        "rois_far": _count(far),
        "rois_far_foreground": _count(ops.logical_and(far, foreground)),
        "rois_called_foreground": _count(foreground),
    }
    each = ops.arange(logits.shape[-1], dtype="int32")
    one_hot = ops.cast(ops.logical_and(class_ids[..., None] == each, positive[..., None]), "float32")
    taken_for = ops.cast(ops.logical_and(labelled[..., None] == each, positive[..., None]), "float32")
    correct = one_hot * ops.cast(right, "float32")[..., None]
    classes = ops.stack([ops.sum(part, axis=(0, 1)) for part in (one_hot, taken_for, correct)])
    return scalars, _delta_sums(outputs["target_bbox"], answered, positive), classes


def _of_masks(outputs):
    targets = ops.cast(outputs["target_mask"][:, :_MASKS_PER_IMAGE], "float32")
    class_ids = outputs["target_class_ids"][:, : ops.shape(targets)[1]]
    answered = select_class(ops.cast(outputs["mrcnn_mask"][:, :_MASKS_PER_IMAGE], "float32"), class_ids, axis=4)
    positive = ops.cast(class_ids > 0, "float32")
    inside = ops.cast(answered > 0.5, "float32")
    both = ops.sum(inside * targets, axis=(2, 3))
    either = ops.sum(ops.maximum(inside, targets), axis=(2, 3))
    scalars = {
        "masks": ops.sum(positive),
        "mask_iou": ops.sum(positive * both / ops.maximum(either, 1.0)),
        "mask_bce": ops.sum(positive * ops.mean(ops.binary_crossentropy(targets, answered), axis=(2, 3))),
    }
    return scalars, ops.sum(targets * positive[..., None, None], axis=(0, 1))


def _boxes_of(targets, answered, std):
    """`(box, its object, what the network makes of it)` in a frame where the box is the unit square, `[..., 4]`."""
    unit = ops.zeros_like(targets) + ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0], dtype="float32")
    scale = ops.convert_to_tensor(std, dtype="float32")
    return unit, box_ops.apply_deltas(unit, targets * scale), box_ops.apply_deltas(unit, answered * scale)


def _delta_sums(targets, answered, positive):
    """The `_DELTA_SUMS` of the rows that are positive, `[4, (dy, dx, log(dh), log(dw))]`."""
    chosen = ops.cast(positive, "float32")[..., None] + ops.zeros_like(targets)
    errors = ops.minimum(ops.square(targets - answered), _LARGEST_ERROR)
    parts = (chosen, chosen * targets, chosen * ops.square(targets), chosen * errors)
    return ops.stack([ops.sum(part, axis=(0, 1)) for part in parts])


def _count(condition):
    return ops.sum(ops.cast(condition, "float32"))


def _sum(values, condition):
    return ops.sum(ops.where(condition, values, 0.0))


# ---- from sums to statistics ----------------------------------------------------------------------------------------


def statistics_of(sums):
    """Statistics by name from the `Sums` of an epoch, as floats; those without any case are left out.

    Counts are per image; shares, overlaps and skills are numbers up to 1.
    """
    total = dict(zip(_SUMS, sums.scalars.tolist(), strict=True))
    found = {
        **_means(total),
        "skill_rpn_class_loss": _skill(
            _ratio(total["anchor_nll"], total["anchors_positive"] + total["anchors_negative"]),
            _entropy([total["anchors_positive"], total["anchors_negative"]]),
        ),
        "skill_rpn_bbox_loss": _variance_explained(sums.deltas[0]),
        "skill_mrcnn_class_loss": _skill(
            _ratio(total["roi_nll"], total["rois"]),
            _entropy([total["rois"] - total["rois_positive"], *sums.classes[0, 1:]]),
        ),
        "skill_mrcnn_bbox_loss": _variance_explained(sums.deltas[1]),
        "skill_mrcnn_mask_loss": _skill(_ratio(total["mask_bce"], total["masks"]), _mask_entropy(sums.mask, total)),
        **_of_labels(total, sums.classes),
    }
    return {name: float(value) for name, value in found.items() if value is not None and np.isfinite(value)}


def _means(total):
    images, positive, anchors = total["images"], total["rois_positive"], total["anchors_positive"]
    mean = _ratio(total["pixel_sum"], total["pixels"])
    spread = None if mean is None else np.sqrt(max(total["pixel_squares"] / total["pixels"] - mean**2, 0.0))
    scale = _ratio(total["anchor_log_scale"], anchors)
    return {
        "objects": _ratio(total["objects"], images),
        "objects_reached": _ratio(total["objects_reached"], total["objects"]),
        "positive_anchors": _ratio(anchors, images),
        "positive_rois": _ratio(positive, images),
        "sampled_rois": _ratio(total["rois"], images),
        "anchor_recall": _ratio(total["anchors_found"], anchors),
        "false_anchors": _ratio(total["anchors_false"], total["anchors_negative"]),
        "anchor_iou": _ratio(total["anchor_iou"], anchors),
        "anchor_scale": None if scale is None else np.exp(-scale),
        "anchor_box_iou": _ratio(total["anchor_box_iou"], anchors),
        "roi_recall": _ratio(total["rois_foreground"], positive),
        "roi_iou": _ratio(total["roi_iou"], positive),
        "box_iou": _ratio(total["box_iou"], positive),
        "false_alarms": _ratio(total["rois_far_foreground"], total["rois_called_foreground"]),
        "far_rois": _ratio(total["rois_far"], total["rois"]),
        "mask_iou": _ratio(total["mask_iou"], total["masks"]),
        "input_mean": mean,
        "input_std": spread,
    }


def _of_labels(total, classes):
    """How well the kinds of objects are told apart, the background left out."""
    present = classes[0, 1:] > 0
    if not present.any():
        return {}
    recall = classes[2, 1:][present] / classes[0, 1:][present]
    found = {
        "label_accuracy": _ratio(total["rois_right"], total["rois_positive"]),
        "label_recall": recall.mean(),
        "majority_share": classes[0, 1:].max() / classes[0, 1:].sum(),
        "majority_predicted": _ratio(classes[1, 1:].max(), classes[1, 1:].sum()),
        "classes_seen": float(present.sum()),
    }
    if present.sum() > 1:
        nll = _ratio(total["label_nll"], total["rois_positive"])
        found["skill_labels"] = _skill(nll, _entropy(classes[0, 1:]))
    return found


def _ratio(total, count):
    return total / count if count > 0 else None


def _skill(loss, without_looking):
    """1 for a loss of 0, 0 for that of an answer that is always the same; None where such an answer is perfect."""
    if loss is None or without_looking is None or without_looking < 1e-3:
        return None
    return 1.0 - loss / without_looking


def _entropy(counts):
    """Mean cross-entropy of the best answer that is always the same."""
    counts = np.asarray(counts, np.float64)
    if counts.sum() <= 0:
        return None
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _mask_entropy(inside, total):
    if total["masks"] <= 0:
        return None
    share = np.clip(inside / total["masks"], 1e-7, 1 - 1e-7)
    return float(-(share * np.log(share) + (1 - share) * np.log(1 - share)).mean())


def _variance_explained(sums):
    """R squared over all coordinates, the spread of each about its own mean."""
    count, target, squares, errors = sums
    if count[0] < 2:
        return None
    spread = (squares - target**2 / count).sum()
    return 1.0 - errors.sum() / spread if spread > 1e-6 * count[0] else None
