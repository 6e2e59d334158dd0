"""A training step that several devices share: what must be known of the whole batch where a device sees its own rows.

TensorFlow runs the step once on each device, as a "replica" with some rows of the batch, and adds up the gradients of
all replicas. Three things would then differ from the same batch on one device, and are put right here: the counts that
losses are divided by, the random samples, and the gradients that an optimizer clips.

With one device, and with JAX and PyTorch, a step sees the whole batch. The functions then leave no trace in the graph.
"""

import keras
from keras import ops


def _replica():
    """TensorFlow's replica context inside a step that several replicas share, else None."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()  # None outside a step, where the strategy itself is at work
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def number():
    """How many replicas will share the steps of a layer that is made here."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def ratio(total, count):
    """`total / max(count, 1)` of the whole batch; `total` and `count` float32 scalars, sums over this replica's rows.

    Every replica gets the same value. The gradient is that of its own rows times the number of replicas, because
    `share_of_loss` divides by that number.
    """
    replica = _replica()
    if replica is None:
        return total / ops.maximum(count, 1.0)
    sums = replica.all_reduce("SUM", ops.stop_gradient(ops.stack([total, count])))
    count = ops.maximum(sums[1], 1.0)
    own = replica.num_replicas_in_sync * total / count
    return own + ops.stop_gradient(sums[0] / count - own)


def share_of_loss(loss):
    """The part of a loss of the whole batch, the same on all replicas, that one of them trains with.

    Gradients are added up over replicas, and Keras' own tracker of the loss multiplies by their number.
    """
    replica = _replica()
    return loss if replica is None else loss / replica.num_replicas_in_sync


def uniform(shape, *, seed):
    """Random numbers float32 `[B, ...]` from 0 to 1 for the rows of this replica, `shape` being that of its rows.

    Numbers are drawn for the whole batch, so a row gets those it would get on one device. seed: a `SeedGenerator`.
    """
    replica = _replica()
    if replica is None:
        return keras.random.uniform(shape, seed=seed, dtype="float32")
    import tensorflow as tf

    own_rows = tf.one_hot(replica.replica_id_in_sync_group, replica.num_replicas_in_sync, dtype="int32") * shape[0]
    rows = replica.all_reduce("SUM", own_rows)  # of each replica
    first = ops.cumsum(rows)[replica.replica_id_in_sync_group] - shape[0]
    numbers = keras.random.uniform((ops.sum(rows), *shape[1:]), seed=seed, dtype="float32")
    return numbers[first : first + shape[0]]


def without_filling(outputs, active_class_ids):
    """Outputs of the training graph in which rows without an image count in no loss (`input_pipeline.fill_rows`).

    active_class_ids `[B, C]`; such rows have none, which keeps them out of the class loss. Here their anchors become
    rows that are not used, and their ROIs padding.
    """
    is_image = ops.any(active_class_ids > 0, axis=1)
    labels = ops.where(is_image[:, None], outputs["target_anchor_labels"], -1)
    rois = ops.where(is_image[:, None, None], outputs["rois"], 0.0)
    return {**outputs, "target_anchor_labels": labels, "rois": rois}


def sum_of_gradients(gradients):
    """The gradients of the whole batch from those of each replica, a list of tensors and None."""
    replica = _replica()
    if replica is None:
        return gradients
    sums = iter(replica.all_reduce("SUM", [gradient for gradient in gradients if gradient is not None]))
    return [gradient if gradient is None else next(sums) for gradient in gradients]
