"""What is wrong with a first batch: the rules on the result of `first-batch`."""

from __future__ import annotations

import math

from mrcnn_plus.diagnosis.experiments.first_batch import PART_OF_LOSS, FirstBatch
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import EXPERIMENT, Violation, rule

_THIN = 0.3  # share of its box that a mask fills; discs fill 0.79, and slanted rods may be as thin as outlines


@rule(
    "EXP001",
    ERROR,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="One value that is not finite makes all weights so in the next step.",
    example="mrcnn_class_loss is nan in the first batch",
    fix="Look at the weights and images that come in: `mrcnn-plus experiment weights`, `mrcnn-plus lint`.",
)
def first_batch_not_finite(facts):
    """A loss or gradient norm of the first batch is not finite."""
    result = facts.experiment
    values = {level.name: level.value for level in result.losses} | {"total": result.total}
    values |= {f"gradient of {part}": norm for part, norm in result.gradient_norms.items()}
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
        yield Violation(
            f"Not finite in the first batch, before any step: {', '.join(bad)}.",
            where=bad[0],
            causes=[
                "weights that are not finite or far too large",
                "images with values that are not finite, or of another range",
                "a random backbone under batch normalization with stored statistics",
            ],
            experiment="mrcnn-plus experiment weights",
        )


@rule(
    "EXP002",
    WARNING,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="A head that knows nothing has ln K for K classes, 0.69 for the RPN and for masks. Far above that, a head is "
    "wrong with confidence: it was trained for something else, or sees something else.",
    example="mrcnn_class_loss 4.1 with 3 classes, where ln 3 = 1.1",
    fix="Find out which of the causes it is; the learning rate is none of them, for no step was taken.",
)
def loss_far_above_ignorance(facts, *, factor=2.0, factor_random=10.0, least=0.5):
    """Losses are `factor` times as high as those of heads that know nothing, and by `least` higher; for random heads
    `factor_random` times."""
    result = facts.experiment
    high = [
        level
        for level in result.losses
        if math.isfinite(level.value)
        and level.value > (factor if level.is_trained else factor_random) * level.blind > 0
        and level.value - level.blind > least
    ]
    if not high:
        return
    yield Violation(
        "Worse than knowing nothing: "
        + ", ".join(f"{level.name} {level.value:.3g} (knowing nothing: {level.blind:.3g})" for level in high)
        + ".",
        where=", ".join(level.name for level in high),
        causes=_causes_of_high(result, {level.name for level in high}, all(level.is_trained for level in high)),
        experiment="mrcnn-plus experiment self-consistency" if all(level.is_trained for level in high) else "",
        details={level.name: {"value": level.value, "blind": level.blind} for level in high},
    )


def _causes_of_high(result, names, trained):
    if not trained:
        return [
            "a random network under batch normalization with stored statistics, whose features explode",
            "images of another range than the weights expect (MEAN_PIXEL)",
        ]
    images = "images differ from those of the training: MEAN_PIXEL, order of channels, range, size"
    unseen = "objects are not annotated that the network finds: they count as background"
    elsewhere = "annotations lie elsewhere than their objects"
    if names <= {"rpn_class_loss"}:
        return ["anchors differ from those of the training: RPN_ANCHOR_SCALES, RPN_ANCHOR_RATIOS", unseen, images]
    if names <= {"mrcnn_class_loss"}:
        return [
            "the classes stand in another order than when the weights were trained, or labels are wrong",
            unseen,
            "the weights were trained with another NUM_CLASSES meaning, or on other data",
        ]
    if names <= {"mrcnn_mask_loss"}:
        thin = ["masks are outlines that are not filled"] if (result.targets.fill or 1.0) < _THIN else []
        return [
            *thin,
            "masks lie elsewhere than their objects",
            "masks belong to other instances than their class ids say",
        ]
    if names <= {"mrcnn_bbox_loss", "rpn_bbox_loss"}:
        return [elsewhere, "BBOX_STD_DEV or RPN_BBOX_STD_DEV differ from the training, or anchors do"]
    if names <= {"mrcnn_bbox_loss", "rpn_bbox_loss", "mrcnn_mask_loss"}:  # what says where, and not what
        return [elsewhere, images]
    return [images, f"{elsewhere}, or are incomplete", "weights of another configuration: anchors, strides, ROI_ALIGN"]


