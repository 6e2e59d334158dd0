"""How the five losses are computed, as plain values: what the settings of a run say, checked.

`multi_task_loss.py` computes by them. `LossOptions()` is Matterport. The options are read when a training step is
traced, so a change counts from the next `compile`.
"""

import dataclasses
import difflib
import numbers

from mrcnn_plus.constants import CLASS_LOSSES, LOSS_DIVISORS, LOSS_NAMES, WEIGHTED_LOSSES
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network import losses
from mrcnn_plus.training.class_weights import MODES


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """Named after the settings in lower case; `class_weights` is the table, a number for each class, or None."""

    class_weights: tuple | None = None
    class_weights_losses: tuple = ("mrcnn_class_loss",)
    rpn_positive_weight: float = 1.0
    roi_positive_weight: float = 1.0
    rpn_class_loss: str = "cross_entropy"
    class_loss: str = "cross_entropy"
    focal_gamma: float = 2.0
    focal_alpha: float | None = None
    roi_hard_examples: int | float | None = None
    normalization: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def from_config(cls, config):
        """The options of a configuration, checked; the class weights come later, from the data (`with_weights`)."""
        _check(config)
        return cls(
            class_weights_losses=tuple(config.CLASS_WEIGHTS_LOSSES),
            rpn_positive_weight=float(config.RPN_POSITIVE_WEIGHT),
            roi_positive_weight=float(config.ROI_POSITIVE_WEIGHT),
            rpn_class_loss=config.RPN_CLASS_LOSS,
            class_loss=config.CLASS_LOSS,
            focal_gamma=float(config.FOCAL_GAMMA),
            focal_alpha=None if config.FOCAL_ALPHA is None else float(config.FOCAL_ALPHA),
            roi_hard_examples=config.ROI_HARD_EXAMPLES,
            normalization=dict(config.LOSS_NORMALIZATION),
        )

    @classmethod
    def from_dict(cls, values):
        """From what `to_dict` gave, also after a journey through JSON."""
        tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **tuples})

    def to_dict(self):
        return dataclasses.asdict(self)

    def with_weights(self, table):
        """The same with the weights of a `class_weights.class_weight_table`, or without for None."""
        return dataclasses.replace(self, class_weights=table and tuple(row.weight for row in table))

    def weights_for(self, loss):
        return self.class_weights if loss in self.class_weights_losses else None

    def divisor_of(self, loss):
        return self.normalization.get(loss, LOSS_DIVISORS[loss][0])

    def focal_of(self, kind):
        return losses.Focal(self.focal_gamma, self.focal_alpha) if kind == "focal" else None


def _check(config):
    """Raise ConfigError for a value that no loss can be computed with."""
    if not (config.CLASS_WEIGHTS is None or config.CLASS_WEIGHTS in MODES or isinstance(config.CLASS_WEIGHTS, dict)):
        _fail(config, "CLASS_WEIGHTS", f"None, one of {MODES} or a dict {{class name or id: weight}}")
    beta = config.CLASS_WEIGHTS_BETA
    if not _is_number(beta) or not 0 <= beta < 1:
        _fail(config, "CLASS_WEIGHTS_BETA", "a number from 0 to below 1")
    names = config.CLASS_WEIGHTS_LOSSES
    if isinstance(names, str) or not set(names) <= set(WEIGHTED_LOSSES):
        _fail(config, "CLASS_WEIGHTS_LOSSES", f"a tuple of names out of {WEIGHTED_LOSSES}")
    for name in ("RPN_POSITIVE_WEIGHT", "ROI_POSITIVE_WEIGHT"):
        if not _is_number(getattr(config, name)) or not 0 < getattr(config, name) < float("inf"):
            _fail(config, name, "a number above 0")
    for name in ("RPN_CLASS_LOSS", "CLASS_LOSS"):
        if getattr(config, name) not in CLASS_LOSSES:
            _fail(config, name, f"one of {CLASS_LOSSES}")
    if not _is_number(config.FOCAL_GAMMA) or not 0 <= config.FOCAL_GAMMA <= 10:
        _fail(config, "FOCAL_GAMMA", "a number from 0 to 10")
    alpha = config.FOCAL_ALPHA
    if alpha is not None and (not _is_number(alpha) or not 0 < alpha < 1):
        _fail(config, "FOCAL_ALPHA", "None or a number between 0 and 1")
    _check_hard_examples(config)
    _check_normalization(config)


def _check_hard_examples(config):
    value = config.ROI_HARD_EXAMPLES
    share = isinstance(value, float) and 0 < value <= 1
    number = isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 1
    if value is not None and not share and not number:
        _fail(config, "ROI_HARD_EXAMPLES", "None, a whole number of ROIs per image, or a share as a float up to 1.0")


def _check_normalization(config):
    value = config.LOSS_NORMALIZATION
    if not isinstance(value, dict):
        _fail(config, "LOSS_NORMALIZATION", "a dict {name of a loss: what it is divided by}")
    for name, choice in value.items():
        if name not in LOSS_DIVISORS:
            nearest = difflib.get_close_matches(str(name), LOSS_NAMES, n=1)
            advice = f"Nearest to {name!r}: {nearest[0]!r}." if nearest else ""
            _fail(config, "LOSS_NORMALIZATION", f"keys out of {LOSS_NAMES}", advice)
        if choice not in LOSS_DIVISORS[name]:
            _fail(config, "LOSS_NORMALIZATION", f"one of {LOSS_DIVISORS[name]} for {name!r}")


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _fail(config, name, expected, advice=""):
    value = getattr(config, name)
    advice = advice or f"Set it in {type(config).__name__}."
    raise ConfigError(f"{name}: expected {expected}, received: {name}={value!r}. {advice}")
