"""Objects followed through detection: each stage loses the one that it should, and says why."""

import numpy as np
import pytest

from mrcnn_plus.diagnosis.experiments.measuring.tracing import (
    DetectionSettings,
    ImageAnswer,
    count_false,
    trace_objects,
)
from mrcnn_plus.geometry.boxes import norm_boxes

SIDE = 100
NAMES = ["BG", "cell", "spore"]
CELL, SPORE = 1, 2
OBJECT = (20, 20, 60, 60)
FULL = np.ones((4, 4))


def trace(objects, proposals, *, anchors=(OBJECT,), **settings):
    """Traces of objects `(box, class id)` for proposals `(box, probabilities)` with a mask each; boxes in pixels."""
    boxes = norm_boxes(np.array([box for box, _ in objects]), (SIDE, SIDE))
    masks = np.zeros((SIDE, SIDE, len(objects)), bool)
    for number, ((y1, x1, y2, x2), _) in enumerate(objects):
        masks[y1:y2, x1:x2, number] = True
    return trace_objects(
        boxes,
        np.array([class_id for _, class_id in objects]),
        masks,
        anchors=norm_boxes(np.array(anchors), (SIDE, SIDE)),
        answer=answer_of(proposals),
        settings=DetectionSettings(
            **{"min_confidence": 0.7, "nms_threshold": 0.3, "max_instances": 10, **settings},
            bbox_std_dev=(0.1, 0.1, 0.2, 0.2),
            window=np.array([0, 0, 1, 1]),
        ),
        class_names=NAMES,
    )


def answer_of(proposals, mask=FULL):
    """What a network says that moves no box; its detections are the proposals that are no background."""
    boxes = norm_boxes(np.array([box for box, *_ in proposals]), (SIDE, SIDE))
    probabilities = np.array([values for _, values, *_ in proposals], float)
    deltas = np.zeros((len(boxes), 3, 4))
    for row, (_, _, *move) in enumerate(proposals):
        deltas[row] = move[0] if move else 0.0
    class_ids = probabilities.argmax(axis=1)
    detections = np.column_stack([boxes, class_ids, probabilities.max(axis=1)])
    masks = np.repeat(np.broadcast_to(mask, (len(boxes), 4, 4))[..., None], 3, axis=-1)
    return ImageAnswer(boxes, probabilities, deltas, detections, masks)


SURE_CELL = (0.05, 0.9, 0.05)


def test_an_object_that_is_detected_is_found_with_its_mask():
    (found,) = trace([(OBJECT, CELL)], [(OBJECT, SURE_CELL)])
    assert (found.lost_at, found.score) == ("found", 0.9)
    assert found.mask_iou > 0.9


@pytest.mark.parametrize(
    ("stage", "words", "proposals", "options"),
    [
        ("anchor", "anchor 0.1", [((20, 20, 35, 35), SURE_CELL)], {"anchors": [(30, 30, 45, 45)]}),
        ("proposal", "proposal 0.1", [((20, 20, 35, 35), SURE_CELL)], {}),
        ("class", "taken for background (0.80; its own class 0.15)", [(OBJECT, (0.8, 0.15, 0.05))], {}),
        ("class", "taken for spore (0.80; its own class 0.15)", [(OBJECT, (0.05, 0.15, 0.8))], {}),
        ("box", "overlap 0.00 after refinement, 1.00 before", [(OBJECT, SURE_CELL, (10, 0, 0, 0))], {}),
        ("score", "score 0.600, threshold 0.7", [(OBJECT, (0.2, 0.6, 0.2))], {}),
        ("limit", "2. by score of 2", [((60, 60, 99, 99), (0, 1, 0)), (OBJECT, SURE_CELL)], {"max_instances": 1}),
    ],
)
def test_the_stage_that_loses_an_object_is_named_with_the_numbers(stage, words, proposals, options):
    (lost,) = trace([(OBJECT, CELL)], proposals, **options)
    assert lost.lost_at == stage
    assert words in lost.reason


def test_a_proposal_makes_up_for_anchors_that_do_not_fit():
    (found,) = trace([(OBJECT, CELL)], [(OBJECT, SURE_CELL)], anchors=[(30, 30, 45, 45)])
    assert found.lost_at == "found"


def test_of_two_neighbours_the_one_without_a_box_of_its_own_is_lost_by_suppression():
    neighbour = (20, 30, 60, 70)  # overlaps the object by 0.6
    both = [(OBJECT, CELL), (neighbour, CELL)]
    proposals = [(OBJECT, (0, 0.95, 0.05)), (neighbour, SURE_CELL)]
    first, second = trace(both, proposals)
    assert first.lost_at == "found"
    assert second.lost_at == "nms"
    assert "object 0 by 0.59" in second.reason
    assert [item.lost_at for item in trace(both, proposals, nms_threshold=0.7)] == ["found", "found"]


def test_one_box_cannot_find_two_objects():
    twins = [(OBJECT, CELL), ((22, 20, 62, 60), CELL)]
    stages = [item.lost_at for item in trace(twins, [(OBJECT, SURE_CELL)])]
    assert stages == ["found", "nms"]


def test_a_bad_mask_is_told_with_its_overlap():
    corner = np.zeros((4, 4))
    corner[:2, :2] = 1.0
    answer = answer_of([(OBJECT, SURE_CELL)], corner)
    masks = np.zeros((SIDE, SIDE, 1), bool)
    masks[20:60, 20:60] = True
    box = norm_boxes(np.array([OBJECT]), (SIDE, SIDE))
    settings = DetectionSettings(0.7, 0.3, 10, (0.1, 0.1, 0.2, 0.2), np.array([0, 0, 1, 1]))
    (lost,) = trace_objects(box, [CELL], masks, anchors=box, answer=answer, settings=settings, class_names=NAMES)
    assert lost.lost_at == "mask"
    assert 0.1 < lost.mask_iou < 0.4


def test_proposals_of_zeros_are_padding_and_take_no_place():
    answer = answer_of([((70, 70, 90, 90), (0, 1, 0)), (OBJECT, SURE_CELL)])
    answer.proposals[0] = 0
    box = norm_boxes(np.array([OBJECT]), (SIDE, SIDE))
    masks = np.zeros((SIDE, SIDE, 1), bool)
    masks[20:60, 20:60] = True
    settings = DetectionSettings(0.7, 0.3, 1, (0.1, 0.1, 0.2, 0.2), np.array([0, 0, 1, 1]))
    (found,) = trace_objects(box, [CELL], masks, anchors=box, answer=answer, settings=settings, class_names=NAMES)
    assert found.lost_at == "found"


def test_detections_that_belong_to_no_object_of_their_class_are_counted():
    answer = answer_of([(OBJECT, SURE_CELL), (OBJECT, (0, 0, 1)), ((70, 70, 90, 90), SURE_CELL)])
    boxes = norm_boxes(np.array([OBJECT]), (SIDE, SIDE))
    assert count_false(boxes, np.array([CELL]), answer.detections) == (3, 2)
    assert count_false(boxes[:0], np.array([]), answer.detections) == (3, 3)
