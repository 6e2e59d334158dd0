"""Anchors by themselves and against the objects of a data set."""

import itertools

import numpy as np

from mrcnn_plus.constants import RPN_NEGATIVE_IOU, RPN_POSITIVE_IOU
from mrcnn_plus.lint.estimates.anchor_fit import HALF, anchor_settings, best_anchor_iou, can_match, choose_anchors
from mrcnn_plus.lint.estimates.molded import mold_objects
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, HEADERS, OBJECTS, RUN, Violation, rule
from mrcnn_plus.lint.rules.backbone import published_weights
from mrcnn_plus.lint.setting_types import EXPECTED, fits, received, resize_mode

_BANDS = (0, 8, 16, 32, 64, 128, 256, np.inf)
_PLACES_LISTED = 1000
_CLASSES_SHOWN = 5


@rule(
    "CFG040",
    ERROR,
    needs=CONFIG,
    why="Anchors have the area scale x scale and the proportion width / height; there is none for 0 or less.",
    example="RPN_ANCHOR_RATIOS = [0, 1, 2]",
    fix="Use numbers above 0, such as [0.5, 1, 2].",
)
def anchor_ratios_impossible(facts):
    """`RPN_ANCHOR_RATIOS` is empty or holds something else than numbers above 0."""
    if not fits(facts.config, "RPN_ANCHOR_RATIOS"):
        yield Violation(
            f"expected {EXPECTED['RPN_ANCHOR_RATIOS'].text}, received {received(facts.config, 'RPN_ANCHOR_RATIOS')}.",
            setting="RPN_ANCHOR_RATIOS",
            changes={"RPN_ANCHOR_RATIOS": [0.5, 1, 2]},
        )


@rule(
    "CFG041",
    WARNING,
    needs=(CONFIG, RUN),
    why="The region proposal network has outputs for each ratio; with another number those of the file do not fit and "
    "it starts from random values.",
    example='RPN_ANCHOR_RATIOS = [0.33, 0.5, 1, 2, 3] with weights "coco"',
    fix="Use three ratios with published weights, or give the heads more epochs.",
)
def number_of_ratios_differs_from_published_weights(facts):
    """COCO weights are loaded, and `RPN_ANCHOR_RATIOS` has not three values."""
    config = facts.config
    if (
        published_weights(facts.run) == "coco"
        and fits(config, "RPN_ANCHOR_RATIOS")
        and len(config.RPN_ANCHOR_RATIOS) != 3
    ):
        yield Violation(
            f"{len(config.RPN_ANCHOR_RATIOS)} ratios; {facts.run.weights} has 3, so the last layers of the region "
            "proposal network start from random values.",
            setting="RPN_ANCHOR_RATIOS",
        )


@rule(
    "CFG042",
    WARNING,
    needs=CONFIG,
    why="The first scale belongs to the finest level, whose cells see little of the image, the last to the coarsest, "
    "whose cells stand far apart. Large anchors on fine levels see only a part of their object.",
    example="RPN_ANCHOR_SCALES = (512, 256, 128, 64, 32)",
    fix="Sort the scales, the smallest first.",
)
def anchor_scales_not_increasing(facts):
    """`RPN_ANCHOR_SCALES` does not grow from level to level."""
    config = facts.config
    if fits(config, "RPN_ANCHOR_SCALES") and np.any(np.diff(config.RPN_ANCHOR_SCALES) <= 0):
        ordered = tuple(sorted(set(config.RPN_ANCHOR_SCALES)))
        yield Violation(
            f"the anchor scales {tuple(config.RPN_ANCHOR_SCALES)} do not grow from the finest level to the coarsest.",
            setting="RPN_ANCHOR_SCALES",
            changes={"RPN_ANCHOR_SCALES": ordered} if len(ordered) == len(config.RPN_ANCHOR_SCALES) else {},
        )


