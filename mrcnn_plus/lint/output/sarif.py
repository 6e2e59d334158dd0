"""A report as SARIF 2.1.0, which code hosts and editors show beside the lines of the program.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from mrcnn_plus import __version__
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING, Finding, Report
from mrcnn_plus.lint.output.rule_pages import explain
from mrcnn_plus.lint.registry import Rule, all_rules

_LEVELS = {ERROR: "error", WARNING: "warning", INFO: "note"}
_MOST_PLACES = 20


def render_sarif(report: Report, *, checked: str, notes: Iterable[str] = ()) -> str:
    """The report as a SARIF log. checked: the program or data that findings without a place of their own belong to."""
    rules = list(all_rules().values())
    index = {rule.code: position for position, rule in enumerate(rules)}
    run = {
        "tool": {
            "driver": {
                "name": "mrcnn-plus",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "columnKind": "utf16CodeUnits",
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [{"level": "note", "message": {"text": note}} for note in notes],
            }
        ],
        "results": [_result(finding, index[finding.code], checked) for finding in report],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _rule(rule: Rule) -> dict:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": _plain(rule.checks).splitlines()[0]},
        "fullDescription": {"text": _plain(f"{rule.checks} {rule.why}")},
        "help": {"text": _plain(explain(rule)), "markdown": explain(rule)},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"tags": [rule.topic, *rule.needs]},
    }


def _result(finding: Finding, rule_index: int, checked: str) -> dict:
    text = f"{finding.message} {finding.fix}".strip()
    if len(finding.places) > 1:
        text += "\n" + "\n".join(f"- {place}" for place in finding.places[:_MOST_PLACES])
        more = len(finding.places) - _MOST_PLACES
        text += f"\n- and {more} more" if more > 0 else ""
    text += "".join(f"\n{heading}: {'; '.join(texts)}" for heading, texts in finding.verdict_lines)
    content = finding.to_dict()
    verdict = ("evidence", "causes", "experiment", "epoch", "details", "follows_from")
    location = {"physicalLocation": _physical_location(finding, checked)}
    if finding.where:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.where}]
    return {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "level": _LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [location],
        "properties": {
            "value": content["value"],
            "changes": content["changes"],
            **{name: content[name] for name in verdict if content[name]},
        },
    }


def _physical_location(finding: Finding, checked: str) -> dict:
    """File and line; a cell of a notebook counts as its notebook, whose lines are those of a JSON file."""
    if not finding.file or ", cell " in finding.file:
        file = finding.file.partition(", cell ")[0] if finding.file else checked
        return {"artifactLocation": {"uri": _uri(file)}, "region": {"startLine": 1}}
    return {"artifactLocation": {"uri": _uri(finding.file)}, "region": {"startLine": finding.line or 1}}


def _uri(path: str) -> str:
    """Relative to the current folder where the file is below it, as code hosts expect."""
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute)
    return Path(absolute).as_uri() if relative.startswith(os.pardir) else quote(Path(relative).as_posix())


def _plain(markdown: str) -> str:
    return markdown.replace("`", "")
