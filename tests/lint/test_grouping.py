"""Many places with the same thing wrong become one finding that names them all."""

import pytest

from mrcnn_plus import lint
from mrcnn_plus.data.annotations import PROBLEM_CODES, Problem
from mrcnn_plus.lint.facts import Split
from mrcnn_plus.lint.grouping import by_kind, counted, listed, violations_of
from tests.support.lint_data import Told


def test_messages_that_differ_in_numbers_and_names_only_are_one_kind():
    pairs = [("a", "id 7 of 'x.png' is [1, 2.5]"), ("b", "id 12 of 'y.png' is [3, 4e9]"), ("c", "something else")]
    assert by_kind(pairs) == [(pairs[0][1], pairs[:2]), (pairs[2][1], pairs[2:])]


def test_many_kinds_become_a_few_and_no_place_is_lost():
    pairs = [(str(number), "word " * number) for number in range(9)]
    groups = by_kind(pairs)
    assert len(groups) == 4
    assert sorted(pair for _, group in groups for pair in group) == sorted(pairs)


def test_numbers_and_lists_read_as_people_write_them():
    assert [counted(1, "image"), counted(1200, "image"), counted(2, "class", "classes")] == [
        *("1 image", "1,200 images", "2 classes")
    ]
    assert listed(["a", "b"]) == "a, b"
    assert listed(range(9), most=2) == "0, 1 and 7 more"


def test_the_last_sentence_of_a_problem_is_its_remedy():
    problems = [Problem("DAT033", f"image {n}", f"a polygon has {n} points. Draw it again", n) for n in (1, 2)]
    (violation,) = violations_of(Split("train", Told()), problems, severity=lambda problem: None)
    assert violation.message == "2 times, e.g.: a polygon has 1 points."
    assert violation.fix == "Draw it again."
    assert violation.places == ["train: image 1", "train: image 2"]


def test_a_name_with_dots_is_no_remedy():
    problem = Problem("DAT017", "a", "cannot read 'my. file.png'")
    (violation,) = violations_of(Split("train", Told()), [problem], severity=lambda problem: None)
    assert violation.message == "cannot read 'my. file.png'."
    assert violation.fix is None


def test_a_data_set_checks_itself():
    dataset = Told(3, answers=[None, KeyError("polygons"), None])
    report = dataset.check(select="DAT", ignore="DAT058")
    assert [finding.code for finding in report] == ["DAT040"]
    assert "image 1" in report.errors[0].where
    assert [finding.code for finding in dataset.check(val=dataset, select="DAT021")] == ["DAT021"]
    assert isinstance(report, lint.Report)


def test_every_image_is_read_at_the_depth_of_pixels():
    dataset = Told(40, answers=[None] * 20 + [KeyError("polygons")] + [None] * 19)
    assert dataset.check(select="DAT040", sample=3).ok
    assert not dataset.check(select="DAT040", depth="pixels").ok


@pytest.mark.parametrize("code", PROBLEM_CODES)
def test_what_readers_list_is_reported_by_the_rule_that_they_name(code):
    dataset = Told()
    dataset.problems = [Problem(code, "file.json, entry 7", "something is wrong with it", 77, True)]
    findings = dataset.check(select=code).findings
    assert any("7" in finding.where + finding.message for finding in findings), findings
