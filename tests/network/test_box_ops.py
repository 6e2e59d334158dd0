"""Box arithmetic against recorded answers and the NumPy twins."""

import numpy as np
import pytest
from keras import ops

from mrcnn_plus.geometry import boxes as box_geometry
from mrcnn_plus.network import box_ops

pytestmark = pytest.mark.backend


def random_boxes(count, seed=0, size=100.0):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, size, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(1, size / 2, (count, 2))], axis=1).astype("float32")


def test_pairwise_iou_equals_the_recorded_overlaps(golden):
    overlaps = box_ops.pairwise_iou(golden["iou/boxes1"], golden["iou/boxes2"])
    np.testing.assert_allclose(ops.convert_to_numpy(overlaps), golden["iou/out"], rtol=1e-4, atol=1e-6)


def test_boxes_without_area_overlap_nothing():
    flat = np.array([[5, 5, 5, 9], [0, 0, 0, 0]], "float32")
    overlaps = ops.convert_to_numpy(box_ops.pairwise_iou(flat, np.concatenate([flat, random_boxes(3)])))
    assert np.all(overlaps == 0)


def test_deltas_carry_boxes_to_their_targets_and_equal_numpy():
    boxes, targets = random_boxes(50, 1), random_boxes(50, 2)
    deltas = box_ops.box_refinement(boxes, targets)
    np.testing.assert_allclose(ops.convert_to_numpy(deltas), box_geometry.box_refinement(boxes, targets), atol=1e-4)
    np.testing.assert_allclose(
        ops.convert_to_numpy(box_ops.apply_deltas(ops.convert_to_tensor(boxes), deltas)), targets, atol=1e-3
    )


@pytest.mark.parametrize("scale", [50.0, 100.0, 1e30, np.inf])
def test_scales_of_a_diverging_network_fill_the_window_and_stay_finite(scale):
    box, delta = np.array([[10, 10, 20, 20]], "float32"), np.array([[0, 0, scale, scale]], "float32")
    moved = ops.convert_to_numpy(box_ops.apply_deltas(ops.convert_to_tensor(box), ops.convert_to_tensor(delta)))
    assert np.isfinite(moved).all()
    np.testing.assert_allclose(moved, box_geometry.apply_box_deltas(box, delta), rtol=1e-5)
    window = ops.convert_to_tensor([0.0, 0.0, 64.0, 64.0])
    clipped = ops.convert_to_numpy(box_ops.clip_boxes(ops.convert_to_tensor(moved), window))
    assert clipped.tolist() == [[0, 0, 64, 64]]


def test_refinement_of_and_to_a_box_without_area_is_finite():
    boxes = np.array([[10, 10, 20, 20], [10, 10, 10, 20], [0, 0, 0, 0]], "float32")
    deltas = ops.convert_to_numpy(box_ops.box_refinement(boxes, boxes[::-1].copy()))
    assert np.all(np.isfinite(deltas))


def test_norm_boxes_equals_numpy_and_denorm_inverts_it():
    boxes = random_boxes(20, size=90)
    normalized = box_ops.norm_boxes(ops.convert_to_tensor(boxes), ops.convert_to_tensor([200.0, 300.0]))
    np.testing.assert_allclose(
        ops.convert_to_numpy(normalized), box_geometry.norm_boxes(boxes, (200, 300)), rtol=1e-5, atol=1e-6
    )
    back = box_ops.denorm_boxes(normalized, ops.convert_to_tensor([200.0, 300.0]))
    np.testing.assert_allclose(ops.convert_to_numpy(back), boxes, atol=1e-3)


def test_clipping_keeps_boxes_inside_a_window_of_each_image():
    boxes = np.stack([random_boxes(10, 3), random_boxes(10, 4)])
    window = np.array([[10, 20, 60, 70], [0, 0, 30, 30]], "float32")
    clipped = ops.convert_to_numpy(box_ops.clip_boxes(boxes, window[:, None]))
    for image in range(2):
        low, high = np.tile(window[image, :2], 2), np.tile(window[image, 2:], 2)
        np.testing.assert_allclose(clipped[image], np.clip(boxes[image], low, high))


def test_gather_rows_takes_the_rows_of_each_image():
    table = np.arange(2 * 5 * 3).reshape(2, 5, 3)
    rows = ops.convert_to_numpy(box_ops.gather_rows(ops.convert_to_tensor(table), np.array([[4, 0], [1, 1]])))
    np.testing.assert_array_equal(rows, np.stack([table[0, [4, 0]], table[1, [1, 1]]]))
