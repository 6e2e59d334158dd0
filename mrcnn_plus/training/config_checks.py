"""What must hold before a network can be built from a configuration: the rules of the linter that find errors in it.

Only what would fail or mislead at once. Whether settings make sense for the data is asked before training.
"""

import functools

from mrcnn_plus import lint
from mrcnn_plus.config import Config
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.lint import registry
from mrcnn_plus.training.loss_options import LossOptions

# Settings that a network for detection alone never reads.
_FOR_TRAINING = frozenset(
    (
        *("STEPS_PER_EPOCH", "VALIDATION_STEPS", "LEARNING_RATE", "LEARNING_MOMENTUM", "WEIGHT_DECAY", "OPTIMIZER"),
        *("GRADIENT_CLIP_NORM", "LOSS_WEIGHTS", "LOSS_BALANCING", "SAMPLER", "REPEAT_THRESHOLD", "CLASS_WEIGHTS"),
        *("USE_NEGATIVE_IMAGES", "MAX_GT_INSTANCES", "USE_MINI_MASK", "MINI_MASK_SHAPE", "USE_RPN_ROIS"),
        *("RPN_TRAIN_ANCHORS_PER_IMAGE", "POST_NMS_ROIS_TRAINING", "TRAIN_ROIS_PER_IMAGE", "ROI_POSITIVE_RATIO"),
    )
)


def check_config(config, mode="training"):
    """Raise ConfigError for values and contradictions that would otherwise surface as an error deep in Keras.

    All of them at once, each with its rule. mode: "inference" leaves out the settings that only training reads.
    """
    if not isinstance(config, Config):
        raise ConfigError(f"config: expected an instance of a Config subclass, received: {type(config).__name__}.")
    if mode == "training":
        LossOptions.from_config(config)
    report = lint.check(config, select=_codes(), run=lint.Run(mode=mode))
    if mode == "inference":
        of_detection = [finding for finding in report if finding.where.rpartition(".")[2] not in _FOR_TRAINING]
        report = lint.Report(tuple(of_detection))
    report.raise_for_errors()


@functools.lru_cache(maxsize=1)
def _codes():
    """Codes of the rules that find errors in settings by themselves."""
    rules = registry.all_rules().values()
    return tuple(rule.code for rule in rules if rule.severity == lint.ERROR and rule.needs == (registry.CONFIG,))
