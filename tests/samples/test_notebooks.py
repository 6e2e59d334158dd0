"""The notebooks of the samples: stored without outputs, and run from the first cell to the last on a few pictures."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.support.notebooks import code_cells, run_notebook
from tests.support.samples import SAMPLES, load_sample, write_balloons, write_coco
from tests.support.tiny import FiveConvolutions

NOTEBOOKS = sorted(SAMPLES.glob("*/*.ipynb"))
# Settings of a network of the least size.
TINY = {
    name: getattr(FiveConvolutions, name)
    for parent in FiveConvolutions.__mro__[:2]
    for name in vars(parent)
    if name.isupper() and name not in ("NAME", "NUM_CLASSES")
}


def balloons(folder):
    return {"DATASET": str(write_balloons(folder / "data")), "WEIGHTS": "random"}


def coco(folder):
    names = load_sample("coco").CLASS_NAMES
    return {"DATASET": str(write_coco(folder / "data", names)), "WEIGHTS": "random"}


PARAMETERS = {
    "balloon": balloons,
    "coco": coco,
    "nucleus": lambda folder: {"DATASET": str(folder / "data")},
    "shapes": lambda folder: {"COUNTS": {"train": 6, "val": 3}},
}


def test_every_sample_has_a_notebook():
    assert [path.parent.name for path in NOTEBOOKS] == sorted(PARAMETERS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_stored_without_outputs_and_its_code_parses(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs") and cell.get("execution_count") is None
    for number, source, _ in code_cells(path):
        compile(source, f"{path.name}, cell {number}", "exec")


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_the_first_cell_to_the_last(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    parameters = {"EPOCHS": 2, "SETTINGS": TINY, **PARAMETERS[path.stem](tmp_path)}
    result = run_notebook(path, parameters, tmp_path / "pictures")
    assert len(list((tmp_path / "logs").rglob("*.h5"))) == 2
    assert len(result["evaluation"].images) > 0 and result["evaluation"].masks is not None
    pictures = sorted((tmp_path / "pictures").glob("*.png"))
    assert len(pictures) >= 14
    blank = [picture.name for picture in pictures if np.asarray(Image.open(picture).convert("L")).std() < 1]
    assert not blank
