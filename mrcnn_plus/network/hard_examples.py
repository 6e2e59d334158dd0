"""Online hard-example mining (arXiv 1604.03540): only the ROIs with the highest loss train the class and box head."""

from keras import ops


def hardest_rois(class_terms, box_terms, candidates, *, count):
    """Of each image the `count` candidates with the highest class + box loss, or all where there are fewer.

    class_terms `[B, R]`; box_terms `[B, R, 4]`, 0 for negative ROIs, which count as their mean; candidates bool
    `[B, R]`: ROIs that may be chosen. Returns bool `[B, R]`. No gradient flows back: which ROIs are hard is taken as
    given. Of equally hard ROIs any may be taken.
    """
    hardness = ops.stop_gradient(class_terms + ops.mean(box_terms, axis=-1))
    values, rows = ops.top_k(ops.where(candidates, hardness, -1.0), min(count, hardness.shape[1]))
    chosen = rows[..., None] == ops.arange(hardness.shape[1], dtype=rows.dtype)  # [B, count, R]
    return ops.any(ops.logical_and(chosen, (values >= 0.0)[..., None]), axis=1)
