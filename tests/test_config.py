"""Config: Matterport's settings and defaults, derived values that never go stale, defaults that are never shared."""

import ast
import copy
import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest

import mrcnn_plus
from mrcnn_plus.config import Config
from mrcnn_plus.errors import ConfigError

OURS = {
    "BACKBONE_WIDTH",
    "BEST_METRIC",
    "CACHE_ANNOTATIONS",
    "CLASS_LOSS",
    "CLASS_WEIGHTS",
    "CLASS_WEIGHTS_BETA",
    "CLASS_WEIGHTS_LOSSES",
    "CONSTANT_WEIGHTS",
    "DETECTION_CROP_PADDING",
    "EARLY_STOPPING_PATIENCE",
    "EMA_MOMENTUM",
    "EVALUATE_EVERY",
    "FOCAL_ALPHA",
    "FOCAL_GAMMA",
    "GRADIENT_ACCUMULATION_STEPS",
    "GRADIENT_CLIP_BY",
    "INFERENCE_ENGINE",
    "JIT_COMPILE",
    "KEEP_LAST",
    "LINT_IGNORE",
    "LINT_THRESHOLDS",
    "LOSS_BALANCING",
    "LOSS_NORMALIZATION",
    "LR_MULTIPLIERS",
    "LR_SCHEDULE",
    "LR_STEPS",
    "LR_STEP_FACTOR",
    "MASK_CONV_CHANNELS",
    "NORMALIZATION",
    "OPTIMIZER",
    "PRECISION",
    "REPEAT_THRESHOLD",
    "ROI_ALIGN",
    "ROI_HARD_EXAMPLES",
    "ROI_POSITIVE_WEIGHT",
    "RPN_CLASS_LOSS",
    "RPN_CONV_CHANNELS",
    "RPN_MIN_SIZE",
    "RPN_POSITIVE_WEIGHT",
    "SAMPLER",
    "SEED",
    "SKIP_BAD_IMAGES",
    "TRAIN_STAGES",
    "USE_MULTIPROCESSING",
    "USE_NEGATIVE_IMAGES",
    "VERBOSE",
    "WARMUP_STEPS",
    "WATCH_TRAINING",
    "WORKERS",
}
DERIVED = {"BATCH_SIZE", "IMAGE_SHAPE", "IMAGE_META_SIZE"}


class BalloonConfig(Config):
    NAME = "balloon"
    NUM_CLASSES = 1 + 1
    IMAGES_PER_GPU = 4
    EPOCHS = 30


@pytest.fixture
def original(golden_dir):
    """`{name: default}` of Matterport's Config."""
    attributes = json.loads((golden_dir / "api.json").read_text())["config"]["Config"]["attributes"]
    return {name: eval(text, {"np": np}) for name, text in attributes.items()}


def test_every_setting_of_matterport_has_its_default_and_its_type(original):
    config = Config()
    for name, default in original.items():
        value = getattr(config, name)
        assert type(value) is type(default), name
        np.testing.assert_equal(value, default, err_msg=name)


def test_the_settings_are_those_of_matterport_and_a_known_list_of_ours(original):
    assert set(Config().to_dict()) == set(original) | OURS | DERIVED


def test_settings_are_read_from_the_class_as_well_as_from_an_instance():
    assert BalloonConfig.LEARNING_RATE == BalloonConfig().LEARNING_RATE == 0.001
    assert BalloonConfig.IMAGES_PER_GPU == BalloonConfig().IMAGES_PER_GPU == 4


def test_the_package_reads_only_settings_that_exist_and_all_of_them():
    read = set()
    package = Path(mrcnn_plus.__file__).parent
    for path in package.rglob("*.py"):
        if path.is_relative_to(package / "lint"):  # rules look at every setting; that makes none of them work
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr.isupper():
                owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", None)
                if owner == "config" or (owner == "self" and path.name == "config_base.py"):
                    read.add(node.attr)
    of_the_linter = {"LINT_IGNORE", "LINT_THRESHOLDS"}
    assert read - set(Config().to_dict()) == set()
    assert set(Config().to_dict()) - read - DERIVED == of_the_linter


# ---- Derived values -------------------------------------------------------------------------------------------------


def test_derived_values_of_a_subclass():
    config = BalloonConfig()
    assert config.BATCH_SIZE == 4
    assert config.IMAGE_META_SIZE == 14
    assert isinstance(config.IMAGE_SHAPE, np.ndarray)
    assert config.IMAGE_SHAPE.tolist() == [1024, 1024, 3]


