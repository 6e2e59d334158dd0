"""Pictures of mistakes: what is drawn where for each outcome, at small and large sizes, with and without masks."""

import numpy as np
import pytest

from mrcnn_plus.drawing.mistakes import draw_mistakes
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.boxes import extract_bboxes

NAMES = ["BG", "cup", "Löffel"]
GREY = np.full((300, 400, 3), 90, np.uint8)
GREEN, ORANGE, RED = (60, 220, 110), (255, 165, 40), (255, 70, 80)


def squares(*corners, side=60, shape=(300, 400)):
    masks = np.zeros((*shape, len(corners)), bool)
    for n, (y, x) in enumerate(corners):
        masks[y : y + side, x : x + side, n] = True
    return masks


def instances(masks, class_ids, scores=None):
    arrays = {"rois": extract_bboxes(masks), "class_ids": np.array(class_ids, int), "masks": masks}
    return arrays if scores is None else {**arrays, "scores": np.array(scores)}


NOTHING = instances(squares(), [])


def drawn(truth=(), found=(), *, image=GREY, **options):
    """Of tuples `(corner, class id, outcome)`; detections have the score 0.83."""
    masks = [squares(*(corner for corner, _, _ in rows)) for rows in (truth, found)]
    return draw_mistakes(
        image,
        instances(masks[0], [row[1] for row in truth]),
        instances(masks[1], [row[1] for row in found], [0.83] * len(found)),
        {"ground_truth": [row[2] for row in truth], "detections": [row[2] for row in found]},
        NAMES,
        **{"legend": False, **options},
    )


def has(picture, color):
    return bool((picture == color).all(axis=-1).any())


def test_the_picture_is_as_large_as_the_image_and_the_image_is_not_changed():
    image = GREY.copy()
    picture = drawn([((50, 50), 1, "missed")], image=image)
    assert picture.shape == image.shape and picture.dtype == np.uint8
    np.testing.assert_array_equal(image, GREY)


def test_a_correct_detection_is_an_outline_alone():
    picture = drawn([((50, 50), 1, "found")], [((50, 50), 1, "correct")])
    changed = (picture != GREY).any(axis=-1)
    assert has(picture, GREEN) and not changed[60:100, 60:100].any()
    changed[48:112, 48:112] = False
    assert not changed.any(), "no label"


@pytest.mark.parametrize("outcome", ["wrong class", "false", "duplicate"])
def test_a_mistake_of_a_detection_is_tinted_and_labelled(outcome):
    picture = drawn(found=[((100, 150), 1, outcome)])
    changed = (picture != GREY).any(axis=-1)
    assert changed[105:155, 155:205].all(), "tinted"
    assert changed[:98].any(), "a label above"


def test_a_missed_object_is_dashed_and_a_false_detection_is_not():
    missed, false = drawn([((50, 50), 1, "missed")]), drawn(found=[((50, 50), 1, "false")])
    edge = slice(54, 106)
    for picture, color, is_whole in ((missed, RED, False), (false, ORANGE, True)):
        on_edge = (picture[edge, 50] == color).all(axis=-1)
        assert on_edge.any() and on_edge.all() == is_whole


def test_an_object_that_was_taken_for_another_class_is_not_labelled_twice():
    apart = drawn([((100, 50), 2, "missed")], [((100, 250), 1, "wrong class")])
    upon = drawn([((100, 50), 2, "missed")], [((102, 52), 1, "wrong class")])
    assert (apart[80:98, 40:140] == RED).all(axis=-1).sum() > 50, "a red label"
    assert not (upon[80:96, 40:140] == RED).all(axis=-1).any()


def test_what_is_found_and_what_is_below_the_score_is_not_drawn():
    picture = drawn([((50, 50), 1, "found")], [((150, 50), 1, "below score")])
    np.testing.assert_array_equal(picture, GREY)


def test_a_crowd_may_have_a_negative_class_id_and_boxes_do_without_masks():
    truth = {"rois": np.array([[50, 50, 110, 110]]), "class_ids": np.array([-1]), "masks": None}
    picture = draw_mistakes(GREY, truth, NOTHING, {"ground_truth": ["crowd"], "detections": []}, NAMES, legend=False)
    assert has(picture, (170, 170, 170))
    truth["class_ids"] = np.array([1])
    same = draw_mistakes(GREY, truth, NOTHING, {"ground_truth": ["crowd"], "detections": []}, NAMES, legend=False)
    np.testing.assert_array_equal(picture, same)
    np.testing.assert_array_equal(picture[55:105, 55:105], GREY[55:105, 55:105])


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (40, 40), (33, 900), (1500, 2000)])
@pytest.mark.parametrize("longer_side", [None, 320])
def test_any_size_can_be_drawn(shape, longer_side):
    image = np.full(shape, 7, np.uint8)
    masks = np.zeros((*shape, 2), bool)
    masks[:1, :1, 0] = masks[-1:, -1:, 1] = True
    ids = [1, 2]
    outcome = {"ground_truth": ["missed", "crowd"], "detections": ["false", "wrong class"]}
    truth, found = instances(masks, ids), instances(masks, ids, [0.5, 0.25])
    picture = draw_mistakes(image, truth, found, outcome, NAMES, longer_side=longer_side, legend=False)
    wanted = shape if longer_side is None else [max(round(side * 320 / max(shape)), 1) for side in shape]
    assert picture.shape == (*wanted, 3)


def test_the_thinnest_object_is_still_there_in_a_small_picture():
    masks = np.eye(1000, dtype=bool)[..., np.newaxis]
    outcome = {"ground_truth": ["missed"], "detections": []}
    image = np.zeros((1000, 1000, 3), np.uint8)
    picture = draw_mistakes(image, instances(masks, [1]), NOTHING, outcome, NAMES, longer_side=100, legend=False)
    inside = [picture[i, i].max() for i in range(30, 90)]  # below the label
    assert min(inside) > 60


def test_the_legend_stands_below_and_counts_each_outcome():
    plain = drawn([((50, 50), 1, "missed")])
    one = drawn([((50, 50), 1, "missed")], legend=True)
    two = drawn([((50, 50), 1, "missed"), ((150, 50), 1, "missed")], legend=True)
    np.testing.assert_array_equal(one[:300], plain)
    assert one.shape[0] > 300 and one.shape[1] == 400 and has(one[300:], RED)
    assert (one[300:] != two[300:]).any()
    assert drawn(legend=True).shape[0] > 300, "also where there is nothing"


def test_outcomes_that_do_not_belong_to_the_arrays_are_refused():
    truth = instances(squares((50, 50)), [1])
    for outcomes in (["missed", "missed"], ["correct"], []):
        outcome = {"ground_truth": outcomes, "detections": []}
        with pytest.raises(DatasetError, match="one of .'found', 'missed', 'crowd'. for each of 1 rows"):
            draw_mistakes(GREY, truth, NOTHING, outcome, NAMES)
    outcome = {"ground_truth": ["missed"], "detections": []}
    with pytest.raises(DatasetError, match=r"ground_truth.*masks=\[60, 80, 1\]"):
        draw_mistakes(GREY, {**truth, "masks": np.zeros((60, 80, 1))}, NOTHING, outcome, NAMES)
    with pytest.raises(DatasetError, match=r"class_ids=\[3\]"):
        draw_mistakes(GREY, {**truth, "class_ids": [3]}, NOTHING, outcome, NAMES)
