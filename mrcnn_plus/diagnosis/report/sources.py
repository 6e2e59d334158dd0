"""What a report is made of: the history of a run, its verdicts, and what is missing of it."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Mapping
from typing import Any

from mrcnn_plus.diagnosis.history import LOSSES, History
from mrcnn_plus.diagnosis.verdicts import verdicts_on
from mrcnn_plus.lint.findings import SEVERITIES, Finding, Report

logger = logging.getLogger(__name__)

VERDICTS_FILE = "verdicts.json"


def read_verdicts(folder: str, history: History) -> Report | None:
    """The verdicts on a run: those in its `verdicts.json` if it is as new as the history, else those of today's rules.

    None if the rules cannot be run on it.
    """
    stored = _read_json(os.path.join(folder, VERDICTS_FILE))
    findings = stored.get("findings") if isinstance(stored, Mapping) else None
    if isinstance(findings, list) and stored.get("epoch") == max(history.epochs, default=None):
        return Report(tuple(finding_of(content) for content in findings if isinstance(content, Mapping)))
    try:
        return verdicts_on(history)
    except Exception:  # a page with the curves is better than none
        logger.warning("The run could not be judged.", exc_info=True)
        return None


def finding_of(content: Mapping[str, Any]) -> Finding:
    """A `Finding` from what its `to_dict` gave; fields that are unknown here, from a newer version, are left out."""
    known = {}
    for field in dataclasses.fields(Finding):
        if content.get(field.name) is not None:
            value = content[field.name]
            known[field.name] = tuple(value) if isinstance(value, list) and field.name != "value" else value
    known.setdefault("code", "")
    known.setdefault("message", "")
    if known.get("severity") not in SEVERITIES:
        known["severity"] = SEVERITIES[-1]
    return Finding(**known)


def missing_parts(history: History) -> list[str]:
    """What a full run would have, and this one has not, each with how to get it."""
    told = []
    if not history.run:
        told.append("run.json: settings, data, weights and findings of the linter. Runs of MaskRCNN.train write it.")
    if not history.has(*LOSSES):
        told.append("The five losses: the file that was read has only their total.")
    if not history.has("val_loss"):
        told.append("Validation losses: training had no validation data, so over-fitting cannot be seen.")
    if not history.evaluations:
        told.append(
            "An evaluation: classes, confusions, best and worst images, AP by epoch. EVALUATE_EVERY = 5 makes one "
            "every five epochs; `mrcnn-plus evaluate` makes one of a finished run."
        )
    if not history.has("gradient_norm"):
        told.append("Gradient norms, learning rate and speed by epoch: not recorded.")
    return told


def _read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None
