"""What Matterport's package answered before its last commit, under `mrcnn-plus run`."""

import numpy as np
import pytest

from mrcnn_plus import utils
from mrcnn_plus.config import Config


class Model:
    """Stands for `MaskRCNN`: only `find_last` is asked."""

    def find_last(self):
        return "logs/balloon20180102T0304/mask_rcnn_balloon_0007.h5"


@pytest.fixture
def model(monkeypatch):
    """An object whose class is patched as `MaskRCNN` is, without Keras."""
    from types import SimpleNamespace

    from mrcnn_plus.compat import older_mrcnn
    from mrcnn_plus.compat.patching import ModulePatcher
    from mrcnn_plus.compat.shims import UseLog

    monkeypatch.setattr(Model, "find_last", Model.find_last)  # so that it is put back
    log = UseLog()
    older_mrcnn._finish_mask_rcnn(SimpleNamespace(MaskRCNN=Model), ModulePatcher((), log))
    model = Model()
    model.log = log
    return model


def run_as_users(text, tmp_path, **names):
    exec(compile(text, str(tmp_path / "program.py"), "exec"), names)
    return names


@pytest.mark.parametrize(
    "text",
    ["path = model.find_last()[1]", "folder, path = model.find_last()", "x = model.find_last(); path = x[1]"],
)
def test_find_last_is_a_folder_and_a_path_to_those_who_ask_for_two(model, tmp_path, text):
    found = run_as_users(text, tmp_path, model=model)
    assert found["path"] == "logs/balloon20180102T0304/mask_rcnn_balloon_0007.h5" and type(found["path"]) is str
    assert found.get("folder", "logs/balloon20180102T0304") == "logs/balloon20180102T0304"
    assert [name for name, _, _ in model.log.uses()] == ["model.find_last()[1]"]


def test_find_last_is_the_path_to_all_others(model, tmp_path):
    text = "import os\npath = model.find_last()\nlast = path[-3:], path[2], os.path.basename(path), path + '!'"
    found = run_as_users(text, tmp_path, model=model)
    assert found["last"] == (".h5", "g", "mask_rcnn_balloon_0007.h5", str(found["path"]) + "!")
    assert model.log.uses() == []


def test_fractions_of_steps_are_rounded_up_as_by_keras_2(run_text):
    found, used = run_text(
        """
        from mrcnn_plus.config import Config
        class Fractions(Config):
            NUM_CLASSES = 2
            STEPS_PER_EPOCH = 7 / 2
            BATCH_SIZE = 2
        config = Fractions()
        config.VALIDATION_STEPS = 6 / 2
        config.LEARNING_RATE = 0.5
        """
    )
    config = found["config"]
    assert (config.STEPS_PER_EPOCH, config.VALIDATION_STEPS, config.LEARNING_RATE) == (4, 3, 0.5)
    assert type(config.VALIDATION_STEPS) is int and config.BATCH_SIZE == 2
    assert used == {"a fraction as STEPS_PER_EPOCH or VALIDATION_STEPS": 2}
    config.STEPS_PER_EPOCH = 2.5
    assert config.STEPS_PER_EPOCH == 2.5, "without the shims nothing is rounded"


def test_settings_that_config_had(run_text):
    found, used = run_text(
        """
        from mrcnn_plus.config import Config

        class PartsConfig(Config):
            IMAGE_MIN_DIM = IMAGE_MAX_DIM = 128

        class MineConfig(Config):
            IMAGE_PADDING = None

        config = PartsConfig()
        shapes = config.BACKBONE_SHAPES
        values = config.IMAGE_PADDING, MineConfig().IMAGE_PADDING, hasattr(config, "NOTHING")
        """
    )
    assert found["shapes"].tolist() == [[32, 32], [16, 16], [8, 8], [4, 4], [2, 2]]
    assert found["values"] == (True, None, False)
    assert used == {"config.BACKBONE_SHAPES": 10, "config.IMAGE_PADDING": 11}
    assert not hasattr(Config(), "IMAGE_PADDING")


def test_resize_image_with_padding_and_four_results(run_text):
    found, used = run_text(
        """
        import numpy as np
        from mrcnn_plus import utils
        photo = np.full((30, 60, 3), 9, np.uint8)
        image, window, scale, padding = utils.resize_image(photo, min_dim=32, max_dim=64, padding=True)
        bare, inside, _, nothing = utils.resize_image(photo, 32, 64, False)
        a, b, c, d = utils.resize_image(photo, min_dim=32, max_dim=64)
        five = utils.resize_image(photo, min_dim=32, max_dim=64)
        """
    )
    assert found["image"].shape == (64, 64, 3) and found["window"] == (16, 0, 48, 64)
    assert found["bare"].shape == (32, 64, 3) and found["inside"] == (0, 0, 32, 64) and (found["bare"] == 9).all()
    assert found["nothing"] == [(0, 0), (0, 0), (0, 0)]
    assert len(found["five"]) == 5 and len(used) == 1
    with pytest.raises(TypeError):
        utils.resize_image(found["photo"], padding=True)


def test_average_precision_without_masks_is_that_of_the_boxes(run_text):
    found, used = run_text(
        """
        import numpy as np
        from mrcnn_plus import utils
        gt = np.array([[0, 0, 10, 10], [20, 20, 40, 40]])
        rois = np.array([[20, 20, 40, 38], [0, 0, 10, 4], [50, 50, 60, 60]])
        AP, precisions, recalls, overlaps = utils.compute_ap(
            gt, np.array([1, 2]), rois, np.array([2, 1, 1]), np.array([0.9, 0.8, 0.7])
        )
        lenient = utils.compute_ap(gt, np.array([1, 2]), rois, np.array([2, 1, 1]), np.array([0.9, 0.8, 0.7]), 0.3)[0]
        """
    )
    np.testing.assert_allclose(found["overlaps"], [[0, 0.9], [0.4, 0], [0, 0]])
    assert found["AP"] == 0.5 and found["lenient"] == 1.0 and len(used) == 1
