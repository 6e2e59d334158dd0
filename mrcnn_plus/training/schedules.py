"""How the learning rate moves within a stage: warm-up, steps, cosine (`LR_SCHEDULE`, `WARMUP_STEPS`)."""

import math
import numbers

import keras
from keras import ops
from keras.optimizers.schedules import CosineDecay, LearningRateSchedule, PiecewiseConstantDecay

from mrcnn_plus.errors import ConfigError

SCHEDULES = ("step", "cosine")


@keras.saving.register_keras_serializable("mrcnn_plus")
class WarmUp(LearningRateSchedule):
    """The rate of another schedule, or a number, rising linearly to it in the first steps.

    Step n of the first `steps` has (n + 1) / steps of the rate (Goyal et al., arXiv 1706.02677, section 2.2): heads
    with random weights send gradients into pretrained layers that would destroy them at the full rate.
    """

    def __init__(self, rate, steps):
        super().__init__()
        self.rate = rate
        self.steps = steps

    def __call__(self, step):
        rate = self.rate(step) if callable(self.rate) else self.rate
        return rate * ops.minimum(1.0, (ops.cast(step, "float32") + 1.0) / self.steps)

    def get_config(self):
        rate = keras.saving.serialize_keras_object(self.rate) if callable(self.rate) else self.rate
        return {"rate": rate, "steps": self.steps}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        rate = config["rate"]
        if isinstance(rate, dict):
            rate = keras.saving.deserialize_keras_object(rate, custom_objects=custom_objects)
        return cls(rate, config["steps"])


def learning_rate_of_stage(config, learning_rate, steps):
    """A number or a Keras schedule: what `LR_SCHEDULE` and `WARMUP_STEPS` make of the rate of a stage.

    learning_rate: a number, or a Keras schedule, which is taken in the place of `LR_SCHEDULE`. steps: training steps of
    the stage. Raises ConfigError for settings that are no schedule.
    """
    rate = learning_rate
    if not isinstance(learning_rate, LearningRateSchedule):
        rate = _scheduled(config, positive_rate(learning_rate), max(int(steps), 1))
    warmup = config.WARMUP_STEPS
    if isinstance(warmup, bool) or not isinstance(warmup, numbers.Integral) or warmup < 0:
        raise ConfigError(f"WARMUP_STEPS: expected a whole number of steps, 0 or more, received: {warmup!r}.")
    return WarmUp(rate, int(warmup)) if warmup else rate


def _scheduled(config, rate, steps):
    """The rate by `LR_SCHEDULE`, without warm-up."""
    schedule = config.LR_SCHEDULE
    if schedule is None:
        return rate
    if isinstance(schedule, LearningRateSchedule):
        return schedule
    if schedule == "cosine":
        return CosineDecay(rate, steps)
    if schedule == "step":
        boundaries, factor = _boundaries(config.LR_STEPS, steps), _factor(config.LR_STEP_FACTOR)
        values = [rate * factor**number for number in range(len(boundaries) + 1)]
        return PiecewiseConstantDecay(boundaries, values)
    if callable(schedule):
        return schedule(rate, steps)
    raise ConfigError(
        f"LR_SCHEDULE: expected None, one of {SCHEDULES}, a keras.optimizers.schedules object or a function "
        f"(learning_rate, steps) -> schedule, received: LR_SCHEDULE={schedule!r}."
    )


def _boundaries(shares, steps):
    """The last step before each fall of the rate, from shares of the stage."""
    valid = isinstance(shares, list | tuple) and all(
        isinstance(share, numbers.Real) and 0 < share < 1 for share in shares
    )
    if not valid or sorted(shares) != list(shares):
        raise ConfigError(
            f"LR_STEPS: expected rising shares of a stage between 0 and 1, received: LR_STEPS={shares!r}. For example "
            "(0.67, 0.89)."
        )
    # PiecewiseConstantDecay keeps a value up to and including its boundary. In a short stage two may be the same step,
    # after which the rate has fallen twice.
    return [max(round(share * steps) - 1, 0) for share in shares]


def _factor(factor):
    if not isinstance(factor, numbers.Real) or not 0 < factor < 1:
        raise ConfigError(f"LR_STEP_FACTOR: expected a number between 0 and 1, received: LR_STEP_FACTOR={factor!r}.")
    return float(factor)


def positive_rate(learning_rate):
    """A learning rate as a float. Raises ConfigError for anything else than a number above 0."""
    is_number = isinstance(learning_rate, numbers.Real) and not isinstance(learning_rate, bool)
    if not is_number or not 0 < learning_rate < math.inf:
        raise ConfigError(
            "learning_rate: expected a number above 0 or a keras.optimizers.schedules object, received: "
            f"learning_rate={learning_rate!r}. 0.001 is Matterport's default for SGD."
        )
    return float(learning_rate)
