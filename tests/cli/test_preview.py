"""`mrcnn-plus preview`: from a program, or from data alone, to a picture."""

import textwrap

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus import cli
from mrcnn_plus.cli.preview import read_augmentation
from mrcnn_plus.errors import ConfigError

PROGRAM = """
import numpy as np
from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.mask_rcnn import MaskRCNN


class PartsConfig(Config):
    NAME = "parts"
    NUM_CLASSES = 2
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 64


class PartsDataset(Dataset):
    def load_parts(self, count):
        self.add_class("parts", 1, "part")
        for number in range(count):
            self.add_image("parts", number, None)

    def load_image(self, image_id):
        image = np.full((64, 64, 3), 60, np.uint8)
        image[20:40, 10:30] = 220
        return image

    def load_mask(self, image_id):
        mask = np.zeros((64, 64, 1), bool)
        mask[20:40, 10:30] = True
        return mask, np.array([1], np.int32)


def flip(image, masks):
    return image[:, ::-1], masks


if __name__ == "__main__":
    train, val = PartsDataset(), PartsDataset()
    train.load_parts(5)
    train.prepare()
    val.load_parts(2)
    val.prepare()
    model = MaskRCNN(mode="training", config=PartsConfig(), model_dir="logs")
    model.train(train, val, learning_rate=0.001, epochs=1, layers="heads")
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "parts.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return path


def test_a_program_is_drawn_with_its_settings_and_data(program, tmp_path, capsys):
    output = tmp_path / "data.png"
    assert cli.main(["preview", str(program), "--count", "3", "--output", str(output)]) == 0
    assert f"Written: {output}" in capsys.readouterr().out
    picture = np.asarray(Image.open(output))
    assert picture.shape[2] == 3 and picture.shape[1] > 3 * 320, "three images beside each other"


def test_each_image_has_a_row_with_its_augmented_versions(program, tmp_path):
    output = tmp_path / "data.png"
    arguments = ["--augmentation", "iaa.Fliplr(0.5)", "--count", "2", "--versions", "2", "--output", str(output)]
    assert cli.main(["preview", str(program), *arguments]) == 0
    height, width = np.asarray(Image.open(output)).shape[:2]
    assert 3 * 320 < width < 4 * 320 and 2 * 320 < height < 3 * 320


def test_an_augmentation_that_leaves_masks_behind_is_named(program, tmp_path, capsys):
    words = f"{program}:flip"
    status = cli.main(["preview", str(program), "--augmentation", words, "--output", str(tmp_path / "data.png")])
    assert status == 1
    assert "TRN004 error" in capsys.readouterr().out


def test_without_program_and_data_there_is_nothing_to_draw(capsys):
    assert cli.main(["preview"]) == 2
    assert "expected a program or --data" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(program, tmp_path, capsys):
    assert cli.main(["preview", str(program), "--output", str(tmp_path / "missing" / "data.png")]) == 2
    assert "missing/data.png" in capsys.readouterr().err


def test_augmentations_are_expressions_or_names_of_objects():
    assert read_augmentation("none") is None
    assert type(read_augmentation("iaa.Fliplr(0.5)")).__name__ == "Fliplr"
    assert type(read_augmentation("A.HorizontalFlip()")).__module__.startswith("albumentations")
    assert type(read_augmentation("keras.layers.RandomFlip()")).__name__ == "RandomFlip"
    assert read_augmentation("numpy:fliplr") is np.fliplr
    assert read_augmentation("lambda image, masks: (image, masks)")(1, 2) == (1, 2)
    for words in ("iaa.NoSuchThing()", "no_such_module:thing", "numpy:no_such_thing"):
        with pytest.raises(ConfigError, match="cannot be had"):
            read_augmentation(words)
