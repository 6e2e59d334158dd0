"""Settings that plan training: stages, warm-up, schedules, accumulation, averages, rates by part, what is watched."""

import itertools
import re

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, DATA, RUN, Violation, rule
from mrcnn_plus.lint.rules.trained_layers import layer_names
from mrcnn_plus.lint.rules.training_call import calls_of
from mrcnn_plus.lint.setting_types import fits

PARTS = ("backbone", "fpn", "rpn", "class_head", "mask_head", "heads")


@rule(
    "CFG112",
    WARNING,
    needs=(CONFIG, RUN),
    why="The learning rate reaches its value when the warm-up is over, and every stage begins with one. A warm-up as "
    "long as the stage trains at a fraction of the rate throughout.",
    example="WARMUP_STEPS = 1000 with STEPS_PER_EPOCH = 50 and 10 epochs",
    fix="Some hundred steps, or a tenth of the stage, are enough.",
)
def warm_up_fills_a_stage(facts, *, most=0.5):
    """`WARMUP_STEPS` is more than `most` of the steps of the shortest stage."""
    config, steps = facts.config, _steps_of_stages(facts)
    if fits(config, "WARMUP_STEPS") and steps and most * min(steps) < config.WARMUP_STEPS:
        yield Violation(
            f"WARMUP_STEPS={config.WARMUP_STEPS}, and the shortest stage has {min(steps)} steps.",
            setting="WARMUP_STEPS",
            changes={"WARMUP_STEPS": min(steps) // 10},
        )


@rule(
    "CFG113",
    INFO,
    needs=(CONFIG, RUN),
    why="Gradients are collected over steps, also across the end of an epoch: a checkpoint then lies in the middle of "
    "an update. A stage with fewer steps than one update trains nothing at all.",
    example="GRADIENT_ACCUMULATION_STEPS = 8 with STEPS_PER_EPOCH = 50",
    fix="Make STEPS_PER_EPOCH a multiple of GRADIENT_ACCUMULATION_STEPS.",
)
def accumulation_does_not_fit(facts):
    """`STEPS_PER_EPOCH` is no multiple of `GRADIENT_ACCUMULATION_STEPS`; an error where a stage has fewer steps."""
    config, steps = facts.config, _steps_of_stages(facts)
    if not fits(config, "GRADIENT_ACCUMULATION_STEPS", "STEPS_PER_EPOCH"):
        return
    count = config.GRADIENT_ACCUMULATION_STEPS
    if steps and min(steps) < count:
        message = f"a stage has {min(steps)} steps, fewer than the {count} of one update: it trains nothing."
        yield Violation(message, setting="GRADIENT_ACCUMULATION_STEPS", severity=ERROR)
    elif config.STEPS_PER_EPOCH % count:
        yield Violation(
            f"STEPS_PER_EPOCH={config.STEPS_PER_EPOCH} is no multiple of {count}.",
            setting="GRADIENT_ACCUMULATION_STEPS",
            changes={"STEPS_PER_EPOCH": -(-config.STEPS_PER_EPOCH // count) * count},
        )


@rule(
    "CFG114",
    WARNING,
    needs=(CONFIG, DATA),
    why="Values with val_ are those of the validation data; without these nothing is logged under the name, and the "
    "best checkpoint is never found.",
    example='BEST_METRIC = "val_loss" with val_dataset=None',
    fix='Give train() a val_dataset, or set BEST_METRIC = "loss".',
)
def watched_value_needs_validation(facts):
    """`BEST_METRIC` begins with val_, and there are no validation data."""
    metric = facts.config.BEST_METRIC
    if isinstance(metric, str) and metric.startswith("val_") and facts.train and not facts.val:
        message = f"BEST_METRIC={metric!r}, and there is no validation data."
        yield Violation(message, setting="BEST_METRIC", changes={"BEST_METRIC": metric.removeprefix("val_")})


@rule(
    "CFG115",
    ERROR,
    needs=(CONFIG, RUN),
    why="A factor belongs to a part of the network, or to the layers whose whole names a regular expression matches. "
    "Under a misspelt name it would change nothing, and train() refuses it.",
    example='LR_MULTIPLIERS = {"bakbone": 0.1}',
    fix=f"Parts are {', '.join(PARTS)}; expressions look like 'res[45].*'.",
)
def multiplier_of_nothing(facts):
    """A name in `LR_MULTIPLIERS` is no part, and as a regular expression it matches no layer of the model."""
    config = facts.config
    names = layer_names(facts)
    if not fits(config, "LR_MULTIPLIERS"):
        return
    for key in config.LR_MULTIPLIERS:
        if key in PARTS:
            continue
        try:
            matches = names is None or any(re.fullmatch(key, name) for name in names)
        except (re.error, TypeError):
            matches = False
        if not matches:
            yield Violation(
                f"{key!r} is no part of the network, and matches no layer.", setting="LR_MULTIPLIERS", value=key
            )


@rule(
    "CFG116",
    ERROR,
    needs=CONFIG,
    why="`epochs` of a stage is the epoch to stop after, counted from the beginning of all training, as in train(). A "
    "stage that does not end later than the one before it has nothing to train.",
    example='TRAIN_STAGES = [("heads", 20, 1e-3), ("all", 20, 1e-4)]',
    fix='For 20 epochs each: [("heads", 20, 1e-3), ("all", 40, 1e-4)].',
)
def stages_do_not_follow_each_other(facts):
    """`epochs` of the stages in `TRAIN_STAGES` do not rise, or a stage has none."""
    if not fits(facts.config, "TRAIN_STAGES") or facts.config.TRAIN_STAGES is None:
        return
    before = 0
    for number, stage in enumerate(facts.config.TRAIN_STAGES, 1):
        epochs = epochs_of(stage)
        if not isinstance(epochs, int) or isinstance(epochs, bool) or epochs <= before:
            yield Violation(
                f"stage {number} ends at epoch {epochs!r}, the one before it at {before}.",
                setting="TRAIN_STAGES",
                value=stage,
            )
            return
        before = epochs


@rule(
    "CFG117",
    WARNING,
    needs=(CONFIG, RUN),
    why="A moving average holds about the last 1 / (1 - EMA_MOMENTUM) steps. In a shorter training it still holds the "
    "first weights when it is validated and saved, which looks like a network that has learnt nothing.",
    example="EMA_MOMENTUM = 0.9999 with 20 epochs of 50 steps",
    fix="Choose a momentum with 1 / (1 - EMA_MOMENTUM) of a tenth of all steps.",
)
def average_longer_than_training(facts, *, most=0.5):
    """`EMA_MOMENTUM` averages over more than `most` of the steps of the shortest stage."""
    config, steps = facts.config, _steps_of_stages(facts)
    if config.EMA_MOMENTUM is None or not fits(config, "EMA_MOMENTUM") or not steps:
        return
    length = 1 / (1 - config.EMA_MOMENTUM)
    if length > most * min(steps):
        yield Violation(
            f"EMA_MOMENTUM={config.EMA_MOMENTUM:g} averages over {length:.0f} steps, and a stage has {min(steps)}.",
            setting="EMA_MOMENTUM",
            changes={"EMA_MOMENTUM": round(1 - min(0.5, 10 / min(steps)), 4)},
        )


@rule(
    "CFG118",
    WARNING,
    needs=CONFIG,
    why="LR_STEPS and LR_STEP_FACTOR belong to the schedule of steps; with another one, or none, they do nothing.",
    example="LR_STEPS = (0.5, 0.8) without LR_SCHEDULE",
    fix='Set LR_SCHEDULE = "step".',
)
def steps_without_their_schedule(facts):
    """`LR_STEPS` or `LR_STEP_FACTOR` is set, and `LR_SCHEDULE` is not "step"."""
    config = facts.config
    given = [name for name in ("LR_STEPS", "LR_STEP_FACTOR") if config.is_overridden(name)]
    if given and config.LR_SCHEDULE != "step":
        yield Violation(
            f"{' and '.join(given)} {'has' if len(given) == 1 else 'have'} no effect with "
            f"LR_SCHEDULE={config.LR_SCHEDULE!r}.",
            setting=given[0],
            changes={"LR_SCHEDULE": "step"},
        )


def epochs_of(stage):
    """`epochs` of an entry of `TRAIN_STAGES`: a `Stage`, a dict or a tuple; None if it has none."""
    if isinstance(stage, dict):
        return stage.get("epochs")
    if isinstance(stage, list | tuple):
        return stage[1] if len(stage) > 1 else None
    return getattr(stage, "epochs", None)


def _steps_of_stages(facts):
    """The steps of each stage that is known, from the calls of `train` or else TRAIN_STAGES."""
    config = facts.config
    ends = [call.epochs for call in calls_of(facts.run)]
    if not ends and isinstance(config.TRAIN_STAGES, list | tuple):
        ends = [epochs_of(stage) for stage in config.TRAIN_STAGES]
    ends = [facts.run.start_epoch or 0, *(end for end in ends if isinstance(end, int))]
    lengths = [end - before for before, end in itertools.pairwise(ends) if end > before]
    return [length * config.STEPS_PER_EPOCH for length in lengths] if fits(config, "STEPS_PER_EPOCH") else []