@rule(
    "CFG043",
    ERROR,
    needs=CONFIG,
    why="Anchors stand on every n-th cell of a feature map. From 2 on, three quarters of the places have none, and "
    "objects that are smaller than the distance can lie between them.",
    example="RPN_ANCHOR_STRIDE = 0",
    fix="Set RPN_ANCHOR_STRIDE = 1.",
)
def anchor_stride_impossible_or_wide(facts):
    """`RPN_ANCHOR_STRIDE` is no whole number of at least 1; a warning if anchors of the finest level do not overlap."""
    config = facts.config
    if not fits(config, "RPN_ANCHOR_STRIDE"):
        message = f"expected {EXPECTED['RPN_ANCHOR_STRIDE'].text}, received {received(config, 'RPN_ANCHOR_STRIDE')}."
        yield Violation(message, setting="RPN_ANCHOR_STRIDE", changes={"RPN_ANCHOR_STRIDE": 1})
    elif fits(config, "RPN_ANCHOR_SCALES", "BACKBONE_STRIDES"):
        distance, scale = config.RPN_ANCHOR_STRIDE * config.BACKBONE_STRIDES[0], config.RPN_ANCHOR_SCALES[0]
        if config.RPN_ANCHOR_STRIDE > 1 and distance >= scale:
            yield Violation(
                f"anchors of {scale} pixels stand {distance} pixels apart "
                f"(RPN_ANCHOR_STRIDE={config.RPN_ANCHOR_STRIDE}): objects of that size can lie between them.",
                setting="RPN_ANCHOR_STRIDE",
                severity=WARNING,
                changes={"RPN_ANCHOR_STRIDE": 1},
            )


@rule(
    "CFG044",
    WARNING,
    needs=CONFIG,
    why="Scales are pixels of the image as the network sees it. Anchors larger than the image can match no object, and "
    "anchors of less than a cell find none either.",
    example="RPN_ANCHOR_SCALES = (128, 256, 512, 1024, 2048) with IMAGE_MAX_DIM = 512",
    fix="Choose scales between 4 pixels and the side of the image.",
)
def anchor_scales_out_of_proportion(facts, *, smallest=4, most_times=2):
    """An anchor scale is below `smallest` pixels or above `most_times` the side of the network's input."""
    config = facts.config
    if not fits(config, "RPN_ANCHOR_SCALES", "IMAGE_MIN_DIM", "IMAGE_MAX_DIM"):
        return
    side = {"square": config.IMAGE_MAX_DIM, "crop": config.IMAGE_MIN_DIM}.get(resize_mode(config))
    scales = [float(scale) for scale in config.RPN_ANCHOR_SCALES]
    if min(scales) < smallest:
        yield Violation(f"the smallest anchor has {min(scales):g} pixels.", setting="RPN_ANCHOR_SCALES")
    if side and max(scales) > most_times * side:
        large = sum(scale > side for scale in scales)
        yield Violation(
            f"the largest anchor has {max(scales):g} pixels in an image of {side:g}; {large} of the {len(scales)} "
            "levels have anchors that are larger than the image.",
            setting="RPN_ANCHOR_SCALES",
        )


@rule(
    "DAT031",
    WARNING,
    needs=(CONFIG, OBJECTS, HEADERS),
    why="Proposals start from anchors. An object that no anchor overlaps by half trains the region proposal network "
    "badly and is rarely proposed; then the heads see background only, and the losses stall.",
    example="Cells of 11 pixels with the default scales, of which the smallest is 32.",
    fix="Choose anchors by the objects: lint.suggest_anchors(config, dataset) computes them.",
)
def anchors_do_not_fit_objects(facts, *, max_share=0.35, max_hopeless=0.15, share_to_mention=0.1, min_objects=10):
    """More than `max_share` of the objects overlap no anchor by an IoU of 0.5 after resizing, or `max_hopeless` none by
    0.3.

    With more than `share_to_mention` under 0.5 it is an info. Nothing is said of fewer than `min_objects` objects. The
    training set is looked at, or else the validation set. Anchors that are only two strides long, as (8, 16, 32, 64,
    128), miss a quarter of well-chosen objects by half, and train all the same.
    """
    config = facts.config
    if not can_match(config):
        return
    anchors = anchor_settings(config)
    for split, objects in itertools.islice(facts.splits_with_objects, 1):
        molded = mold_objects(split, objects, config)
        if len(molded.row) < min_objects:
            continue
        iou = best_anchor_iou(molded.boxes, molded.shape, anchors)
        missed = iou < HALF
        if missed.mean() <= share_to_mention:
            continue
        suggestion = choose_anchors(molded, anchors)
        better = suggestion.recall_50 > suggestion.present_recall_50 + 0.02
        hopeless = np.flatnonzero(iou < RPN_NEGATIVE_IOU)
        serious = missed.mean() > max_share or len(hopeless) > max_hopeless * len(iou)
        sides = np.median(molded.sides)
        yield Violation(
            f"{split.name}: {missed.mean():.0%} of {len(iou)} objects overlap no anchor by half, {len(hopeless)} not "
            f"even by {RPN_NEGATIVE_IOU}; {np.mean(iou >= RPN_POSITIVE_IOU):.0%} overlap one by {RPN_POSITIVE_IOU}. "
            f"The smallest anchor has {min(anchors.scales):g} pixels, the median object {sides:.0f} after resizing. "
            f"Overlapped by half are, by size: {_by_size(molded.sides, missed)}; by class: "
            f"{_by_class(molded.class_id, missed, split.class_names)}.",
            setting="RPN_ANCHOR_SCALES",
            severity=WARNING if serious else INFO,
            fix=_fix(suggestion, better, np.median(molded.sides[missed])),
            places=split.object_places(molded.row[hopeless[:_PLACES_LISTED]]),
            changes=suggestion.changes if better else {},
        )


