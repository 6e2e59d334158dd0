"""Non-maximum suppression for a batch, exact and greedy, in one loop of static shape."""

import keras
from keras import ops

from mrcnn_plus.network import box_ops


def greedy_nms(boxes, candidates, *, iou_threshold, max_selected, class_ids=None, compiled=True):
    """Keep the best boxes, dropping each box that overlaps an already kept one too much.

    boxes: float32 `[B, N, 4]`, in order of falling score.
    candidates: bool `[B, N]`, the boxes that may be kept.
    class_ids: int `[B, N]`; when given, a box only suppresses boxes of its own class.
    compiled: False where XLA does not compile the graph. TensorFlow's own operation then takes the place of the loop,
        of which every turn costs: 1,000 of 6,000 boxes in 26 ms in place of 117 ms on a CPU.

    Returns `(indices int32 [B, max_selected], valid bool [B, max_selected])`: positions in `boxes`, best first; rows
    beyond the kept boxes are not valid and point at position 0.

    The selection equals `tf.image.non_max_suppression` (tested). One loop serves all images of the batch: each turn
    takes the first box still alive of every image. `min(where(alive, position, N))` finds it, because `argmax` inside
    a loop does not convert to ONNX or OpenVINO.
    """
    if not compiled and class_ids is None and keras.backend.backend() == "tensorflow":
        return _nms_of_tensorflow(boxes, candidates, iou_threshold, max_selected)
    count = boxes.shape[1]
    positions = ops.arange(count, dtype="int32")
    slots = ops.arange(max_selected, dtype="int32")
    nobody = ops.zeros_like(boxes[:, :1, 0], dtype="int32") + count  # [B, 1]

    def unfinished(turn, alive, selected):
        return ops.logical_and(turn < max_selected, ops.any(alive))

    def select_next(turn, alive, selected):
        first = ops.min(ops.where(alive, positions, count), axis=1, keepdims=True)  # [B, 1]
        here = ops.minimum(first, count - 1)
        suppressed = box_ops.iou(box_ops.gather_rows(boxes, here), boxes) > iou_threshold
        if class_ids is not None:
            suppressed = ops.logical_and(suppressed, class_ids == box_ops.gather_rows(class_ids, here))
        alive = ops.logical_and(alive, ops.logical_not(ops.logical_or(suppressed, positions == first)))
        return turn + 1, alive, ops.where(slots == turn, first, selected)

    selected = nobody + ops.zeros_like(slots)  # [B, max_selected]
    start = (ops.convert_to_tensor(0, dtype="int32"), candidates, selected)
    _, _, selected = ops.while_loop(unfinished, select_next, start)
    valid = selected < count
    return ops.where(valid, selected, 0), valid


def _nms_of_tensorflow(boxes, candidates, iou_threshold, max_selected):
    """As `greedy_nms`, one image after the other."""
    import tensorflow as tf

    falling = tf.range(boxes.shape[1], 0, -1, dtype=tf.float32)

    def of_one_image(given):
        selected = tf.image.non_max_suppression(
            given[0],
            tf.where(given[1], falling, -1.0),
            max_selected,
            iou_threshold=iou_threshold,
            score_threshold=0.0,
        )
        return tf.pad(selected, [[0, max_selected - tf.size(selected)]], constant_values=-1)

    spec = tf.TensorSpec((max_selected,), tf.int32)
    selected = tf.map_fn(of_one_image, (boxes, candidates), fn_output_signature=spec)
    return tf.maximum(selected, 0), selected >= 0
