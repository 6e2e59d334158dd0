"""Stages: which layers a call of `train` moves."""

import logging
import re

from mrcnn_plus.constants import LAYER_PRESETS as PRESETS
from mrcnn_plus.errors import ConfigError

logger = logging.getLogger(__name__)


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
