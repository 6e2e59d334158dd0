"""Slips are told from a program's own settings."""

import pytest

from mrcnn_plus.lint.spelling import meant_setting
from tests.support.lint_boxes import settings


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("LOSS_WEIGHT", "LOSS_WEIGHTS"),
        ("STEPS_PER_EPOCHS", "STEPS_PER_EPOCH"),
        ("IMAGE_MIN_DIMS", "IMAGE_MIN_DIM"),
        ("IMAGE_DIM_MIN", "IMAGE_MIN_DIM"),
        ("MAX_IMAGE_DIM", "IMAGE_MAX_DIM"),
        ("N_CLASSES", "NUM_CLASSES"),
        ("NUM_CLASS", "NUM_CLASSES"),
        ("IMAGES_PER_GPUS", "IMAGES_PER_GPU"),
        ("VALIDATION_STEP", "VALIDATION_STEPS"),
        ("LEARNIGN_RATE", "LEARNING_RATE"),
        ("SEDE", "SEED"),
        ("RPN_ANCHOR_SCALE", "RPN_ANCHOR_SCALES"),
        ("DETECTION_MIN_CONFIDENCES", "DETECTION_MIN_CONFIDENCE"),
        ("learning_rate", "LEARNING_RATE"),
        ("Num_Classes", "NUM_CLASSES"),
    ],
)
def test_a_slip_is_recognized(written, meant):
    assert meant_setting(written) == meant


@pytest.mark.parametrize(
    "own",
    [
        *("DATA_DIR", "LEARNING_RATE_2", "LEARNING_RATE_HEADS", "CLASS_NAMES", "EPOCHS", "IMAGE_DIR", "MODEL_DIR"),
        *("ROOT_DIR", "COCO_WEIGHTS_PATH", "N_FOLDS", "AUGMENT", "LR", "MAX_INSTANCES", "IMAGE_SIZE", "VAL_SPLIT"),
        *("TRAIN_EPOCHS", "DETECTION_THRESHOLD", "BACKBONES_TRIED", "class_names", "path"),
    ],
)
def test_a_setting_of_the_programs_own_is_left_alone(own):
    assert meant_setting(own) is None


def test_settings_that_exist_are_no_slips():
    assert meant_setting("IMAGE_MIN_DIM") is None
    assert meant_setting("IMAGE_MAX_DIM") is None


def test_a_name_close_to_a_setting_that_the_program_sets_too_is_its_own():
    report = settings(STEPS_PER_EPOCHS=5, STEPS_PER_EPOCH=50).validate()
    assert "CFG014" not in [finding.code for finding in report]


def test_methods_and_properties_are_no_settings():
    class Base(type(settings())):
        @property
        def LEARNING_RATES(self):
            return []

        def IMAGE_MIN_DIMS(self):
            return 0

    assert "CFG014" not in [finding.code for finding in Base().validate()]
