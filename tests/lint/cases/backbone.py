"""Examples for `lint/rules/backbone.py`."""

from mrcnn_plus.lint import Run
from tests.support.lint_boxes import settings
from tests.support.lint_cases import Case


def my_backbone(image, stage5=True, train_bn=None):
    raise AssertionError("a check of the settings builds no network")


def right_shapes(image_shape):
    return [[-(-side // stride) for side in image_shape[:2]] for stride in (4, 8, 16, 32, 64)]


def only_four(image_shape):
    return right_shapes(image_shape)[:4]


def only_settings(**values):
    return lambda _: {"config": settings(**values)}


def with_run(values, **run):
    return lambda _: {"config": settings(**values), "run": Run(**run)}


CASES = {
    "CFG030": Case(only_settings(BACKBONE="resnet152"), only_settings(BACKBONE=my_backbone)),
    "CFG032": Case(
        only_settings(BACKBONE=my_backbone, COMPUTE_BACKBONE_SHAPE=only_four),
        only_settings(BACKBONE=my_backbone, COMPUTE_BACKBONE_SHAPE=right_shapes),
    ),
    "CFG033": Case(
        only_settings(RPN_ANCHOR_SCALES=(32, 64, 128)), only_settings(RPN_ANCHOR_SCALES=[8, 16, 32, 64, 128])
    ),
    "CFG034": Case(
        only_settings(BACKBONE_STRIDES=[2, 4, 8, 16, 32]), only_settings(BACKBONE_STRIDES=(4, 8, 16, 32, 64))
    ),
    "CFG035": Case(with_run({"BACKBONE": my_backbone}, layers="4+"), with_run({"BACKBONE": my_backbone}, layers="all")),
    "CFG036": Case(
        with_run({"TOP_DOWN_PYRAMID_SIZE": 128}, weights="coco"),
        with_run({"TOP_DOWN_PYRAMID_SIZE": 128}, weights="imagenet"),  # a backbone alone
    ),
    "CFG037": Case(
        only_settings(COMPUTE_BACKBONE_SHAPE=right_shapes),
        only_settings(COMPUTE_BACKBONE_SHAPE=right_shapes, BACKBONE=my_backbone),
    ),
    "CFG095": Case(only_settings(TRAIN_BN=True), only_settings(TRAIN_BN=True, NORMALIZATION="group")),
    "CFG096": Case(with_run({}, pretrained=False), with_run({}, pretrained=True)),
}
