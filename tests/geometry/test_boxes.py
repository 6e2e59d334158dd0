"""Boxes against the recorded answers, against plain Python, and at the edges."""

import numpy as np
import pytest

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry import boxes

RNG = np.random.default_rng(11)


def random_boxes(count, *, side=100, integer=False):
    corners = RNG.uniform(0, side, (count, 2))
    made = np.concatenate([corners, corners + RNG.uniform(1, side / 2, (count, 2))], axis=1)
    return made.astype(np.int32) + np.array([0, 0, 1, 1], np.int32) if integer else made.astype(np.float32)


def plain_iou(a, b):
    """Overlap of two boxes, written as in a textbook."""
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    if height <= 0 or width <= 0:
        return 0.0
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return height * width / (area_a + area_b - height * width)


def plain_nms(candidates, scores, threshold):
    alive, kept = sorted(range(len(scores)), key=lambda i: -scores[i]), []
    while alive:
        best = alive.pop(0)
        kept.append(best)
        alive = [i for i in alive if plain_iou(candidates[best], candidates[i]) <= threshold]
    return kept


def plain_box(plane):
    """The smallest and largest coordinates of the pixels of one mask, looked at one by one."""
    pixels = [(y, x) for y in range(plane.shape[0]) for x in range(plane.shape[1]) if plane[y, x]]
    if not pixels:
        return [0, 0, 0, 0]
    ys, xs = [y for y, _ in pixels], [x for _, x in pixels]
    return [min(ys), min(xs), max(ys) + 1, max(xs) + 1]


# --- recorded answers ---


def test_overlaps_are_those_recorded(golden):
    np.testing.assert_allclose(boxes.compute_overlaps(golden["iou/boxes1"], golden["iou/boxes2"]), golden["iou/out"])


@pytest.mark.parametrize("threshold", ["0.1", "0.3", "0.5"])
def test_suppression_keeps_the_recorded_boxes_in_the_recorded_order(golden, threshold):
    kept = boxes.non_max_suppression(golden["iou/boxes1"], golden["nms/scores"], float(threshold))
    assert kept.dtype == np.int32
    np.testing.assert_array_equal(kept, golden[f"nms/{threshold}"])


def test_deltas_refinement_and_normalization_are_those_recorded(golden):
    start = golden["iou/boxes1"]
    for answer, name in (
        (boxes.apply_box_deltas(start, golden["deltas/in"]), "deltas/out"),
        (boxes.box_refinement(start, golden["refine/gt"]), "refine/out"),
        (boxes.norm_boxes(start, (200, 300)), "norm/out"),
        (boxes.denorm_boxes(golden["norm/out"], (200, 300)), "denorm/out"),
    ):
        assert answer.dtype == golden[name].dtype
        np.testing.assert_allclose(answer, golden[name], rtol=1e-6)


def test_boxes_of_masks_are_those_recorded(golden):
    extracted = boxes.extract_bboxes(golden["masks/in"])
    assert extracted.dtype == np.int32
    np.testing.assert_array_equal(extracted, golden["masks/bboxes"])


# --- plain Python ---


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (7, 8), (13, 21)])
def test_boxes_of_random_masks_agree_with_looking_at_every_pixel(size, dtype):
    masks = (RNG.random((*size, 6)) < [0, 0.02, 0.05, 0.2, 0.9, 1]).astype(dtype) * dtype(3)
    expected = [plain_box(masks[..., i]) for i in range(6)]
    np.testing.assert_array_equal(boxes.extract_bboxes(masks), expected)


