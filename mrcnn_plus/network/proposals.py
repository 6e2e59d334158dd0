"""From the RPN's answer to proposals: the best anchors, moved, clipped, thinned out by NMS."""

import keras
from keras import ops

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network import box_ops, image_meta
from mrcnn_plus.network.nms import greedy_nms

_ROUNDING = 1e-2  # pixels by which a box may miss the least size: float32 turns 20 into 19.999


@keras.saving.register_keras_serializable("mrcnn_plus")
class ProposalLayer(keras.layers.Layer):
    """Proposals `[B, proposal_count, (y1, x1, y2, x2)]`, normalized, best first, padded with zeros.

    Called with `[rpn_class [B, A, (background, object)], rpn_bbox [B, A, 4], anchors [B or 1, A, 4] normalized]`, and
    with `min_size` also the image metas `[B, 12 + C]`, which tell the size of the image.
    Nothing flows back through it: proposals are data to the heads (arXiv 1506.01497, section 3.2).

    nms_threshold: overlap above which the lower scored of two boxes goes. pre_nms_limit: anchors looked at, by score.
    bbox_std_dev: `RPN_BBOX_STD_DEV`, the scale of the deltas. min_size: boxes of less height or width, in pixels of the
    molded image after clipping, are left out before NMS; 0 keeps all. compiled: see `greedy_nms`.
    compat: ProposalLayer.
    """

    def __init__(
        self,
        proposal_count,
        nms_threshold,
        *,
        pre_nms_limit=6000,
        bbox_std_dev=(0.1, 0.1, 0.2, 0.2),
        min_size=0,
        compiled=True,
        **kwargs,
    ):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.proposal_count = int(proposal_count)
        self.nms_threshold = float(nms_threshold)
        self.pre_nms_limit = int(pre_nms_limit)
        self.bbox_std_dev = [float(value) for value in bbox_std_dev]
        self.min_size = float(min_size)
        self.compiled = bool(compiled)
        self.supports_jit = self.compiled or keras.backend.backend() != "tensorflow"

    def call(self, inputs):
        return self.steps(inputs)["proposals"]

    def steps(self, inputs):
        """All intermediate results by the names that Matterport's notebooks ask for; boxes normalized, in score
        order."""
        probabilities, deltas, anchors = (ops.stop_gradient(ops.cast(value, "float32")) for value in inputs[:3])
        best, exists = self._best_anchors(probabilities[..., 1])
        anchors = anchors + ops.zeros_like(deltas[..., :1])  # one set of anchors may serve the whole batch
        anchors = box_ops.gather_rows(anchors, best)
        deltas = box_ops.gather_rows(deltas, best) * ops.convert_to_tensor(self.bbox_std_dev, dtype="float32")
        refined = box_ops.apply_deltas(anchors, deltas)
        clipped = box_ops.clip_boxes(refined, ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0]))
        if self.min_size > 0:
            exists = ops.logical_and(exists, self._is_large(clipped, inputs))
        selected, valid = greedy_nms(
            *(clipped, exists),
            iou_threshold=self.nms_threshold,
            max_selected=self.proposal_count,
            compiled=self.compiled,
        )
        proposals = box_ops.gather_rows(clipped, selected)
        return {
            "pre_nms_anchors": anchors,
            "refined_anchors": refined,
            "refined_anchors_clipped": clipped,
            "rpn_non_max_suppression": selected,
            "proposals": ops.where(valid[..., None], proposals, 0.0),
        }

    def _best_anchors(self, scores):
        """Indices of the highest scores, and which of them exist, both `[B, pre_nms_limit]`.

        The number of rows does not depend on the number of anchors, which a graph for images of any size cannot know.
        """
        count = scores.shape[1]
        if count is None or count < self.pre_nms_limit:
            missing = self.pre_nms_limit - (count or 0)
            scores = ops.pad(scores, [[0, 0], [0, missing]], constant_values=-1.0)
        values, best = ops.top_k(scores, self.pre_nms_limit)
        exists = values >= 0.0
        return ops.where(exists, best, 0), exists

    def _is_large(self, boxes, inputs):
        """Whether boxes `[B, K, 4]` have at least `min_size` pixels in both directions, bool `[B, K]`."""
        if len(inputs) < 4:
            raise ConfigError(
                f"ProposalLayer: with min_size={self.min_size:g} expected the inputs [rpn_class, rpn_bbox, anchors, "
                f"image_meta], received {len(inputs)}. Pass the image meta, which tells the size of the image."
            )
        boxes_px = box_ops.denorm_boxes(boxes, image_meta.parse(inputs[3]).image_shape[:, None])
        sides = boxes_px[..., 2:] - boxes_px[..., :2]
        return ops.all(sides >= self.min_size - _ROUNDING, axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], self.proposal_count, 4)

    def get_config(self):
        return {
            **super().get_config(),
            "proposal_count": self.proposal_count,
            "nms_threshold": self.nms_threshold,
            "pre_nms_limit": self.pre_nms_limit,
            "bbox_std_dev": self.bbox_std_dev,
            "min_size": self.min_size,
            "compiled": self.compiled,
        }
