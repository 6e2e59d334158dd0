"""`samples/nucleus`: subsets, run lengths, and its commands on a few drawn pictures."""

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.errors import DatasetError
from tests.support.samples import load_sample, tiny_version, write_nuclei

nucleus = load_sample("nucleus")
TinyNucleus = tiny_version(nucleus.NucleusConfig)


def names(dataset):
    return [info["id"] for info in dataset.image_info]


def test_a_subset_is_a_folder(tmp_path):
    write_nuclei(tmp_path, 2)
    write_nuclei(tmp_path, 1, subset="val", first=50)
    assert names(nucleus.load_data(tmp_path, "train")) == ["image000", "image001"]
    assert names(nucleus.load_data(tmp_path, "val")) == ["image050"]
    masks, class_ids = nucleus.load_data(tmp_path, "val").load_mask(0)
    assert masks.shape == (96, 96, 2) and masks.dtype == bool and class_ids.tolist() == [1, 1]


def test_the_competitions_folder_is_split_in_two(tmp_path):
    write_nuclei(tmp_path, 41, subset="stage1_train", masks=False)
    train, val = (names(nucleus.load_data(tmp_path, subset)) for subset in ("train", "val"))
    assert val == ["image000", "image020", "image040"] and len(train) == 38 and not set(train) & set(val)
    assert len(names(nucleus.load_data(tmp_path, "stage1_train"))) == 41


def test_a_subset_without_images_is_an_error_that_shows_the_layout(tmp_path):
    with pytest.raises(DatasetError, match="'stage2': no image in .* expected <image id>/images"):
        nucleus.load_data(tmp_path, "stage2")


def test_run_lengths_count_from_one_downwards_and_no_pixel_twice():
    masks = np.zeros((4, 3, 3), bool)
    masks[1:3, 0, 0] = True  # pixels 2 and 3
    masks[2:, :2, 1] = True  # pixels 3, 4, 7, 8: the third belongs to the better one
    assert nucleus.run_lengths("x", masks, [0.9, 0.8, 0.7]) == ["x,2 2", "x,4 1 7 2"]
    assert nucleus.run_lengths("x", masks, [0.7, 0.8, 0.9]) == ["x,3 2 7 2", "x,2 1"]
    assert nucleus.run_lengths("x", masks[..., :0], []) == ["x,"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--weights=coco"], "required: --dataset"),
        (["detect", "--dataset=x", "--weights=last"], "detect needs --subset"),
        (["splash", "--dataset=x", "--weights=last"], "invalid choice: 'splash'"),
    ],
)
def test_a_command_line_with_something_missing_is_told_what(arguments, words, capsys):
    with pytest.raises(SystemExit):
        nucleus.main(arguments)
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_train_resume_evaluate_and_detect(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_nuclei(tmp_path / "data", 4)
    write_nuclei(tmp_path / "data", 2, subset="val", first=50)
    write_nuclei(tmp_path / "data", 2, subset="stage1_test", first=60, masks=False)
    common = ["--dataset=data", "--logs=logs"]
    nucleus.main(["train", "--weights=random", "--epochs=1", *common], TinyNucleus)
    nucleus.main(["train", "--weights=last", "--subset=train", "--epochs=2", *common], TinyNucleus)
    assert sorted(path.name for path in tmp_path.rglob("*.h5"))[-1] == "mask_rcnn_nucleus_0002.h5"
    capsys.readouterr()

    nucleus.main(["evaluate", "--weights=last", "--subset=val", *common], TinyNucleus)
    assert "mask AP" in capsys.readouterr().out

    nucleus.main(["detect", "--weights=last", "--subset=stage1_test", *common], TinyNucleus)
    (results,) = (tmp_path / "results").glob("submit_*")
    lines = (results / "submit.csv").read_text().splitlines()
    assert lines[0] == "ImageId,EncodedPixels" and {line.split(",")[0] for line in lines[1:]} == {
        "image060",
        "image061",
    }
    assert Image.open(results / "image060.png").size == (96, 96)


def test_the_settings_for_detection_change_no_weight_of_the_network():
    config = nucleus.for_detection(nucleus.NucleusConfig())
    assert (config.IMAGE_RESIZE_MODE, config.BATCH_SIZE, config.RPN_NMS_THRESHOLD) == ("pad64", 1, 0.7)


def test_the_demo_unpacks_its_images(tmp_path):
    train, val = load_sample("nucleus", "demo").load_data(tmp_path / "data")
    assert (train.num_images, val.num_images) == (87, 22)
    assert train.load_mask(0)[0].shape[:2] == train.load_image(0).shape[:2]
