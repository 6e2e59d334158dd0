"""`mrcnn-plus diagnose`: verdicts on a folder of logs, in every format, with the exit status of the linter."""

import csv
import json

import pytest

from mrcnn_plus.cli import main

from ..support.histories import history


@pytest.fixture
def folder(tmp_path):
    """A function that writes a history as the folder of a run and returns its path."""

    def write(run):
        names = run.names
        with open(tmp_path / "losses.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["epoch", *names])
            writer.writeheader()
            writer.writerows({"epoch": epoch - 1, **row} for epoch, row in zip(run.epochs, run.rows, strict=True))
        (tmp_path / "run.json").write_text(json.dumps(run.run), encoding="utf-8")
        return str(tmp_path)

    return write


def test_a_healthy_run(folder, capsys):
    assert main(["diagnose", folder(history())]) == 0
    assert "nothing is wrong with this run" in capsys.readouterr().out


def test_a_verdict_with_evidence_causes_and_the_experiment_that_decides(folder, capsys):
    assert main(["diagnose", folder(history(anchor_iou=0.18, anchor_scale=5.0))]) == 1
    said = " ".join(capsys.readouterr().out.split())
    for words in (
        *("Verdict: RUN030", "they are too large", "Evidence:", "Likely causes:", "1. "),
        *("Decide: mrcnn-plus experiment rpn program.py", "Fix: Take RPN_ANCHOR_SCALES", "8 epochs, 800 steps"),
    ):
        assert words in said


def test_json_has_all_of_a_verdict(folder, capsys):
    main(["diagnose", folder(history(anchor_iou=0.18, anchor_scale=5.0, positive_rois=0.0)), "--format", "json"])
    content = json.loads(capsys.readouterr().out)
    first = content["findings"][0]
    assert first["code"] == "RUN030" and first["epoch"] == 1 and first["evidence"] and first["causes"]
    assert first["experiment"].startswith("mrcnn-plus experiment")
    assert [found["follows_from"] for found in content["findings"] if found["code"] == "RUN031"] == ["RUN030"]


@pytest.mark.parametrize(("form", "words"), [("sarif", '"ruleId": "RUN030"'), ("markdown", "Likely causes:")])
def test_other_formats(folder, capsys, form, words):
    assert main(["diagnose", folder(history(anchor_iou=0.18, anchor_scale=5.0)), "--format", form]) == 1
    assert words in capsys.readouterr().out


def test_rules_are_chosen_and_the_run_judged_as_it_stood_earlier(folder, capsys):
    path = folder(history(val_box_AP50=[0.1, 0.3, 0.5, 0.6, 0.5, 0.1, 0.05, 0.04]))
    assert main(["diagnose", path]) == 1
    assert main(["diagnose", path, "--ignore", "RUN073"]) == 0
    assert main(["diagnose", path, "--until", "5"]) == 0
    assert main(["diagnose", path, "--select", "RUN03"]) == 0


def test_exit_status_from_a_warning_on(folder):
    path = folder(history(12, val_loss=[2, 1.4, 1.1, 1.0, 1.02, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]))
    assert main(["diagnose", path]) == 0
    assert main(["diagnose", path, "--fail-on", "warning"]) == 1


def test_classes_of_a_log_without_a_run_file(tmp_path):
    """The class loss of 11 classes at ln 11 is that of guessing; without their number nothing says so."""
    rows = [f"{epoch},{3.0 - epoch / 9},{0.5 / (1 + epoch)},{0.4 / (1 + epoch)},2.40" for epoch in range(8)]
    path = tmp_path / "log.csv"
    path.write_text("\n".join(["epoch,loss,rpn_class_loss,rpn_bbox_loss,mrcnn_class_loss", *rows]), encoding="utf-8")
    assert main(["diagnose", str(path), "--fail-on", "warning"]) == 0
    assert main(["diagnose", str(path), "--fail-on", "warning", "--classes", "11"]) == 1


def test_a_folder_without_logs_could_not_run(tmp_path, capsys):
    assert main(["diagnose", str(tmp_path)]) == 2
    assert "losses.csv" in capsys.readouterr().err
