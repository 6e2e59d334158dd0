"""Masks against the recorded answers, against scikit-image and SciPy, and at the edges."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
import skimage.transform

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.boxes import extract_bboxes
from mrcnn_plus.geometry.masks import (
    compute_overlaps_masks,
    expand_mask,
    minimize_mask,
    mold_mask,
    resize_mask,
    resize_to_mini_masks,
    unmold_mask,
)
from mrcnn_plus.geometry.resizing import resize_image

NO_PADDING = [(0, 0), (0, 0), (0, 0)]


def smooth(plane, shape):
    """What Matterport called for masks, with bool as floats."""
    if plane.dtype == bool:
        plane = plane.astype(np.float64)
    return skimage.transform.resize(plane, shape, order=1, mode="constant", cval=0, anti_aliasing=False)


def blobs(height, width, count, seed):
    """Random ellipses, rectangles and dots as masks [height, width, count], each with at least one pixel."""
    rng = np.random.default_rng(seed)
    ys, xs = np.mgrid[:height, :width]
    planes = []
    for index in range(count):
        y, x = rng.integers(0, height), rng.integers(0, width)
        high, wide = rng.integers(1, height + 1), rng.integers(1, width + 1)
        ellipse = ((ys - y) / high) ** 2 + ((xs - x) / wide) ** 2 <= 0.25
        box = (abs(ys - y) < high / 2) & (abs(xs - x) < wide / 2)
        noise = ellipse & (rng.random((height, width)) < 0.7)
        plane = (ellipse, box, noise)[index % 3]
        plane[y, x] = True
        planes.append(plane)
    return np.stack(planes, axis=-1)


# --- mini masks without full-size masks in between ---

SIZES = [(60, 90, 0.7), (60, 90, 1.0), (50, 70, 1.9), (37, 91, 64 / 91), (128, 100, 0.11), (5, 3, 20.0), (1, 40, 3.0)]


@pytest.mark.parametrize(("height", "width", "scale"), SIZES)
@pytest.mark.parametrize("cropped", [False, True])
def test_mini_masks_made_at_once_are_those_of_resizing_boxes_and_minimizing(height, width, scale, cropped):
    masks = np.concatenate([blobs(height, width, 12, seed=height), np.zeros((height, width, 1), bool)], axis=-1)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    window = (new_height // 3, new_width // 4, new_height // 2 + 1, new_width // 2 + 1) if cropped else None
    padding = NO_PADDING if cropped else [(3, 7), (0, 5), (0, 0)]
    resized = resize_mask(masks, scale, padding, window)
    expected = extract_bboxes(resized)
    boxes, mini = resize_to_mini_masks(masks, scale, padding, window, (14, 20))
    np.testing.assert_array_equal(boxes, expected)
    alive = expected[:, 2] > expected[:, 0]
    assert alive.any() and not alive.all()
    np.testing.assert_array_equal(mini[..., alive], minimize_mask(boxes[alive], resized[..., alive], (14, 20)))
    assert not mini[..., ~alive].any()


# --- recorded answers ---


def test_mini_masks_and_their_expansion_are_those_recorded(golden):
    masks, boxes = golden["masks/in"][..., :5], golden["masks/bboxes"][:5]
    mini = minimize_mask(boxes, masks, (28, 28))
    assert mini.dtype == bool
    np.testing.assert_array_equal(mini, golden["masks/mini"])
    expanded = expand_mask(boxes, golden["masks/mini"], (80, 120, 3))
    assert expanded.dtype == bool
    np.testing.assert_array_equal(expanded, golden["masks/expanded"])


def test_overlaps_of_masks_are_those_recorded(golden):
    masks = golden["masks/in"]
    overlaps = compute_overlaps_masks(masks[..., :5], masks[..., 1:5])
    assert overlaps.dtype == np.float32
    np.testing.assert_allclose(overlaps, golden["masks/overlaps"], rtol=1e-6)


def test_an_unmolded_mask_is_that_recorded(golden):
    full = unmold_mask(golden["unmold/in"], golden["unmold/box"], (80, 120, 3))
    assert full.dtype == bool
    np.testing.assert_array_equal(full, golden["unmold/out"])


@pytest.mark.parametrize("case", ["square", "square_up", "minscale", "pad64", "none"])
def test_resized_masks_are_those_recorded(golden, case):
    masks = np.zeros((90, 150, 2), bool)
    masks[10:40, 20:70, 0] = True
    masks[30:80, 60:140, 1] = True
    resized = resize_mask(masks, golden[f"resize/{case}/scale"], golden[f"resize/{case}/padding"])
    assert resized.dtype == bool
    np.testing.assert_array_equal(resized, golden[f"resize/{case}/mask"])


# --- scikit-image and SciPy ---


@pytest.mark.parametrize("seed", range(8))
def test_mini_masks_equal_scikit_image_pixel_for_pixel(seed):
    masks = blobs(60 + 7 * seed, 90 - 5 * seed, 12, seed)
    boxes, mini_shape = extract_bboxes(masks), [(28, 28), (56, 56), (14, 40)][seed % 3]
    mini = minimize_mask(boxes, masks, mini_shape)
    for index, (y1, x1, y2, x2) in enumerate(boxes):
        expected = np.around(smooth(masks[y1:y2, x1:x2, index], mini_shape)).astype(bool)
        np.testing.assert_array_equal(mini[..., index], expected, err_msg=f"box {boxes[index]}")


@pytest.mark.parametrize("intel_library", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_expanded_masks_equal_scikit_image_pixel_for_pixel(seed, intel_library):
    masks = blobs(60 + 7 * seed, 90 - 5 * seed, 12, seed)
    boxes = extract_bboxes(masks)
    mini = minimize_mask(boxes, masks, [(28, 28), (56, 56), (14, 40)][seed % 3])
    before = cv2.ipp.useIPP()
    cv2.ipp.setUseIPP(intel_library)
    try:
        expanded = expand_mask(boxes, mini, masks.shape[:2])
    finally:
        cv2.ipp.setUseIPP(before)
    for index, (y1, x1, y2, x2) in enumerate(boxes):
        expected = np.zeros(masks.shape[:2], bool)
        expected[y1:y2, x1:x2] = np.around(smooth(mini[..., index], (y2 - y1, x2 - x1)))
        np.testing.assert_array_equal(expanded[..., index], expected, err_msg=f"box {boxes[index]}")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, bool])
def test_unmolded_masks_equal_scikit_image_pixel_for_pixel(dtype):
    rng = np.random.default_rng(5)
    for _ in range(60):
        mask = (rng.integers(0, 5, (28, 28)) / 4).astype(dtype)  # many samples of exactly one half
        y1, x1 = rng.integers(0, 60, 2)
        y2, x2 = y1 + rng.integers(1, 60), x1 + rng.integers(1, 60)
        expected = np.zeros((120, 120), bool)
        expected[y1:y2, x1:x2] = smooth(mask, (y2 - y1, x2 - x1)) >= 0.5
        np.testing.assert_array_equal(unmold_mask(mask, (y1, x1, y2, x2), (120, 120, 3)), expected)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_resized_masks_equal_scipy_pixel_for_pixel(dtype):
    rng = np.random.default_rng(6)
    for _ in range(150):
        height, width = (int(side) for side in rng.integers(2, 200, 2))
        scale = float(rng.choice([rng.uniform(0.5, 4), rng.integers(64, 512) / max(height, width)]))
        masks = (rng.random((height, width, 2)) < 0.5).astype(dtype)
        if min(height, width) * scale < 0.6:
            continue
        expected = scipy.ndimage.zoom(masks, [scale, scale, 1], order=0)
        resized = resize_mask(masks, scale, NO_PADDING)
        assert resized.dtype == dtype
        np.testing.assert_array_equal(resized, expected, err_msg=f"{height} x {width} by {scale}")


@pytest.mark.parametrize("mode", ["square", "pad64", "crop", "none"])
@pytest.mark.parametrize("size", [(40, 70), (150, 60), (1, 300)])
def test_masks_get_the_size_of_their_image(size, mode):
    image, _, scale, padding, crop = resize_image(np.ones((*size, 3), np.uint8), 64, 128, mode=mode)
    masks = np.ones((*size, 4), bool)
    resized = resize_mask(masks, scale, padding, crop)
    assert resized.shape == (*image.shape[:2], 4)
    if crop is not None:
        y, x, height, width = crop
        np.testing.assert_array_equal(resized, resize_mask(masks, scale, NO_PADDING)[y : y + height, x : x + width])


def test_overlaps_agree_with_counting_pixels():
    masks1, masks2 = blobs(30, 40, 6, seed=1), blobs(30, 40, 4, seed=2)
    expected = [
        [(masks1[..., i] & masks2[..., j]).sum() / (masks1[..., i] | masks2[..., j]).sum() for j in range(4)]
        for i in range(6)
    ]
    assert 0 < np.mean(expected) < 1
    for dtype in (bool, np.uint8, np.float32):
        np.testing.assert_allclose(
            compute_overlaps_masks(masks1.astype(dtype), masks2.astype(dtype)), expected, rtol=1e-6
        )


# --- edges ---


def test_probabilities_count_as_object_above_one_half():
    masks = np.array([[0.5, 0.51, 0.9, 0.1]]).reshape(1, 4, 1)
    whole = np.ones((1, 4, 1))
    np.testing.assert_allclose(compute_overlaps_masks(masks, whole), [[0.5]])


def test_empty_masks_overlap_nothing_and_raise_no_warning(recwarn):
    empty, full = np.zeros((5, 6, 2), bool), np.ones((5, 6, 1), bool)
    np.testing.assert_array_equal(compute_overlaps_masks(empty, empty), np.zeros((2, 2)))
    np.testing.assert_array_equal(compute_overlaps_masks(empty, full), np.zeros((2, 1)))
    assert not recwarn.list


def test_no_instances_give_arrays_without_instances():
    none, boxes = np.zeros((20, 30, 0), bool), np.zeros((0, 4), np.int32)
    assert minimize_mask(boxes, none, (28, 28)).shape == (28, 28, 0)
    assert expand_mask(boxes, np.zeros((28, 28, 0), bool), (20, 30)).shape == (20, 30, 0)
    assert resize_mask(none, 2, [(1, 1), (2, 2), (0, 0)]).shape == (42, 64, 0)
    assert compute_overlaps_masks(none, np.ones((20, 30, 3), bool)).shape == (0, 3)
    assert compute_overlaps_masks(np.ones((20, 30, 3), bool), none).shape == (3, 0)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_tiny_objects_survive_minimizing_and_expanding(dtype):
    masks = np.zeros((12, 15, 4), dtype)
    masks[3, 4, 0] = 1  # one pixel
    masks[11, :, 1] = 1  # one pixel high, at the lower border
    masks[:, 14, 2] = 1  # one pixel wide, at the right border
    masks[0:2, 0:3, 3] = 1  # smaller than the mini mask, in the corner
    boxes = extract_bboxes(masks)
    mini = minimize_mask(boxes, masks, (28, 28))
    assert mini.dtype == bool and mini.all()
    np.testing.assert_array_equal(expand_mask(boxes, mini, masks.shape), masks != 0)


def test_masks_of_255_count_as_masks_of_1():
    masks = blobs(90, 80, 6, seed=3)
    boxes = extract_bboxes(masks)
    mini = minimize_mask(boxes, masks, (28, 28))
    np.testing.assert_array_equal(minimize_mask(boxes, masks.astype(np.uint8) * 255, (28, 28)), mini)
    expanded = expand_mask(boxes, mini, masks.shape)
    for value in (1, 255):
        numbers = mini.astype(np.uint8) * value
        np.testing.assert_array_equal(expand_mask(boxes, numbers, masks.shape), expanded)
        for index in range(6):
            np.testing.assert_array_equal(
                unmold_mask(numbers[..., index], boxes[index], masks.shape),
                unmold_mask(mini[..., index], boxes[index], masks.shape),
            )


def test_minimizing_a_box_without_pixels_names_the_instance():
    masks = np.ones((10, 10, 2), bool)
    for box in ((0, 0, 0, 0), (3, 5, 3, 9), (10, 10, 15, 15), (-5, 2, -1, 8)):
        with pytest.raises(DatasetError, match=r"minimize_mask: .* received bbox\[1\]="):
            minimize_mask(np.array([[0, 0, 4, 4], box]), masks, (28, 28))


def test_a_box_that_leaves_the_image_is_cut_off():
    mask = np.ones((28, 28), np.float32)
    for box in ((-4, -6, 5, 7), (6, 5, 20, 30), (-3, -3, 13, 15)):
        y1, x1, y2, x2 = box
        expected = np.zeros((10, 12), bool)
        expected[max(y1, 0) : y2, max(x1, 0) : x2] = True
        np.testing.assert_array_equal(unmold_mask(mask, box, (10, 12, 3)), expected)
        np.testing.assert_array_equal(expand_mask([box], mask[..., np.newaxis], (10, 12))[..., 0], expected)


def test_the_part_inside_the_image_is_that_of_the_whole_box():
    mask = np.random.default_rng(8).random((28, 28)).astype(np.float32)
    whole = unmold_mask(mask, (5, 5, 45, 55), (60, 60, 3))
    np.testing.assert_array_equal(unmold_mask(mask, (-15, -10, 25, 40), (20, 30, 3)), whole[20:40, 15:45])


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (3, 4, 3, 9), (5, 5, 2, 8), (20, 20, 30, 30), (-9, -9, -2, -2)])
def test_a_box_without_area_or_outside_the_image_gives_an_empty_mask(box):
    assert not unmold_mask(np.ones((28, 28)), box, (10, 12, 3)).any()
    assert not expand_mask([box], np.ones((28, 28, 1), bool), (10, 12)).any()


def test_boxes_of_floats_are_taken_as_whole_pixels():
    mask = np.ones((28, 28), np.float32)
    np.testing.assert_array_equal(
        unmold_mask(mask, np.array([1.0, 2.0, 5.0, 6.0], np.float32), (9, 9)), unmold_mask(mask, (1, 2, 5, 6), (9, 9))
    )


def test_molding_makes_mini_masks_or_bool_masks():
    masks = blobs(40, 50, 3, seed=9)
    np.testing.assert_array_equal(mold_mask(masks.astype(np.uint8)), masks)
    expected = minimize_mask(extract_bboxes(masks), masks, (28, 28))
    np.testing.assert_array_equal(mold_mask(masks, mini_shape=(28, 28)), expected)


def test_arguments_stay_as_they_are():
    masks = blobs(30, 30, 3, seed=4).astype(np.float32)
    copy = masks.copy()
    boxes = extract_bboxes(masks)
    mini = minimize_mask(boxes, masks, (28, 28))
    expand_mask(boxes, mini, (30, 30))
    resize_mask(masks, 1, NO_PADDING)[:] = 5
    unmold_mask(masks[..., 0], boxes[0], (30, 30))
    np.testing.assert_array_equal(masks, copy)


def test_wrong_shapes_are_named():
    plane = np.ones((5, 5))
    for call in (
        lambda: resize_mask(plane, 1, NO_PADDING),
        lambda: minimize_mask([[0, 0, 5, 5]], plane, (28, 28)),
        lambda: expand_mask([[0, 0, 5, 5]], plane, (5, 5)),
        lambda: compute_overlaps_masks(plane, plane),
    ):
        with pytest.raises(DatasetError, match=r"expected masks \[height, width, instances\], received shape=\(5, 5\)"):
            call()
    with pytest.raises(DatasetError, match=r"unmold_mask: expected one mask .* received shape=\(28, 28, 3\)"):
        unmold_mask(np.ones((28, 28, 3)), (0, 0, 5, 5), (9, 9))
    with pytest.raises(DatasetError, match=r"masks1.shape=\(5, 5, 1\), masks2.shape=\(6, 5, 1\)"):
        compute_overlaps_masks(np.ones((5, 5, 1)), np.ones((6, 5, 1)))
