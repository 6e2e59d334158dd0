"""`mrcnn-plus evaluate` as a user calls it: saved results without Keras, and a program with its weights."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.cli import main
from mrcnn_plus.evaluation import evaluate
from tests.evaluation.by_hand import imperfect_detector
from tests.evaluation.data_sets import detection
from tests.evaluation.test_evaluator import mixed_data
from tests.support.programs import SETTINGS, write
from tests.support.tiny import Figures


def run(capsys, *arguments):
    """`(exit status, standard output, standard error)`."""
    status = main(["evaluate", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(folder of the files, the result that wrote them)."""
    folder = tmp_path_factory.mktemp("saved")
    dataset = mixed_data()
    result = evaluate(imperfect_detector(dataset), dataset)
    result.save_coco(folder)
    return folder, result


def files(folder):
    return "--results", folder / "results_segm.json", "--annotations", folder / "ground_truth.json"


def test_saved_results_as_text_json_and_csv(saved, capsys):
    folder, result = saved
    status, out, err = run(capsys, *files(folder))
    assert (status, err) == (0, "") and f"{result.masks.ap:.3f}" in out
    _, out, _ = run(capsys, *files(folder), "--format", "json", "--score", "0.3", "--iou", "0.7")
    content = json.loads(out)
    assert content["metrics"]["mask_AP"] == result.masks.ap
    assert (content["score"], content["iou"]) == (0.3, 0.7)
    _, out, _ = run(capsys, *files(folder), "--format", "csv", "--classes", "disc,dot")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["name"] for row in rows] == ["disc", "dot"]
    assert float(rows[0]["mask_ap50"]) == result.classes[0].mask_ap50


def test_a_folder_takes_everything(saved, tmp_path, capsys):
    status, _, err = run(capsys, *files(saved[0]), "--output", tmp_path / "out", "--limit", "4")
    assert status == 0 and "Written" in err
    names = ["classes.csv", "evaluation.json", "ground_truth.json", "images.csv", "results_bbox.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*names, "results_segm.json"]
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text())["images"] == 4


def test_saved_results_need_no_keras(saved, tmp_path):
    code = (
        "import sys; from mrcnn_plus.cli import main; status = main(sys.argv[1:]); "
        "print(status, {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "evaluate", *map(str, files(saved[0])), "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "0 set()"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected a program, or --results and --annotations"),
        (["--results", "a.json"], "--results and --annotations, both and without a program"),
        (["train.py", "--results", "a.json", "--annotations", "b.json"], "without a program"),
        (["--results", "none.json", "--annotations", "none.json"], "'none.json': expected a COCO annotation file"),
        (["none.py"], "none.py"),
        (["train.py", "--score", "50"], "expected a number from 0 to 1, received '50'"),
    ],
)
def test_what_is_missing_is_said(arguments, words, capsys):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "") and words in err


PROGRAM = """
    import numpy as np
    import keras
    from keras import layers
    from mrcnn import model as modellib
    from mrcnn import utils
    from tests.support.tiny import Figures, FiveConvolutions


    def my_backbone(image, stage5=True, train_bn=None):
        features = []
        for stage in range(1, 6):
            image = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name=f"stage{stage}")(image)
            features.append(image)
        return features


    class FiguresConfig(FiveConvolutions):
        NAME = "figures"
        BACKBONE = my_backbone


    def main():
        train, val = Figures([2] * 4), Figures([2, 1, 3], [(64, 64), (50, 80), (64, 64)])
        model = modellib.MaskRCNN(mode="training", config=FiguresConfig(), model_dir="runs")
        model.train(train, val, learning_rate=0.01, epochs=1, layers="all")


    if __name__ == "__main__":
        main()
"""


def test_a_program_without_a_run_is_told_so(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(capsys, write(tmp_path, "figures.py", PROGRAM))
    assert (status, out) == (2, "")
    assert "folder for logs does not exist" in err and "'runs'" in err and "--weights FILE" in err


def test_a_program_without_data_is_told_how_to_give_them(tmp_path, capsys):
    status, _, err = run(capsys, write(tmp_path, "parts.py", SETTINGS))
    assert status == 2 and "no val data were found" in err and "--val CALL" in err


class Found:
    """In the place of `MaskRCNN`: every figure of an image is found, and nothing else."""

    def __init__(self, mode, config, model_dir):
        assert (mode, config.BATCH_SIZE, model_dir) == ("inference", 1, "runs")
        self.config = config

    def load_weights(self, path, by_name):
        self.path = path
        print("said while loading")

    def detect(self, images):
        data = Figures([2, 1, 3], [(64, 64), (50, 80), (64, 64)])
        answers = []
        for image in images:
            image_id = next(i for i in data.image_ids if np.array_equal(data.load_image(i), image))
            masks, class_ids = data.load_mask(image_id)
            answers.append(detection(masks, class_ids, np.full(len(class_ids), 0.9)))
        return answers


def write_checkpoint(folder):
    checkpoint = folder / "runs" / "figures20260301T1200" / "mask_rcnn_figures_0001.h5"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    return checkpoint


def test_the_validation_data_of_a_program_and_its_newest_checkpoint(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mrcnn_plus.mask_rcnn.MaskRCNN", Found)
    write_checkpoint(tmp_path)
    program = write(tmp_path, "figures.py", PROGRAM)
    status, out, err = run(capsys, program, "--output", "out", "--limit", "2", "--format", "json")
    assert status == 0 and "mask_rcnn_figures_0001.h5" in err and "said while loading" in err
    content = json.loads(out)
    assert (content["images"], content["objects"], content["metrics"]["mask_AP"]) == (2, 3, pytest.approx(1.0))
    best = json.loads((tmp_path / "out" / "evaluation.json").read_text())["best"]
    assert min(Image.open(tmp_path / "out" / best[0]["picture"]).size) > 0
    _, out, _ = run(capsys, program, "--val", "Figures([2])", "--format", "json")
    assert json.loads(out)["images"] == 1


@pytest.mark.slow
def test_a_program_that_was_trained_is_evaluated_with_its_newest_checkpoint(tmp_path):
    program = write(tmp_path, "figures.py", PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for command in (["run", program], ["evaluate", program, "--format", "json", "--min-confidence", "0"]):
        command = [sys.executable, "-m", "mrcnn_plus", *map(str, command)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["images"] == 3 and content["objects"] == 6 and content["detections"] > 0
