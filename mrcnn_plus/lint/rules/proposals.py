"""Region proposals and the ROIs that the heads are trained on."""

import itertools

import numpy as np

from mrcnn_plus.lint.estimates.molded import can_resize, mold_objects
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, HEADERS, OBJECTS, RUN, Violation, rule
from mrcnn_plus.lint.setting_types import EXPECTED, fits, received


@rule(
    "CFG050",
    ERROR,
    needs=CONFIG,
    why="Half of these anchors may be positive; with less than 2 there is none.",
    example="RPN_TRAIN_ANCHORS_PER_IMAGE = 1",
    fix="Set RPN_TRAIN_ANCHORS_PER_IMAGE = 256.",
)
def too_few_training_anchors(facts):
    """`RPN_TRAIN_ANCHORS_PER_IMAGE` is no whole number of at least 2."""
    yield from _unless_it_fits(facts, "RPN_TRAIN_ANCHORS_PER_IMAGE", 256)


@rule(
    "CFG051",
    WARNING,
    needs=CONFIG,
    why="Only PRE_NMS_LIMIT anchors go into non-maximum suppression, and some of them are dropped there; more "
    "proposals than that cannot come out.",
    example="PRE_NMS_LIMIT = 1000 with POST_NMS_ROIS_TRAINING = 2000",
    fix="Raise PRE_NMS_LIMIT to about three times the proposals that are kept.",
)
def fewer_anchors_than_proposals(facts):
    """`PRE_NMS_LIMIT` is smaller than `POST_NMS_ROIS_TRAINING` or `POST_NMS_ROIS_INFERENCE`."""
    config = facts.config
    names = ("POST_NMS_ROIS_TRAINING", "POST_NMS_ROIS_INFERENCE")
    if not fits(config, "PRE_NMS_LIMIT", *names):
        return
    proposals = {name: getattr(config, name) for name in names if getattr(config, name) > config.PRE_NMS_LIMIT}
    if proposals:
        asked = " and ".join(f"{name}={count}" for name, count in proposals.items())
        yield Violation(
            f"{asked} proposals are asked of PRE_NMS_LIMIT={config.PRE_NMS_LIMIT} anchors.",
            setting="PRE_NMS_LIMIT",
            changes={"PRE_NMS_LIMIT": 3 * max(proposals.values())},
        )


@rule(
    "CFG052",
    WARNING,
    needs=CONFIG,
    why="The ROIs that train the heads are drawn from the proposals; from fewer proposals the sample cannot be filled.",
    example="POST_NMS_ROIS_TRAINING = 100 with TRAIN_ROIS_PER_IMAGE = 200",
    fix="Set POST_NMS_ROIS_TRAINING to at least twice TRAIN_ROIS_PER_IMAGE.",
)
def fewer_proposals_than_training_rois(facts):
    """`POST_NMS_ROIS_TRAINING` is smaller than `TRAIN_ROIS_PER_IMAGE`."""
    config = facts.config
    if not fits(config, "POST_NMS_ROIS_TRAINING", "TRAIN_ROIS_PER_IMAGE"):
        return
    if config.POST_NMS_ROIS_TRAINING < config.TRAIN_ROIS_PER_IMAGE:
        yield Violation(
            f"TRAIN_ROIS_PER_IMAGE={config.TRAIN_ROIS_PER_IMAGE} ROIs are drawn from "
            f"POST_NMS_ROIS_TRAINING={config.POST_NMS_ROIS_TRAINING} proposals.",
            setting="POST_NMS_ROIS_TRAINING",
            changes={"POST_NMS_ROIS_TRAINING": 2 * config.TRAIN_ROIS_PER_IMAGE},
        )


@rule(
    "CFG053",
    ERROR,
    needs=CONFIG,
    why="The number of negative ROIs is computed by dividing by this share; without positive ones neither boxes nor "
    "masks are learnt.",
    example="ROI_POSITIVE_RATIO = 0",
    fix="Set ROI_POSITIVE_RATIO = 0.33.",
)
def roi_positive_ratio_out_of_range(facts):
    """`ROI_POSITIVE_RATIO` is not between 0 and 1."""
    yield from _unless_it_fits(facts, "ROI_POSITIVE_RATIO", 0.33)


