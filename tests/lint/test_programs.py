"""What is read of a user's program, and that nothing else of it happens."""

import json
import sys
import textwrap

import numpy as np
import pytest

from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.lint.programs import ProgramError, open_program
from mrcnn_plus.lint.settings_source import find_setting
from tests.support.programs import DATA, SETTINGS, TRAINING, write

BACKENDS = {"keras", "tensorflow", "torch", "jax"}


def read(path, *names, **options):
    with open_program(str(path), *names, **options) as program:
        return program


def test_config_datasets_and_training_of_a_program_are_found(tmp_path):
    program = read(write(tmp_path, "parts.py", SETTINGS, DATA, TRAINING))
    (found,) = program.configs
    assert (found.name, found.config.IMAGE_MAX_DIM, found.is_static) == ("PartsConfig", 600, False)
    assert [item.__name__ for item in program.datasets] == ["PartsDataset"]
    assert (len(program.train.image_info), len(program.val.image_info)) == (4, 3)
    run = found.run
    assert (run.mode, run.learning_rate, run.epochs, run.layers) == ("training", 0.001, 1, "heads")
    assert (run.pretrained, run.model_dir) == (False, "logs")
    assert program.notes == []


def test_the_place_of_a_setting_is_its_line(tmp_path):
    path = write(tmp_path, "parts.py", SETTINGS)
    place = find_setting(read(path).configs[0].config, "IMAGE_MAX_DIM")
    assert place == ("PartsConfig.IMAGE_MAX_DIM", str(path), 10)
    assert "IMAGE_MAX_DIM = 600" in path.read_text().splitlines()[place.line - 1]


def test_nothing_is_trained_written_or_left_behind(tmp_path):
    path = write(
        tmp_path,
        "flat.py",
        SETTINGS,
        """
        import os, sys
        import tensorflow as tf
        from mrcnn.model import MaskRCNN
        sys.path.append("/somewhere")
        config = tf.ConfigProto()
        session = tf.Session(config=config)
        open(os.path.join(os.path.dirname(__file__), "made.txt"), "a")
        os.makedirs(os.path.join(os.path.dirname(__file__), "made"))
        print("hello")
        model = MaskRCNN(mode="training", config=PartsConfig(), model_dir="logs")
        model.train(None, None, 0.1, 3, "all")
        for image in range(3):
            model.detect([image])
        if __name__ == "__main__":
            handle = open(os.path.join(os.path.dirname(__file__), "main_ran.txt"), "w")
        """,
    )
    before, modules = list(sys.path), {name for name in sys.modules if name.partition(".")[0] in BACKENDS}
    program = read(path)
    assert program.configs[0].run.learning_rate == 0.1
    assert {item.name for item in tmp_path.iterdir()} <= {"flat.py", "__pycache__"}
    assert sys.path == before
    assert {name for name in sys.modules if name.partition(".")[0] in BACKENDS} == modules
    assert "mrcnn" not in sys.modules


def test_a_statement_that_fails_does_not_hide_the_settings(tmp_path):
    program = read(write(tmp_path, "a.py", "NAMES = open('missing.txt').read()", SETTINGS, "x = NAMES[0]"))
    assert program.configs[0].config.NAME == "parts"


def test_a_class_that_fails_is_read_from_its_text(tmp_path):
    path = write(
        tmp_path,
        "a.py",
        """
        import os
        from mrcnn.config import Config

        class MyConfig(Config):
            NAME = "mine"
            IMAGE_MAX_DIM = 2 * 320
            NUM_CLASSES = 1 + len(os.listdir("/no/such/folder"))
        """,
    )
    program = read(path)
    (found,) = program.configs
    assert found.is_static and found.config.IMAGE_MAX_DIM == 640
    assert list(found.unread) == ["NUM_CLASSES"]
    assert "a.py:5: MyConfig is read from its text" in program.notes[0]
    assert "FileNotFoundError" in program.notes[0]


def test_missing_packages_are_named_and_do_not_stop(tmp_path):
    program = read(write(tmp_path, "a.py", "import no_such_package.part as p\nfrom no_such_other import *", SETTINGS))
    assert program.configs[0].config.NAME == "parts"
    assert "no_such_other, no_such_package" in program.notes[0]


def test_old_flat_imports_resolve_unless_the_user_has_such_a_file(tmp_path):
    flat = "from config import Config\nimport utils\nimport model as modellib\n"
    path = write(
        tmp_path, "a.py", flat, SETTINGS.replace("from mrcnn.config import Config", ""), "class D(utils.Dataset): pass"
    )
    program = read(path)
    assert issubclass(program.datasets[0], Dataset)
    write(tmp_path, "utils.py", "class Dataset: pass")
    assert read(path).datasets == []


def test_modules_beside_the_program_are_imported_and_forgotten(tmp_path):
    write(tmp_path, "settings_of_mine.py", "import tensorflow as tf", SETTINGS)
    program = read(write(tmp_path, "main.py", "from settings_of_mine import PartsConfig"))
    assert program.configs[0].name == "PartsConfig"
    assert "settings_of_mine" not in sys.modules


