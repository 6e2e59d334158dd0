"""The linter: what is wrong with a configuration and its data, found before training.

    from mrcnn_plus import lint

    report = lint.check(config, dataset_train, dataset_val)
    print(report)
    report.raise_for_errors()

`registry.py` says what a rule is, `rules/` has them by topic, `engine.py` runs them, `facts.py` is what they look at.
Neither Keras nor a backend is imported.
"""

from mrcnn_plus.lint.engine import check, judge
from mrcnn_plus.lint.estimates.anchor_fit import AnchorSuggestion, suggest_anchors
from mrcnn_plus.lint.estimates.image_size_choice import SizeSuggestion, suggest_image_size
from mrcnn_plus.lint.facts import Run
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING, Finding, Report
from mrcnn_plus.lint.registry import Rule, all_rules

__all__ = [
    "ERROR",
    "INFO",
    "WARNING",
    "AnchorSuggestion",
    "Finding",
    "Report",
    "Rule",
    "Run",
    "SizeSuggestion",
    "all_rules",
    "check",
    "judge",
    "suggest_anchors",
    "suggest_image_size",
]
