"""`samples/coco`: its commands on a few drawn pictures, with a network of the least size."""

import pytest
from PIL import Image

from tests.support.samples import load_sample, pack, picture, serving, tiny_version, write_coco, write_image

coco = load_sample("coco")
TinyCoco = tiny_version(coco.CocoConfig)


def test_class_ids_are_those_of_a_network_trained_on_coco(tmp_path):
    assert len(coco.CLASS_NAMES) == coco.CocoConfig.NUM_CLASSES == 81
    data = coco.load_data(write_coco(tmp_path, coco.CLASS_NAMES), "val", "2017")
    assert data.class_names[1:] == coco.CLASS_NAMES[1:] and data.num_images == 3 and not data.problems
    masks, class_ids = data.load_mask(0)
    assert class_ids.tolist() == [1, 80] and masks.any(axis=(0, 1)).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--weights=coco"], "train needs --dataset"),
        (["train", "--dataset=x"], "arguments are required: --weights/--model"),
        (["detect", "--model=coco"], "detect needs --image"),
        (["train", "--dataset=x", "--model=last", "--year=2015"], "invalid choice: '2015'"),
    ],
)
def test_a_command_line_with_something_missing_is_told_what(arguments, words, capsys):
    with pytest.raises(SystemExit):
        coco.main(arguments)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("year", ["2014", "2017"])
def test_missing_data_are_downloaded_and_unpacked(tmp_path, monkeypatch, year):
    original = write_coco(tmp_path / "original", coco.CLASS_NAMES, train=2, val=1, year=year)
    for subset in ("train", "val"):
        images = tmp_path / f"only_{subset}"
        images.mkdir()
        (original / f"{subset}{year}").rename(images / f"{subset}{year}")
        pack(images, tmp_path / "server" / "zips" / f"{subset}{year}.zip")
    pack(original, tmp_path / "server" / "annotations" / f"annotations_trainval{year}.zip")
    with serving(tmp_path / "server") as address:
        monkeypatch.setattr(coco, "DATA_URL", address)
        coco.download_data(tmp_path / "data", year)
    coco.download_data(tmp_path / "data", year)  # all is there: nothing is fetched
    assert [coco.load_data(tmp_path / "data", subset, year).num_images for subset in ("train", "val")] == [2, 1]
    assert not list((tmp_path / "data").glob("*.zip"))


@pytest.mark.slow
def test_train_resume_evaluate_and_detect(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / "data", coco.CLASS_NAMES)
    common = ["--dataset=data", "--logs=logs"]
    coco.main(["train", "--model=random", "--epochs=2", *common], TinyCoco)
    coco.main(["train", "--model=last", "--download=False", "--epochs=4", *common], TinyCoco)
    assert sorted(path.name for path in tmp_path.rglob("*.h5"))[-1] == "mask_rcnn_coco_0004.h5"
    capsys.readouterr()

    coco.main(["evaluate", "--weights=last", "--limit=2", *common], TinyCoco)
    assert "mask AP" in capsys.readouterr().out

    write_image(tmp_path / "photo.png", picture(5)[0])
    coco.main(["detect", "--weights=last", "--logs=logs", "--image=photo.png"], TinyCoco)
    (output,) = tmp_path.glob("detect_*.png")
    assert Image.open(output).size == (96, 96)
