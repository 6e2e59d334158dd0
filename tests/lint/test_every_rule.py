"""Every rule has an example that it finds and one that it does not, an explanation, a place and a fix."""

import importlib.util
from pathlib import Path

import pytest

from mrcnn_plus import lint

CASES_FOLDER = Path(__file__).parent / "cases"


def read_cases():
    """`{code: Case}` of every module in `tests/lint/cases`."""
    cases = {}
    for path in sorted(CASES_FOLDER.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"lint_cases_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert not set(module.CASES) & set(cases)
        cases.update(module.CASES)
    return cases


EVERY_RULE = lint.all_rules()
# Those that judge a training run or an experiment have their examples in tests/diagnosis.
RULES = {code: rule for code, rule in EVERY_RULE.items() if not rule.gives_verdicts}
CASES = read_cases()


def test_every_rule_has_examples_and_every_example_a_rule():
    assert set(CASES) == set(RULES)


def test_names_of_rules_are_unique():
    assert len({rule.name for rule in EVERY_RULE.values()}) == len(EVERY_RULE)


@pytest.mark.parametrize("code", sorted(EVERY_RULE))
def test_a_rule_explains_itself(code):
    rule = EVERY_RULE[code]
    for text in (rule.checks, rule.why, rule.example, rule.fix):
        assert len(text) > 10
        assert text == text.strip()


@pytest.mark.parametrize("code", sorted(CASES))
def test_the_failing_example_is_found_with_place_and_fix(code, tmp_path):
    report = lint.check(**{"select": code, **CASES[code].failing(tmp_path)})
    found = [finding for finding in report if finding.code == code]
    assert found, f"nothing found; skipped: {dict(report.skipped)}"
    for finding in found:
        assert finding.message
        assert finding.where
        assert finding.fix
        assert finding.severity == (CASES[code].severity or RULES[code].severity)
    report.to_json()
    str(report)


@pytest.mark.parametrize("code", sorted(CASES))
def test_the_passing_example_is_not_found(code, tmp_path):
    report = lint.check(**{"select": code, **CASES[code].passing(tmp_path)})
    assert not list(report), str(report)
    assert code not in report.skipped
