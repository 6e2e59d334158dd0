"""Overlaps of anchors and objects against all anchors one by one; anchors that are suggested."""

import time

import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.geometry.anchors import feature_shapes, generate_pyramid_anchors
from mrcnn_plus.geometry.boxes import compute_overlaps
from mrcnn_plus.lint.estimates.anchor_fit import AnchorSettings, best_anchor_iou
from tests.support.lint_boxes import boxes_dataset, settings, similar_objects

DEFAULT = AnchorSettings((32, 64, 128, 256, 512), (0.5, 1, 2), (4, 8, 16, 32, 64))


def random_boxes(count, shape, largest=120):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 1, (count, 2)) * np.array(shape)
    boxes = np.concatenate([corner, corner + rng.uniform(3, largest, (count, 2))], axis=1)
    boxes = np.clip(boxes, 0, np.tile(shape, 2))
    return boxes[(boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1)]


@pytest.mark.parametrize(("shape", "anchor_stride"), [((256, 320), 1), ((192, 128), 2), ((64, 64), 1)])
def test_the_best_overlap_is_that_of_all_anchors_one_by_one(shape, anchor_stride):
    anchors = AnchorSettings((8, 16, 32, 64, 128), (0.5, 1, 2.5), (4, 8, 16, 32, 64), anchor_stride)
    boxes = random_boxes(200, shape)
    every = generate_pyramid_anchors(
        anchors.scales, anchors.ratios, feature_shapes(shape, anchors.strides), anchors.strides, anchor_stride
    )
    found = best_anchor_iou(boxes, np.tile(shape, (len(boxes), 1)), anchors)
    np.testing.assert_allclose(found, compute_overlaps(boxes, every).max(axis=1), atol=1e-5)


def test_no_boxes_have_no_overlaps():
    assert best_anchor_iou(np.zeros((0, 4)), np.zeros((0, 2)), DEFAULT).shape == (0,)


def test_two_hundred_thousand_objects_take_seconds():
    boxes = random_boxes(200_000, (900, 900))
    start = time.perf_counter()
    best_anchor_iou(boxes, np.full((len(boxes), 2), 1024.0), DEFAULT)
    assert time.perf_counter() - start < 20


def test_small_anchors_are_suggested_for_small_objects():
    config = settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512)
    suggestion = lint.suggest_anchors(config, similar_objects(60, height=11, width=11))
    assert suggestion.scales[0] <= 12
    assert suggestion.present_recall_50 == 0
    assert suggestion.recall_50 > 0.6
    better = settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512, **suggestion.changes)
    assert not lint.check(better, similar_objects(60, height=11, width=11), select="DAT031").warnings
    assert "RPN_ANCHOR_SCALES = (" in str(suggestion)


def test_long_ratios_are_suggested_for_long_objects():
    config = settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512)
    suggestion = lint.suggest_anchors(config, similar_objects(60, height=30, width=150))
    assert max(suggestion.ratios) > 2.5
    assert len(suggestion.ratios) == 3
    assert suggestion.recall_50 > suggestion.present_recall_50 + 0.5


def test_the_number_of_ratios_can_be_chosen():
    config = settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512)
    long_and_short = boxes_dataset([[(10, 10, 20, 100), (100, 100, 100, 20), (300, 300, 50, 50)]] * 10)
    suggestion = lint.suggest_anchors(config, long_and_short, num_ratios=5)
    assert len(suggestion.ratios) == 5
    assert suggestion.recall_50 > suggestion.present_recall_50


def test_anchors_that_fit_stay_as_they_are():
    config = settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512)
    suggestion = lint.suggest_anchors(config, similar_objects(60, height=64, width=64))
    assert suggestion.scales == (32, 64, 128, 256, 512)
    assert suggestion.ratios == [0.5, 1, 2]


def test_contradictory_settings_are_named():
    with pytest.raises(ConfigError, match=r"RPN_ANCHOR_SCALES=\(32,\)"):
        lint.suggest_anchors(settings(RPN_ANCHOR_SCALES=(32,)), similar_objects())


def test_a_data_set_without_objects_is_named():
    with pytest.raises(DatasetError, match="found none in AnnotatedDataset"):
        lint.suggest_anchors(settings(), boxes_dataset([[], []]))


def test_the_finding_tells_sizes_classes_and_the_objects_that_no_anchor_reaches():
    config = settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512)
    (finding,) = lint.check(config, similar_objects(20, height=11, width=11, classes=("cell",)), select="DAT031")
    assert "100% of 20 objects overlap no anchor by half" in finding.message
    assert "8-16 pixels 0% of 20" in finding.message
    assert "cell 0%" in finding.message
    assert len(finding.places) == 20
    assert "annotations[0]" in finding.places[0]
    assert finding.changes["RPN_ANCHOR_SCALES"][0] <= 12
