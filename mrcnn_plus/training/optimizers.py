"""The optimizer of a stage: by name, object or function, with learning rates by part and a guard around it.

What Keras has is taken from Keras: clipping, accumulation, moving averages, decay. Learning rates by part are a thin
layer over any Keras optimizer (`by_part`) and not `keras.optimizers.MultiOptimizer`, which clips each part by itself,
has no learning rate that callbacks could move, and counts its steps once for every part.

Some of it hangs on names that Keras does not promise; ARCHITECTURE.md lists them.
"""

import contextlib
import functools
import numbers

import keras
from keras import ops
from keras.optimizers.schedules import LearningRateSchedule

from mrcnn_plus.constants import OPTIMIZERS
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.loss_balancing import LOG_VARIANCES
from mrcnn_plus.training.parts import PARTS, learning_rate_factor, part_of
from mrcnn_plus.training.schedules import positive_rate

CLIP_BY = ("variable", "global")
#: What `GuardedOptimizer` measures, as it is logged: of all gradients, and of those of each part.
NORM_NAMES = ("gradient_norm", *(f"gradient_norm_{part}" for part in PARTS))
# What `exclude_from_weight_decay` of an optimizer sets, and its `get_config` leaves out.
_NOT_IN_CONFIG = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
# Beyond any run: in float32 the scale of the loss stays 1 until a gradient is not finite.
_NEVER = 2**31 - 1


def optimizer_of_stage(config, learning_rate, momentum, variables):
    """The guarded optimizer for the variables that train in a stage, built, from the settings of a `Config`."""
    optimizer = build_optimizer(
        config.OPTIMIZER,
        learning_rate,
        momentum=momentum,
        clip_norm=config.GRADIENT_CLIP_NORM,
        clip_by=config.GRADIENT_CLIP_BY,
        weight_decay=config.WEIGHT_DECAY,
        accumulation_steps=config.GRADIENT_ACCUMULATION_STEPS,
        ema_momentum=config.EMA_MOMENTUM,
    )
    if config.LR_MULTIPLIERS:
        optimizer = by_part(optimizer, config.LR_MULTIPLIERS)
    return guard(optimizer, config, variables)


def guard(optimizer, config, variables):
    """The `GuardedOptimizer` around a Keras optimizer, or itself if it is one already."""
    if isinstance(optimizer, GuardedOptimizer):
        return optimizer
    scale = {} if config.PRECISION == "mixed_float16" else {"initial_scale": 1.0, "dynamic_growth_steps": _NEVER}
    guarded = GuardedOptimizer(inside(optimizer), **scale)
    # TensorFlow traces a step twice if variables are made in it; this halves the time to the first step.
    guarded.build(variables)
    return guarded


def build_optimizer(
    optimizer,
    learning_rate,
    *,
    momentum=0.9,
    clip_norm=5.0,
    clip_by="variable",
    weight_decay=1e-4,
    accumulation_steps=1,
    ema_momentum=None,
):
    """A new Keras optimizer.

    optimizer: 'SGD', 'Adam', 'AdamW' (in any case), an optimizer object (its learning rate is set), or a function
        `learning_rate -> optimizer`. Objects and functions keep their own momentum, clipping and decay.
    learning_rate: a number or a Keras schedule.
    clip_norm: largest norm of the gradient, None for no limit; clip_by: of one 'variable' (as the TF2 forks clip) or
        'global', of all together (as Keras 2 clipped, and with it Matterport's original).
    weight_decay: only for AdamW, which decays weights itself, but not biases and the parameters of normalization; with
        every other optimizer the loss has an L2 term.
    accumulation_steps: steps whose mean gradient makes one update. ema_momentum: of a moving average of the weights,
        None for none.
    """
    if not isinstance(learning_rate, LearningRateSchedule):
        learning_rate = positive_rate(learning_rate)
    common = _accumulation(accumulation_steps) | _moving_average(ema_momentum)
    if isinstance(optimizer, keras.optimizers.Optimizer):
        # A fresh copy: slots that belong to an earlier stage's variables must not meet those of this one.
        return copy_of(optimizer, learning_rate=learning_rate, **common)
    if callable(optimizer):
        made = optimizer(learning_rate)
        return copy_of(made, **common) if common else made
    if clip_by not in CLIP_BY:
        raise ConfigError(f"GRADIENT_CLIP_BY: expected one of {CLIP_BY}, received: GRADIENT_CLIP_BY={clip_by!r}.")
    common["clipnorm" if clip_by == "variable" else "global_clipnorm"] = clip_norm
    return _by_name(optimizer, learning_rate, momentum, weight_decay, common)


