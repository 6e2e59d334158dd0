"""`mrcnn-plus check-data` as a user calls it."""

import json

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.cli import main
from tests.support.programs import SETTINGS, write


def write_coco(folder, *, name="train.json", images=3, annotations=()):
    """A COCO set of photos of 64 x 48 with one square each; annotations: added as they are."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(len(name))
    boxes = [{"id": i + 1, "image_id": i, "category_id": 1 + i % 2, "iscrowd": 0} for i in range(images)]
    for number, item in enumerate(boxes):
        x = 5 + 3 * number
        item.update(segmentation=[[x, 10, x + 20, 10, x + 20, 30, x, 30]], bbox=[x, 10, 20, 20], area=400)
        pixels = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}{number}.png")
    content = {
        "images": [{"id": i, "file_name": f"{name}{i}.png", "width": 64, "height": 48} for i in range(images)],
        "categories": [{"id": 1, "name": "nut"}, {"id": 2, "name": "<b>fig"}],
        "annotations": [*boxes, *annotations],
    }
    path = folder / name
    path.write_text(json.dumps(content))
    return path


TWO_POINTS = {
    "id": 99,
    "image_id": 0,
    "category_id": 1,
    "iscrowd": 0,
    "segmentation": [[1, 1, 9, 9]],
    "bbox": [1, 1, 8, 8],
}


def check(capsys, *arguments):
    status = main(["check-data", *map(str, arguments), "--workers", "1"])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_overview_counts_images_objects_and_classes(tmp_path, capsys):
    status, out, _ = check(capsys, write_coco(tmp_path))
    assert status == 0
    assert "COCO json" in out and "64 x 48 (3)" in out
    assert [line.split()[:3] for line in out.splitlines() if line.strip().startswith("nut")] == [["nut", "2", "2"]]


def test_what_training_would_skip_is_listed_with_rule_and_place(tmp_path, capsys):
    _, out, _ = check(capsys, write_coco(tmp_path, annotations=[TWO_POINTS]))
    left_out = out.partition("Left out of training: 1")[2]
    assert "DAT0" in left_out and "99" in left_out and "train.json0.png" in left_out


def test_an_outline_beside_its_image_is_listed_as_left_out(tmp_path, capsys):
    beside = {**TWO_POINTS, "segmentation": [[100, 5, 120, 5, 120, 25]], "bbox": [100, 5, 20, 20]}
    _, out, _ = check(capsys, write_coco(tmp_path, annotations=[beside]))
    left_out = out.partition("Left out of training: 1")[2]
    assert "DAT013" in left_out and "(id 99)" in left_out and "train.json0.png" in left_out


def test_json_holds_everything(tmp_path, capsys):
    path = write_coco(tmp_path, annotations=[TWO_POINTS])
    _, out, _ = check(capsys, path, "--json", "-")
    content = json.loads(out)
    assert content["data"][0]["images"] == 3
    assert content["data"][0]["classes"][0] == ["nut", 3, 2] or content["data"][0]["classes"][0][0] == "nut"
    assert content["left_out"][0]["where"]
    assert isinstance(content["findings"], list)
    check(capsys, path, "--json", tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["data"] == content["data"]


def test_validation_data_are_compared(tmp_path, capsys):
    path = write_coco(tmp_path)
    _, out, _ = check(capsys, path, "--val", path)
    assert "train: " in out and "val: " in out
    assert "DAT021" in out


def test_the_page_is_self_contained_and_escapes_names(tmp_path, capsys):
    check(capsys, write_coco(tmp_path, annotations=[TWO_POINTS]), "--html", tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "&lt;b&gt;fig" in page and "<b>fig" not in page
    assert "http://" not in page and "https://" not in page and "<script" not in page and "src=" not in page
    assert 'name="viewport"' in page
    assert "Left out of training" in page


def test_settings_of_a_program_are_checked_against_the_data(tmp_path, capsys):
    program = write(tmp_path, "parts.py", SETTINGS)
    status, out, _ = check(capsys, write_coco(tmp_path), "--config", f"{program}:PartsConfig")
    assert status == 1
    assert "CFG021" in out


@pytest.mark.parametrize("content", ["", "{", '{"a": 1}'])
def test_files_that_are_no_annotations_exit_with_2(tmp_path, capsys, content):
    (tmp_path / "a.json").write_text(content)
    status, out, err = check(capsys, tmp_path / "a.json")
    assert (status, out) == (2, "")
    assert err.startswith("mrcnn-plus check-data: ")
    assert check(capsys, tmp_path / "missing.json")[0] == 2


def test_the_users_files_are_not_changed(tmp_path, capsys):
    path = write_coco(tmp_path, annotations=[TWO_POINTS])
    before = {item.name: item.read_bytes() for item in tmp_path.iterdir()}
    check(capsys, path, "--depth", "pixels")
    assert {item.name: item.read_bytes() for item in tmp_path.iterdir()} == before
