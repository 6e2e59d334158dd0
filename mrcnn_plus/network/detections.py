"""From the heads' answer to detections: best class, refined box, confidence filter, NMS per class."""

import keras
from keras import ops

from mrcnn_plus.network import box_ops, image_meta
from mrcnn_plus.network.heads import select_class
from mrcnn_plus.network.nms import greedy_nms


@keras.saving.register_keras_serializable("mrcnn_plus")
class DetectionLayer(keras.layers.Layer):
    """Detections `[B, D, (y1, x1, y2, x2, class_id, score)]`, normalized, best first, padded with zeros.

    Called with `[rois [B, R, 4], mrcnn_class [B, R, C], mrcnn_bbox [B, R, C, 4], image_meta [B, 12 + C]]`.

    max_instances: D. min_confidence: detections of a lower score go (0 keeps all). nms_threshold: overlap above which
    the lower scored of two boxes of one class goes. bbox_std_dev: `BBOX_STD_DEV`. Boxes are clipped to the window of
    the image inside its padding. ROIs of zeros are padding and never detected. compat: refine_detections_graph.
    """

    def __init__(
        self, max_instances=100, *, min_confidence=0.7, nms_threshold=0.3, bbox_std_dev=(0.1, 0.1, 0.2, 0.2), **kwargs
    ):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.max_instances = int(max_instances)
        self.min_confidence = float(min_confidence or 0.0)
        self.nms_threshold = float(nms_threshold)
        self.bbox_std_dev = [float(value) for value in bbox_std_dev]

    def call(self, inputs):
        rois, probabilities, deltas, meta = inputs
        return self.refine(rois, probabilities, deltas, image_meta.window_norm(meta))

    def refine(self, rois, probabilities, deltas, window):
        """As `call`, with the windows `[B, 4]` normalized in place of the image metas."""
        scores, class_ids = (best[..., 0] for best in ops.top_k(probabilities, 1))
        class_ids = ops.cast(class_ids, "int32")
        deltas = select_class(deltas, class_ids, axis=2)
        boxes = box_ops.apply_deltas(rois, deltas * ops.convert_to_tensor(self.bbox_std_dev, dtype="float32"))
        boxes = box_ops.clip_boxes(boxes, window[:, None])

        candidates = ops.logical_and(class_ids > 0, box_ops.is_not_padding(rois))
        candidates = ops.logical_and(candidates, scores >= self.min_confidence)
        scores, order = ops.top_k(ops.where(candidates, scores, -1.0), scores.shape[1])
        boxes, class_ids = box_ops.gather_rows(boxes, order), box_ops.gather_rows(class_ids, order)
        selected, valid = greedy_nms(
            boxes,
            scores >= 0.0,
            iou_threshold=self.nms_threshold,
            max_selected=self.max_instances,
            class_ids=class_ids,
        )
        columns = [boxes, ops.cast(class_ids, "float32")[..., None], scores[..., None]]
        detections = box_ops.gather_rows(ops.concatenate(columns, axis=-1), selected)
        return ops.where(valid[..., None], detections, 0.0)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], self.max_instances, 6)

    def get_config(self):
        return {
            **super().get_config(),
            "max_instances": self.max_instances,
            "min_confidence": self.min_confidence,
            "nms_threshold": self.nms_threshold,
            "bbox_std_dev": self.bbox_std_dev,
        }
