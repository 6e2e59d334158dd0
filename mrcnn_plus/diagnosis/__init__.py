"""Why a training run goes wrong: its history judged by patterns, and experiments that decide between causes.

`history.py` reads what a run recorded, `patterns/` has the rules that judge it (RUN), `experiments/` short experiments
and the rules on their results (EXP). Histories and their verdicts need neither Keras nor a backend.
"""

import importlib

# The experiments by the names of their functions; they load Keras when they are first asked for.
_EXPERIMENTS = ("first_batch", "self_consistency", "overfit", "weights", "rpn", "funnel", "lr_range")

__all__ = [*_EXPERIMENTS]


def __getattr__(name):
    if name not in _EXPERIMENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.experiments.measuring.{name}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
