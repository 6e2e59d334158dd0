"""`lint.check`: what it takes, which rules it runs, and what it does when a rule fails."""

from pathlib import Path

import pytest

from mrcnn_plus import lint
from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.errors import ConfigError, DatasetError


class Parts(Config):
    NAME = "parts"
    NUM_CLASSES = 2
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 600


class Silenced(Parts):
    LINT_IGNORE = ("CFG002",)


class NumberForCodes(Parts):
    LINT_IGNORE = -1


class OtherThreshold(Parts):
    LINT_THRESHOLDS = {"CFG094": {"most_times": 2}}
    LOSS_WEIGHTS = {"mrcnn_mask_loss": 3.0}


class Broken(Config):
    @property
    def IMAGE_MAX_DIM(self):
        raise RuntimeError("no size today")


def codes(report):
    return {finding.code for finding in report}


def test_a_finding_has_the_line_of_the_setting():
    (finding,) = lint.check(Parts(), select="CFG002")
    assert finding.where == "Parts.IMAGE_MAX_DIM"
    assert finding.file == __file__
    assert "IMAGE_MAX_DIM = 600" in Path(__file__).read_text().splitlines()[finding.line - 1]
    assert finding.value == 600


def test_errors_come_first_and_are_raised():
    report = lint.check(Parts())
    severities = [lint.findings.SEVERITIES.index(finding.severity) for finding in report]
    assert severities == sorted(severities)
    assert not report.ok
    with pytest.raises(ConfigError, match="CFG002"):
        report.raise_for_errors()


def test_rules_are_chosen_and_left_out_by_the_beginning_of_their_code():
    assert codes(lint.check(Parts(), select="CFG00")) == {"CFG002"}
    assert "CFG002" not in codes(lint.check(Parts(), ignore=["CFG0"]))
    assert "CFG002" not in codes(lint.check(Silenced()))


def test_a_code_that_is_no_sequence_is_reported_and_stops_nothing():
    report = lint.check(NumberForCodes())
    assert {"CFG002", "LNT002"} <= codes(report)


def test_thresholds_of_the_configuration_and_of_the_call():
    assert "CFG094" in codes(lint.check(OtherThreshold()))
    assert "CFG094" not in codes(lint.check(OtherThreshold(), thresholds={"CFG094": {"most_times": 4}}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"select": "CFG9999"}, "select='CFG9999'"),
        ({"depth": "deep"}, "depth='deep'"),
        ({"thresholds": {"CFG094": {"most": 3}}}, "no threshold 'most'; it has: most_times"),
        ({"thresholds": {"XYZ001": {}}}, "'XYZ001' that does not exist"),
    ],
)
def test_arguments_that_name_nothing_are_an_error(arguments, message):
    with pytest.raises(ConfigError, match=message):
        lint.check(Parts(), **arguments)


@pytest.mark.parametrize(("config", "message"), [(Parts, r"Write Parts\(\)"), ("x", "config='x'")])
def test_a_configuration_is_an_instance(config, message):
    with pytest.raises(ConfigError, match=message):
        lint.check(config)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("photos.json", r"train='photos.json'. .*open_dataset"),
        (Dataset, "the class train=Dataset"),
        (Parts(), "train="),
    ],
)
def test_a_data_set_is_an_instance_of_dataset(dataset, message):
    with pytest.raises(DatasetError, match=message):
        lint.check(Parts(), dataset)


def test_a_rule_that_fails_is_a_finding_and_the_others_run():
    report = lint.check(Broken(), select=("CFG002", "CFG015", "LNT001"))
    assert codes(report) == {"CFG015", "LNT001"}
    assert "no size today" in str(report)


def test_rules_without_their_data_are_listed_as_skipped():
    assert lint.check(Parts()).skipped["DAT031"] == "no data set was given"
    assert lint.check(None).skipped["CFG002"] == "no configuration was given"


def test_validate_runs_the_rules_that_need_no_data():
    assert codes(Parts().validate()) == codes(lint.check(Parts()))
