"""`check`: run the rules on a configuration and its data, and report what they find."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from mrcnn_plus.config_base import ConfigBase
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.lint import registry
from mrcnn_plus.lint.facts import HEADERS_DEPTH, PIXELS_DEPTH, Facts, Run, Split
from mrcnn_plus.lint.findings import SEVERITIES, Finding, Report
from mrcnn_plus.lint.registry import Rule, Violation, nearest_codes
from mrcnn_plus.lint.rules.linter import configured_thresholds, ignored_codes
from mrcnn_plus.lint.settings_source import find_setting

logger = logging.getLogger(__name__)

_PLACES_IN_MESSAGE = 3


def check(
    config=None,
    train=None,
    val=None,
    *,
    select: Iterable[str] | str | None = None,
    ignore: Iterable[str] | str | None = None,
    depth: str = HEADERS_DEPTH,
    sample: int = 32,
    run: Run | None = None,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> Report:
    """Check a configuration, and the data sets if they are given, before training.

    config: instance of `Config` or None. train, val: `Dataset`s or None.
    select: codes, or their beginnings ("CFG", "DAT0"), of the rules to run; None runs all. ignore: codes to leave
    out, besides those of `config.LINT_IGNORE`.
    depth: "headers" looks at every annotation and file header, and at the pixels of `sample` images spread over each
    data set; "pixels" reads every image and mask.
    run: how the program trains, where that is known. thresholds: `{code: {name: value}}`; they go before those of
    `config.LINT_THRESHOLDS`. workers: processes that read pixels, None for all cores. progress: show progress bars.

    Returns a `Report`, errors first. A rule that fails is reported as a finding of its own (LNT001).
    Raises `ConfigError` for what is no configuration, an unknown `depth`, code or threshold; `DatasetError` for what is
    no data set.
    """
    if depth not in (HEADERS_DEPTH, PIXELS_DEPTH):
        raise ConfigError(
            f"lint.check: expected depth={HEADERS_DEPTH!r} or {PIXELS_DEPTH!r}, received depth={depth!r}."
        )
    _check_is_config(config)
    for name, dataset in (("train", train), ("val", val)):
        _check_is_dataset(name, dataset)
    options = {"depth": depth, "sample": sample, "workers": workers, "progress": progress}
    facts = Facts(
        config=config,
        train=Split("train", train, **options) if train is not None else None,
        val=Split("val", val, **options) if val is not None else None,
        run=run or Run(),
    )
    rules = [rule for rule in registry.all_rules().values() if not rule.gives_verdicts]
    return _run_rules(rules, facts, select=select, ignore=ignore, thresholds=thresholds)


def judge(
    facts: Facts,
    need: str,
    *,
    select: Iterable[str] | str | None = None,
    ignore: Iterable[str] | str | None = None,
    thresholds: Mapping[str, Mapping[str, Any]] | None = None,
) -> Report:
    """Run the rules that look at a training run or at the result of an experiment, and no others.

    need: `registry.HISTORY` or `registry.EXPERIMENT`; `facts.history` or `facts.experiment` must be given. A rule on
    experiments runs on results of the class that it is about.
    facts.config may be None; LINT_IGNORE and LINT_THRESHOLDS of it count. select, ignore, thresholds: as of `check`.

    Returns a `Report`, errors first. A rule that fails is reported as a finding of its own (LNT001).
    """
    if need not in registry.NEEDS_OF_VERDICTS:
        raise ConfigError(f"judge: expected need to be one of {registry.NEEDS_OF_VERDICTS}, received need={need!r}.")
    everything = registry.all_rules()
    rules = [rule for rule in everything.values() if need in rule.needs and rule.judges(facts.experiment)]
    if select is None:
        rules.append(everything["LNT001"])  # a rule that failed
    return _run_rules(rules, facts, select=select, ignore=ignore, thresholds=thresholds)


def _run_rules(candidates, facts, *, select, ignore, thresholds) -> Report:
    """Findings of those of the candidates that are wanted and can run, errors first."""
    rules = registry.all_rules()
    limits = {**_known_thresholds(configured_thresholds(facts.config), rules), **_checked_thresholds(thresholds, rules)}
    ignored = [*_checked_codes(ignore, rules, "ignore"), *ignored_codes(facts.config)]
    selected = None if select is None else _checked_codes(select, rules, "select")
    findings, skipped = [], {}
    for rule in sorted(candidates, key=lambda rule: (rule.cost, rule.code)):
        if rule.code.startswith(tuple(ignored)) or (selected is not None and not rule.code.startswith(tuple(selected))):
            continue
        missing = _missing(rule, facts)
        if missing:
            skipped[rule.code] = missing
        else:
            findings += run_rule(rule, facts, limits.get(rule.code, {}))
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(tuple(findings), skipped)


def run_rule(rule: Rule, facts: Facts, thresholds: Mapping[str, Any]) -> list[Finding]:
    """Findings of one rule; those until then if it fails, which is noted in `facts.failures`."""
    findings = []
    try:
        for violation in rule.check(facts, **thresholds):
            findings.append(_finding(rule, violation, facts))
    except Exception as error:  # a defect of a rule must not keep users from training
        logger.debug("lint rule %s failed", rule.code, exc_info=True)
        facts.failures.append((rule, error))
    return findings


def _finding(rule: Rule, violation: Violation, facts: Facts) -> Finding:
    """The violation with what it leaves to the rule, and with its place."""
    places = tuple(violation.places)
    where, value, file, line = violation.where, violation.value, None, None
    if violation.setting:
        place = find_setting(facts.config, violation.setting)
        where, file, line = where or place.name, place.file, place.line
        value = getattr(facts.config, violation.setting, None) if value is None else value
    if places and not where:
        more = len(places) - _PLACES_IN_MESSAGE
        where = "; ".join(places[:_PLACES_IN_MESSAGE]) + (f" and {more} more" if more > 0 else "")
    return Finding(
        code=rule.code,
        severity=violation.severity or rule.severity,
        message=violation.message,
        where=where,
        value=value,
        fix=rule.fix if violation.fix is None else violation.fix,
        places=places,
        file=file,
        line=line,
        changes=dict(violation.changes),
        evidence=tuple(violation.evidence),
        causes=tuple(violation.causes),
        experiment=violation.experiment,
        epoch=violation.epoch,
        details=dict(violation.details),
    )


def _check_is_config(config) -> None:
    """Raise unless it is None or an instance of `Config`; nothing else has settings to check."""
    if isinstance(config, type):
        raise ConfigError(
            f"lint.check: expected an instance, received the class config={config.__name__}. Write {config.__name__}()."
        )
    if config is not None and not isinstance(config, ConfigBase):
        raise ConfigError(
            f"lint.check: expected an instance of a Config subclass or None, received config={config!r}. The data sets "
            "come second and third: check(config, train, val)."
        )


def _check_is_dataset(name, dataset) -> None:
    """Raise unless it is None, or has the images, classes and methods of a `Dataset`."""
    needed = ("image_info", "class_info", "load_image", "load_mask")
    if dataset is None or (not isinstance(dataset, type) and all(hasattr(dataset, part) for part in needed)):
        return
    received = f"the class {name}={dataset.__name__}" if isinstance(dataset, type) else f"{name}={dataset!r}"
    raise DatasetError(
        f"lint.check: expected a prepared Dataset or None, received {received}. For an annotation file: "
        "mrcnn_plus.data.open_dataset(path)."
    )


def _missing(rule: Rule, facts: Facts) -> str:
    """Why the rule cannot run, or nothing."""
    if registry.CONFIG in rule.needs and facts.config is None:
        return "no configuration was given"
    if set(rule.needs) & registry.NEEDS_OF_DATA and not any(facts.splits):
        return "no data set was given"
    for need, given in ((registry.HISTORY, facts.history), (registry.EXPERIMENT, facts.experiment)):
        if need in rule.needs and given is None:
            return f"no {need} was given"
    return ""


def _checked_codes(codes, rules, argument) -> list[str]:
    codes = [] if codes is None else [codes] if isinstance(codes, str) else list(codes)
    for code in codes:
        if not any(known.startswith(code) for known in rules):
            raise ConfigError(
                f"lint.check: expected codes of rules or beginnings of them, received {argument}={code!r}. "
                f"{nearest_codes(code)}"
            )
    return codes


def _checked_thresholds(thresholds, rules) -> dict[str, dict]:
    """The thresholds given to `check`; unknown ones are an error."""
    for code, values in (thresholds or {}).items():
        if code not in rules:
            raise ConfigError(f"lint.check: thresholds name a rule {code!r} that does not exist. {nearest_codes(code)}")
        unknown = sorted(set(values) - set(rules[code].thresholds))
        if unknown:
            known = ", ".join(rules[code].thresholds) or "none"
            raise ConfigError(f"lint.check: rule {code} has no threshold {unknown[0]!r}; it has: {known}.")
    return dict(thresholds or {})


def _known_thresholds(thresholds, rules) -> dict[str, dict]:
    """The thresholds of the configuration that exist; rule LNT002 reports the others."""
    return {
        code: {name: value for name, value in values.items() if name in rules[code].thresholds}
        for code, values in thresholds.items()
        if code in rules
    }