def _by_name(optimizer, learning_rate, momentum, weight_decay, common):
    name = str(optimizer).lower()
    if name == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=momentum, **common)
    if name == "adam":
        return keras.optimizers.Adam(learning_rate, **common)
    if name == "adamw":
        adam = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, **common)
        adam.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", LOG_VARIANCES])
        return adam
    raise ConfigError(
        f"OPTIMIZER: expected one of {OPTIMIZERS}, a Keras optimizer or a function learning_rate -> optimizer, "
        f"received: OPTIMIZER={optimizer!r}."
    )


def copy_of(optimizer, kind=None, **changes):
    """A copy of a Keras optimizer that has made no step. kind: its class, if it shall be another. changes: to its
    configuration."""
    config = optimizer.get_config()
    if schedule_of(optimizer) is not None:
        config["learning_rate"] = schedule_of(optimizer)  # itself: Keras finds only classes that are registered
    copy = (type(optimizer) if kind is None else kind).from_config({**config, **changes})
    for name in _NOT_IN_CONFIG:
        if hasattr(optimizer, name):
            setattr(copy, name, getattr(optimizer, name))
    return copy


def _accumulation(steps):
    if isinstance(steps, bool) or not isinstance(steps, numbers.Integral) or steps < 1:
        raise ConfigError(
            "GRADIENT_ACCUMULATION_STEPS: expected a whole number of at least 1, received: "
            f"GRADIENT_ACCUMULATION_STEPS={steps!r}."
        )
    return {"gradient_accumulation_steps": int(steps)} if steps > 1 else {}


def _moving_average(momentum):
    if momentum is None:
        return {}
    if isinstance(momentum, bool) or not isinstance(momentum, numbers.Real) or not 0 < momentum < 1:
        raise ConfigError(
            f"EMA_MOMENTUM: expected None or a number between 0 and 1, received: EMA_MOMENTUM={momentum!r}. 0.999 "
            "averages over about the last 1,000 steps."
        )
    return {"use_ema": True, "ema_momentum": float(momentum)}


def decays_weights(optimizer):
    """Whether an optimizer decays weights itself, so that the loss must not do it a second time."""
    return bool(getattr(inside(optimizer), "weight_decay", None))


