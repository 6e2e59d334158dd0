"""The forecast of memory against measured peaks, and what is said where it does not fit."""

import pytest

from mrcnn_plus import lint
from mrcnn_plus.lint.estimates.memory import (
    can_forecast,
    count_parameters,
    forecast_detection,
    forecast_training,
    savings,
)
from tests.support.lint_boxes import settings, similar_objects

LIGHT = {
    "BACKBONE_WIDTH": 32,
    "NORMALIZATION": "group",
    "TOP_DOWN_PYRAMID_SIZE": 64,
    "RPN_CONV_CHANNELS": 64,
    "FPN_CLASSIF_FC_LAYERS_SIZE": 256,
    "MASK_CONV_CHANNELS": 64,
    "OPTIMIZER": "AdamW",
    "TRAIN_ROIS_PER_IMAGE": 64,
}
# Peak of the resident memory in MB of a process with TensorFlow 2.21 on a CPU, two steps: side, images, backbone,
# layers, other settings.
MEASURED_TRAINING = [
    (256, 1, "resnet50", "all", {}, 2428),
    (512, 1, "resnet50", "all", {}, 2821),
    (512, 1, "resnet50", "heads", {}, 1920),
    (256, 2, "resnet18", "all", LIGHT, 1172),
    (512, 2, "resnet50", "all", {}, 3697),
    (512, 1, "resnet101", "all", {}, 3559),
    (512, 1, "resnet50", "all", {"TRAIN_ROIS_PER_IMAGE": 50}, 2723),
    (512, 1, "resnet50", "all", {"USE_MINI_MASK": False}, 2854),
    (768, 1, "resnet50", "all", {}, 3593),
]
MEASURED_DETECTION = [(512, 1341), (1024, 1674)]
# Counted by Keras, 5 classes.
PARAMETERS = [("resnet50", {}, 44_679_088), ("resnet101", {}, 63_749_552), ("resnet18", LIGHT, 4_060_496)]


def sized(side, **values):
    return settings(NUM_CLASSES=5, IMAGE_MIN_DIM=side, IMAGE_MAX_DIM=side, **values)


@pytest.mark.parametrize(("side", "images", "backbone", "layers", "others", "measured"), MEASURED_TRAINING)
def test_the_forecast_of_a_training_step_is_right_within_a_quarter(side, images, backbone, layers, others, measured):
    config = sized(side, IMAGES_PER_GPU=images, BACKBONE=backbone, **others)
    forecast = forecast_training(config, (side, side), layers=layers)
    assert forecast.total / 2**20 == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize(("side", "measured"), MEASURED_DETECTION)
def test_the_forecast_of_a_detection_is_right_within_a_quarter(side, measured):
    config = sized(side, IMAGES_PER_GPU=1, BACKBONE="resnet50")
    assert forecast_detection(config, (side, side)).total / 2**20 == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize(("backbone", "others", "counted"), PARAMETERS)
def test_parameters_are_counted_within_a_hundredth(backbone, others, counted):
    parameters, of_backbone = count_parameters(sized(512, BACKBONE=backbone, **others))
    assert parameters == pytest.approx(counted, rel=0.01)
    assert 0 < of_backbone < parameters


def test_memory_grows_with_images_and_size_and_shrinks_with_half_precision():
    def total(side=512, **values):
        return forecast_training(sized(side, **values), (side, side)).total

    assert total(IMAGES_PER_GPU=4) > total(IMAGES_PER_GPU=2)
    assert total(1024) > 1.5 * total(512)
    assert total(PRECISION="mixed_bfloat16") < total()


def test_the_settings_that_save_most_come_first_and_lower_the_forecast():
    config = sized(1024, IMAGES_PER_GPU=4)
    found = savings(config, (1024, 1024), forecast_training)
    saved = [size for _, _, size in found]
    assert saved == sorted(saved, reverse=True)
    assert {"IMAGES_PER_GPU", "IMAGE_MAX_DIM", "PRECISION", "BACKBONE"} <= {name for name, _, _ in found}
    assert config.IMAGES_PER_GPU == 4


def test_a_step_that_does_not_fit_is_reported_with_what_to_lower():
    report = lint.check(sized(1024, IMAGES_PER_GPU=8), select="CFG010", thresholds={"CFG010": {"gigabytes": 8}})
    (finding,) = report
    assert "8 inputs of 1024 x 1024" in finding.message
    assert "8 GB has 8.0 GB" in finding.message
    assert finding.changes["IMAGES_PER_GPU"] < 8
    assert "PRECISION = 'mixed_bfloat16' saves" in finding.fix


def test_stages_that_train_the_heads_only_need_less():
    def codes(layers):
        report = lint.check(
            sized(1024, IMAGES_PER_GPU=4),
            run=lint.Run(layers=layers),
            select="CFG010",
            thresholds={"CFG010": {"gigabytes": 12}},
        )
        return [finding.code for finding in report]

    assert codes("all") == ["CFG010"]
    assert codes("heads") == []


def test_in_mode_pad64_the_largest_image_decides():
    config = settings(IMAGE_RESIZE_MODE="pad64", IMAGE_MIN_DIM=0, IMAGES_PER_GPU=1)
    limit = {"CFG010": {"gigabytes": 10}}
    small, large = similar_objects(size=(512, 512)), similar_objects(size=(4000, 6000))
    assert not lint.check(config, small, select="CFG010", thresholds=limit).warnings
    assert "4032 x 6016" in lint.check(config, large, select="CFG010", thresholds=limit).warnings[0].message


def test_a_backbone_of_the_programs_own_is_not_forecast():
    assert not can_forecast(settings(BACKBONE=lambda image, **_: [image] * 5))
    assert can_forecast(settings())
