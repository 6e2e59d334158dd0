"""The calls of `train`: epochs, layers, mode, starting weights, sources, room for checkpoints.

TRN009 to TRN011 are kept for what is seen while a training runs.
"""

import difflib
import math
import re
from numbers import Real
from typing import NamedTuple

from mrcnn_plus.constants import LAYER_PRESETS as PRESETS
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.memory import readable
from mrcnn_plus.lint.registry import CONFIG, DATA, ENVIRONMENT, RUN, Violation, rule
from mrcnn_plus.lint.rules.environment import checkpoint_bytes, existing_folder, free_bytes

_CLASS_LAYERS = ("mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask")
_HEAD_LAYERS = (
    *(f"fpn_{name}" for name in ("c5p5", "c4p4", "c3p3", "c2p2", "p5", "p4", "p3", "p2")),
    *("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"),
    *("mrcnn_class_conv1", "mrcnn_class_bn1", "mrcnn_class_conv2", "mrcnn_class_bn2"),
    *(f"mrcnn_mask_{kind}{number}" for kind in ("conv", "bn") for number in range(1, 5)),
    *("mrcnn_mask_deconv", *_CLASS_LAYERS),
)
_RESNET_LAYERS = (
    *("conv1", "bn_conv1"),
    *(
        f"{kind}{stage}{block}_branch{branch}"
        for kind in ("res", "bn")
        for stage in "2345"
        for block in "abcdefghijklmnopqrstuvw"
        for branch in ("1", "2a", "2b", "2c")
    ),
)


class Call(NamedTuple):
    """One call of `train`, as far as it is known. place: words for messages."""

    learning_rate: object
    epochs: object
    layers: object
    place: str


def calls_of(run) -> list[Call]:
    """The calls of `train` of a run, in their order; empty if it does not train."""
    if len(run.stages) > 1:
        return [Call(*stage, f"train() call {number}") for number, stage in enumerate(run.stages, 1)]
    if run.stages:
        return [Call(*run.stages[0], "train()")]
    given = (run.learning_rate, run.epochs, run.layers)
    return [Call(*given, "train()")] if any(value is not None for value in given) else []


@rule(
    "TRN001",
    ERROR,
    needs=RUN,
    why="`epochs` is the epoch to stop after, counted from the beginning of all training, not a number of epochs more; "
    "a call with a number that is reached already trains nothing.",
    example='train(..., epochs=20, layers="heads"), then train(..., epochs=20, layers="all")',
    fix="Give a larger number: epochs trained so far + epochs wanted.",
)
def nothing_left_to_train(facts):
    """`epochs` is below 1 or not above the epochs trained before.

    A warning where it is an earlier call of the same program that has trained them: the calls may be alternatives.
    """
    run, trained = facts.run, facts.run.start_epoch or 0
    for call in calls_of(run):
        if not isinstance(call.epochs, int):
            continue
        if call.epochs <= max(run.start_epoch or 0, 0):
            before = f", and {run.start_epoch} epochs are trained already" if run.start_epoch else ""
            yield Violation(
                f"epochs={call.epochs}{before}: nothing is left to train.", where=call.place, value=call.epochs
            )
        elif call.epochs <= trained:
            yield Violation(
                f"epochs={call.epochs}, and an earlier call has trained to epoch {trained}: this one trains nothing.",
                where=call.place,
                value=call.epochs,
                fix=f"Give epochs={trained + call.epochs} for {call.epochs} epochs more.",
                severity=WARNING,
            )
        trained = max(trained, call.epochs)


@rule(
    "TRN002",
    ERROR,
    needs=RUN,
    why="Layers are chosen by name: one of the presets, or a regular expression that has to match the whole name of a "
    "layer. What matches nothing trains nothing.",
    example='layers="head"',
    fix="Use 'heads', '3+', '4+', '5+' or 'all', or a regular expression such as r'res5.*|mrcnn_.*'.",
)
def layers_match_nothing(facts):
    """`layers` is no preset, and as a regular expression it matches no layer of the model."""
    for call in calls_of(facts.run):
        if call.layers is None:
            continue
        matching, reason = _matching_layers(call.layers, facts)
        if matching or (matching is None and not reason):
            continue
        near = difflib.get_close_matches(str(call.layers).strip().lower().rstrip("+"), PRESETS, n=1, cutoff=0.3)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        yield Violation(f"layers={call.layers!r} {reason}.{meant}", where=call.place, value=call.layers)


def _matching_layers(layers, facts):
    """`(names of the layers that match, why there are none)`; `(None, "")` where the names are not known."""
    try:
        pattern = re.compile(PRESETS.get(layers, layers))
    except (re.error, TypeError) as error:
        return [], f"is no regular expression ({error})"
    names = _layer_names(facts)
    if names is None:
        return (None, "") if layers not in PRESETS else (["?"], "")
    matching = [name for name in names if pattern.fullmatch(name)]
    return matching, "" if matching else "matches no layer"