def test_command_line_of_the_program_builds_its_data(tmp_path):
    path = write(
        tmp_path,
        "balloon.py",
        SETTINGS,
        DATA,
        """
        def train(model):
            dataset_train = PartsDataset()
            dataset_train.load_parts(args.count)
            dataset_train.prepare()
            dataset_val = PartsDataset()
            dataset_val.load_parts(2, seed=50)
            dataset_val.prepare()
            print("Training network heads")
            model.train(dataset_train, dataset_val, learning_rate=config.LEARNING_RATE, epochs=30, layers='heads')

        if __name__ == '__main__':
            import argparse
            from mrcnn import model as modellib
            parser = argparse.ArgumentParser()
            parser.add_argument("command")
            parser.add_argument("--count", type=int, required=True)
            args = parser.parse_args()
            if args.command == "train":
                config = PartsConfig()
            else:
                class InferenceConfig(PartsConfig):
                    GPU_COUNT = 1
                config = InferenceConfig()
            model = modellib.MaskRCNN(mode="training", config=config, model_dir="logs")
            model.load_weights("mask_rcnn_coco.h5", by_name=True)
            train(model)
        """,
    )
    program = read(path, arguments=["train", "--count", "7"])
    assert len(program.train.image_info) == 7 and len(program.val.image_info) == 2
    assert [(item.name, item.run.mode) for item in program.configs] == [
        ("PartsConfig", "training"),
        ("InferenceConfig", "inference"),
    ]
    run = program.configs[0].run
    assert (run.epochs, run.pretrained, run.weights, run.learning_rate) == (30, True, "coco", 0.001)
    without = read(path)
    assert without.train is None
    assert "the following arguments are required: command, --count" in without.notes[0]
    assert "--train 'PartsDataset.load_parts(COUNT)'" in without.notes[0]


def test_data_are_built_without_the_model_that_stands_between(tmp_path):
    found = """
        train.found = model.detect([train.load_image(0)])
        model.train(train"""
    training = TRAINING.replace("\n        model.train(train", found)
    assert "model.detect" in training
    program = read(write(tmp_path, "a.py", SETTINGS, DATA, training))
    assert len(program.train.image_info) == 4
    assert not hasattr(program.train, "found")


def test_data_that_are_built_in_one_line_with_something_of_the_model(tmp_path):
    path = write(
        tmp_path,
        "a.py",
        SETTINGS,
        DATA,
        """
        from mrcnn import model as modellib

        def data(count):
            dataset = PartsDataset()
            dataset.load_parts(count)
            dataset.prepare()
            return dataset

        def run_training(model):
            train, val, config = data(5), data(2), model.config
            train, val = val, train
            model.train(train, val, config.LEARNING_RATE, epochs=1, layers="heads")

        run_training(modellib.MaskRCNN(mode="training", config=PartsConfig(), model_dir="logs"))
        """,
    )
    program = read(path)
    assert (len(program.train.image_info), len(program.val.image_info)) == (2, 5)


def test_stages_are_in_order_and_computed_from_the_settings(tmp_path):
    training = """
    def go(model, data):
        EPOCHS = 10
        model.train(data, data, learning_rate=config.LEARNING_RATE, epochs=EPOCHS, layers="heads")
        model.train(data, data, config.LEARNING_RATE / 10, EPOCHS * 2, "all")
    """
    expected = [(0.001, 10, "heads"), (0.0001, 20, "all")]
    path = write(tmp_path, "a.py", SETTINGS, training)
    assert read(path).configs[0].run.stages == expected
    assert read(path, static=True).configs[0].run.stages == expected


def test_stages_of_one_call_are_read_in_each_of_their_forms(tmp_path):
    training = """
    def go(model, data):
        model.train_stages(data, data, [
            Stage("heads", 10, config.LEARNING_RATE), ("4+", 20, 0.0001), {"layers": "all", "epochs": 30}])
    """
    path = write(tmp_path, "a.py", SETTINGS, training)
    for static in (False, True):
        run = read(path, static=static).configs[0].run
        assert run.stages == [(0.001, 10, "heads"), (0.0001, 20, "4+"), (None, 30, "all")]
        assert run.mode == "training"


def test_changes_of_the_instance_given_to_the_model_count(tmp_path):
    training = """
    from mrcnn.model import MaskRCNN
    config = PartsConfig()
    config.IMAGE_MAX_DIM = 704
    model = MaskRCNN("training", config, "logs")
    """
    assert read(write(tmp_path, "a.py", SETTINGS, training)).configs[0].config.IMAGE_MAX_DIM == 704