def _fix(suggestion, better, side):
    if not better and side < min(suggestion.scales):
        return "No other anchors fit clearly better: choose a larger image size, so that objects get more pixels."
    if not better:
        return (
            "No other three ratios fit clearly better; lint.suggest_anchors(config, dataset, num_ratios=5) tries five."
        )
    return (
        f"RPN_ANCHOR_SCALES = {suggestion.scales} and RPN_ANCHOR_RATIOS = {suggestion.ratios} overlap "
        f"{suggestion.recall_50:.0%} by half and {suggestion.recall_70:.0%} by {RPN_POSITIVE_IOU}."
    )


def _by_size(sides, missed):
    """`8-16 pixels 3% of 120, 16-32 ...`: bands of the side of the square of the same area."""
    parts = []
    for low, high in itertools.pairwise(_BANDS):
        inside = (sides >= low) & (sides < high)
        if inside.any():
            name = f"{low}-{high}" if np.isfinite(high) else f"over {low}"
            parts.append(f"{name} pixels {1 - missed[inside].mean():.0%} of {inside.sum()}")
    return ", ".join(parts)


def _by_class(class_ids, missed, names):
    """The classes with the smallest share of overlapped objects."""
    shares = {class_id: 1 - missed[class_ids == class_id].mean() for class_id in np.unique(class_ids)}
    worst = sorted(shares, key=shares.get)
    shown = [f"{_class_name(names, class_id)} {shares[class_id]:.0%}" for class_id in worst[:_CLASSES_SHOWN]]
    return ", ".join(shown) + (f" and {len(worst) - len(shown)} more" if len(worst) > len(shown) else "")


def _class_name(names, class_id):
    return names[class_id] if 0 <= class_id < len(names) else f"class {class_id}"


@rule(
    "DAT032",
    INFO,
    needs=(CONFIG, OBJECTS, HEADERS),
    why="Anchors have few proportions. Objects that are much longer than any of them overlap every anchor badly.",
    example="Rods of 10 x 100 pixels with ratios of 0.5, 1 and 2",
    fix="Add ratios, in pairs: [0.2, 0.5, 1, 2, 5]. Published weights have three, so the proposal network starts anew.",
)
def objects_longer_than_anchors(facts, *, max_share=0.1, tolerance=1.5, min_objects=10):
    """More than `max_share` of the objects have proportions beyond the extreme ratios by a factor of `tolerance`."""
    config = facts.config
    if not can_match(config):
        return
    widest, tallest = max(config.RPN_ANCHOR_RATIOS) * tolerance, min(config.RPN_ANCHOR_RATIOS) / tolerance
    for split, objects in itertools.islice(facts.splits_with_objects, 1):
        molded = mold_objects(split, objects, config)
        proportions = molded.widths / molded.heights
        wide, tall = proportions > widest, proportions < tallest
        if len(proportions) < min_objects or (wide | tall).mean() <= max_share:
            continue
        yield Violation(
            f"{split.name}: {(wide | tall).mean():.0%} of {len(wide)} objects are more elongated than the ratios "
            f"{list(config.RPN_ANCHOR_RATIOS)} cover: {wide.sum()} wider than {widest:g} : 1, {tall.sum()} taller than "
            f"1 : {1 / tallest:g}.",
            setting="RPN_ANCHOR_RATIOS",
        )
