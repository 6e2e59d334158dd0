"""The linter about itself: rules that failed, and settings of the linter that have no effect."""

from collections.abc import Mapping

from mrcnn_plus.lint.findings import INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, Violation, all_rules, nearest_codes, rule


@rule(
    "LNT001",
    WARNING,
    needs=(),
    why="A rule that fails says nothing about the data it stopped at; what it would have found is unknown.",
    example="The rule DAT031 failed: IndexError: index 5 is out of bounds.",
    fix="The other rules are not affected. Please report it; LINT_IGNORE leaves the rule out.",
)
def rule_failed(facts):
    """A rule of the linter raised an exception."""
    for failed, error in facts.failures:
        message = f"the rule {failed.code} ({failed.name}) failed: {type(error).__name__}: {error}."
        yield Violation(message, where=failed.code, value=repr(error))


@rule(
    "LNT002",
    INFO,
    needs=CONFIG,
    why="A code that no rule has ignores nothing, so the finding that it should silence comes back.",
    example='LINT_IGNORE = ("CFG9999",)',
    fix="Correct the code; `mrcnn-plus lint --list-rules` lists them.",
)
def unknown_code_in_settings(facts):
    """`LINT_IGNORE` or `LINT_THRESHOLDS` names a rule or a threshold that does not exist."""
    rules = all_rules()
    for code in ignored_codes(facts.config):
        if not any(known.startswith(code) for known in rules):
            yield Violation(f"there is no rule {code!r}. {nearest_codes(code)}", setting="LINT_IGNORE", value=code)
    for code, values in configured_thresholds(facts.config).items():
        if code not in rules:
            message = f"there is no rule {code!r}. {nearest_codes(code)}"
            yield Violation(message, setting="LINT_THRESHOLDS", value=code)
            continue
        for name in set(values) - set(rules[code].thresholds):
            known = ", ".join(rules[code].thresholds) or "none"
            message = f"the rule {code} has no threshold {name!r}; it has: {known}."
            yield Violation(message, setting="LINT_THRESHOLDS", value=name)


def ignored_codes(config) -> list[str]:
    """`LINT_IGNORE` as a list of codes; a single str is one code."""
    codes = getattr(config, "LINT_IGNORE", None) or ()
    return [str(code) for code in codes] if isinstance(codes, list | tuple | set) else [str(codes)]


def configured_thresholds(config) -> dict[str, dict]:
    """`LINT_THRESHOLDS`: `{code: {threshold: value}}`; an entry that is no dictionary counts as one without values."""
    configured = getattr(config, "LINT_THRESHOLDS", None)
    configured = configured if isinstance(configured, Mapping) else {}
    return {str(code): dict(values) if isinstance(values, Mapping) else {} for code, values in configured.items()}
