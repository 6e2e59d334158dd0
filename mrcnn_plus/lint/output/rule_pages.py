"""What a rule checks, why, and what to do, from the rule itself: `--explain`, `--list-rules`, docs/lint_rules.md."""

from __future__ import annotations

from mrcnn_plus.lint.registry import NEEDS, Rule, all_rules

_NEEDS_WORDS = {
    "config": "the settings",
    "run": "how the program trains",
    "environment": "the machine and its packages",
    "data": "the data set",
    "headers": "the headers of the image files",
    "objects": "the objects",
    "pixels": "pixels of images and masks",
    "history": "what a training run recorded",
    "experiment": "the result of an experiment",
}


def explain(rule: Rule) -> str:
    """All that a rule says about itself, as Markdown."""
    lines = [
        f"### {rule.code} {rule.name}",
        "",
        f"{rule.severity}; looks at {_needs(rule)}",
        "",
        _sentence(rule.checks),
        "",
        f"**Why.** {rule.why}",
        "",
        f"**Example.** {_example(rule.example)}",
        "",
        f"**Fix.** {rule.fix}",
    ]
    if rule.thresholds:
        values = ", ".join(f"`{name}={value!r}`" for name, value in rule.thresholds.items())
        lines += ["", f"**Thresholds.** {values}; to change them: `{_how_to_change(rule)}`"]
    return "\n".join(lines)


def list_rules() -> str:
    """One line for each rule."""
    rules = all_rules().values()
    width = max(len(rule.name) for rule in rules)
    lines = [f"{rule.code} {rule.severity:7} {rule.name:{width}} {_first_line(rule)}" for rule in rules]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def rules_page() -> str:
    """docs/lint_rules.md."""
    rules = list(all_rules().values())
    topics = list(dict.fromkeys(rule.topic for rule in rules))
    lines = [
        "# Rules of the linter",
        "",
        "Made from the rules by `make docs`; do not edit it. `mrcnn-plus lint --explain CODE` prints one entry.",
        "",
        'A rule is left out by its code, or the beginning of one: `LINT_IGNORE = ("CFG101",)` in the `Config`, '
        "`ignore=` of `lint.check`, or `--ignore` on the command line. Thresholds are changed by `LINT_THRESHOLDS` in "
        "the `Config` or `thresholds=` of `lint.check`.",
        "",
        f"{len(rules)} rules. Severities: an error makes training fail or learn something else than is meant; a "
        "warning makes it worse or slower; info is worth knowing.",
        "",
        "| rule | severity | what it finds |",
        "|---|---|---|",
    ]
    lines += [f"| [{rule.code}](#{_anchor(rule)}) | {rule.severity} | {_cell(_first_line(rule))} |" for rule in rules]
    for topic in topics:
        lines += ["", f"## {topic.replace('_', ' ').capitalize()}"]
        lines += ["\n" + explain(rule) for rule in rules if rule.topic == topic]
    return "\n".join(lines) + "\n"


def _needs(rule) -> str:
    words = [_NEEDS_WORDS[need] for need in NEEDS if need in rule.needs]
    return ", ".join(words) or "the other rules"


def _first_line(rule) -> str:
    """The first sentence of what the rule checks, in one line."""
    return " ".join(rule.checks.split("\n\n")[0].split())


def _sentence(text) -> str:
    return text if text.rstrip().endswith((".", ":")) else f"{text.rstrip()}."


def _example(text) -> str:
    return f"\n```\n{text}\n```" if "\n" in text else f"`{text}`" if "`" not in text else text


def _how_to_change(rule) -> str:
    name, value = next(iter(rule.thresholds.items()))
    return f'LINT_THRESHOLDS = {{"{rule.code}": {{"{name}": {value!r}}}}}'


def _anchor(rule) -> str:
    return f"{rule.code.lower()}-{rule.name}"


def _cell(text) -> str:
    return text.replace("|", "\\|")
