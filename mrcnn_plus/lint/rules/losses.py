"""Weights and kinds of the losses, and weights of the classes in them."""

from collections.abc import Mapping

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, DATA, Violation, rule
from mrcnn_plus.lint.setting_types import EXPECTED, fits, is_number, is_whole, received
from mrcnn_plus.lint.spelling import nearest_of

_OTHERS = "*"


@rule(
    "CFG093",
    ERROR,
    needs=CONFIG,
    why="Losses are weighted by name; a weight for a name that does not exist has no effect.",
    example='LOSS_WEIGHTS = {"mask_loss": 2.0}',
    fix=f"Use {', '.join(LOSS_NAMES)}.",
)
def unknown_loss_in_weights(facts):
    """`LOSS_WEIGHTS` names a loss that does not exist."""
    weights = facts.config.LOSS_WEIGHTS
    if not isinstance(weights, Mapping):
        return
    for name in weights:
        if name not in LOSS_NAMES:
            meant = nearest_of(str(name), LOSS_NAMES)
            corrected = {meant if key == name else key: value for key, value in weights.items()} if meant else {}
            yield Violation(
                f"there is no loss {name!r}; its weight {weights[name]!r} would have no effect."
                + (f" Did you mean {meant!r}?" if meant else ""),
                setting="LOSS_WEIGHTS",
                value=name,
                changes={"LOSS_WEIGHTS": corrected} if meant and meant not in weights else {},
            )


@rule(
    "CFG094",
    ERROR,
    needs=CONFIG,
    why="The total is the weighted sum of the losses. A negative weight teaches the opposite, 0 switches a part of the "
    "network off, and with weights far apart the small ones do not count.",
    example='LOSS_WEIGHTS = {"mrcnn_mask_loss": -1.0}',
    fix="Start with 1.0 for each and change one at a time by a factor of 2.",
)
def loss_weight_out_of_range(facts, *, most_times=20):
    """`LOSS_WEIGHTS` is no dictionary of numbers, or has a weight below 0.

    An info for a weight of 0; a warning where the largest is more than `most_times` the smallest above 0.
    """
    weights = facts.config.LOSS_WEIGHTS
    if not fits(facts.config, "LOSS_WEIGHTS"):
        message = f"expected {EXPECTED['LOSS_WEIGHTS'].text}, received {received(facts.config, 'LOSS_WEIGHTS')}."
        yield Violation(message, setting="LOSS_WEIGHTS", changes={"LOSS_WEIGHTS": dict.fromkeys(LOSS_NAMES, 1.0)})
        return
    for name, weight in weights.items():
        if weight < 0:
            yield Violation(f"the weight {weight:g} of {name} is negative.", setting="LOSS_WEIGHTS", value=weight)
        elif weight == 0:
            message = f"the weight of {name} is 0: that part of the network is not trained."
            yield Violation(message, setting="LOSS_WEIGHTS", value=weight, severity=INFO)
    positive = {name: weight for name, weight in weights.items() if weight > 0 and name in LOSS_NAMES}
    missing = dict.fromkeys(set(LOSS_NAMES) - set(weights), 1.0)
    everything = {**positive, **missing}
    if everything and max(everything.values()) > most_times * min(everything.values()):
        largest, smallest = max(everything, key=everything.get), min(everything, key=everything.get)
        yield Violation(
            f"{largest} counts {everything[largest] / everything[smallest]:.0f} times as much as {smallest}.",
            setting="LOSS_WEIGHTS",
            severity=WARNING,
        )


@rule(
    "CFG097",
    ERROR,
    needs=(CONFIG, DATA),
    why="Weights are given by name or class id. One that belongs to no class has no effect, and a class without a "
    "weight, or with one of 0, is not learnt.",
    example='CLASS_WEIGHTS = {"wed": 5.0} with the classes crop and weed',
    fix="Name every class of the data set, or add '*': 1.0 for all that are not named.",
)
def class_weights_do_not_fit_classes(facts, *, most_times=50):
    """`CLASS_WEIGHTS` names a class that does not exist, leaves one out, or has a weight that is not above 0.

    A warning where the largest weight is more than `most_times` the smallest.
    """
    weights = getattr(facts.config, "CLASS_WEIGHTS", None)
    split = facts.train or facts.val
    if not isinstance(weights, Mapping) or not split:
        return
    names = split.class_names
    for key, weight in weights.items():
        if key != _OTHERS and not _is_class(key, names):
            meant = nearest_of(str(key), names)
            shown = ", ".join(names[1:9]) + (", ..." if len(names) > 9 else "")
            yield Violation(
                f"there is no class {key!r}; the {split.name} data set has {shown}."
                + (f" Did you mean {meant!r}?" if meant else ""),
                setting="CLASS_WEIGHTS",
                value=key,
            )
        if not is_number(weight) or weight <= 0:
            message = f"expected a weight above 0 for {key!r}, received {weight!r}."
            yield Violation(message, setting="CLASS_WEIGHTS", value=weight)
    given = {names[key] if is_whole(key) and 0 <= key < len(names) else key for key in weights}
    missing = [name for name in names[1:] if name not in given]
    if missing and _OTHERS not in weights:
        shown = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        yield Violation(
            f"{len(missing)} of {len(names) - 1} classes have no weight: {shown}.",
            setting="CLASS_WEIGHTS",
            value=missing,
            changes={"CLASS_WEIGHTS": {**weights, _OTHERS: 1.0}},
        )
    numbers = [weight for weight in weights.values() if is_number(weight) and weight > 0]
    if numbers and max(numbers) > most_times * min(numbers):
        yield Violation(
            f"the largest weight is {max(numbers) / min(numbers):.0f} times the smallest; single objects of the rare "
            "class then move the whole network.",
            setting="CLASS_WEIGHTS",
            severity=WARNING,
            fix="Use 'effective', or limit the weights to 10 : 1 and show rare images more often (SAMPLER).",
        )


