"""`samples/shapes`: generated pictures and its commands, with a network of the least size."""

import numpy as np
import pytest
from PIL import Image

from tests.support.samples import load_sample, tiny_version

shapes = load_sample("shapes")
TinyShapes = tiny_version(shapes.ShapesConfig)


def test_pictures_are_the_same_each_time_and_masks_are_the_visible_parts():
    data = shapes.load_data("val", 20)
    assert np.array_equal(data.load_image(3), data.load_image(3))
    for image_id in data.image_ids:
        image, (masks, class_ids) = data.load_image(image_id), data.load_mask(image_id)
        assert masks.any(axis=(0, 1)).all() and masks.sum(axis=2).max() == 1
        assert set(class_ids) <= {1, 2, 3}
        ground = image[~masks.any(axis=2)]
        assert np.ptp(ground, axis=0).max() == 0, "outside of the masks there is nothing but the ground"


def test_training_and_validation_have_different_pictures():
    train, val = shapes.load_data("train", 30), shapes.load_data("val", 30)
    assert not {info["id"] for info in train.image_info} & {info["id"] for info in val.image_info}


@pytest.mark.parametrize("command", ["evaluate", "detect"])
def test_a_command_without_weights_is_told_so(command, capsys):
    with pytest.raises(SystemExit):
        shapes.main([command])
    assert f"{command} needs --weights=last" in capsys.readouterr().err


@pytest.mark.slow
def test_train_resume_evaluate_and_detect(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shapes.main(["train", "--epochs=2"], TinyShapes)
    shapes.main(["train", "--weights=last", "--epochs=3"], TinyShapes)
    assert sorted(path.name for path in tmp_path.rglob("*.h5"))[-1] == "mask_rcnn_shapes_0003.h5"
    capsys.readouterr()
    shapes.main(["evaluate", "--weights=last"], TinyShapes)
    assert "triangle" in capsys.readouterr().out
    shapes.main(["detect", "--weights=last", "--output=pictures"], TinyShapes)
    pictures = sorted((tmp_path / "pictures").glob("*.png"))
    assert len(pictures) == 6 and Image.open(pictures[0]).size == (512, 512)