@pytest.mark.parametrize("words", ["PartsDataset.load_parts(5, seed=3)", "5, seed=3", "5 3", "make(5)"])
def test_training_data_can_be_given_as_an_expression(tmp_path, words):
    make = """
    def make(count):
        dataset = PartsDataset()
        dataset.load_parts(count)
        return dataset
    """
    program = read(write(tmp_path, "a.py", SETTINGS, DATA, make), train=words)
    assert len(program.train.image_info) == 5
    assert program.train.num_classes == 2


def test_an_expression_that_builds_no_data_set_is_refused_with_an_example(tmp_path):
    path = write(tmp_path, "a.py", SETTINGS, DATA)
    with pytest.raises(DatasetError, match="expected an expression that gives a Dataset, received int"):
        read(path, train="len('abc')")
    path = write(tmp_path, "b.py", SETTINGS, DATA, "class Other(PartsDataset):\n    def load_more(self): pass")
    with pytest.raises(DatasetError, match=r"PartsDataset.load_parts\(COUNT\).*there are: .*Other.load_more"):
        read(path, train="5")


def test_stand_ins_become_real_when_data_are_read(tmp_path):
    data = """
    import cv2
    import numpy as np
    from mrcnn import utils
    KERNEL = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))

    class D(utils.Dataset):
        def load_all(self):
            self.add_class("d", 1, "x")
            self.add_image("d", 0, None)
        def load_image(self, image_id, how=cv2.INTER_NEAREST):
            return cv2.resize(np.zeros((4, 4, 3), np.uint8), (8, 8), interpolation=how)
        def load_mask(self, image_id):
            mask = cv2.dilate(np.eye(8, dtype=np.uint8), KERNEL)
            return mask[..., None] > 0, np.array([1], np.int32)
    """
    with open_program(str(write(tmp_path, "a.py", SETTINGS, data)), train="D.load_all()") as program:
        assert program.train.load_image(0).shape == (8, 8, 3)
        assert program.train.load_mask(0)[0].sum() == 34


def test_a_setting_that_depends_on_a_library_is_computed(tmp_path):
    settings = """
    import scipy.ndimage
    from mrcnn.config import Config

    class MyConfig(Config):
        NUM_CLASSES = 1 + len(scipy.ndimage.gaussian_filter([0.0, 1.0, 2.0], 1))
    """
    assert read(write(tmp_path, "a.py", settings)).configs[0].config.NUM_CLASSES == 4


def test_a_notebook_is_read_without_its_magics(tmp_path):
    cells = ["%matplotlib inline\n!pip install x\n", textwrap.dedent(SETTINGS), "%%bash\nls (", textwrap.dedent(DATA)]
    notebook = {"cells": [{"cell_type": "code", "source": cell.splitlines(True)} for cell in cells]}
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(notebook))
    program = read(path)
    assert find_setting(program.configs[0].config, "IMAGE_MAX_DIM")[1:] == (f"{path}, cell 2", 10)
    assert len(program.datasets) == 1


@pytest.mark.parametrize(
    "text, message",
    [
        ("x = (", r"a\.py:1: '\(' was never closed"),
        ("import os\nprint 'x'", r"a\.py:2: .*It looks like Python 2"),
        ("x = 1", "no subclass of Config was found"),
        ("\0", "expected a Python program|null bytes"),
    ],
)
@pytest.mark.parametrize("static", [False, True])
def test_what_cannot_be_read_is_an_error_with_its_place(tmp_path, text, message, static):
    with pytest.raises(ProgramError, match=message):
        read(write(tmp_path, "a.py", text), static=static)


def test_missing_files_and_folders_are_refused_with_what_is_there(tmp_path):
    write(tmp_path, "train.py", SETTINGS)
    with pytest.raises(ProgramError, match="there is no such file. In that folder there are: train.py"):
        read(tmp_path / "trian.py")
    with pytest.raises(ProgramError, match="received a folder"):
        read(tmp_path)
    with pytest.raises(ProgramError, match="there is no Config class 'Nope'; there are: PartsConfig"):
        read(tmp_path / "train.py", "Nope")


def test_an_init_that_needs_arguments_is_read_from_its_text(tmp_path):
    settings = """
    from mrcnn.config import Config
    SIZE = 320

    class MyConfig(Config):
        NAME = "mine"
        def __init__(self, classes):
            self.NUM_CLASSES = 1 + classes
            self.IMAGE_MAX_DIM = SIZE * 2
            super().__init__()
    """
    program = read(write(tmp_path, "a.py", settings))
    (found,) = program.configs
    assert found.is_static and found.config.IMAGE_MAX_DIM == 640
    assert "missing 1 required positional argument" in program.notes[0]
    assert list(found.unread) == ["NUM_CLASSES"]


def test_old_numpy_names_exist_for_old_programs_only_while_they_are_read(tmp_path):
    path = write(tmp_path, "a.py", SETTINGS, "import numpy as np\nx = np.int(3)\ny = np.float(2)")
    with open_program(str(path)) as program:
        assert np.int is int
        assert "np.float, np.int left NumPy" in program.notes[0]
    assert not hasattr(np, "int")