def _layer_names(facts):
    """Names of the layers with weights: the model's own, else those of the built-in networks; None if not known."""
    model = facts.run.model
    if hasattr(model, "get_trainable_layers"):
        return [layer.name for layer in model.get_trainable_layers()]
    if facts.config is not None and callable(getattr(facts.config, "BACKBONE", None)):
        return None  # it has names of its own
    return [*_RESNET_LAYERS, *_HEAD_LAYERS]


@rule(
    "TRN003",
    ERROR,
    needs=RUN,
    why="A model made for inference has no losses; train() refuses it.",
    example='MaskRCNN(mode="inference", ...).train(...)',
    fix='Make the model with mode="training".',
)
def training_in_inference_mode(facts):
    """`train` is called on a model that was made with `mode="inference"`."""
    calls = calls_of(facts.run)
    if facts.run.mode == "inference" and calls:
        yield Violation("the model is made with mode='inference' and is to be trained.", where=calls[0].place)


@rule(
    "TRN006",
    INFO,
    needs=RUN,
    why="When the backbone starts to move, a rate that suited new heads lets it forget what it had learnt; a tenth is "
    "usual.",
    example='learning_rate=0.001 for "heads" and again for "all"',
    fix="Give the call that trains the backbone a tenth of the rate.",
)
def rate_not_lowered_for_backbone(facts):
    """A call that trains the backbone has no lower learning rate than the call for the heads before it."""
    heads_rate = None
    for call in calls_of(facts.run):
        if not _is_number(call.learning_rate):
            continue
        if call.layers == "heads":
            heads_rate = call.learning_rate
        elif call.layers == "all" and heads_rate is not None and call.learning_rate >= heads_rate:
            yield Violation(
                f"layers='all' trains with learning_rate={call.learning_rate:g}, the heads before it with "
                f"{heads_rate:g}.",
                where=call.place,
                value=call.learning_rate,
                fix=f"Try learning_rate={heads_rate / 10:g}.",
            )


@rule(
    "TRN007",
    WARNING,
    needs=(RUN, DATA),
    why="The sources are compared letter by letter. One that no image has excludes nothing, so images are augmented "
    "that were not meant to be.",
    example='no_augmentation_sources=["Coco"] with images of the source "coco"',
    fix="Use the source that add_image was given.",
)
def unknown_source_not_to_augment(facts):
    """`no_augmentation_sources` names a source that no training image has."""
    named = facts.run.no_augmentation_sources
    if not named or not facts.train:
        return
    named = [named] if isinstance(named, str) else list(named)
    info = facts.train.dataset
    known = {item.get("source") for item in (*info.image_info, *info.class_info)} - {"", None}
    for source in named:
        if source not in known:
            near = difflib.get_close_matches(str(source).lower(), {str(name).lower(): name for name in known}, n=1)
            meant = next((f" Did you mean {name!r}?" for name in known if near and str(name).lower() == near[0]), "")
            yield Violation(
                f"no_augmentation_sources names {source!r}; the training images have {sorted(map(str, known))}.{meant}",
                where="train: no_augmentation_sources",
                value=source,
            )


@rule(
    "TRN008",
    WARNING,
    needs=(RUN, ENVIRONMENT),
    why="A checkpoint is written after every epoch and none is removed; a full disk stops training.",
    example="160 epochs of 250 MB each with 20 GB free",
    fix="Free space, train fewer and longer epochs, or give a model_dir on another disk.",
)
def checkpoints_fill_the_disk(facts, *, share_of_free=1.0, bytes_free=None):
    """The checkpoints of all epochs take more than `share_of_free` of the room on the disk of `model_dir`.

    `bytes_free`: taken in place of what the disk has.
    """
    run, size, folder = facts.run, checkpoint_bytes(facts), existing_folder(facts.run.model_dir)
    epochs = [call.epochs for call in calls_of(run) if isinstance(call.epochs, int)]
    if not epochs or not size or folder is None:
        return
    count = max(epochs) - (run.start_epoch or 0)
    free = free_bytes(folder) if bytes_free is None else bytes_free
    if size <= free < size * count / share_of_free:
        yield Violation(
            f"{count} checkpoints of {readable(size)} take {readable(size * count)}; {readable(free)} are free for "
            f"model_dir={str(run.model_dir)!r}.",
            where="model_dir",
            value=free,
        )