@rule(
    "EXP003",
    WARNING,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="A trained head that answers as one that knows nothing has been trained on something else, or not at all.",
    example="All heads were loaded, and the class loss is ln K",
    fix="Check with `mrcnn-plus experiment weights` what was loaded, and detect on an image of the old training.",
)
def trained_head_knows_nothing(facts, *, share=0.9):
    """A part has other weights than random ones, and all its losses are at least `share` of a blind head's."""
    result = facts.experiment
    for part in dict.fromkeys(PART_OF_LOSS.values()):
        levels = [level for level in result.losses if PART_OF_LOSS[level.name] == part and level.blind > 0]
        if levels and all(level.is_trained and level.value >= share * level.blind for level in levels):
            if any(level.verdict in ("worse than knowing nothing", "not finite") for level in levels):
                continue  # EXP001, EXP002
            yield Violation(
                f"The {part} has trained weights, and does no better than one that knows nothing: "
                + ", ".join(f"{level.name} {level.value:.3g} against {level.blind:.3g}" for level in levels)
                + ".",
                where=part,
                causes=[
                    "the images look other than in its training: MEAN_PIXEL, order of channels, size",
                    "it was trained for other objects, and has to learn yours",
                    "its training had not begun to work",
                ],
                experiment="mrcnn-plus experiment weights",
            )


@rule(
    "EXP004",
    WARNING,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="Without positive anchors the RPN, without positive ROIs class, box and mask head see background only.",
    example="0 positive ROIs in a batch with 7 objects",
    fix="Fit the anchors to the objects: `mrcnn_plus.lint.suggest_anchors`.",
)
def no_positives_in_the_batch(facts, *, least_share=0.5):
    """A batch with objects has no positive anchor, or less than `least_share` of its images have a positive ROI, which
    is an info if the RPN is untrained."""
    result = facts.experiment
    if not sum(result.objects):
        return
    rpn_is_trained = any(level.is_trained for level in result.losses if PART_OF_LOSS[level.name] == "rpn")
    with_objects = [place for place, count in enumerate(result.objects) if count]
    without = [result.images[place] for place in with_objects if not result.positive_rois[place]]
    if not sum(result.positive_anchors):
        yield Violation(
            f"No anchor is positive for {sum(result.objects)} objects.",
            where="anchors",
            places=result.images,
            causes=["boxes without area", "anchors far larger or smaller than the objects"],
            experiment="mrcnn-plus experiment rpn",
        )
    elif len(without) > (1 - least_share) * len(with_objects):
        yield Violation(
            f"{len(without)} of {len(with_objects)} images with objects have no positive ROI, so class, box and mask "
            "head learn nothing from them but background.",
            where="ROIs",
            places=without,
            severity=None if rpn_is_trained else INFO,
            causes=[
                "annotations lie elsewhere than the objects that the RPN proposes"
                if rpn_is_trained
                else "the RPN is untrained: this passes in the first hundred steps",
                "anchors do not fit the objects, so no proposal overlaps one by half",
                "too few proposals: POST_NMS_ROIS_TRAINING, RPN_MIN_SIZE",
            ],
            experiment="mrcnn-plus experiment rpn",
        )