def test_derived_values_follow_later_changes():
    config = BalloonConfig()
    config.IMAGES_PER_GPU, config.GPU_COUNT = 3, 2
    config.NUM_CLASSES = 81
    config.IMAGE_MAX_DIM, config.IMAGE_CHANNEL_COUNT = 512, 1
    assert config.BATCH_SIZE == 6
    assert config.IMAGE_META_SIZE == 93
    assert config.IMAGE_SHAPE.tolist() == [512, 512, 1]


@pytest.mark.parametrize("mode, side", [("square", 1024), ("pad64", 1024), ("none", 1024), ("crop", 800)])
def test_crop_mode_takes_its_side_from_the_smaller_dimension(mode, side):
    config = Config()
    config.IMAGE_RESIZE_MODE = mode
    assert config.IMAGE_SHAPE.tolist() == [side, side, 3]


def test_assigning_batch_size_sets_the_images_per_gpu():
    config = Config()
    config.GPU_COUNT = 2
    config.BATCH_SIZE = 8
    assert (config.IMAGES_PER_GPU, config.GPU_COUNT, config.BATCH_SIZE) == (4, 2, 8)
    config.IMAGES_PER_GPU = 1
    assert config.BATCH_SIZE == 2


def test_a_batch_size_that_the_gpus_cannot_share_goes_to_one_of_them_with_a_warning(caplog):
    config = Config()
    config.GPU_COUNT = 2
    config.BATCH_SIZE = 3
    assert (config.IMAGES_PER_GPU, config.GPU_COUNT, config.BATCH_SIZE) == (3, 1, 3)
    assert "GPU_COUNT=2" in caplog.text


@pytest.mark.parametrize("value", [0, -1, 2.5, "4", None])
def test_a_batch_size_that_is_no_count_is_an_error_that_shows_it(value):
    with pytest.raises(ConfigError, match="BATCH_SIZE"):
        Config().BATCH_SIZE = value


def test_assigning_a_square_image_shape_sets_dimensions_and_channels():
    config = Config()
    config.IMAGE_SHAPE = np.array([512, 512, 1])
    assert (config.IMAGE_MIN_DIM, config.IMAGE_MAX_DIM, config.IMAGE_CHANNEL_COUNT) == (512, 512, 1)
    config.IMAGE_SHAPE = [2048, 2048, 3]
    assert (config.IMAGE_MIN_DIM, config.IMAGE_MAX_DIM, config.IMAGE_CHANNEL_COUNT) == (512, 2048, 3)


def test_assigning_a_square_image_shape_in_crop_mode_sets_the_size_of_the_crop():
    config = Config()
    config.IMAGE_RESIZE_MODE = "crop"
    config.IMAGE_SHAPE = (256, 256, 3)
    assert (config.IMAGE_MIN_DIM, config.IMAGE_MAX_DIM) == (256, 1024)
    config.IMAGE_SHAPE = (2048, 2048, 3)
    assert (config.IMAGE_MIN_DIM, config.IMAGE_MAX_DIM) == (2048, 2048)
    assert config.IMAGE_SHAPE.tolist() == [2048, 2048, 3]


@pytest.mark.parametrize(
    "name, value, expected",
    [
        ("IMAGE_MAX_DIM", 512, [512, 512, 3]),
        ("IMAGE_MIN_DIM", 512, [1024, 1024, 3]),
        ("IMAGE_RESIZE_MODE", "crop", [800, 800, 3]),
        ("IMAGE_CHANNEL_COUNT", 1, [256, 512, 1]),
        ("NUM_CLASSES", 5, [256, 512, 3]),
    ],
)
def test_a_rectangular_image_shape_holds_until_a_size_setting_is_assigned(name, value, expected):
    config = Config()
    config.IMAGE_SHAPE = [256, 512, 3]
    assert config.IMAGE_SHAPE.tolist() == [256, 512, 3]
    setattr(config, name, value)
    assert config.IMAGE_SHAPE.tolist() == expected


def test_a_square_image_shape_replaces_a_rectangular_one():
    config = Config()
    config.IMAGE_SHAPE = [256, 512, 3]
    config.IMAGE_SHAPE = [512, 512, 3]
    assert config.IMAGE_SHAPE.tolist() == [512, 512, 3]


def test_an_image_shape_without_channels_leaves_those_as_they_are():
    class FromFile(Config):
        def __init__(self, settings):
            for name, value in settings.items():
                setattr(self, name.upper(), value)
            super().__init__()

    assert FromFile({"image_shape": [256, 256]}).IMAGE_SHAPE.tolist() == [256, 256, 3]