@rule(
    "TRN020",
    WARNING,
    needs=(RUN, DATA),
    why="A deep network that starts from random values needs a hundred thousand images and more; on a small set it "
    "learns the images by heart, or nothing at all.",
    example='train(..., layers="all") on 12 images without load_weights',
    fix="Load pretrained weights (coco, or imagenet) first; train 'heads', then 'all' at a tenth of the rate.",
)
def all_layers_from_random_weights(facts, *, fewest_images=10000):
    """The backbone trains from random weights, on fewer than `fewest_images` images."""
    run = facts.run
    calls = [call for call in calls_of(run) if _trains_backbone(call.layers)]
    if run.pretrained is False and calls and facts.train and facts.train.num_images < fewest_images:
        yield Violation(
            f"layers={calls[0].layers!r} trains the backbone from random weights, on {facts.train.num_images} images.",
            where=calls[0].place,
            value=calls[0].layers,
        )


@rule(
    "TRN021",
    WARNING,
    needs=RUN,
    why="A backbone of random values makes features without meaning. Frozen, it stays so, and the heads cannot learn "
    "from them: losses stick at the first level that is easy to reach.",
    example='train(..., layers="heads") without load_weights',
    fix="Load pretrained weights before train(): load_weights(path, by_name=True), e.g. those of COCO or ImageNet.",
)
def heads_on_random_backbone(facts):
    """Only heads are trained, on a backbone that starts from random weights."""
    calls = calls_of(facts.run)
    known = bool(calls) and all(call.layers is not None for call in calls)
    if facts.run.pretrained is False and known and not any(_trains_backbone(call.layers) for call in calls):
        yield Violation(
            f"layers={calls[0].layers!r} freezes the backbone, and nothing was loaded into it: it stays random.",
            where=calls[0].place,
            value=calls[0].layers,
        )


@rule(
    "TRN022",
    INFO,
    needs=RUN,
    why="Whether weights were loaded decides which layers can be frozen and how long training takes.",
    example="train() is called, and where the weights come from is not to be seen.",
    fix="Call load_weights before train() and read what it reports.",
)
def starting_weights_unknown(facts):
    """A program trains, and it is not known whether it loads weights before."""
    calls = calls_of(facts.run)
    if facts.run.pretrained is None and facts.run.mode == "training" and calls:
        message = "it is not to be seen whether weights are loaded before training; without them it starts at random."
        yield Violation(message, where=calls[0].place)


@rule(
    "TRN023",
    WARNING,
    needs=RUN,
    why="The last layers of class, box and mask are made for the number of classes; they are new for every data set, "
    "and stay random unless they train.",
    example='layers="res5.*" trains stage 5 of the backbone and nothing else.',
    fix='Add the heads: layers=r"res5.*|mrcnn_.*", or use a preset; all presets train the heads.',
)
def heads_never_train(facts):
    """None of the calls trains the last layers of class, box and mask, which are random for a new data set."""
    run, calls = facts.run, calls_of(facts.run)
    if not calls or run.start_epoch or any(not isinstance(call.layers, str) for call in calls):
        return
    matched = [_matching_layers(call.layers, facts)[0] for call in calls]
    if not all(matched) or ["?"] in matched:
        return
    if not any(set(_CLASS_LAYERS) & set(names) for names in matched):
        yield Violation(
            f"layers={calls[0].layers!r} trains none of {', '.join(_CLASS_LAYERS)}.",
            where=calls[0].place,
            value=calls[0].layers,
        )


@rule(
    "TRN024",
    ERROR,
    needs=RUN,
    why="At a rate of 0 no weight moves, and at one below 0 the losses climb.",
    example="train(..., learning_rate=0)",
    fix="Give a number above 0: config.LEARNING_RATE, or a Keras schedule.",
)
def learning_rate_not_positive(facts):
    """`learning_rate` of a call is neither a number above 0 nor a schedule."""
    for call in calls_of(facts.run):
        rate = call.learning_rate
        if rate is None or callable(rate) or hasattr(rate, "get_config"):
            continue
        if not _is_number(rate) or not math.isfinite(rate) or rate <= 0:
            message = f"expected a number above 0, or a schedule, received learning_rate={rate!r}."
            yield Violation(message, where=call.place, value=rate)


@rule(
    "TRN025",
    INFO,
    needs=(CONFIG, RUN),
    why="With a few dozen images the training loss falls however much the network over-fits; only images it has not "
    "seen show that.",
    example="train(train_dataset, None, ...)",
    fix="Put some of the images aside and pass them as val_dataset.",
)
def training_without_validation(facts):
    """A model is trained, its training data are known, and no validation data are given."""
    if facts.run.model is not None and calls_of(facts.run) and facts.train and not facts.val:
        yield Violation("val_dataset is None: nothing will show over-fitting.", where="train: val_dataset")


def _trains_backbone(layers) -> bool:
    if not isinstance(layers, str) or layers == "heads":
        return False
    try:
        pattern = re.compile(PRESETS.get(layers, layers))
    except re.error:
        return False
    return any(pattern.fullmatch(name) for name in _RESNET_LAYERS) or not any(
        pattern.fullmatch(name) for name in _HEAD_LAYERS
    )


def _is_number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