@pytest.mark.parametrize("integer", [True, False])
@pytest.mark.parametrize("counts", [(5, 9), (9, 5), (1, 1)])
def test_overlaps_agree_with_plain_python(counts, integer):
    first, second = random_boxes(counts[0], integer=integer), random_boxes(counts[1], integer=integer)
    expected = [[plain_iou(a, b) for b in second.tolist()] for a in first.tolist()]
    overlaps = boxes.compute_overlaps(first, second)
    assert overlaps.shape == counts and overlaps.dtype == np.float64
    np.testing.assert_allclose(overlaps, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_suppression_agrees_with_plain_python(threshold):
    candidates, scores = random_boxes(120, integer=True), RNG.permutation(120) / 120
    kept = boxes.non_max_suppression(candidates, scores, threshold)
    np.testing.assert_array_equal(kept, plain_nms(candidates.tolist(), scores, threshold))


def test_deltas_undo_refinement():
    start, target = random_boxes(50), random_boxes(50)
    deltas = boxes.box_refinement(start, target)
    np.testing.assert_allclose(boxes.apply_box_deltas(start, deltas), target, atol=1e-3)


def test_deltas_by_hand():
    # 10 high and 20 wide; down by half its height, twice as high.
    moved = boxes.apply_box_deltas(np.array([[0, 0, 10, 20]]), np.array([[0.5, 0, np.log(2), 0]], np.float32))
    np.testing.assert_allclose(moved, [[0, 0, 20, 20]], atol=1e-5)


def test_pixels_survive_normalization_and_the_whole_image_is_the_unit_square():
    in_pixels = random_boxes(50, integer=True)
    np.testing.assert_array_equal(boxes.denorm_boxes(boxes.norm_boxes(in_pixels, (200, 300)), (200, 300)), in_pixels)
    np.testing.assert_allclose(boxes.norm_boxes(np.array([[0, 0, 200, 300]]), (200, 300)), [[0, 0, 1, 1]])


# --- edges ---


def test_a_mask_at_the_border_gives_a_box_that_ends_at_the_image_size():
    mask = np.zeros((6, 9, 2), bool)
    mask[5, :, 0] = True  # one pixel high, along the lower border
    mask[0, 0, 1] = True  # one pixel
    np.testing.assert_array_equal(boxes.extract_bboxes(mask), [[5, 0, 6, 9], [0, 0, 1, 1]])


def test_no_instances_and_no_pixels_give_empty_boxes():
    assert boxes.extract_bboxes(np.zeros((4, 5, 0), bool)).shape == (0, 4)
    np.testing.assert_array_equal(boxes.extract_bboxes(np.zeros((4, 5, 1))), [[0, 0, 0, 0]])
    np.testing.assert_array_equal(boxes.extract_bboxes(np.zeros((0, 0, 1))), [[0, 0, 0, 0]])


def test_boxes_without_area_overlap_nothing_and_raise_no_warning(recwarn):
    nothing = np.zeros((2, 4), np.float32)
    np.testing.assert_array_equal(boxes.compute_overlaps(nothing, nothing), np.zeros((2, 2)))
    np.testing.assert_array_equal(boxes.non_max_suppression(nothing, np.array([0.1, 0.9]), 0.5), [1, 0])
    assert not recwarn.list


def test_empty_sets_of_boxes_have_empty_answers():
    none = np.zeros((0, 4), np.float32)
    assert boxes.compute_overlaps(none, random_boxes(3)).shape == (0, 3)
    assert boxes.compute_overlaps(random_boxes(3), none).shape == (3, 0)
    kept = boxes.non_max_suppression(none, np.zeros(0), 0.5)
    assert kept.shape == (0,) and kept.dtype == np.int32
    assert boxes.apply_box_deltas(none, none).shape == (0, 4)
    assert boxes.norm_boxes(none, (10, 10)).shape == (0, 4)


def test_trim_zeros_drops_padding_but_keeps_boxes_at_the_origin():
    padded = np.array([[0, 0, 5, 5], [0, 0, 0, 0], [1, 2, 3, 4], [0, 0, 0, 0]])
    np.testing.assert_array_equal(boxes.trim_zeros(padded), [[0, 0, 5, 5], [1, 2, 3, 4]])


def test_arguments_stay_as_they_are():
    start, deltas = random_boxes(5), RNG.normal(size=(5, 4)).astype(np.float32)
    copies = start.copy(), deltas.copy()
    boxes.apply_box_deltas(start, deltas)
    boxes.norm_boxes(start, (50, 60))
    boxes.non_max_suppression(start, deltas[:, 0], 0.5)
    np.testing.assert_array_equal(start, copies[0])
    np.testing.assert_array_equal(deltas, copies[1])


@pytest.mark.parametrize("function", [boxes.extract_bboxes, boxes.trim_zeros])
def test_a_wrong_number_of_dimensions_is_named(function):
    with pytest.raises(DatasetError, match=rf"{function.__name__}: expected .* received shape=\(4,\)"):
        function(np.zeros(4))
