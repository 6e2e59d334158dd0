"""Mask R-CNN for today's Keras: programs and weights made for Matterport's `mrcnn` run unchanged.

Importing the package imports neither Keras nor a backend. What it exports is loaded when it is first asked for.
"""

import importlib

__version__ = "0.1.0"

# Where the exported names live.
_EXPORTS = {
    "Config": "mrcnn_plus.config",
    "ConfigError": "mrcnn_plus.errors",
    "Dataset": "mrcnn_plus.data.dataset",
    "DatasetError": "mrcnn_plus.errors",
    "EvaluationCallback": "mrcnn_plus.training.callbacks.evaluation",
    "MaskRCNN": "mrcnn_plus.mask_rcnn",
    "Stage": "mrcnn_plus.training.stages",
    "WeightsError": "mrcnn_plus.errors",
}

# Modules with Matterport's names; `import mrcnn_plus; mrcnn_plus.utils` finds them without an import of their own.
_FACADES = ("config", "model", "parallel_model", "utils", "visualize")

__all__ = [*_EXPORTS, *_FACADES, "__version__"]


def __getattr__(name):
    if name in _EXPORTS:
        value = getattr(importlib.import_module(_EXPORTS[name]), name)
    elif name in _FACADES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
