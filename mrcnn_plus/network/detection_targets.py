"""What the heads should answer: sampled proposals with class, box deltas and mask (arXiv 1703.06870, section 3.1)."""

import keras
from keras import ops

from mrcnn_plus.constants import CROWD_IOU, ROI_POSITIVE_IOU
from mrcnn_plus.network import box_ops, replicas
from mrcnn_plus.network.roi_align import bilinear_samples, edge_to_edge


@keras.saving.register_keras_serializable("mrcnn_plus")
class DetectionTargetLayer(keras.layers.Layer):
    """A random sample of T = `rois_per_image` proposals for each image and the targets of the heads.

    Called with `[proposals [B, P, 4] normalized, gt_class_ids int [B, G], gt_boxes [B, G, 4] normalized,
    gt_masks [B, h, w, G]]`; the masks are full size, or mini masks of their boxes (`use_mini_mask`). Rows of zeros are
    padding, negative class ids are crowds. Returns

    - rois float32 `[B, T, 4]` normalized: positive ones first, then negative ones, then zeros,
    - class ids int32 `[B, T]`, 0 for negative and padding rows,
    - deltas float32 `[B, T, 4]`, divided by `bbox_std_dev`, zeros but for positive rows,
    - masks float32 `[B, Q, mask height, mask width]` of 0 and 1 for the first Q = `max_positives` rows: only
      those can be positive, so the mask branch runs on those.

    A proposal is positive when it overlaps an object by 0.5 or more; at most `positive_ratio` of the sample are, and
    negatives are drawn in proportion. An image where no proposal is positive still gives its share of negatives
    (Matterport samples none at all then). compat: detection_targets_graph.
    """

    def __init__(
        self,
        rois_per_image=200,
        positive_ratio=0.33,
        *,
        mask_shape=(28, 28),
        bbox_std_dev=(0.1, 0.1, 0.2, 0.2),
        use_mini_mask=True,
        seed=None,
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.rois_per_image = int(rois_per_image)
        self.positive_ratio = float(positive_ratio)
        self.mask_shape = tuple(int(size) for size in mask_shape)
        self.bbox_std_dev = [float(value) for value in bbox_std_dev]
        self.use_mini_mask = bool(use_mini_mask)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    @property
    def max_positives(self):
        """Q, the most positive rows of a sample."""
        return int(self.rois_per_image * self.positive_ratio)

    def call(self, inputs):
        proposals, gt_class_ids, gt_boxes, gt_masks = inputs
        proposals, gt_boxes = (ops.stop_gradient(ops.cast(boxes, "float32")) for boxes in (proposals, gt_boxes))
        gt_class_ids = ops.cast(gt_class_ids, "int32")
        missing = self.rois_per_image - proposals.shape[1]
        if missing > 0:  # fewer proposals than the sample has rows
            proposals = ops.pad(proposals, [[0, 0], [0, missing], [0, 0]])
        positive, negative, object_index = self._match(proposals, gt_class_ids, gt_boxes)
        indices, is_positive, is_valid = self._sample(positive, negative)

        rois = ops.where(is_valid[..., None], box_ops.gather_rows(proposals, indices), 0.0)
        objects = box_ops.gather_rows(object_index, indices)
        class_ids = ops.where(is_positive, box_ops.gather_rows(gt_class_ids, objects), 0)
        deltas = box_ops.box_refinement(rois, box_ops.gather_rows(gt_boxes, objects))
        deltas = deltas / ops.convert_to_tensor(self.bbox_std_dev, dtype="float32")
        deltas = ops.where(is_positive[..., None], deltas, 0.0)
        head = slice(None), slice(self.max_positives)
        masks = self._mask_targets(rois[head], objects[head], gt_boxes, gt_masks)
        masks = ops.where(is_positive[head][..., None, None], masks, 0.0)
        return tuple(ops.stop_gradient(target) for target in (rois, class_ids, deltas, masks))

    def _match(self, proposals, gt_class_ids, gt_boxes):
        """Which proposals are positive, which negative (bool `[B, P]`), and each one's best object (int32 `[B, P]`)."""
        overlaps = box_ops.pairwise_iou(proposals, gt_boxes)  # [B, P, G]
        is_object, is_crowd = gt_class_ids[:, None] > 0, gt_class_ids[:, None] < 0
        object_overlaps = ops.where(is_object, overlaps, 0.0)
        best = ops.max(object_overlaps, axis=2)
        crowd = ops.max(ops.where(is_crowd, overlaps, 0.0), axis=2)
        exists = box_ops.is_not_padding(proposals)
        positive = ops.logical_and(exists, best >= ROI_POSITIVE_IOU)
        clear = ops.logical_and(best < ROI_POSITIVE_IOU, crowd < CROWD_IOU)
        return positive, ops.logical_and(exists, clear), ops.cast(ops.argmax(object_overlaps, axis=2), "int32")

    def _sample(self, positive, negative):
        """Indices into the proposals `[B, T]` in the order positives, negatives, padding, and what each row is."""
        draw = replicas.uniform(ops.shape(positive), seed=self.seed_generator)
        positives, is_positive = _draw(ops.where(positive, draw, -1.0), self.max_positives)
        negatives, is_negative = _draw(ops.where(negative, draw, -1.0), self.rois_per_image)
        count = ops.sum(ops.cast(is_positive, "int32"), axis=1, keepdims=True)
        in_proportion = ops.cast(ops.cast(count, "float32") / self.positive_ratio, "int32") - count
        room = ops.where(count > 0, in_proportion, self.rois_per_image - self.max_positives)
        is_negative = ops.logical_and(is_negative, ops.arange(ops.shape(negatives)[1], dtype="int32") < room)

        is_valid = ops.concatenate([is_positive, is_negative], axis=1)
        row = ops.arange(ops.shape(is_valid)[1], dtype="int32")
        _, order = ops.top_k(
            -ops.cast(ops.where(is_valid, row, row + 2 * self.rois_per_image), "float32"), self.rois_per_image
        )
        indices = box_ops.gather_rows(ops.concatenate([positives, negatives], axis=1), order)
        is_positive = ops.concatenate([is_positive, ops.zeros_like(is_negative)], axis=1)
        return indices, box_ops.gather_rows(is_positive, order), box_ops.gather_rows(is_valid, order)

    def _mask_targets(self, rois, objects, gt_boxes, gt_masks):
        """The object's mask cut out by each ROI and scaled to `mask_shape`, 0 or 1, `[B, Q, height, width]`."""
        boxes = rois
        if self.use_mini_mask:  # the mini mask spans its object's box: express the ROI in that frame
            frame = box_ops.gather_rows(gt_boxes, objects)
            size = frame[..., 2:] - frame[..., :2]
            size = ops.where(size > 0, size, 1.0)
            boxes = (rois - ops.tile(frame[..., :2], (1, 1, 2))) / ops.tile(size, (1, 1, 2))
        batch, height, width, slots = ops.shape(gt_masks)
        first = ops.cast(ops.arange(batch), "int32")[:, None] * (height * width * slots)
        height, width = (ops.zeros_like(objects) + size for size in (height, width))
        values = bilinear_samples(
            ops.reshape(gt_masks, (-1, 1)),
            edge_to_edge(boxes[..., 0], boxes[..., 2], height, self.mask_shape[0]),
            edge_to_edge(boxes[..., 1], boxes[..., 3], width, self.mask_shape[1]),
            start=first + objects,
            height=height,
            width=width,
            column_step=slots,
        )
        return ops.round(values[..., 0])

    def compute_output_spec(self, inputs):
        batch = inputs[0].shape[0]
        shapes = ((self.rois_per_image, 4), (self.rois_per_image,), (self.rois_per_image, 4))
        shapes = (*shapes, (self.max_positives, *self.mask_shape))
        dtypes = ("float32", "int32", "float32", "float32")
        return tuple(keras.KerasTensor((batch, *shape), dtype) for shape, dtype in zip(shapes, dtypes, strict=True))

    def get_config(self):
        return {
            **super().get_config(),
            "rois_per_image": self.rois_per_image,
            "positive_ratio": self.positive_ratio,
            "mask_shape": self.mask_shape,
            "bbox_std_dev": self.bbox_std_dev,
            "use_mini_mask": self.use_mini_mask,
            "seed": self.seed,
        }


def _draw(keys, count):
    """The `count` rows of the highest keys (fewer where there are not as many rows) and whether their key is drawn."""
    keys, indices = ops.top_k(keys, min(count, keys.shape[1]))
    return indices, keys >= 0.0