@rule(
    "EXP005",
    WARNING,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="A part without a gradient does not learn, whatever the learning rate.",
    example="The mask head trains, and its gradient is 0",
    fix="Look at LOSS_WEIGHTS and at the positives of the batch.",
)
def trains_without_gradient(facts):
    """A part trains, and its gradient is exactly 0, though the batch has something to learn for it."""
    result = facts.experiment
    still = [part for part in result.training_parts if result.gradient_norms.get(part) == 0.0]
    if not sum(result.positive_rois):  # EXP004: masks are learnt from positive ROIs alone
        still = [part for part in still if part != "mask_head"]
    if still:
        yield Violation(
            f"No gradient reaches {', '.join(still)}, though {'they train' if len(still) > 1 else 'it trains'}.",
            where=still[0],
            causes=["its loss has weight 0 in LOSS_WEIGHTS", "its units are dead: all activations are 0"],
        )


@rule(
    "EXP006",
    WARNING,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="Long gradients throw trained weights away in a few steps, unless they are clipped or the rate warms up.",
    example="Gradient norm 9,000 in the first batch",
    fix="GRADIENT_CLIP_BY = 'global' with GRADIENT_CLIP_NORM = 5 to 10, and WARMUP_STEPS = 200.",
)
def gradient_explodes(facts, *, most=1000.0):
    """The gradient of the first batch is longer than `most`."""
    result = facts.experiment
    if math.isfinite(result.gradient_norm) and result.gradient_norm > most:
        part, norm = max(result.gradient_norms.items(), key=lambda item: item[1])
        yield Violation(
            f"The gradient has norm {result.gradient_norm:.3g}; most of it is in {part} ({norm:.3g}).",
            where=part,
            causes=[
                "heads that begin at random on features that are very large",
                "a random backbone under batch normalization with stored statistics",
                "images of another range than the weights expect",
            ],
            changes={"GRADIENT_CLIP_BY": "global"},
        )


@rule(
    "EXP007",
    WARNING,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="Networks are trained on grey levels of 0 to 255 minus the mean. Images of 0 to 1 minus 120 all look alike.",
    example="load_image returns img / 255",
    fix="Return uint8 from load_image, or choose MEAN_PIXEL for the range that your images have.",
)
def inputs_out_of_range(facts, *, least_deviation=5.0, farthest_mean=80.0, largest=600.0):
    """Molded images hardly vary (an error), or lie far from 0, or beyond any range of grey levels."""
    result = facts.experiment
    inputs = result.inputs
    if inputs.deviation < least_deviation:
        yield Violation(
            f"The images that enter the network hardly vary: standard deviation {inputs.deviation:.2g} grey levels "
            f"around {inputs.mean:.4g}.",
            setting="MEAN_PIXEL",
            severity=ERROR,
            causes=["load_image returns values of 0 to 1", "load_image returns an empty or constant image"],
        )
    elif max(-inputs.least, inputs.greatest) > largest:
        yield Violation(
            f"The images that enter the network reach from {inputs.least:.4g} to {inputs.greatest:.4g}.",
            setting="MEAN_PIXEL",
            causes=["images of 16 bits that were not scaled to 0 to 255"],
        )
    elif abs(inputs.mean) > farthest_mean:
        yield Violation(
            f"The images that enter the network lie around {inputs.mean:.4g}, not around 0.",
            setting="MEAN_PIXEL",
            severity=INFO,
            causes=["dark or bright images under a MEAN_PIXEL that was made for others; pretrained weights bear it"],
            fix="With weights of your own, give the mean of your images.",
        )


@rule(
    "EXP008",
    WARNING,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="The mask head learns its targets: to find nothing from empty ones, to fill the box from full ones.",
    example="Annotations that have boxes only, turned into masks",
    fix="Look at `mrcnn-plus preview`, where masks are drawn as they are trained on.",
)
def mask_targets_empty_or_full(facts, *, least=0.05, most=0.995):
    """The mask targets of the positive ROIs hold almost no object pixels; or masks fill their boxes (an info); or no
    object is left in the batch (an error)."""
    result = facts.experiment
    share, fill = result.targets.mask_share, result.targets.fill
    if not sum(result.objects):
        yield Violation(
            "No object is left in this batch, though its images were chosen because they have some.",
            where="masks",
            severity=ERROR,
            places=result.images,
            causes=["objects are so small that nothing of them is left when images are resized", "the augmentation"],
        )
    elif share is not None and share < least:
        yield Violation(
            f"{share:.1%} of the pixels of the mask targets are object: the masks are almost empty.",
            where="masks",
            causes=[
                "masks lie outside their boxes",
                "masks of thin lines",
                "MINI_MASK_SHAPE too small for the objects",
            ],
        )
    elif fill is not None and fill > most:
        yield Violation(
            f"The masks fill {fill:.1%} of their boxes.",
            where="masks",
            severity=INFO,
            causes=["the annotations have boxes only", "objects that are rectangles"],
        )


