"""`mrcnn-plus experiment`: what is refused, what is handed to an experiment, and what is printed."""

import json
import sys
from unittest import mock

import pytest

from mrcnn_plus.cli import experiment, main
from mrcnn_plus.diagnosis.experiments import EXPERIMENTS
from mrcnn_plus.diagnosis.experiments.lr_range import LearningRateRange
from mrcnn_plus.diagnosis.experiments.outcome import conclude
from mrcnn_plus.lint.facts import Run

FLAT = LearningRateRange((1e-4, 1e-3), (1.0, 1.0), (0.001,), ("all",), "SGD", 2)


def run(*arguments):
    return main(["experiment", *map(str, arguments)])


def parsed(*arguments):
    """The arguments of a command line as the command gets them."""
    import argparse

    parser = experiment.add_parser(argparse.ArgumentParser().add_subparsers())
    return parser.parse_args([str(argument) for argument in arguments])


def test_every_experiment_is_listed_and_has_its_options(capsys):
    assert run("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(EXPERIMENTS) == list(experiment._OPTIONS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: NAME, PROGRAM"),
        (["overfitt", "train.py"], "received 'overfitt'"),
        (["overfit"], "required: PROGRAM"),
        (["rpn", "train.py", "--layers", "heads"], "--layers belongs to first-batch, overfit, weights, lr-range"),
        (["weights", "train.py", "--images", "3"], "not to weights"),
        (["overfit", "no_such_program.py"], "no_such_program.py"),
    ],
)
def test_what_makes_no_sense_is_refused_before_keras_is_loaded(arguments, words, capsys):
    with mock.patch.dict(sys.modules, {"mrcnn_plus.mask_rcnn": None}):
        assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def test_the_outcome_is_printed_saved_and_decides_the_exit_status(tmp_path, capsys):
    outcome = conclude(FLAT, None, figures={"lr_range.csv": "a\n"})
    with mock.patch.object(experiment, "_run_on_program", lambda arguments: outcome):
        assert run("lr-range", "train.py", "--output", tmp_path / "out") == 0
        assert run("lr-range", "train.py", "--fail-on", "warning", "--format", "json") == 1
    printed = capsys.readouterr().out
    assert "EXP062" in printed
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "lr_range.csv",
        "lr_range.json",
        "lr_range.txt",
    ]
    assert json.loads(printed[printed.index("\n{") :])["findings"][0]["code"] == "EXP062"


def test_options_may_stand_between_the_name_and_the_program():
    arguments = parsed("rpn", "--images", 10, "train.py")
    assert (arguments.name, arguments.images, arguments.program) == ("rpn", 10, "train.py")


STAGES = [(0.001, 10, "heads"), (0.0001, 20, "all")]


def keywords(*arguments, run=None):
    return experiment._keywords(parsed(*arguments), run or Run(stages=STAGES), None)


def test_all_stages_of_the_program_train_together_at_their_highest_rate():
    given = keywords("overfit", "train.py")
    assert (given["layers"], given["learning_rate"]) == (["heads", "all"], 0.001)
    assert keywords("lr-range", "train.py")["used"] == (0.001, 0.0001)


def test_options_of_the_command_line_come_before_the_program():
    given = keywords("overfit", "train.py", "--layers", "5+", "--learning-rate", 0.5, "--steps", 7, "--images", 2)
    assert (given["layers"], given["learning_rate"], given["steps"], given["images"]) == (["5+"], 0.5, 7, 2)
    assert keywords("lr-range", "train.py", "--learning-rate", 0.5)["used"] == (0.5,)


def test_a_program_whose_stages_cannot_be_read_leaves_the_layers_as_they_are():
    given = keywords("overfit", "train.py", run=Run())
    assert given["layers"] is None
    assert "learning_rate" not in given
