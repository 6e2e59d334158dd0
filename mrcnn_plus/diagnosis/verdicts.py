"""The verdicts on a history: all rules run, put in order so that the likeliest cause stands first, with the epoch since
when each was clear.

Several verdicts often have one cause: a learning rate that is too high makes losses jump, skills fall and ROIs become
background. `EXPLAINS` says what follows from what; a verdict that follows from another is kept, marked, and stands
after those that do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mrcnn_plus.diagnosis.history import History
from mrcnn_plus.lint import registry
from mrcnn_plus.lint.engine import judge
from mrcnn_plus.lint.facts import Facts
from mrcnn_plus.lint.findings import INFO, SEVERITIES, Finding, Report

_NOT_LEARNING = ("RUN010", "RUN012", "RUN013", "RUN014", "RUN020", "RUN021", "RUN022", "RUN046", "RUN050", "RUN051")
_LOCATION = (*_NOT_LEARNING, "RUN040", "RUN041", "RUN042", "RUN031", "RUN052", "RUN072")

#: What follows from a verdict, the strongest first: an earlier one may explain later ones, never the other way.
EXPLAINS: Mapping[str, tuple[str, ...]] = {
    "RUN043": ("RUN040", "RUN042", "RUN041", "RUN046", "RUN044", "RUN022", "RUN023", *_NOT_LEARNING),
    "RUN044": ("RUN045", "RUN063", "RUN011", "RUN003", "RUN005", "RUN070", "RUN073", *_LOCATION),
    "RUN001": ("RUN002", "RUN003", "RUN004", "RUN005", "RUN006", "RUN007", "RUN073", *_LOCATION),
    "RUN004": ("RUN002", "RUN003", "RUN005", "RUN006", "RUN007", "RUN045", "RUN063", "RUN070", "RUN073", *_LOCATION),
    "RUN060": ("RUN011", "RUN045", "RUN063", "RUN070", *_LOCATION),
    "RUN061": ("RUN007", "RUN011", "RUN003", *_LOCATION),
    "RUN063": ("RUN002", "RUN003", "RUN005", "RUN006", "RUN007", "RUN045", "RUN011", *_LOCATION),
    "RUN011": ("RUN045", "RUN062", *_LOCATION),
    "RUN062": ("RUN003", *_LOCATION),
    "RUN030": ("RUN011", "RUN032", "RUN070", *_LOCATION),
    "RUN032": ("RUN031", "RUN070", "RUN071", *_LOCATION),
    "RUN031": tuple(code for code in _LOCATION if code != "RUN031"),
    "RUN040": ("RUN045", "RUN041", "RUN042", "RUN003", "RUN070", "RUN072", "RUN052", *_NOT_LEARNING),
    "RUN042": ("RUN041", "RUN072", *_NOT_LEARNING),
    "RUN045": _NOT_LEARNING,
    "RUN041": ("RUN020", "RUN014", "RUN072", "RUN012", "RUN051"),
    "RUN021": ("RUN014", "RUN022", "RUN012", "RUN072"),
    "RUN022": ("RUN014", "RUN023", "RUN070", "RUN072", "RUN012"),
    "RUN024": ("RUN023", "RUN070", "RUN072", "RUN074"),
    "RUN023": ("RUN070", "RUN072"),
    "RUN046": ("RUN013", "RUN014", "RUN050", "RUN052", "RUN051"),
    "RUN002": ("RUN003", "RUN005", "RUN006", "RUN051"),
    "RUN003": ("RUN006", "RUN005", "RUN010", "RUN012", "RUN014"),
    "RUN010": ("RUN012", "RUN014", "RUN020", "RUN021", "RUN072", "RUN051", "RUN013"),
    "RUN020": ("RUN014", "RUN072"),
    "RUN013": ("RUN014", "RUN050", "RUN051", "RUN052"),
    "RUN050": ("RUN052", "RUN051", "RUN014"),
    "RUN073": ("RUN072",),
    "RUN074": ("RUN070", "RUN072", "RUN023"),
    "RUN071": (),
}
_RANK = {code: position for position, code in enumerate(EXPLAINS)}
_MOST_REPLAYED = 40


def verdicts_on(history: History, config: Any = None, *, ignore=None, select=None, since: bool = True) -> Report:
    """All verdicts on a history as it stands, the likeliest cause first.

    config: the `Config` of the run, if it is at hand; else LINT_IGNORE and LINT_THRESHOLDS are taken from `run.json`.
    ignore, select: as of `lint.check`. since: find for each verdict the epoch from which on it was given, by judging
    the run as it stood earlier.
    """
    report = _judge(history, config, ignore, select)
    if since and len(report):
        epochs = _since(history, config, report)
        findings = [replace(finding, epoch=epochs.get(finding.code, finding.epoch)) for finding in report]
        report = Report(tuple(findings), report.skipped)
    return report


def _judge(history, config, ignore, select) -> Report:
    if config is None:
        known = registry.all_rules()
        codes = history.settings.get("LINT_IGNORE") or ()
        codes = [codes] if isinstance(codes, str) else list(codes)
        ignore = [*_listed(ignore), *(code for code in codes if any(rule.startswith(code) for rule in known))]
        thresholds = {
            code: {name: value for name, value in values.items() if name in known[code].thresholds}
            for code, values in (history.settings.get("LINT_THRESHOLDS") or {}).items()
            if code in known and isinstance(values, Mapping)
        }
    else:
        thresholds = None
    report = judge(
        Facts(config=config, history=history),
        registry.HISTORY,
        ignore=ignore,
        select=select,
        thresholds=thresholds,
    )
    latest = history.epochs[-1] if len(history) else 1
    findings = [replace(one, epoch=latest) if one.epoch is None and one.code != "LNT001" else one for one in report]
    return Report(tuple(ranked(findings)), report.skipped)


def _listed(codes):
    return [] if codes is None else [codes] if isinstance(codes, str) else list(codes)


def ranked(findings) -> list[Finding]:
    """Causes before what follows from them; among these the worse before the better, the stronger before the weaker."""
    given = {finding.code for finding in findings}
    marked = []
    for finding in findings:
        explained_by = next((code for code in EXPLAINS if code in given and finding.code in EXPLAINS[code]), "")
        marked.append(replace(finding, follows_from=explained_by))
    # What explains this one may itself follow from another: name the first of the chain.
    by_code = {finding.code: finding for finding in marked}
    chained = [replace(finding, follows_from=_first_of_chain(finding, by_code)) for finding in marked]
    return sorted(
        chained,
        key=lambda finding: (
            bool(finding.follows_from),
            SEVERITIES.index(finding.severity),
            _RANK.get(finding.code, len(_RANK)),
            finding.code,
        ),
    )


def _first_of_chain(finding, by_code):
    code = finding.follows_from
    for _ in range(len(by_code)):
        above = by_code[code].follows_from if code in by_code else ""
        if not above:
            break
        code = above
    return code


def headline(report: Report) -> Finding | None:
    """The verdict to tell first: a cause, and no mere remark; None for a run with nothing wrong."""
    return next((finding for finding in report if not finding.follows_from and finding.severity != INFO), None)


def _since(history, config, report) -> dict[str, int]:
    """`{code: epoch}`: the first epoch from which on each verdict was given until now."""
    wanted = {finding.code for finding in report if finding.code.startswith("RUN")}
    since = dict.fromkeys(wanted, history.epochs[-1]) if len(history) else {}
    still = set(since)
    for epoch in reversed(history.epochs[:-1][-_MOST_REPLAYED:]):
        if not still:
            break
        given = {finding.code for finding in _judge(history.until(epoch), config, None, sorted(still))}
        still &= given
        since.update(dict.fromkeys(still, epoch))
    return since
