"""The five losses of a batch, computed as `LossOptions` say, from the outputs of the training graph."""

from keras import ops

from mrcnn_plus.network import box_ops, losses
from mrcnn_plus.network.hard_examples import hardest_rois
from mrcnn_plus.training.loss_options import LossOptions


def compute_losses(outputs, *, active_class_ids, options=None, sampled_rpn=None):
    """The five losses by name, unweighted.

    options: `LossOptions`. sampled_rpn: logits and deltas of the sampled anchors (`SampledRPN`), `[B, S, 2]` and
    `[B, S, 4]`; by default they are looked up in the outputs.
    """
    options = LossOptions() if options is None else options
    return {**_losses_of_rpn(outputs, options, sampled_rpn), **_losses_of_heads(outputs, active_class_ids, options)}


def _losses_of_rpn(outputs, options, sampled_rpn):
    indices, labels = outputs["target_anchor_indices"], outputs["target_anchor_labels"]
    logits, deltas = sampled_rpn or (
        box_ops.gather_rows(outputs[name], indices) for name in ("rpn_class_logits", "rpn_bbox")
    )
    return {
        "rpn_class_loss": losses.rpn_class_loss(
            *(labels, logits),
            positive_weight=options.rpn_positive_weight,
            focal=options.focal_of(options.rpn_class_loss),
            normalization=options.divisor_of("rpn_class_loss"),
        ),
        "rpn_bbox_loss": losses.rpn_bbox_loss(
            labels, outputs["target_rpn_bbox"], deltas, normalization=options.divisor_of("rpn_bbox_loss")
        ),
    }


def _losses_of_heads(outputs, active_class_ids, options):
    class_ids, logits = outputs["target_class_ids"], outputs["mrcnn_class_logits"]
    class_style = {
        "class_weights": options.weights_for("mrcnn_class_loss"),
        "positive_weight": options.roi_positive_weight,
        "focal": options.focal_of(options.class_loss),
    }
    box_style = {"class_weights": options.weights_for("mrcnn_bbox_loss")}
    which = {"is_roi": box_ops.is_not_padding(outputs["rois"])} if "rois" in outputs else {}
    if options.roi_hard_examples is not None:
        candidates = losses.predicts_active_class(logits, active_class_ids) > 0
        boxes = losses.box_terms(outputs["target_bbox"], class_ids, outputs["mrcnn_bbox"], **box_style)
        which["chosen"] = hardest_rois(
            losses.class_terms(class_ids, logits, **class_style),
            ops.where((class_ids > 0)[..., None], boxes, 0.0),
            ops.logical_and(candidates, which["is_roi"]),
            count=_number_of(options.roi_hard_examples, class_ids.shape[1]),
        )
    return {
        "mrcnn_class_loss": losses.mrcnn_class_loss(
            *(class_ids, logits, active_class_ids),
            normalization=options.divisor_of("mrcnn_class_loss"),
            **class_style,
            **which,
        ),
        "mrcnn_bbox_loss": losses.mrcnn_bbox_loss(
            *(outputs["target_bbox"], class_ids, outputs["mrcnn_bbox"]),
            normalization=options.divisor_of("mrcnn_bbox_loss"),
            **box_style,
            **which,
        ),
        "mrcnn_mask_loss": losses.mrcnn_mask_loss(
            *(outputs["target_mask"], class_ids[:, : ops.shape(outputs["target_mask"])[1]], outputs["mrcnn_mask"]),
            class_weights=options.weights_for("mrcnn_mask_loss"),
        ),
    }


def _number_of(hard_examples, rois):
    """ROIs per image from a number of them, or from a share (a float)."""
    return max(1, round(hard_examples * rois)) if isinstance(hard_examples, float) else int(hard_examples)
