"""Numbers and names that several parts share and no setting changes. Imports nothing, so that every part may."""

# The pyramid halves height and width six times, so sides of a molded image are multiples of this, in pixels.
SIZE_STEP = 64

# An anchor is an object from the first overlap (IoU) on and background below the second (Faster R-CNN, section 3.1.2).
RPN_POSITIVE_IOU = 0.7
RPN_NEGATIVE_IOU = 0.3
# A proposal is an object from this overlap on, else background (Mask R-CNN, section 3.1).
ROI_POSITIVE_IOU = 0.5
# What overlaps a crowd by more is never background. Practically: what touches it.
CROWD_IOU = 0.001

# Boxes are stretched by at most exp(40), about 10^17, so that no height or width becomes infinite in float32.
LARGEST_LOG_SCALE = 40.0

# The image meta vector, `[12 + C]` numbers for each image. `geometry/molding.py` explains the fields, writes and reads
# them; `network/image_meta.py` reads them in the graph.
META_FIELDS = {
    "image_id": slice(0, 1),
    "original_image_shape": slice(1, 4),
    "image_shape": slice(4, 7),
    "window": slice(7, 11),
    "scale": slice(11, 12),
    "active_class_ids": slice(12, None),
}
META_SIZE_WITHOUT_CLASSES = META_FIELDS["active_class_ids"].start

# Built-in backbones: blocks in stages 2 to 5, and whether they are bottlenecks of three convolutions.
RESNETS = {
    "resnet18": ((2, 2, 2, 2), False),
    "resnet34": ((3, 4, 6, 3), False),
    "resnet50": ((3, 4, 6, 3), True),
    "resnet101": ((3, 4, 23, 3), True),
}

# What the sum of each loss may be divided by (`network/losses.py` explains them); the first is Matterport's.
LOSS_DIVISORS = {
    "rpn_class_loss": ("sampled", "positives"),
    "rpn_bbox_loss": ("positives", "sampled"),
    "mrcnn_class_loss": ("rows", "sampled", "positives"),
    "mrcnn_bbox_loss": ("positives", "sampled"),
    "mrcnn_mask_loss": ("positives",),
}
LOSS_NAMES = tuple(LOSS_DIVISORS)
CLASS_LOSSES = ("cross_entropy", "focal")
# Losses that class weights may count in.
WEIGHTED_LOSSES = ("mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")
OPTIMIZERS = ("SGD", "Adam", "AdamW")

# The names that `layers=` of `train` takes beside regular expressions, and what they stand for. compat: MaskRCNN.train.
_HEADS = r"(mrcnn\_.*)|(rpn\_.*)|(fpn\_.*)"
LAYER_PRESETS = {
    "heads": _HEADS,
    "3+": r"(res3.*)|(bn3.*)|(res4.*)|(bn4.*)|(res5.*)|(bn5.*)|" + _HEADS,
    "4+": r"(res4.*)|(bn4.*)|(res5.*)|(bn5.*)|" + _HEADS,
    "5+": r"(res5.*)|(bn5.*)|" + _HEADS,
    "all": ".*",
}


def round_up(length, step=SIZE_STEP):
    """The smallest multiple of `step` that holds `length`, in whole pixels."""
    return -(-length // step) * step
