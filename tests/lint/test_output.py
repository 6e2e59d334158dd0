"""Reports in their forms, without running a rule."""

import json
import linecache
from pathlib import Path

import numpy as np
import pytest

from mrcnn_plus.config import Config
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING, Finding, Report
from mrcnn_plus.lint.output.changes import python_text, render_changes
from mrcnn_plus.lint.output.html import render_html
from mrcnn_plus.lint.output.markdown import render_markdown
from mrcnn_plus.lint.output.rule_pages import explain, list_rules, rules_page
from mrcnn_plus.lint.output.sarif import render_sarif
from mrcnn_plus.lint.output.text import render_text
from mrcnn_plus.lint.registry import all_rules

ROOT = Path(__file__).parents[2]

LINE = Finding("CFG002", ERROR, "too | large.", "C.IMAGE_MAX_DIM", 600, "Use 640.", file="a.py", line=2)
PLACES = Finding(
    "DAT013",
    WARNING,
    "empty.",
    "0.png; 1.png; 2.png and 57 more",
    None,
    "Drop it.",
    places=tuple(f"{i}.png" for i in range(60)),
)
HINT = Finding("CFG101", INFO, "few steps.", "C.STEPS_PER_EPOCH", np.int64(3), "", changes={"STEPS_PER_EPOCH": 15})
REPORT = Report((LINE, PLACES, HINT))


def test_text_is_ordered_and_shows_the_line_of_the_program():
    linecache.cache["a.py"] = (20, None, ["class C:\n", "    IMAGE_MAX_DIM = 600\n"], "a.py")
    try:
        text = render_text(REPORT, width=60)
    finally:
        del linecache.cache["a.py"]
    assert text.index("CFG002") < text.index("DAT013") < text.index("CFG101")
    assert "    2 | IMAGE_MAX_DIM = 600\n" in text
    assert "and 57 more" not in text
    assert "- 4.png\n    - and 55 more" in text and "5.png\n" not in text.replace("- and", "")
    assert max(map(len, text.splitlines())) <= 80


def test_color_is_there_only_if_asked_for():
    plain, colored = render_text(REPORT), render_text(REPORT, color=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31mCFG002\x1b[0m" in colored


def test_an_empty_report_says_so_in_every_form():
    empty = Report(())
    assert render_text(empty) == "Nothing found.\n"
    assert "Nothing found." in render_markdown(empty, title="x")
    assert "Nothing found." in render_html(empty, [], [])
    assert json.loads(render_sarif(empty, checked="a.py"))["runs"][0]["results"] == []


def test_markdown_keeps_the_cells_of_its_table():
    text = render_markdown(REPORT, title="x")
    rows = [line for line in text.splitlines() if line.startswith("| CFG002")]
    assert rows == ["| CFG002 | C.IMAGE\\_MAX\\_DIM<br>a.py:2 | too \\| large. | Use 640. |"]
    assert "<details><summary>DAT013: 60 places</summary>" in text and "- and 10 more" in text


def test_sarif_gives_every_finding_a_level_and_a_location():
    (run,) = json.loads(render_sarif(REPORT, checked="data/train.json", notes=["one note"]))["runs"]
    assert [item["level"] for item in run["results"]] == ["error", "warning", "note"]
    places = [item["locations"][0]["physicalLocation"] for item in run["results"]]
    assert places[0]["region"] == {"startLine": 2}
    assert places[1]["artifactLocation"] == {"uri": "data/train.json"}
    assert run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"] == "one note"
    levels = {rule["defaultConfiguration"]["level"] for rule in run["tool"]["driver"]["rules"]}
    assert levels == {"error", "warning", "note"}


def test_sarif_of_a_notebook_names_the_file_without_its_cell():
    finding = Finding("CFG002", ERROR, "x", "y", file="a.ipynb, cell 3", line=4)
    (run,) = json.loads(render_sarif(Report((finding,)), checked="a.ipynb"))["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "a.ipynb"}, "region": {"startLine": 1}}


@pytest.mark.parametrize(
    "value, text",
    [
        (np.array([1.5, 2]), "np.array([1.5, 2.0])"),
        ((8,), "(8,)"),
        ([np.int64(1), 0.1 + 0.2], "[1, 0.3]"),
        ({"a": None}, "{'a': None}"),
        (1e-05, "1e-05"),
        ("x", "'x'"),
    ],
)
def test_values_are_written_as_python(value, text):
    assert python_text(value) == text


def test_changed_settings_are_a_class_body_that_runs():
    report = Report((HINT, Finding("CFG070", ERROR, "x", changes={"MEAN_PIXEL": np.array([1.0, 2.0])})))
    text = render_changes(report, Config())
    names = {"ConfigBase": Config}
    exec(text, names)
    assert names["Config"].STEPS_PER_EPOCH == 15
    assert "STEPS_PER_EPOCH = 15  # was 1000 (CFG101)" in text
    assert render_changes(Report((LINE,)), Config()).startswith("# Config: no setting")


def test_every_rule_is_on_the_list_and_explained_with_its_thresholds():
    lines = list_rules().splitlines()
    assert [line.split()[0] for line in lines] == list(all_rules())
    for rule in all_rules().values():
        text = explain(rule)
        assert rule.code in text and rule.why in text and rule.fix in text
        assert all(f"`{name}={value!r}`" in text for name, value in rule.thresholds.items())


def test_the_page_of_rules_is_current():
    page = (ROOT / "docs" / "lint_rules.md").read_text(encoding="utf-8")
    assert page == rules_page(), "run `make docs`"
