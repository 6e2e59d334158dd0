"""The optimizer of a stage: by name, object or function, with learning rates by part and a guard around it.

What Keras has is taken from Keras: clipping, accumulation, moving averages, decay. Learning rates by part are a thin
layer over any Keras optimizer (`by_part`) and not `keras.optimizers.MultiOptimizer`, which clips each part by itself,
has no learning rate that callbacks could move, and counts its steps once for every part.
"""

import contextlib
import numbers

import keras
from keras import ops

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.loss_balancing import LOG_VARIANCES
from mrcnn_plus.training.parts import PARTS, check_multipliers, learning_rate_factor, part_of
from mrcnn_plus.training.schedules import positive_rate

OPTIMIZERS = ("SGD", "Adam", "AdamW")
CLIP_BY = ("variable", "global")
#: What `GuardedOptimizer` measures, as it is logged: of all gradients, and of those of each part.
NORM_NAMES = ("gradient_norm", *(f"gradient_norm_{part}" for part in PARTS))
# Beyond any run: in float32 the scale of the loss stays 1 until a gradient is not finite.
_NEVER = 2**31 - 1


def optimizer_of_stage(config, learning_rate, momentum, variables):
    """The guarded optimizer for the variables of a stage, built, from the settings of a `Config`."""
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
        check_multipliers(config.LR_MULTIPLIERS, variables)
        optimizer = by_part(optimizer, config.LR_MULTIPLIERS)
    return guard(optimizer, config, variables)


def guard(optimizer, config, variables):
    """The `GuardedOptimizer` around a Keras optimizer, or itself if it is one already."""
    if isinstance(optimizer, GuardedOptimizer):
        return optimizer
    scale = {} if config.PRECISION == "mixed_float16" else {"initial_scale": 1.0, "dynamic_growth_steps": _NEVER}
    guarded = GuardedOptimizer(getattr(optimizer, "inner_optimizer", optimizer), **scale)
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
    if not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        learning_rate = positive_rate(learning_rate)
    common = _accumulation(accumulation_steps) | _moving_average(ema_momentum)
    if isinstance(optimizer, keras.optimizers.Optimizer):
        # A fresh copy: slots that belong to an earlier stage's variables must not meet those of this one.
        return type(optimizer).from_config({**optimizer.get_config(), "learning_rate": learning_rate, **common})
    if callable(optimizer):
        made = optimizer(learning_rate)
        return type(made).from_config({**made.get_config(), **common}) if common else made
    if clip_by not in CLIP_BY:
        raise ConfigError(f"GRADIENT_CLIP_BY: expected one of {CLIP_BY}, received: GRADIENT_CLIP_BY={clip_by!r}.")
    common["clipnorm" if clip_by == "variable" else "global_clipnorm"] = clip_norm
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
    return bool(getattr(getattr(optimizer, "inner_optimizer", optimizer), "weight_decay", None))


class ByPart:
    """Comes before a Keras optimizer class: every variable has the learning rate times the factor of its part."""

    multipliers = {}
    _factor = 1.0

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        pairs = list(zip(grads, trainable_variables, strict=True))
        for factor, group in self._grouped(pairs, lambda pair: pair[1]):
            super()._backend_update_step(*map(list, zip(*group, strict=True)), learning_rate * factor)

    def _apply_weight_decay(self, variables):
        for factor, group in self._grouped(variables, lambda variable: variable):
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

    def _grouped(self, items, variable_of):
        """`[(factor, items of that factor)]`."""
        groups = {}
        for item in items:
            groups.setdefault(learning_rate_factor(variable_of(item).path, self.multipliers), []).append(item)
        return list(groups.items())

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
    kind = type(optimizer)
    steered = keras.saving.register_keras_serializable("mrcnn_plus", f"{kind.__name__}ByPart")(
        type(f"{kind.__name__}ByPart", (ByPart, kind), {})
    )
    copy = steered.from_config({**optimizer.get_config(), "multipliers": multipliers})
    for name in ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern"):  # not in get_config
        if hasattr(optimizer, name):
            setattr(copy, name, getattr(optimizer, name))
    return copy


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
