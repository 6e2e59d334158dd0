"""What the RPN should answer: anchors labelled object or background, and the way from an anchor to its object.

Made in the graph from anchors and ground truth, so no loader has to (Faster R-CNN, arXiv 1506.01497, section 3.1.2).
`data.numpy_targets.build_rpn_targets` is the NumPy twin for programs that call it.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from mrcnn_plus.constants import CROWD_IOU, RPN_NEGATIVE_IOU, RPN_POSITIVE_IOU
from mrcnn_plus.network import box_ops, replicas

TIE = 1e-6  # overlaps closer than this are equal: float32 rounding must not decide between equally good anchors


class AnchorMatches(NamedTuple):
    """How each anchor lies to the objects of its image."""

    positive: Any  #: bool [B, A]
    negative: Any  #: bool [B, A]; an anchor may be neither
    object_index: Any  #: int32 [B, A], the object that the anchor overlaps most


@keras.saving.register_keras_serializable("mrcnn_plus")
class RPNTargetLayer(keras.layers.Layer):
    """A random sample of labelled anchors for each image, at most half of them positive.

    Called with `[anchors_px [1, A, 4], gt_class_ids [B, G], gt_boxes_px [B, G, 4]]`; slots with class id 0 are empty,
    negative ids are crowds. Returns for S = samples + samples / 2 rows per image:
    anchor indices int32 `[B, S]`, labels int32 `[B, S]` (1 object, 0 background, -1 row not used) and deltas
    float32 `[B, S, 4]`, divided by `bbox_std_dev`, for the positive rows, which come first.

    samples: `RPN_TRAIN_ANCHORS_PER_IMAGE`. compat: build_rpn_targets.
    """

    def __init__(self, samples=256, *, bbox_std_dev=(0.1, 0.1, 0.2, 0.2), seed=None, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.samples = int(samples)
        self.bbox_std_dev = [float(value) for value in bbox_std_dev]
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs):
        anchors_px, gt_class_ids, gt_boxes_px = inputs
        gt_boxes_px = ops.cast(gt_boxes_px, "float32")
        matches = match_anchors(anchors_px, ops.cast(gt_class_ids, "int32"), gt_boxes_px)
        indices, labels = self._sample(matches)
        quota = self.samples // 2
        positives = indices[:, :quota]
        objects = box_ops.gather_rows(gt_boxes_px, box_ops.gather_rows(matches.object_index, positives))
        deltas = box_ops.box_refinement(ops.take(anchors_px[0], positives, axis=0), objects)
        deltas = deltas / ops.convert_to_tensor(self.bbox_std_dev, dtype="float32")
        deltas = ops.where(labels[:, :quota, None] == 1, deltas, 0.0)
        return indices, labels, ops.pad(deltas, [[0, 0], [0, self.samples], [0, 0]])

    def _sample(self, matches):
        """Random positive anchors, at most half of `samples`, and as many negative ones as fill it up."""
        draw = replicas.uniform(ops.shape(matches.positive), seed=self.seed_generator)
        quota = self.samples // 2
        # Padding first: small images with few ratios have fewer anchors than the sample has rows.
        room_for_all = [[0, 0], [0, self.samples]]
        positive, negative, draw = (ops.pad(part, room_for_all) for part in (matches.positive, matches.negative, draw))
        positive_draw, positives = ops.top_k(ops.where(positive, draw, -1.0), quota)
        negative_draw, negatives = ops.top_k(ops.where(negative, draw, -1.0), self.samples)
        is_positive = positive_draw >= 0.0
        room = self.samples - ops.sum(ops.cast(is_positive, "int32"), axis=1, keepdims=True)
        is_negative = ops.logical_and(negative_draw >= 0.0, ops.arange(self.samples, dtype="int32") < room)
        labels = ops.concatenate([ops.where(is_positive, 1, -1), ops.where(is_negative, 0, -1)], axis=1)
        indices = ops.concatenate([positives, negatives], axis=1)
        return ops.cast(ops.where(labels >= 0, indices, 0), "int32"), labels

    def compute_output_shape(self, input_shape):
        rows = (input_shape[1][0], self.samples + self.samples // 2)
        return rows, rows, (*rows, 4)

    def compute_output_spec(self, inputs):
        shapes = self.compute_output_shape([value.shape for value in inputs])
        return tuple(
            keras.KerasTensor(shape, dtype) for shape, dtype in zip(shapes, ("int32", "int32", "float32"), strict=True)
        )

    def get_config(self):
        return {
            **super().get_config(),
            "samples": self.samples,
            "bbox_std_dev": self.bbox_std_dev,
            "seed": self.seed,
        }


def match_anchors(anchors_px, gt_class_ids, gt_boxes_px):
    """Label all anchors: positive at overlap >= 0.7 or best of an object, negative under 0.3 with every object.

    anchors_px `[1, A, 4]`, gt_class_ids int32 `[B, G]`, gt_boxes_px `[B, G, 4]`. An anchor that touches a crowd is
    never negative. The loop runs over the slots in use, because all anchors against all slots at once (26 million
    overlaps for an image of 1024 x 1024) would fill memory with what is mostly padding.
    """
    in_use = ops.cast(ops.any(gt_class_ids != 0, axis=0), "int32")
    slots = ops.max(in_use * (ops.arange(gt_class_ids.shape[1], dtype="int32") + 1))
    blank = ops.zeros_like(gt_boxes_px[:, :1, 0]) + ops.zeros_like(anchors_px[..., 0])  # [B, A]

    def more(slot, *_):
        return slot < slots

    def next_object(slot, best_iou, best_object, is_best, crowd_iou):
        class_id = ops.take(gt_class_ids, slot, axis=1)[:, None]
        overlap = box_ops.iou(anchors_px, ops.take(gt_boxes_px, slot, axis=1)[:, None])
        crowd_iou = ops.where(class_id < 0, ops.maximum(crowd_iou, overlap), crowd_iou)
        overlap = ops.where(class_id > 0, overlap, 0.0)
        highest = ops.max(overlap, axis=1, keepdims=True)
        is_best = ops.logical_or(is_best, ops.logical_and(highest > 0.0, overlap >= highest - TIE))
        better = overlap > best_iou
        return slot + 1, ops.where(better, overlap, best_iou), ops.where(better, slot, best_object), is_best, crowd_iou

    start = (
        ops.convert_to_tensor(0, dtype="int32"),
        blank,
        ops.cast(blank, "int32"),
        ops.cast(blank, "bool"),
        blank,
    )
    _, best_iou, best_object, is_best, crowd_iou = ops.while_loop(more, next_object, start)
    positive = ops.logical_or(is_best, best_iou >= RPN_POSITIVE_IOU)
    background = ops.logical_and(best_iou < RPN_NEGATIVE_IOU, crowd_iou < CROWD_IOU)
    return AnchorMatches(positive, ops.logical_and(background, ops.logical_not(positive)), best_object)
