"""From the RPN's answer to proposals: the best anchors, moved, clipped, thinned out by NMS."""

import keras
from keras import ops

from mrcnn_plus.network import box_ops
from mrcnn_plus.network.nms import greedy_nms


@keras.saving.register_keras_serializable("mrcnn_plus")
class ProposalLayer(keras.layers.Layer):
    """Proposals `[B, proposal_count, (y1, x1, y2, x2)]`, normalized, best first, padded with zeros.

    Called with `[rpn_class [B, A, (background, object)], rpn_bbox [B, A, 4], anchors [B or 1, A, 4] normalized]`.
    Nothing flows back through it: proposals are data to the heads (arXiv 1506.01497, section 3.2).

    nms_threshold: overlap above which the lower scored of two boxes goes. pre_nms_limit: anchors looked at, by score.
    bbox_std_dev: `RPN_BBOX_STD_DEV`, the scale of the deltas. compat: ProposalLayer.
    """

    def __init__(
        self, proposal_count, nms_threshold, *, pre_nms_limit=6000, bbox_std_dev=(0.1, 0.1, 0.2, 0.2), **kwargs
    ):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.proposal_count = int(proposal_count)
        self.nms_threshold = float(nms_threshold)
        self.pre_nms_limit = int(pre_nms_limit)
        self.bbox_std_dev = [float(value) for value in bbox_std_dev]

    def call(self, inputs):
        return self.steps(inputs)["proposals"]

    def steps(self, inputs):
        """All intermediate results by the names that Matterport's notebooks ask for; boxes normalized, in score
        order."""
        probabilities, deltas, anchors = (ops.stop_gradient(ops.cast(value, "float32")) for value in inputs)
        best, exists = self._best_anchors(probabilities[..., 1])
        anchors = anchors + ops.zeros_like(deltas[..., :1])  # one set of anchors may serve the whole batch
        anchors = box_ops.gather_rows(anchors, best)
        deltas = box_ops.gather_rows(deltas, best) * ops.convert_to_tensor(self.bbox_std_dev, dtype="float32")
        refined = box_ops.apply_deltas(anchors, deltas)
        clipped = box_ops.clip_boxes(refined, ops.convert_to_tensor([0.0, 0.0, 1.0, 1.0]))
        selected, valid = greedy_nms(
            clipped, exists, iou_threshold=self.nms_threshold, max_selected=self.proposal_count
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

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], self.proposal_count, 4)

    def get_config(self):
        return {
            **super().get_config(),
            "proposal_count": self.proposal_count,
            "nms_threshold": self.nms_threshold,
            "pre_nms_limit": self.pre_nms_limit,
            "bbox_std_dev": self.bbox_std_dev,
        }
