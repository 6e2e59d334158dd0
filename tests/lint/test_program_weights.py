"""Which weights a program loads before it trains, as read from its text and its command line."""

import pytest

from mrcnn_plus.lint.programs import open_program

from ..support import programs

MODEL = """
    import os
    import argparse
    from mrcnn import model as modellib
    import numpy as np
    from mrcnn import utils

    COCO_PATH = os.path.join("weights", "mask_rcnn_coco.h5")
    model = modellib.MaskRCNN(mode="training", config=PartsConfig(), model_dir="logs")
"""

TRAIN = """
    model.train(None, None, learning_rate=0.001, epochs=1, layers="heads")
"""

BALLOON = """
    import argparse
    from mrcnn import model as modellib

    COCO_PATH = "mask_rcnn_coco.h5"


    def train(model):
        model.train(None, None, learning_rate=0.001, epochs=1, layers="heads")


    if __name__ == "__main__":
        parser = argparse.ArgumentParser()
        parser.add_argument("--weights", required=True)
        args = parser.parse_args()
        model = modellib.MaskRCNN(mode="training", config=PartsConfig(), model_dir="logs")
        if args.weights.lower() == "coco":
            weights_path = COCO_PATH
        elif args.weights.lower() == "last":
            weights_path = model.find_last()
        else:
            weights_path = args.weights
        if args.weights.lower() == "coco":
            model.load_weights(weights_path, by_name=True, exclude=["mrcnn_class_logits", "mrcnn_mask"])
        else:
            model.load_weights(weights_path, by_name=True)
        train(model)
"""


def weights_of(folder, *parts, arguments=()):
    """The `WeightsToLoad` of a program."""
    path = programs.write(folder, "train.py", programs.SETTINGS, *parts)
    with open_program(str(path), arguments=arguments, build_datasets=False) as program:
        return program.find_weights()


def test_a_path_that_the_program_computes_is_found_with_the_options(tmp_path):
    (found,) = weights_of(
        tmp_path, MODEL, '    model.load_weights(COCO_PATH, by_name=True, exclude="mrcnn_mask")', TRAIN
    )
    assert found.path.replace("\\", "/") == "weights/mask_rcnn_coco.h5"
    assert (found.by_name, found.exclude) == (True, ("mrcnn_mask",))


@pytest.mark.parametrize(
    ("expression", "path"), [("model.find_last()", "last"), ("model.get_imagenet_weights()", "imagenet")]
)
def test_what_the_model_is_asked_for_has_a_name(tmp_path, expression, path):
    (found,) = weights_of(tmp_path, MODEL, f"    model.load_weights({expression}, by_name=True)", TRAIN)
    assert found.path == path


def test_a_path_that_cannot_be_told_says_what_stands_there(tmp_path):
    (found,) = weights_of(tmp_path, MODEL, "    model.load_weights(choose(model), by_name=True)", TRAIN)
    assert found.path is None
    assert found.words == "choose(model)"
    assert found.why


def test_weights_of_a_model_that_detects_afterwards_do_not_count(tmp_path):
    assert weights_of(tmp_path, MODEL, TRAIN, '    model.load_weights("other.h5", by_name=True)') == []


@pytest.mark.parametrize(
    ("choice", "path", "exclude"),
    [
        ("coco", "mask_rcnn_coco.h5", ("mrcnn_class_logits", "mrcnn_mask")),
        ("my.h5", "my.h5", ()),
    ],
)
def test_conditions_on_the_command_line_choose_the_call(tmp_path, choice, path, exclude):
    (found,) = weights_of(tmp_path, BALLOON, arguments=[f"--weights={choice}"])
    assert (found.path, found.exclude) == (path, exclude)