@rule(
    "CFG054",
    ERROR,
    needs=CONFIG,
    why="Boxes and masks are learnt from positive ROIs only. The share is rounded down, so with few ROIs none is left "
    "and both losses stay 0.",
    example="TRAIN_ROIS_PER_IMAGE = 2 with ROI_POSITIVE_RATIO = 0.33",
    fix="Use 16 or more ROIs.",
)
def no_positive_roi_possible(facts):
    """`TRAIN_ROIS_PER_IMAGE` x `ROI_POSITIVE_RATIO`, rounded down, is 0."""
    config = facts.config
    if not fits(config, "TRAIN_ROIS_PER_IMAGE", "ROI_POSITIVE_RATIO"):
        return
    if int(config.TRAIN_ROIS_PER_IMAGE * config.ROI_POSITIVE_RATIO) == 0:
        yield Violation(
            f"{config.TRAIN_ROIS_PER_IMAGE} ROIs x ROI_POSITIVE_RATIO={config.ROI_POSITIVE_RATIO} leave no positive "
            "one, rounded down.",
            setting="TRAIN_ROIS_PER_IMAGE",
            changes={"TRAIN_ROIS_PER_IMAGE": max(16, int(np.ceil(2 / config.ROI_POSITIVE_RATIO)))},
        )


@rule(
    "CFG055",
    ERROR,
    needs=CONFIG,
    why="It is an overlap (IoU), from 0 to 1. Above 1 no box is dropped, however many lie on one object.",
    example="DETECTION_NMS_THRESHOLD = 30",
    fix="Use 0.7 for RPN_NMS_THRESHOLD and 0.3 for DETECTION_NMS_THRESHOLD.",
)
def nms_threshold_out_of_range(facts):
    """`RPN_NMS_THRESHOLD` or `DETECTION_NMS_THRESHOLD` is not above 0 and at most 1."""
    yield from _unless_it_fits(facts, "RPN_NMS_THRESHOLD", 0.7)
    yield from _unless_it_fits(facts, "DETECTION_NMS_THRESHOLD", 0.3)


@rule(
    "CFG059",
    ERROR,
    needs=(CONFIG, RUN),
    why="train() has no ROIs of its own to feed; the network would wait for the input input_roi.",
    example="USE_RPN_ROIS = False and model.train(...)",
    fix="Set USE_RPN_ROIS = True, or call keras_model.fit with batches that hold input_roi.",
)
def training_without_proposals(facts):
    """`USE_RPN_ROIS` is False. An info unless it is known that the program calls `train`."""
    if fits(facts.config, "USE_RPN_ROIS") and not facts.config.USE_RPN_ROIS and facts.run.mode != "inference":
        trains = facts.run.mode == "training"
        yield Violation(
            "USE_RPN_ROIS=False: train() cannot feed the ROIs that the network then expects.",
            setting="USE_RPN_ROIS",
            severity=ERROR if trains else INFO,
            changes={"USE_RPN_ROIS": True},
        )


