"""Optimizers by name, with Matterport's as the default."""

import numbers

import keras

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.loss_balancing import LOG_VARIANCES

OPTIMIZERS = ("SGD", "Adam", "AdamW")


def build_optimizer(optimizer, learning_rate, *, momentum=0.9, clip_norm=5.0, weight_decay=1e-4):
    """A new Keras optimizer.

    optimizer: 'SGD', 'Adam', 'AdamW' (in any case), an optimizer object (its learning rate is set), or a function
    `learning_rate -> optimizer`.
    learning_rate: a number or a Keras schedule. clip_norm: largest norm of the gradient of one variable, None for no
    limit (as the TF2 forks clip; Keras 2 clipped by the norm over all variables). weight_decay: only for AdamW, which
    decays weights itself, but not biases and the parameters of normalization; with every other optimizer the loss has
    an L2 term.
    """
    if not isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        learning_rate = _positive_number(learning_rate)
    if isinstance(optimizer, keras.optimizers.Optimizer):
        # A fresh copy: slots that belong to an earlier stage's variables must not meet those of this one.
        return type(optimizer).from_config({**optimizer.get_config(), "learning_rate": learning_rate})
    if callable(optimizer):
        return optimizer(learning_rate)
    name = str(optimizer).lower()
    if name == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=momentum, clipnorm=clip_norm)
    if name == "adam":
        return keras.optimizers.Adam(learning_rate, clipnorm=clip_norm)
    if name == "adamw":
        adam = keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay, clipnorm=clip_norm)
        adam.exclude_from_weight_decay(var_names=["gamma", "beta", "bias", LOG_VARIANCES])
        return adam
    raise ConfigError(
        f"OPTIMIZER: expected one of {OPTIMIZERS}, a Keras optimizer or a function learning_rate -> optimizer, "
        f"received: OPTIMIZER={optimizer!r}."
    )


def _positive_number(learning_rate):
    if not isinstance(learning_rate, numbers.Real) or not 0 < learning_rate < float("inf"):
        raise ConfigError(
            "learning_rate: expected a number above 0 or a keras.optimizers.schedules object, received: "
            f"learning_rate={learning_rate!r}. 0.001 is Matterport's default for SGD."
        )
    return float(learning_rate)


def decays_weights(optimizer):
    """Whether an optimizer decays weights itself, so that the loss must not do it a second time."""
    return bool(getattr(optimizer, "weight_decay", None))
