"""Pixels for display, colours, blending, outlines, and the checks that every drawing shares."""

import random

import numpy as np
import pytest
from matplotlib.figure import Figure

from mrcnn_plus.drawing import canvas
from mrcnn_plus.errors import DatasetError


def test_any_number_of_channels_becomes_rgb_without_changing_the_image():
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    color = np.stack([grey, grey + 1, grey + 2], -1)
    repeated = np.stack([grey] * 3, -1)
    many = np.concatenate([color, color + 9], -1)
    for image, expected in ((grey, repeated), (grey[..., None], repeated), (color, color.copy()), (many, color.copy())):
        pixels = canvas.to_rgb_pixels(image)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, expected)
        pixels[:] = 0
        assert image.max() > 0


def test_values_beyond_a_byte_are_clipped_and_not_wrapped():
    image = np.array([[[-5.0, 300.0, np.nan], [7.6, 255.0, 0.0]]])
    assert canvas.to_rgb_pixels(image).tolist() == [[[0, 255, 0], [7, 255, 0]]]


def test_a_batch_is_not_an_image():
    with pytest.raises(DatasetError, match=r"image=\[1, 8, 8, 3\]"):
        canvas.to_rgb_pixels(np.zeros((1, 8, 8, 3)))


def test_random_colors_are_the_evenly_spaced_hues_in_random_order():
    random.seed(1)
    assert sorted(canvas.random_colors(3)) == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    assert max(max(color) for color in canvas.random_colors(5, bright=False)) == 0.7
    orders = {tuple(canvas.random_colors(6)) for _ in range(5)}
    assert len(orders) > 1
    assert canvas.random_colors(0) == []


@pytest.mark.parametrize("mask_type", [bool, np.uint8, np.float32])
def test_apply_mask_blends_in_place_and_returns_the_image(mask_type):
    image = np.full((2, 2, 3), 100, np.uint8)
    mask = np.array([[1, 0], [0, 1]]).astype(mask_type)
    answer = canvas.apply_mask(image, mask, (1.0, 0.0, 0.5), alpha=0.25)
    assert answer is image
    assert image[0, 0].tolist() == image[1, 1].tolist() == [138, 75, 106]
    assert image[0, 1].tolist() == [100, 100, 100]


def test_draw_box_paints_two_pixels_of_each_side_in_place():
    image = np.zeros((12, 14, 3), np.uint8)
    assert canvas.draw_box(image, np.array([2, 3, 8, 10]), (9, 8, 7)) is image
    painted = np.zeros((12, 14), bool)
    painted[2:4, 3:10] = painted[8:10, 3:10] = painted[2:8, 3:5] = painted[2:8, 10:12] = True
    np.testing.assert_array_equal(image[..., 0] == 9, painted)
    # A box that reaches over the border is cut and does not come in again on the other side.
    image = canvas.draw_box(np.zeros((12, 14, 3), np.uint8), (-3, -3, 4, 4), (1, 1, 1))
    assert image[6:].sum() == image[:, 6:].sum() == 0 < image.sum()


def test_outlines_of_a_mask_at_the_border_are_closed_and_lie_half_a_pixel_outside():
    masks = np.zeros((20, 30, 1), bool)
    masks[0:6, 25:30, 0] = True
    (outline,) = canvas.mask_outlines(canvas.mask_parts(masks)[0])
    np.testing.assert_array_equal(outline[0], outline[-1])
    assert outline.min(axis=0).tolist() == [24.5, -0.5]
    assert outline.max(axis=0).tolist() == [29.5, 5.5]


def test_a_hole_and_a_second_piece_have_outlines_of_their_own():
    masks = np.zeros((30, 30, 2), bool)
    masks[2:12, 2:12, 0] = masks[20:25, 20:25, 0] = True
    masks[5:8, 5:8, 0] = False
    ring, nothing = canvas.mask_parts(masks)
    assert len(canvas.mask_outlines(ring)) == 3
    assert canvas.mask_outlines(nothing) == []


def test_mask_parts_hold_exactly_the_object():
    masks = np.zeros((20, 30, 1), np.uint8)
    masks[4:9, 10:14, 0] = 255
    (part,) = canvas.mask_parts(masks)
    assert (part.top, part.left, part.inside.shape) == (4, 10, (5, 4)) and part.inside.all()
    whole = np.zeros((20, 30))
    part.of(whole)[part.inside] = 1
    np.testing.assert_array_equal(whole, masks[..., 0] > 0)


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"class_ids": [1, 2]}, r"boxes=3, masks=\[8, 9, 3\], class_ids=2"),
        ({"scores": [0.5]}, "boxes=3.*scores=1"),
        ({"captions": ["a"] * 4}, "boxes=3.*captions=4"),
        ({"masks": np.zeros((8, 9, 2))}, r"boxes=3, masks=\[8, 9, 2\]"),
        ({"masks": np.zeros((8, 9))}, r"masks=\[8, 9\]"),
        ({"masks": np.zeros((4, 4, 3))}, r"\[8, 9\], received masks=\[4, 4, 3\].*expand_mask"),
    ],
)
def test_arrays_that_do_not_belong_together_are_an_error_with_the_counts(wrong, message):
    given = {"boxes": np.ones((3, 4)), "masks": np.zeros((8, 9, 3))} | wrong
    with pytest.raises(DatasetError, match=message):
        canvas.check_instances("here", np.zeros((8, 9, 3)), **given)


def test_what_is_not_given_is_not_checked():
    canvas.check_instances("here", np.zeros((8, 9, 3)), boxes=np.ones((3, 4)), masks=None)


def test_a_class_without_name_is_an_error_that_lists_the_names():
    with pytest.raises(DatasetError, match=r"class_ids=\[2, 7\] and 2 class_names=\['BG', 'nut'\]"):
        canvas.class_labels("here", np.array([1, 7, 2]), ["BG", "nut"])
    with pytest.raises(DatasetError, match=r"class_ids=\[-3\]"):
        canvas.class_labels("here", np.array([-3]), ["BG", "nut"])
    assert canvas.class_labels("here", np.array([1, -1]), ["BG", "nut"]) == ["nut", "nut (crowd)"]


@pytest.mark.parametrize("size", [(29, 57), (256, 256), (101, 333), (1022, 1188), (3001, 17)])
def test_pictures_are_saved_at_exactly_the_size_of_the_image(tmp_path, size):
    import cv2

    canvas.save_at_image_size(tmp_path / "a.png", size, lambda ax: ax.imshow(np.zeros((*size, 3), np.uint8)))
    assert cv2.imread(str(tmp_path / "a.png")).shape == (*size, 3)


def test_a_saved_picture_shows_the_image_pixel_by_pixel(tmp_path):
    import cv2

    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    canvas.save_at_image_size(tmp_path / "a.png", image.shape, lambda ax: ax.imshow(image))
    saved = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    np.testing.assert_allclose(saved.astype(int), image, atol=2)


def test_the_image_area_has_a_margin():
    ax = Figure().add_subplot()
    canvas.show_image_area(ax, np.zeros((40, 60, 3)), margin=10)
    assert ax.get_xlim() == (-10, 70) and ax.get_ylim() == (50, -10)
