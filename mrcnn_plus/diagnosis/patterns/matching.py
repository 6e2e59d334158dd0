"""Anchors and ROIs that meet no object: then there is nothing to learn boxes, classes and masks from."""

import math

from mrcnn_plus.diagnosis import reading, signs
from mrcnn_plus.diagnosis.trends import finite
from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.registry import HISTORY, Violation, rule


@rule(
    "RUN030",
    ERROR,
    needs=HISTORY,
    why="An anchor learns to be an object where it overlaps one well. If all are far larger or smaller than the "
    "objects, each object has one bad anchor, and boxes have to be moved further than the network can learn.",
    example="positive anchors overlap their object by 0.18 on average and are 5.2 times as large",
    fix="Take RPN_ANCHOR_SCALES and RPN_ANCHOR_RATIOS from the data: `mrcnn_plus.lint.suggest_anchors(config, "
    "dataset)`.",
)
def anchors_do_not_fit(facts, *, least_iou=signs.LEAST_ANCHOR_IOU):
    """Positive anchors overlap their objects by less than `least_iou` on average."""
    history = facts.history
    seen = signs.anchors_misfit(history)
    overlap = reading.recent(history, "anchor_iou")
    if not seen or overlap >= least_iou:
        return
    scale = reading.recent(history, "anchor_scale")
    scales = history.settings.get("RPN_ANCHOR_SCALES")
    changes = {}
    if scales and (scale > 1.4 or scale < 0.7):
        changes["RPN_ANCHOR_SCALES"] = tuple(max(4, round(float(size) / scale)) for size in scales)
    which = "too large" if scale > 1.4 else "too small" if scale < 0.7 else "of other proportions than the objects"
    yield Violation(
        f"the anchors do not fit the objects, they are {which}: {seen[0]}.",
        where="RPN_ANCHOR_SCALES",
        value=scales,
        evidence=[
            *seen,
            *reading.courses(history, "positive_anchors", "objects", "skill_rpn_bbox_loss", "objects_reached"),
        ],
        causes=[
            *reading.lint_causes(history, "DAT031", "DAT032", "CFG04", "CFG033"),
            f"RPN_ANCHOR_SCALES = {scales} is {which}" if scales else f"RPN_ANCHOR_SCALES: anchors are {which}",
            "images are resized so far that the objects are smaller than any anchor (IMAGE_MIN_DIM, IMAGE_MAX_DIM)",
        ],
        experiment=reading.RPN,
        changes=changes,
    )


@rule(
    "RUN031",
    ERROR,
    needs=HISTORY,
    why="Without positive anchors the RPN learns background only; without positive ROIs the heads do.",
    example="0.0 positive ROIs in an image with 3.2 objects",
    fix="Anchors that fit the data, more proposals (POST_NMS_ROIS_TRAINING), ROI_POSITIVE_RATIO = 0.5.",
)
def no_positives(facts, *, least_epochs=2):
    """Hardly any anchor or ROI is positive, though there are objects, after `least_epochs` epochs."""
    history = facts.history
    seen = signs.few_positives(history)
    objects = reading.recent(history, "objects")
    if not seen or len(reading.stage_epochs(history)) < least_epochs or objects < 0.2:
        return
    rois = finite(reading.stage_values(history, "positive_rois"))
    anchors_too = any("anchors" in text for text in seen)
    if not anchors_too and (not reading.can_judge_learning(history) or rois[-1] > 1.5 * rois[0] + 0.02):
        return  # proposals become better with the RPN
    yield Violation(
        f"{seen[0]}: there is hardly anything to learn objects from.",
        where="positive_anchors" if anchors_too else "positive_rois",
        value=reading.recent(history, "positive_rois"),
        evidence=[
            *seen,
            *reading.courses(history, "positive_anchors", "positive_rois", "objects_reached", "anchor_iou"),
        ],
        causes=[
            *reading.lint_causes(history, "DAT031", "DAT018", "DAT013", "DAT014", "DAT028", "CFG05"),
            "anchors do not fit the objects (RPN_ANCHOR_SCALES, RPN_ANCHOR_RATIOS)",
            "the RPN does not find objects, so that no proposal overlaps one by 0.5",
            "objects are marked as crowds (iscrowd), which are no targets",
        ],
        experiment=reading.RPN,
    )


@rule(
    "RUN032",
    WARNING,
    needs=HISTORY,
    why="Background is nearly always right where nine of ten images are empty, and few steps teach anything else.",
    example="0.06 objects in an image",
    fix="USE_NEGATIVE_IMAGES = False leaves out empty images, SAMPLER = 'repeat_factor' shows them less often.",
)
def hardly_any_object(facts, *, least=0.25):
    """The images of training have fewer than `least` objects on average."""
    history = facts.history
    objects = reading.recent(history, "objects")
    if math.isnan(objects) or objects >= least or len(history) < 2:
        return
    yield Violation(
        f"an image has {reading.number(objects)} objects on average: most have none.",
        where="objects",
        value=objects,
        evidence=reading.courses(history, "objects", "positive_rois", "positive_anchors", "roi_recall"),
        causes=[
            *reading.lint_causes(history, "DAT018", "DAT013", "DAT028", "DAT037", "TRN013"),
            "images without annotations are trained on (USE_NEGATIVE_IMAGES)",
            "annotations are lost on the way: another image name, class or format; the augmentation moves them out",
        ],
        experiment=reading.FIRST_BATCH,
    )
