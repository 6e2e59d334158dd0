"""Stages of training: which layers move, for how long, at which rate (`Config.TRAIN_STAGES`, `train_stages`)."""

import contextlib
import dataclasses
import itertools
import logging
import numbers
import re
from typing import Any

from mrcnn_plus.constants import LAYER_PRESETS as PRESETS
from mrcnn_plus.errors import ConfigError

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of training.

    layers: a preset ('heads', '3+', '4+', '5+', 'all') or a regular expression of whole layer names.
    epochs: the epoch to stop after, counted from the beginning of all training, as in `train`.
    learning_rate: a number or a Keras schedule; None takes `LEARNING_RATE`.
    settings: settings that have another value in this stage, such as `{"WARMUP_STEPS": 500, "OPTIMIZER": "AdamW"}`.
        Those that shape the network cannot change.
    """

    layers: str
    epochs: int
    learning_rate: Any = None
    settings: dict = dataclasses.field(default_factory=dict)


def as_stages(values, place="train_stages"):
    """A list of `Stage` from stages, tuples `(layers, epochs, learning_rate)` or dicts. Raises ConfigError."""
    if isinstance(values, Stage | str | dict) or not values:
        raise ConfigError(
            f"{place}: expected a list of stages, received: {values!r}. For example "
            "[Stage('heads', 20, 1e-3), Stage('all', 60, 1e-4)], in TRAIN_STAGES or as argument."
        )
    stages = [_as_stage(value, f"{place}, stage {number}") for number, value in enumerate(values, 1)]
    ends = [stage.epochs for stage in stages]
    for number, (before, end) in enumerate(itertools.pairwise(ends), 2):
        if end <= before:
            raise ConfigError(
                f"{place}: stage {number} ends at epoch {end}, but stage {number - 1} does at epoch {before}, so it "
                "would train nothing. `epochs` is the epoch to stop after, counted from the beginning of all "
                f"training: for {end} more epochs give {before + end}."
            )
    return stages


def _as_stage(value, place):
    try:
        if isinstance(value, dict):
            value = Stage(**value)
        elif not isinstance(value, Stage):
            value = Stage(*value)
    except TypeError as error:
        raise ConfigError(
            f"{place}: expected Stage(layers, epochs, learning_rate, settings), or a tuple or dict of these, "
            f"received: {value!r} ({error})."
        ) from error
    if isinstance(value.epochs, bool) or not isinstance(value.epochs, numbers.Integral) or value.epochs < 1:
        raise ConfigError(f"{place}: expected epochs to be a whole number above 0, received: epochs={value.epochs!r}.")
    if not isinstance(value.settings, dict):
        raise ConfigError(f"{place}: expected settings to be a dict, received: settings={value.settings!r}.")
    return dataclasses.replace(value, epochs=int(value.epochs))  # NumPy's numbers cannot be written as JSON


@contextlib.contextmanager
def settings_of(stage, config):
    """Give a configuration the settings of a stage, and those it had back afterwards."""
    unknown = [name for name in stage.settings if not hasattr(config, name)]
    if unknown:
        raise ConfigError(
            f"Stage({stage.layers!r}, ...): expected names of settings, received: settings={stage.settings!r}; "
            f"unknown: {', '.join(map(repr, unknown))}."
        )
    before, touched = dict(vars(config)), set()
    try:
        for name, value in stage.settings.items():
            setattr(config, name, value)  # derived settings, such as BATCH_SIZE, change others
            now = vars(config)
            touched = {key for key in {*before, *now} if key not in before or now.get(key) is not before[key]}
        yield config
    finally:  # what callbacks have set meanwhile stays
        for key in touched:
            vars(config).pop(key, None)
            if key in before:
                vars(config)[key] = before[key]


def weighted_layers(model):
    """All layers that hold weights themselves: nested models are opened up, wrappers replaced by what they hold."""
    found = []
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found += weighted_layers(layer)
        elif layer.weights:
            found.append(getattr(layer, "layer", layer))
    return [layer for layer in found if any("seed_generator" not in weight.path for weight in layer.weights)]


def set_trainable(model, layers):
    """Let exactly the layers train whose whole name matches `layers` (a preset or a regular expression).

    Returns the names of those layers. A model has to be compiled after this: Keras 3 ignores later changes silently.
    Raises ConfigError if nothing matches; the model is as before then.
    """
    try:
        pattern = re.compile(PRESETS.get(layers, layers))
    except (re.error, TypeError) as error:
        raise ConfigError(
            f"layers: not a regular expression ({error}), received: layers={layers!r}. {_ways()}"
        ) from error
    candidates = weighted_layers(model)
    chosen = [layer.name for layer in candidates if pattern.fullmatch(layer.name)]
    if not chosen:
        raise ConfigError(f"layers: no layer of the model matches, received: layers={layers!r}. {_ways()}")
    for layer in candidates:
        layer.trainable = bool(pattern.fullmatch(layer.name))
    logger.info("Training %d of %d layers (layers=%r)", len(chosen), len(candidates), layers)
    return chosen


def _ways():
    return (
        f"Use one of {', '.join(map(repr, PRESETS))}, or a regular expression that matches whole layer names, "
        "for example r'res5.*|mrcnn_.*'."
    )