def _is_class(key, names):
    return key in names if isinstance(key, str) else is_whole(key) and 0 <= key < len(names)


@rule(
    "CFG107",
    WARNING,
    needs=CONFIG,
    why="A sampler changes how often rare classes are seen, class weights how much they count: both together correct "
    "twice, and the rare class is then predicted too often.",
    example='SAMPLER = "class_balanced" with CLASS_WEIGHTS = "balanced"',
    fix="Use one of the two.",
)
def imbalance_corrected_twice(facts):
    """`CLASS_WEIGHTS` is set, and `SAMPLER` is another one than "shuffle"."""
    config = facts.config
    if not fits(config, "CLASS_WEIGHTS", "SAMPLER"):
        return
    if config.CLASS_WEIGHTS is not None and config.SAMPLER != "shuffle":
        yield Violation(
            f"{received(config, 'CLASS_WEIGHTS')} and SAMPLER={config.SAMPLER!r} both raise rare classes.",
            setting="SAMPLER",
            changes={"SAMPLER": "shuffle"},
        )


@rule(
    "CFG108",
    WARNING,
    needs=CONFIG,
    why="Each class has its own masks, so classes do not compete there; weights in the mask loss made trainings NaN.",
    example='CLASS_WEIGHTS_LOSSES = ("mrcnn_class_loss", "mrcnn_mask_loss")',
    fix='Use ("mrcnn_class_loss",), and "mrcnn_bbox_loss" if boxes of rare classes are poor.',
)
def class_weights_in_mask_loss(facts):
    """Class weights are used, and `CLASS_WEIGHTS_LOSSES` holds the mask loss."""
    config = facts.config
    if not fits(config, "CLASS_WEIGHTS", "CLASS_WEIGHTS_LOSSES") or config.CLASS_WEIGHTS is None:
        return
    if "mrcnn_mask_loss" in config.CLASS_WEIGHTS_LOSSES:
        others = tuple(name for name in config.CLASS_WEIGHTS_LOSSES if name != "mrcnn_mask_loss")
        yield Violation(
            "CLASS_WEIGHTS count in mrcnn_mask_loss too.",
            setting="CLASS_WEIGHTS_LOSSES",
            changes={"CLASS_WEIGHTS_LOSSES": others or ("mrcnn_class_loss",)},
        )


@rule(
    "CFG109",
    INFO,
    needs=CONFIG,
    why="Focal loss was made for all anchors of an image, thousands of background to one object. Here anchors and ROIs "
    "are sampled; an alpha of 0.25 then weighs objects down, and the loss is a tenth of what the others are.",
    example='CLASS_LOSS = "focal" with FOCAL_ALPHA = 0.25',
    fix="Set FOCAL_ALPHA to None or 0.5, and raise the loss in LOSS_WEIGHTS, or divide it by positives "
    "(LOSS_NORMALIZATION).",
)
def focal_loss_left_small(facts):
    """A focal loss has an alpha below 0.5, or is neither raised in `LOSS_WEIGHTS` nor divided by positives."""
    config = facts.config
    for kind, loss in (("RPN_CLASS_LOSS", "rpn_class_loss"), ("CLASS_LOSS", "mrcnn_class_loss")):
        if not fits(config, kind, "LOSS_WEIGHTS", "LOSS_NORMALIZATION") or getattr(config, kind) != "focal":
            continue
        alpha = config.FOCAL_ALPHA
        if is_number(alpha) and alpha < 0.5:
            message = f"FOCAL_ALPHA={alpha:g} makes objects count {alpha / (1 - alpha):.2f} times what background does."
            yield Violation(message, setting="FOCAL_ALPHA", changes={"FOCAL_ALPHA": None})
        if config.LOSS_WEIGHTS.get(loss, 1.0) <= 1 and config.LOSS_NORMALIZATION.get(loss) != "positives":
            yield Violation(
                f"{kind}='focal' is small beside the other losses, and its weight is "
                f"{config.LOSS_WEIGHTS.get(loss, 1.0):g}.",
                setting=kind,
                changes={"LOSS_NORMALIZATION": {**config.LOSS_NORMALIZATION, loss: "positives"}},
            )
