"""The calls of `train`: epochs, mode, rates, sources, validation, room for checkpoints; layers: `trained_layers.py`.

TRN009 to TRN011 are kept for what is seen while a training runs.
"""

import math
from numbers import Real
from typing import NamedTuple

from mrcnn_plus.lint.estimates.memory import readable
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, DATA, ENVIRONMENT, RUN, Violation, rule
from mrcnn_plus.lint.rules.environment import checkpoint_bytes, existing_folder, free_bytes
from mrcnn_plus.lint.spelling import nearest_of


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
    dataset = facts.train.dataset
    known = {str(info.get("source")) for info in (*dataset.image_info, *dataset.class_info[1:])}
    for source in [named] if isinstance(named, str) else list(named):
        if source not in known:
            meant = nearest_of(str(source), sorted(known))
            yield Violation(
                f"no_augmentation_sources names {source!r}; the training images have {sorted(known)}."
                + (f" Did you mean {meant!r}?" if meant else ""),
                where="train: no_augmentation_sources",
                value=source,
            )


@rule(
    "TRN008",
    WARNING,
    needs=(RUN, ENVIRONMENT),
    why="A checkpoint is written after every epoch, and beside it the state of the optimizer, which is as large. None "
    "is removed unless KEEP_LAST says so. On a full disk no more are written.",
    example="160 epochs of 250 MB each with 20 GB free",
    fix="Set KEEP_LAST = 3, train fewer and longer epochs, or give a model_dir on another disk.",
)
def checkpoints_fill_the_disk(facts, *, share_of_free=1.0, bytes_free=None):
    """Checkpoints and their state files take more than `share_of_free` of the room on the disk of `model_dir`.

    `bytes_free`: taken in place of what the disk has.
    """
    run, size, folder = facts.run, checkpoint_bytes(facts), existing_folder(facts.run.model_dir)
    epochs = [call.epochs for call in calls_of(run) if isinstance(call.epochs, int)]
    if not epochs or not size or folder is None:
        return
    count = max(epochs) - (run.start_epoch or 0)
    if isinstance(facts.config.KEEP_LAST, int):
        count = min(count, facts.config.KEEP_LAST)
    size *= 2  # weights, and momentum in the state file
    free = free_bytes(folder) if bytes_free is None else bytes_free
    if size <= free < size * count / share_of_free:
        yield Violation(
            f"{count} checkpoints of {readable(size)} with their state take {readable(size * count)}; {readable(free)} "
            f"are free for model_dir={str(run.model_dir)!r}.",
            where="model_dir",
            value=free,
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


def _is_number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