@pytest.mark.parametrize("value", [512, [512], [512, 512.5, 3], [0, 512, 3], "512", None])
def test_an_image_shape_that_is_none_is_an_error_that_shows_it(value):
    with pytest.raises(ConfigError, match="IMAGE_SHAPE="):
        Config().IMAGE_SHAPE = value


def test_writing_into_the_image_shape_is_an_error_because_it_would_change_nothing():
    with pytest.raises(ValueError, match="read-only"):
        Config().IMAGE_SHAPE[0] = 512


def test_the_meta_size_accepts_only_what_the_classes_give_and_names_the_setting_to_change():
    config = BalloonConfig()
    config.IMAGE_META_SIZE = 14
    with pytest.raises(ConfigError, match=r"IMAGE_META_SIZE=93 with NUM_CLASSES=2.*Set NUM_CLASSES"):
        config.IMAGE_META_SIZE = 93


# ---- Class bodies ---------------------------------------------------------------------------------------------------


def test_derived_values_in_a_class_body_are_ignored_with_one_warning_each(caplog):
    class Ignored(Config):
        IMAGES_PER_GPU = 1
        BATCH_SIZE = 8
        IMAGE_SHAPE = [512, 512, 3]

    config = Ignored()
    assert config.BATCH_SIZE == 1
    assert config.IMAGE_SHAPE.tolist() == [1024, 1024, 3]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "Ignored: BATCH_SIZE=8" in caplog.text and "Set IMAGES_PER_GPU and GPU_COUNT" in caplog.text
    assert Ignored._ignored_in_body == {"BATCH_SIZE": 8, "IMAGE_SHAPE": [512, 512, 3]}
    assert Config._ignored_in_body == {}


def test_a_derived_value_in_a_class_body_that_agrees_needs_no_warning(caplog):
    class Agrees(Config):
        IMAGES_PER_GPU = 4
        BATCH_SIZE = 4
        IMAGE_SHAPE = np.array([1024, 1024, 3])

    Agrees().IMAGES_PER_GPU = 2
    assert caplog.text == ""


def test_a_derived_value_in_a_mixin_does_not_hide_the_computed_one():
    class Mixin:
        BATCH_SIZE = 8

    class Mixed(Mixin, Config):
        IMAGES_PER_GPU = 3

    assert Mixed().BATCH_SIZE == 3
    assert Mixin.BATCH_SIZE == 8


def test_a_class_body_with_settings_to_be_filled_in_later_can_still_be_read():
    class Later(Config):
        IMAGES_PER_GPU = None
        BATCH_SIZE = 8

        def __init__(self):
            super().__init__()
            self.IMAGES_PER_GPU = 5

    assert Later().BATCH_SIZE == 5


def test_a_function_in_a_class_body_stays_a_function():
    def my_backbone(image, stage5):
        return image, stage5

    class Custom(Config):
        BACKBONE = my_backbone

        def describe(self):
            return self.NAME

    class Further(Custom):
        BACKBONE = lambda image, stage5: "further"  # noqa: E731

    assert Custom().BACKBONE("image", True) == ("image", True)
    assert Further().BACKBONE("image", True) == "further"
    assert Custom().describe() is None
    assert Custom().to_dict()["BACKBONE"] is my_backbone


# ---- Constructors ---------------------------------------------------------------------------------------------------


def test_a_subclass_with_its_own_constructor_works_with_and_without_super():
    class WithSuper(Config):
        def __init__(self, classes, *, batch):
            self.NUM_CLASSES = classes
            super().__init__()
            self.IMAGES_PER_GPU = batch
            self.ANCHORS = [1, 2]

    class WithoutSuper(Config):
        def __init__(self, classes, *, batch):
            self.NUM_CLASSES = classes
            self.BATCH_SIZE = batch

    for kind in (WithSuper, WithoutSuper):
        config = kind(7, batch=3)
        assert config.IMAGE_META_SIZE == 19
        assert config.BATCH_SIZE == config.IMAGES_PER_GPU == 3
        config.IMAGES_PER_GPU = 1
        assert config.BATCH_SIZE == 1
        assert config.LOSS_WEIGHTS is not Config.LOSS_WEIGHTS


def test_config_itself_takes_no_arguments():
    with pytest.raises(TypeError):
        Config(5)


# ---- Sharing and copying --------------------------------------------------------------------------------------------