def inside(optimizer):
    """The optimizer inside of a guard, or itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def schedule_of(optimizer):
    """The Keras schedule that an optimizer follows, or None for a rate that callbacks may move."""
    rate = getattr(inside(optimizer), "_learning_rate", None)
    return rate if isinstance(rate, LearningRateSchedule) else None


def multipliers_of(optimizer):
    """The factors by which an optimizer multiplies its rate, see `by_part`; {} where it does not."""
    return getattr(inside(optimizer), "multipliers", {})


def averages_weights(optimizer):
    """Whether an optimizer keeps moving averages of the weights, be it by `EMA_MOMENTUM` or on its own account."""
    optimizer = inside(optimizer)
    return any(getattr(one, "use_ema", False) for one in (optimizer, *getattr(optimizer, "optimizers", ())))


@contextlib.contextmanager
def averaged_weights(model):
    """With the moving averages of the weights in the model, and the weights in the optimizer, where it has averages.

    As by Keras' callback `SwapEMAWeights`, which does it for validation.
    """
    if not averages_weights(model.optimizer):
        yield
        return
    swap_averages(model)
    try:
        yield
    finally:
        swap_averages(model)


def swap_averages(model):
    """Exchange the weights in the model and the moving averages in its optimizer."""
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()


class ByPart:
    """Comes before a Keras optimizer class: every variable has the learning rate times the factor of its part."""

    multipliers = {}
    _factor = 1.0

    def update_step(self, gradient, variable, learning_rate):
        # Not its own path: TensorFlow hands in the variable that is inside of Keras' own.
        path = self._trainable_variables[self._get_variable_index(variable)].path
        super().update_step(gradient, variable, learning_rate * learning_rate_factor(path, self.multipliers))

    def _apply_weight_decay(self, variables):
        groups = {}
        for variable in variables:
            groups.setdefault(learning_rate_factor(variable.path, self.multipliers), []).append(variable)
        for factor, group in groups.items():
            with self._with_factor(factor):
                super()._apply_weight_decay(group)

    def _get_current_learning_rate(self):
        rate = super()._get_current_learning_rate()
        return rate if self._factor == 1.0 else rate * self._factor

    @contextlib.contextmanager
    def _with_factor(self, factor):
        self._factor = factor
        try:
            yield
        finally:
            self._factor = 1.0

    def get_config(self):
        return {**super().get_config(), "multipliers": dict(self.multipliers)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        settings = {name: value for name, value in config.items() if name != "multipliers"}
        optimizer = super().from_config(settings, custom_objects=custom_objects)
        optimizer.multipliers = dict(config.get("multipliers", {}))
        return optimizer


def by_part(optimizer, multipliers):
    """A copy of a Keras optimizer that multiplies its learning rate by the factors of `LR_MULTIPLIERS`."""
    return copy_of(optimizer, _class_by_part(type(optimizer)), multipliers=multipliers)


@functools.cache
def _class_by_part(kind):
    """The class `ByPart` over a class of optimizers, registered so that Keras can load what it saved."""
    # On PyTorch Keras has classes of its own that update all variables in one call, at one rate: take what they extend.
    kind = next(base for base in kind.__mro__ if not base.__module__.startswith("keras.src.backend"))
    name = f"{kind.__name__}ByPart"
    return keras.saving.register_keras_serializable("mrcnn_plus", name)(type(name, (ByPart, kind), {}))


@keras.saving.register_keras_serializable("mrcnn_plus")
class GuardedOptimizer(keras.optimizers.LossScaleOptimizer):
    """Measures the gradients of every step, and leaves the weights alone where a gradient is not finite.

    The second is what `LossScaleOptimizer` does for float16; with a scale of 1 it does so in any precision, so that the
    step that went wrong can be looked at and repeated.

    gradient_norms: float32 `[3, norms]`, in the order of `NORM_NAMES`: those of the last step, the sum
    over the finite steps since `reset_norms`, and the largest of them. Before clipping, after unscaling.
    """

    def build(self, var_list):
        if self.built:
            return
        super().build(var_list)
        self.gradient_norms = self.add_variable((3, len(NORM_NAMES)), initializer="zeros", name="gradient_norms")
        self.built = True

    def reset_norms(self):
        """Forget the sum and the largest norms."""
        self.gradient_norms.assign(ops.zeros((3, len(NORM_NAMES))))

    def apply(self, grads, trainable_variables=None):
        variables = list(trainable_variables or self._trainable_variables)
        self.gradient_norms.assign(self._measured(grads, variables, self.gradient_norms, self.dynamic_scale))
        super().apply(grads, trainable_variables)

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        place = next(row for row, variable in enumerate(self.variables) if variable is self.gradient_norms)
        scale = next(
            value
            for variable, value in zip(self.variables, optimizer_variables, strict=True)
            if variable is self.dynamic_scale
        )
        norms = self._measured(grads, self._trainable_variables, optimizer_variables[place], scale)
        trainable_variables, optimizer_variables = super().stateless_apply(
            optimizer_variables, grads, trainable_variables
        )
        optimizer_variables = list(optimizer_variables)
        optimizer_variables[place] = norms
        return trainable_variables, optimizer_variables

    def _measured(self, grads, variables, before, scale):
        """The next `gradient_norms`."""
        squares = {part: [] for part in (*PARTS, None)}
        for gradient, variable in zip(grads, variables, strict=True):
            if gradient is not None:
                squares[part_of(variable.path)].append(ops.sum(ops.square(ops.cast(gradient, "float32"))))
        by_part = [sum(values, ops.zeros(())) for values in squares.values()]
        norms = ops.sqrt(ops.stack([sum(by_part), *by_part[: len(PARTS)]])) / scale
        finite = ops.where(ops.all(ops.isfinite(norms)), norms, 0.0)
        return ops.stack([norms, before[1] + finite, ops.maximum(before[2], finite)])
