"""Programs with troubled settings: what is found in them, and that the proposed changes are the cure."""

import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from tests.lint.test_every_rule import CASES
from tests.support.lint_boxes import settings, similar_objects

ABOUT_SETTINGS = ("CFG", "DAT014", "DAT019", "DAT031", "DAT032")


class Blocks(Dataset):
    """Images of 512 x 512 with one object of 120 x 160; made when they are asked for."""

    def __init__(self, count):
        super().__init__()
        self.add_class("blocks", 1, "block")
        for number in range(count):
            self.add_image("blocks", number, None)
        self.prepare()

    def load_image(self, image_id):
        return np.full((512, 512, 3), 90, np.uint8)

    def load_mask(self, image_id):
        mask = np.zeros((512, 512, 1), bool)
        y, x = np.random.default_rng(image_id).integers(40, 300, 2)
        mask[y : y + 120, x : x + 160] = True
        return mask, np.array([1])


def found(config, train, val, *, at_least="warning", **run):
    report = lint.check(config, train, val, run=lint.Run(mode="training", **run), select=ABOUT_SETTINGS)
    return {finding.code for finding in report.at_least(at_least)}


def test_images_of_512_under_600():
    config = settings(IMAGES_PER_GPU=1, IMAGE_MIN_DIM=600, IMAGE_MAX_DIM=600)
    assert found(config, Blocks(40), Blocks(10), pretrained=True) == {"CFG002", "CFG009"}


def test_a_high_rate_steps_that_do_not_follow_the_images_and_a_misspelt_setting():
    config = settings(
        **{"IMAGES_PER_GPU": 2, "IMAGE_MIN_DIM": 512, "IMAGE_MAX_DIM": 512, "LEARNING_RATE": 0.01},
        **{"STEPS_PER_EPOCH": 100, "VALIDATION_STEPS": 50, "LOSS_WEIGHT": {"mask_loss": 2.0}},
    )
    codes = found(config, Blocks(12), Blocks(4), learning_rate=0.01, layers="all", epochs=4, pretrained=False)
    assert codes == {"CFG014", "CFG090", "CFG096", "CFG101"}
    everything = found(config, Blocks(12), Blocks(4), at_least="info", learning_rate=0.01, pretrained=True)
    assert everything - codes == {"CFG065", "CFG104"}


def test_settings_that_suit_the_data_have_no_finding_at_all():
    config = settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512, STEPS_PER_EPOCH=20, TRAIN_ROIS_PER_IMAGE=64)
    assert found(config, Blocks(40), Blocks(10), at_least="info", pretrained=True, learning_rate=0.001) == set()


# Settings that many programs were copied from; without data nothing may be said against them.
BALLOON = {"STEPS_PER_EPOCH": 100, "DETECTION_MIN_CONFIDENCE": 0.9}
NUCLEUS = {
    "IMAGES_PER_GPU": 6,
    "VALIDATION_STEPS": 4,
    "DETECTION_MIN_CONFIDENCE": 0,
    "BACKBONE": "resnet50",
    "IMAGE_RESIZE_MODE": "crop",
    "IMAGE_MIN_DIM": 512,
    "IMAGE_MAX_DIM": 512,
    "IMAGE_MIN_SCALE": 2.0,
    "RPN_ANCHOR_SCALES": (8, 16, 32, 64, 128),
    "POST_NMS_ROIS_TRAINING": 1000,
    "POST_NMS_ROIS_INFERENCE": 2000,
    "RPN_NMS_THRESHOLD": 0.9,
    "RPN_TRAIN_ANCHORS_PER_IMAGE": 64,
    "MEAN_PIXEL": np.array([43.53, 39.56, 48.22]),
    "TRAIN_ROIS_PER_IMAGE": 128,
    "MAX_GT_INSTANCES": 200,
    "DETECTION_MAX_INSTANCES": 400,
}
SHAPES = {
    "IMAGES_PER_GPU": 8,
    "IMAGE_MIN_DIM": 128,
    "IMAGE_MAX_DIM": 128,
    "RPN_ANCHOR_SCALES": (8, 16, 32, 64, 128),
    "TRAIN_ROIS_PER_IMAGE": 32,
    "STEPS_PER_EPOCH": 100,
    "VALIDATION_STEPS": 5,
}


@pytest.mark.parametrize("values", [BALLOON, {"NUM_CLASSES": 81}, NUCLEUS, SHAPES])
def test_matterports_samples_have_no_warning(values):
    report = lint.check(settings(**values), select="CFG", ignore="CFG010")
    assert report.at_least("warning") == []


def test_a_check_without_data_asks_for_no_data():
    report = Config().validate()
    assert [finding.code for finding in report.errors] == ["CFG015", "CFG020"]


def test_the_proposed_changes_are_the_cure(tmp_path):
    cured, sick = [], []
    for code in sorted(code for code in CASES if code.startswith(ABOUT_SETTINGS)):
        arguments = {"select": code, **CASES[code].failing(tmp_path)}
        proposed = [finding for finding in lint.check(**arguments) if finding.changes]
        for finding in proposed:
            for name, value in finding.changes.items():
                setattr(arguments["config"], name, value)
        if proposed:
            left = any(finding.changes for finding in lint.check(**arguments))
            (sick if left else cured).append(code)
    assert sick == []
    assert len(cured) > 50  # for the others no single value is right


def test_a_program_with_many_faults_is_clean_after_following_the_messages():
    config = settings(
        **{"NUM_CLASSES": 1, "IMAGE_MIN_DIM": 600, "IMAGE_MAX_DIM": 600, "RPN_ANCHOR_SCALES": (32, 64, 128)},
        **{"LEARNING_RATE": 0.02, "STEPS_PER_EPOCH": 12.5, "MASK_SHAPE": [56, 56], "ROI_POSITIVE_RATIO": 0},
        **{"BACKBONE_STRIDES": [2, 4, 8, 16, 32], "MINI_MASK_SHAPE": 28, "BBOX_STD_DEV": [0.1, 0.1], "TRAIN_BN": True},
    )
    train, val = similar_objects(40), similar_objects(10)
    rounds = 0
    while report := lint.check(config, train, val, select=ABOUT_SETTINGS, ignore="CFG010").at_least("warning"):
        rounds += 1
        assert rounds < 5, report
        for finding in report:
            assert finding.changes, finding
            for name, value in finding.changes.items():
                setattr(config, name, value)
    assert rounds
    assert config.NUM_CLASSES == 2
    assert config.IMAGE_MAX_DIM == 512