def test_mutable_defaults_are_shared_neither_with_the_class_nor_between_instances():
    class Own(Config):
        COLORS = {"red": [1, 2]}
        STAGES = [[1, 2], (3, [4])]

    first, second = Own(), Own()
    first.LOSS_WEIGHTS["mrcnn_mask_loss"] = 0.5
    first.RPN_ANCHOR_RATIOS.append(4)
    first.MEAN_PIXEL[:] = 0
    first.COLORS["red"].append(3)
    first.STAGES[0].append(3)
    first.STAGES[1][1].append(5)
    for other in (second, Own):
        assert other.LOSS_WEIGHTS["mrcnn_mask_loss"] == 1.0
        assert other.RPN_ANCHOR_RATIOS == [0.5, 1, 2]
        assert other.MEAN_PIXEL[0] == 123.7
        assert other.COLORS == {"red": [1, 2]}
        assert other.STAGES == [[1, 2], (3, [4])]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda config: pickle.loads(pickle.dumps(config))])
def test_deep_copies_and_pickles_keep_every_value_and_stay_derived(duplicate):
    config = BalloonConfig()
    config.IMAGE_SHAPE = [256, 512, 3]
    config.LOSS_WEIGHTS["mrcnn_mask_loss"] = 0.5
    config.EXTRA = "mine"
    twin = duplicate(config)
    assert type(twin) is BalloonConfig
    np.testing.assert_equal(twin.to_dict(), config.to_dict())
    twin.IMAGES_PER_GPU = 1
    twin.LOSS_WEIGHTS["mrcnn_mask_loss"] = 2.0
    assert (twin.BATCH_SIZE, config.BATCH_SIZE) == (1, 4)
    assert config.LOSS_WEIGHTS["mrcnn_mask_loss"] == 0.5


# ---- What the program sees ------------------------------------------------------------------------------------------


def test_to_dict_holds_own_and_derived_settings_and_only_copies():
    config = BalloonConfig()
    config.notes = "lower case is not a setting"
    settings = config.to_dict()
    assert list(settings) == sorted(settings)
    assert settings["EPOCHS"] == 30 and settings["BATCH_SIZE"] == 4
    assert "notes" not in settings and "to_dict" not in settings
    settings["LOSS_WEIGHTS"]["mrcnn_mask_loss"] = 0.0
    assert config.LOSS_WEIGHTS["mrcnn_mask_loss"] == 1.0


def test_display_prints_one_padded_line_per_setting(capsys):
    class Shown(Config):
        NAME = "shown"
        ZOOM = 3

        def BACKBONE(image):
            return image

        def UPPER_METHOD(self):
            return 1

    Shown().display()
    lines = capsys.readouterr().out.split("\n")
    assert lines[:2] == ["", "Configurations:"]
    assert lines[-3:] == ["", "", ""]
    shown = lines[2:-3]
    assert shown == sorted(shown)
    assert "NAME                           shown" in shown
    assert "IMAGE_SHAPE                    [1024 1024    3]" in shown
    assert "ZOOM                           3" in shown
    assert any(line.startswith("BACKBONE ") and line.endswith("Shown.BACKBONE") for line in shown)
    assert len(shown) == len(Shown().to_dict())
    assert not any("method" in line.lower() or line.startswith("_") for line in shown)


def test_repr_names_the_class_and_what_differs_from_the_defaults():
    config = BalloonConfig()
    config.LOSS_WEIGHTS["mrcnn_mask_loss"] = 0.5
    text = repr(config)
    assert text.startswith("BalloonConfig(EPOCHS=30, IMAGES_PER_GPU=4, LOSS_WEIGHTS={")
    assert text.endswith("NAME='balloon', NUM_CLASSES=2)")
    assert repr(Config()) == "Config()"


def test_is_overridden_tells_defaults_from_what_the_program_set():
    class Base(Config):
        VALIDATION_STEPS = 50

    class Derived(Base):
        BATCH_SIZE = 8

    plain = Config()
    assert Derived().is_overridden("VALIDATION_STEPS")
    assert not plain.is_overridden("VALIDATION_STEPS")
    plain.VALIDATION_STEPS = 50
    assert plain.is_overridden("VALIDATION_STEPS")
    assert not plain.is_overridden("LOSS_WEIGHTS")
    plain.LOSS_WEIGHTS["mrcnn_mask_loss"] = 2.0
    assert plain.is_overridden("LOSS_WEIGHTS")
    assert not Derived().is_overridden("BATCH_SIZE")
    assert not plain.is_overridden("NO_SUCH_SETTING")


def test_display_works_before_the_classes_are_known(capsys):
    class Unset(Config):
        NUM_CLASSES = None
        IMAGES_PER_GPU = None

    Unset().display()
    assert "IMAGE_META_SIZE                None" in capsys.readouterr().out
    assert Unset().to_dict()["BATCH_SIZE"] is None