@rule(
    "EXP009",
    WARNING,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="A trained class head that gives most objects another class was trained with other class ids, or the labels "
    "are wrong. The loss alone need not show it, for most ROIs are background.",
    example="Of 25 positive ROIs 2 get their class, 23 another one",
    fix="Register the classes in the order of the training of these weights; `mrcnn-plus preview` shows the labels.",
)
def trained_head_sees_other_classes(facts, *, share=0.5, some=0.25, least=8):
    """The class head is trained, and gives more than `share` of at least `least` positive ROIs another class; an info
    from `some` on."""
    result = facts.experiment
    answers = result.answers
    total = answers.right + answers.background + answers.other
    trained = any(level.is_trained for level in result.losses if level.name == "mrcnn_class_loss")
    if trained and total >= least and answers.other > some * total:
        yield Violation(
            f"Of {total} positive ROIs {answers.right} get their class, {answers.other} another one, and "
            f"{answers.background} are taken for background.",
            where="classes",
            severity=None if answers.other > share * total else INFO,
            causes=[
                "the classes stand in another order than when the weights were trained",
                "labels are wrong, or masks belong to other instances than their class ids say",
                "the weights were trained on other classes",
            ],
            experiment="mrcnn-plus experiment self-consistency",
        )


@rule(
    "EXP070",
    WARNING,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="Of each object the best anchor counts as positive, however far it is. Where all are far, the RPN learns to "
    "move anchors by more than their size, and what it proposes rarely overlaps an object.",
    example="RPN deltas of 5.5 in the mean, with anchors of 128 to 512 pixels for objects of 20",
    fix="Fit the anchors to the objects: `mrcnn_plus.lint.suggest_anchors`.",
)
def positive_anchors_are_far(facts, *, most=3.0):
    """The mean size of the RPN's deltas, in units of RPN_BBOX_STD_DEV, is above `most`."""
    deltas = facts.experiment.targets.rpn_deltas
    if deltas is not None and deltas > most:
        yield Violation(
            f"Positive anchors lie far from their objects: the deltas that the RPN should learn are {deltas:.2g} in "
            "the mean, where 0.3 to 1.5 is usual.",
            setting="RPN_ANCHOR_SCALES",
            causes=[
                "anchors far larger or smaller than the objects",
                "RPN_BBOX_STD_DEV is far below 0.1, 0.1, 0.2, 0.2",
            ],
            experiment="mrcnn-plus experiment rpn",
        )


@rule(
    "EXP071",
    ERROR,
    needs=EXPERIMENT,
    about=FirstBatch,
    why="A random part that does not train stays random: all that comes after it learns from noise.",
    example='No weights loaded, and layers="heads": the backbone is random for ever',
    fix="Load weights for these layers, or let them train (layers='all').",
)
def random_part_is_frozen(facts):
    """A part of the network has random weights, and no stage trains it."""
    result = facts.experiment
    lost = [part for part in result.untrained_parts if part not in result.training_parts]
    if lost:
        have, train = ("has", "does not train") if len(lost) == 1 else ("have", "do not train")
        yield Violation(
            f"The {' and the '.join(lost)} {have} random weights and {train}.",
            where=lost[0],
            causes=["no weights were loaded, or of another network", "`layers` leaves it out"],
            experiment="mrcnn-plus experiment weights",
        )
