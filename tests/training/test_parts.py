"""Which part of the network a variable belongs to."""

from types import SimpleNamespace

import pytest

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.parts import PARTS, check_multipliers, learning_rate_factor, part_of

PATHS = {
    "conv1/kernel": "backbone",
    "bn2a_branch2a/gamma": "backbone",
    "encoder/block1/attention/query/kernel": "backbone",
    "fpn_c5p5/kernel": "fpn",
    "rpn_model/rpn_conv_shared/kernel": "rpn",
    "rpn_class_raw/bias": "rpn",
    "mrcnn_class_conv1/mrcnn_class_conv1/kernel": "class_head",
    "mrcnn_bbox_fc/mrcnn_bbox_fc/bias": "class_head",
    "mrcnn_mask_conv1/mrcnn_mask_conv1/kernel": "mask_head",
    "mrcnn_mask/mrcnn_mask/bias": "mask_head",
    "mask_rcnn/loss_log_variances": None,
}


@pytest.mark.parametrize(("path", "part"), PATHS.items())
def test_parts_are_told_by_names_of_layers(path, part):
    assert part_of(path) == part


@pytest.mark.parametrize(
    ("path", "factor"),
    [("conv1/kernel", 0.1), ("fpn_p2/kernel", 1.0), ("rpn_class_raw/bias", 0.2)],
)
def test_a_factor_counts_for_its_part_and_others_have_1(path, factor):
    assert learning_rate_factor(path, {"backbone": 0.1, "rpn": 0.2}) == factor


def test_an_expression_wins_over_a_part_and_a_part_over_a_group():
    multipliers = {"heads": 2.0, "mask_head": 3.0, "mrcnn_mask_conv.*": 4.0}
    paths = ["mrcnn_bbox_fc/kernel", "mrcnn_mask/kernel", "mrcnn_mask_conv2/mrcnn_mask_conv2/kernel", "conv1/kernel"]
    assert [learning_rate_factor(path, multipliers) for path in paths] == [2.0, 3.0, 4.0, 1.0]


def test_an_expression_has_to_match_the_whole_name():
    assert learning_rate_factor("res5a_branch2a/kernel", {"res5": 0.5}) == 1.0
    assert learning_rate_factor("res5a_branch2a/kernel", {"res5.*": 0.5}) == 0.5


def test_two_expressions_with_different_factors_for_a_layer_are_refused():
    with pytest.raises(ConfigError, match=r"LR_MULTIPLIERS.*'res5a_branch2a/kernel'.*res5"):
        learning_rate_factor("res5a_branch2a/kernel", {"res5.*": 0.5, "res.*": 0.1})
    assert learning_rate_factor("res5a_branch2a/kernel", {"res5.*": 0.5, "res.*": 0.5}) == 0.5


@pytest.mark.parametrize(
    ("multipliers", "told"),
    [
        ([("backbone", 0.1)], "a dict"),
        ({"backbone": 0}, "factors above 0.*'backbone'.*layers"),
        ({"backbone": "0.1"}, "factors above 0"),
        ({"backbone": True}, "factors above 0"),
        ({"bakbone": 0.1}, "'bakbone' matches none"),
        ({"res[": 0.1}, "regular expressions, 'res\\[' is none"),
    ],
)
def test_factors_that_cannot_be_meant_are_refused(multipliers, told):
    variables = [SimpleNamespace(path=path) for path in PATHS]
    with pytest.raises(ConfigError, match=f"LR_MULTIPLIERS: expected.*{told}"):
        check_multipliers(multipliers, variables)


def test_parts_that_do_not_train_may_be_named():
    check_multipliers(dict.fromkeys((*PARTS, "heads"), 0.5), [SimpleNamespace(path="mrcnn_mask/kernel")])
