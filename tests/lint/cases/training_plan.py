"""Examples for `lint/rules/training_plan.py`."""

from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.lint import Run
from mrcnn_plus.training.stages import Stage
from tests.support.lint_cases import Case

RUN = Run(mode="training", learning_rate=0.001, epochs=10, layers="heads")


def config(**settings):
    class PlannedConfig(Config):
        NAME = "plan"
        NUM_CLASSES = 2
        STEPS_PER_EPOCH = 50

    for name, value in settings.items():
        setattr(PlannedConfig, name, value)
    return PlannedConfig()


def parts():
    dataset = Dataset()
    dataset.add_class("parts", 1, "part")
    dataset.prepare()
    return dataset


def case(failing, passing, *, run=RUN, severity=None, **common):
    """Two configurations in the same run."""
    return Case(
        lambda _: {"config": config(**failing), "run": run, **common},
        lambda _: {"config": config(**passing), "run": run, **common},
        severity,
    )


CASES = {
    "CFG112": case({"WARMUP_STEPS": 300}, {"WARMUP_STEPS": 50}),
    "CFG113": case({"GRADIENT_ACCUMULATION_STEPS": 8}, {"GRADIENT_ACCUMULATION_STEPS": 10}),
    "CFG114": Case(
        lambda _: {"config": config(BEST_METRIC="val_loss"), "run": RUN, "train": parts()},
        lambda _: {"config": config(BEST_METRIC="val_loss"), "run": RUN, "train": parts(), "val": parts()},
    ),
    "CFG115": case(
        {"LR_MULTIPLIERS": {"bakbone": 0.1}}, {"LR_MULTIPLIERS": {"backbone": 0.1, "res5.*": 0.5, "heads": 2}}
    ),
    "CFG116": case(
        {"TRAIN_STAGES": [("heads", 20), Stage("all", 20)]},
        {"TRAIN_STAGES": [("heads", 20), Stage("all", 30), {"layers": "all", "epochs": 40}]},
    ),
    "CFG117": case({"EMA_MOMENTUM": 0.9999}, {"EMA_MOMENTUM": 0.98}),
    "CFG118": case({"LR_STEPS": (0.5, 0.8)}, {"LR_STEPS": (0.5, 0.8), "LR_SCHEDULE": "step"}),
}
