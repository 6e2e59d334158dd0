"""The best score of a class, worked out by hand."""

import pytest

from mrcnn_plus.evaluation.confusion import best_threshold


def test_the_best_score_is_where_f1_is_highest():
    # From the best down: right, wrong, right, wrong, wrong; three objects.
    # F1: 2/4, 2/5, 4/6, 4/7, 4/8.
    best = best_threshold([0.9, 0.8, 0.7, 0.6, 0.5], [True, False, True, False, False], 3)
    assert best == (0.7, pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(2 / 3))


def test_the_order_of_detections_does_not_matter():
    assert best_threshold([0.5, 0.9, 0.7], [False, True, True], 2).score == 0.7


def test_of_equal_f1_the_higher_score_is_taken():
    # F1: 2/3 with the first, 2/3 too with all three.
    best = best_threshold([0.9, 0.5, 0.4, 0.3], [True, False, False, True], 2)
    assert best.score == 0.9 and best.f1 == pytest.approx(2 / 3)


def test_detections_of_one_score_are_kept_or_left_together():
    # A cut between the two of 0.8 would have F1 1; no score does that.
    best = best_threshold([0.8, 0.8, 0.3], [True, False, False], 1)
    assert (best.score, best.precision, best.recall) == (0.8, 0.5, 1.0)


@pytest.mark.parametrize(("scores", "correct", "objects"), [([], [], 3), ([0.9], [False], 3), ([0.9], [False], 0)])
def test_without_objects_or_right_detections_there_is_none(scores, correct, objects):
    assert best_threshold(scores, correct, objects) is None
