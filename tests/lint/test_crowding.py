"""Objects that non-maximum suppression would drop, against the package's own NMS image by image."""

import numpy as np
import pytest

from mrcnn_plus.geometry.boxes import non_max_suppression
from mrcnn_plus.lint import check
from mrcnn_plus.lint.facts import ObjectTable
from mrcnn_plus.lint.rules.detection import suppressed_objects
from tests.support.lint_boxes import boxes_dataset, settings


def table(boxes, image, class_id, crowd=None):
    count = len(boxes)
    nothing = np.full(count, np.nan)
    return ObjectTable(
        image=np.asarray(image),
        class_id=np.asarray(class_id),
        crowd=np.zeros(count, bool) if crowd is None else np.asarray(crowd),
        boxes=np.asarray(boxes, float),
        areas=nothing,
        declared_boxes=np.full((count, 4), np.nan),
        declared_areas=nothing,
        places=str,
        complete=True,
        from_masks=False,
    )


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_the_same_objects_are_dropped_as_by_nms_with_larger_ones_first(threshold):
    rng = np.random.default_rng(1)
    corner = rng.uniform(0, 60, (300, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(10, 40, (300, 2))], axis=1)
    image, class_id = rng.integers(0, 12, 300), rng.integers(1, 3, 300)
    dropped = suppressed_objects(table(boxes, image, class_id), threshold)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for number in np.unique(image):
        for one_class in (1, 2):
            rows = np.flatnonzero((image == number) & (class_id == one_class))
            kept = rows[non_max_suppression(boxes[rows].astype(np.float32), area[rows].astype(float), threshold)]
            assert set(rows[~dropped[rows]]) == set(kept)


def test_boxes_that_are_nearly_the_same_are_no_matter_of_the_threshold():
    assert not suppressed_objects(table([[0, 0, 100, 100], [0, 2, 100, 100]], [0, 0], [1, 1]), 0.3).any()


def test_other_classes_other_images_crowds_and_boxes_without_extent_take_no_part():
    box = [0, 0, 10, 10]
    near = [0, 3, 10, 13]
    assert suppressed_objects(table([box, near], [0, 0], [1, 1]), 0.3).tolist() == [False, True]
    assert not suppressed_objects(table([box, near], [0, 0], [1, 2]), 0.3).any()
    assert not suppressed_objects(table([box, near], [0, 1], [1, 1]), 0.3).any()
    assert not suppressed_objects(table([box, near], [0, 0], [1, 1], crowd=[False, True]), 0.3).any()
    assert not suppressed_objects(table([box, [np.nan] * 4], [0, 0], [1, 1]), 0.3).any()
    assert not suppressed_objects(table(np.zeros((0, 4)), [], []), 0.3).any()


def test_the_finding_lists_the_objects_and_a_threshold_that_keeps_them():
    dataset = boxes_dataset([[(50, 50, 100, 100), (50, 80, 100, 100)]] * 10)
    (finding,) = check(settings(), dataset, select="CFG067")
    assert "10 of 20 objects (50.0%)" in finding.message
    assert len(finding.places) == 10
    assert finding.changes == {"DETECTION_NMS_THRESHOLD": 0.6}