@rule(
    "CFG065",
    INFO,
    needs=(CONFIG, OBJECTS),
    why="Places of the sample that no proposal fills are counted as background in the class loss; with one or two "
    "objects in an image most of a large sample is such padding, and the class head learns background.",
    example="TRAIN_ROIS_PER_IMAGE = 200 with one object in each image",
    fix="Lower TRAIN_ROIS_PER_IMAGE, which saves memory too; keep ROI_POSITIVE_RATIO. Or leave padding out of the "
    'loss: LOSS_NORMALIZATION = {"mrcnn_class_loss": "sampled"}.',
)
def more_rois_than_objects_fill(facts, *, rois_per_object=100, enough=32):
    """`TRAIN_ROIS_PER_IMAGE` is above `enough` and above `rois_per_object` for each object of the median image."""
    config = facts.config
    if not fits(config, "TRAIN_ROIS_PER_IMAGE") or not facts.train:
        return
    if fits(config, "LOSS_NORMALIZATION") and config.LOSS_NORMALIZATION.get("mrcnn_class_loss", "rows") != "rows":
        return  # padding does not count then
    median, rois = _objects_in_median_image(facts.train), config.TRAIN_ROIS_PER_IMAGE
    wanted = max(enough, int(rois_per_object * median) // 2)
    if median and rois > max(enough, rois_per_object * median):
        yield Violation(
            f"{rois} ROIs are sampled for {median:g} "
            f"{'object' if median == 1 else 'objects'} in the median image; overlapping proposals rarely fill them.",
            setting="TRAIN_ROIS_PER_IMAGE",
            changes={"TRAIN_ROIS_PER_IMAGE": wanted},
        )


@rule(
    "CFG066",
    INFO,
    needs=(CONFIG, OBJECTS),
    why="Every object needs a positive ROI to be learnt. With fewer places than objects, most objects of a crowded "
    "image are left out of each step.",
    example="TRAIN_ROIS_PER_IMAGE = 32, so 10 positive ones, for 60 nuclei in an image",
    fix="Raise TRAIN_ROIS_PER_IMAGE.",
)
def fewer_positive_rois_than_objects(facts, *, times_to_warn=2):
    """The median image has more objects than `TRAIN_ROIS_PER_IMAGE` x `ROI_POSITIVE_RATIO` positive ROIs.

    A warning where it has more than `times_to_warn` as many.
    """
    config = facts.config
    if not fits(config, "TRAIN_ROIS_PER_IMAGE", "ROI_POSITIVE_RATIO") or not facts.train:
        return
    median = _objects_in_median_image(facts.train)
    positive = int(config.TRAIN_ROIS_PER_IMAGE * config.ROI_POSITIVE_RATIO)
    if median > positive > 0:
        yield Violation(
            f"the median image has {median:g} objects, and at most {positive} of "
            f"TRAIN_ROIS_PER_IMAGE={config.TRAIN_ROIS_PER_IMAGE} ROIs are positive "
            f"(ROI_POSITIVE_RATIO={config.ROI_POSITIVE_RATIO}).",
            setting="TRAIN_ROIS_PER_IMAGE",
            severity=WARNING if median > times_to_warn * positive else INFO,
            changes={"TRAIN_ROIS_PER_IMAGE": int(np.ceil(2 * median / config.ROI_POSITIVE_RATIO / 16)) * 16},
        )


@rule(
    "CFG068",
    WARNING,
    needs=(CONFIG, OBJECTS, HEADERS),
    why="Proposals below RPN_MIN_SIZE are left out, in training and detection: such objects are never found.",
    example="RPN_MIN_SIZE = 20 with cells of 12 pixels",
    fix="Stay well under the smallest objects; 0 keeps all proposals.",
)
def proposals_filtered_below_objects(facts, *, most_share=0.01):
    """More than `most_share` of the objects have a side under `RPN_MIN_SIZE` after resizing."""
    config = facts.config
    if not fits(config, "RPN_MIN_SIZE") or not config.RPN_MIN_SIZE or not can_resize(config):
        return
    for split, objects in itertools.islice(facts.splits_with_objects, 1):
        short = mold_objects(split, objects, config).short_sides
        if len(short) and (short < config.RPN_MIN_SIZE).mean() > most_share:
            smallest = float(np.quantile(short, 0.01))
            yield Violation(
                f"{(short < config.RPN_MIN_SIZE).mean():.0%} of {len(short)} objects have a side under "
                f"RPN_MIN_SIZE={config.RPN_MIN_SIZE:g} pixels; the smallest hundredth has up to {smallest:.0f}.",
                setting="RPN_MIN_SIZE",
                changes={"RPN_MIN_SIZE": int(smallest / 2)},
            )


@rule(
    "CFG080",
    ERROR,
    needs=CONFIG,
    why="Box corrections (dy, dx, log dh, log dw) are divided by these four numbers.",
    example="BBOX_STD_DEV = [0.1, 0.1, 0.2]",
    fix="Use np.array([0.1, 0.1, 0.2, 0.2]); they are part of the meaning of trained weights.",
)
def box_deviations_impossible(facts):
    """`RPN_BBOX_STD_DEV` or `BBOX_STD_DEV` is not four numbers above 0."""
    yield from _unless_it_fits(facts, "RPN_BBOX_STD_DEV", [0.1, 0.1, 0.2, 0.2])
    yield from _unless_it_fits(facts, "BBOX_STD_DEV", [0.1, 0.1, 0.2, 0.2])


def _unless_it_fits(facts, name, usual):
    """A violation with the usual value as the change, unless the setting holds what it may."""
    if not fits(facts.config, name):
        message = f"expected {EXPECTED[name].text}, received {received(facts.config, name)}."
        yield Violation(message, setting=name, fix=f"Set {name} = {usual}.", changes={name: usual})


def _objects_in_median_image(split) -> float:
    """Objects in the median of those images that have any, or 0."""
    if split.objects is None or not len(split.objects):
        return 0.0
    counts = split.objects.counts_by_image(split.num_images)
    return float(np.median(counts[counts > 0])) if (counts > 0).any() else 0.0
