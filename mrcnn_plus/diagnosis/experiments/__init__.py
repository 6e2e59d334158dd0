"""Short experiments that decide between causes, each with the rules that judge its result (EXP).

    from mrcnn_plus import diagnosis

    outcome = diagnosis.overfit(model, dataset_train)
    print(outcome)

| module | experiment | it asks |
|---|---|---|
| `first_batch` | `first-batch` | is one batch forward and backward as it should be? |
| `self_consistency` | `self-consistency` | are losses near zero on the network's own detections? |
| `overfit` | `overfit` | can a few images be learnt by heart? |
| `weights` | `weights` | what is loaded, random, frozen, what has moved? |
| `rpn` | `rpn` | which objects do anchors and proposals reach? |
| `funnel` | `funnel` | at which stage of detection is each object lost? |
| `lr_range` | `lr-range` | which learning rate suits? |

A module has the result of its experiment, a dataclass, and the rules on it. `measuring/` runs them; only that needs
Keras. `registry.all_rules` loads every module in this folder, so none imports Keras or a backend at module level.
"""

import importlib
from collections.abc import Callable
from typing import NamedTuple


class Experiment(NamedTuple):
    """An experiment by the name of its module. question: what it asks."""

    module: str
    question: str

    @property
    def function(self) -> Callable:
        """Runs it: `function(model, dataset, ...) -> Outcome`. Loads Keras."""
        return getattr(importlib.import_module(f"{__name__}.measuring.{self.module}"), self.module)


EXPERIMENTS = {
    "first-batch": Experiment("first_batch", "one batch forward and backward: is every number as it should be?"),
    "self-consistency": Experiment("self_consistency", "are the losses near zero on the network's own detections?"),
    "overfit": Experiment("overfit", "can 2 to 4 images be learnt by heart?"),
    "weights": Experiment("weights", "what is loaded, random, frozen, and what has moved?"),
    "rpn": Experiment("rpn", "which objects do anchors and proposals reach?"),
    "funnel": Experiment("funnel", "at which stage of detection is each object lost?"),
    "lr-range": Experiment("lr_range", "which learning rate suits?"),
}
