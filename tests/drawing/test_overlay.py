"""Overlays: pixels in, pixels out. Where they change the image, in which colours, and where labels go."""

import numpy as np
import pytest

from mrcnn_plus.drawing.colors import distinct_colors
from mrcnn_plus.drawing.overlay import draw_overlay
from mrcnn_plus.errors import DatasetError

from .conftest import NAMES


@pytest.fixture
def large():
    """A grey image with two large instances that do not touch."""
    masks = np.zeros((300, 400, 2), bool)
    masks[60:260, 30:180, 0] = masks[80:280, 220:390, 1] = True
    return np.full((300, 400, 3), 90, np.uint8), np.array([[60, 30, 260, 180], [80, 220, 280, 390]]), masks


def test_the_picture_has_the_size_of_the_image_and_the_image_is_not_changed(scene):
    image, boxes, masks, class_ids = scene
    before = image.copy()
    picture = draw_overlay(image, boxes, masks, class_ids, NAMES, [0.9, 0.8, 0.7], show_labels=True, show_boxes=True)
    assert picture.shape == image.shape and picture.dtype == np.uint8
    np.testing.assert_array_equal(image, before)
    assert picture is not image


def test_without_labels_only_the_masks_change_and_the_outline_is_stronger_than_the_tint(large):
    image, boxes, masks = large
    picture = draw_overlay(image, boxes, masks, [1, 2], NAMES, colors=[(1, 0, 0), (0, 0, 1)], show_labels=False)
    np.testing.assert_array_equal((picture != image).any(axis=-1), masks.any(axis=-1))
    assert picture[150, 100].tolist() == [147, 58, 58]
    assert picture[150, 30].tolist() == [255, 0, 0]
    assert picture[150, 300].tolist() == [58, 58, 147]


def test_small_instances_lie_on_top_of_large_ones():
    image = np.zeros((100, 100, 3), np.uint8)
    masks = np.zeros((100, 100, 2), bool)
    masks[40:60, 40:60, 0] = masks[10:90, 10:90, 1] = True
    boxes = np.array([[40, 40, 60, 60], [10, 10, 90, 90]])
    for order in ([0, 1], [1, 0]):
        colors = np.array([(1, 0, 0), (0, 0, 1)])[order]
        picture = draw_overlay(image, boxes[order], masks[..., order], [1, 1], NAMES, colors=colors, show_labels=False)
        red, _, blue = picture[50, 50]
        assert red > blue
        assert picture[40, 50].tolist() == [255, 0, 0]


def test_labels_stand_on_large_instances_and_not_on_small_ones_unless_asked_for(large):
    image, boxes, masks = large
    plain = draw_overlay(image, boxes, masks, [1, 2], NAMES, show_labels=False)
    assert (draw_overlay(image, boxes, masks, [1, 2], NAMES) != plain).any()
    boxes = np.array([[100, 100, 110, 110], [200, 300, 212, 312]])
    masks = np.zeros((300, 400, 2), bool)
    masks[100:110, 100:110, 0] = masks[200:212, 300:312, 1] = True
    plain = draw_overlay(image, boxes, masks, [1, 2], NAMES, show_labels=False)
    np.testing.assert_array_equal(draw_overlay(image, boxes, masks, [1, 2], NAMES), plain)
    assert (draw_overlay(image, boxes, masks, [1, 2], NAMES, show_labels=True) != plain).any()


def label_area(picture, plain):
    rows, columns = np.nonzero((picture != plain).any(axis=-1))
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


def test_a_label_stands_above_the_top_of_the_object_and_inside_the_image():
    image = np.full((300, 400, 3), 90, np.uint8)
    masks = np.zeros((300, 400, 1), bool)
    masks[100:250, 50:350] = True
    masks[60:100, 300:310] = True  # a stem, the top of the object
    box = np.array([[60, 50, 250, 350]])
    arguments = (image, box, masks, [2], NAMES)
    y1, x1, y2, x2 = label_area(draw_overlay(*arguments), draw_overlay(*arguments, show_labels=False))
    assert y2 <= 60 and abs((x1 + x2) / 2 - 304.5) < 3
    width = x2 - x1
    masks[0:60, 399:400] = True  # now the top lies in the corner of the image
    y1, x1, y2, x2 = label_area(draw_overlay(*arguments), draw_overlay(*arguments, show_labels=False))
    # The outline of the object, in the same colour, lies under the last column of the label.
    assert y1 == 0 and x2 == 399 and x2 - x1 == width - 1


def test_a_label_stands_on_the_corner_of_the_box_where_boxes_are_drawn(large):
    image, boxes, masks = large
    masks[60:100, 30:150, 0] = False  # the top of the object lies far from the corner
    arguments = (image, boxes[:1], masks[..., :1], [1], NAMES)
    y1, x1, y2, _ = label_area(
        draw_overlay(*arguments, show_boxes=True), draw_overlay(*arguments, show_boxes=True, show_labels=False)
    )
    assert (x1, y2) == (30, 60) and y1 < 50


def test_labels_do_not_cover_each_other():
    image = np.zeros((300, 400, 3), np.uint8)
    boxes = np.array([[100, 50, 250, 300], [102, 52, 248, 298]])
    both = draw_overlay(image, boxes, None, [1, 2], NAMES, colors=["red", "lime"], show_labels=True)
    only = draw_overlay(image, boxes[1:], None, [2], NAMES, colors=["lime"], show_labels=True)
    # The label of the smaller one is complete, the other is left out.
    np.testing.assert_array_equal(both[80:99], only[80:99])


def test_scores_and_names_that_are_not_ascii_are_drawn(large):
    image, boxes, masks = large
    pictures = [
        draw_overlay(image, boxes, masks, [1, 1], ["BG", name], scores, colors=["lime"] * 2)
        for name, scores in (("Kern", None), ("Kern", [0.5, 0.9]), ("Käfer", None), ("ядро", None), ("клас", None))
    ]
    for n, picture in enumerate(pictures):
        assert all((picture != other).any() for other in pictures[:n])


def test_boxes_are_drawn_without_masks_or_when_asked_for(large):
    image, boxes, masks = large
    masks[60:100, 30:100, 0] = False  # so that the corner of the box is not in the mask
    colors = [(1, 0, 0), (0, 1, 0)]
    for given, show_boxes, drawn in ((None, False, True), (masks, True, True), (masks, False, False)):
        picture = draw_overlay(
            image, boxes, given, [1, 2], NAMES, colors=colors, show_labels=False, show_boxes=show_boxes
        )
        assert (picture[60, 30].tolist() == [255, 0, 0]) == drawn
    outside = draw_overlay(image, boxes, None, [1, 2], NAMES, colors=colors, show_labels=False)
    # x2, y2 are exclusive: the last pixel of the box is drawn, the next is not.
    assert outside[259, 179].tolist() == [255, 0, 0] and outside[260, 180].tolist() == [90, 90, 90]


def test_nothing_to_draw_gives_a_copy_of_the_image(scene):
    image = scene[0]
    picture = draw_overlay(image, np.zeros((0, 4)), np.zeros((60, 80, 0)), [], NAMES)
    np.testing.assert_array_equal(picture, image)
    assert not np.shares_memory(picture, image)
    # So does what Dataset.load_mask answers by default.
    np.testing.assert_array_equal(draw_overlay(image, [], np.zeros((0, 0, 0)), [], NAMES), image)


def test_empty_masks_and_grey_images_are_drawn():
    masks = np.zeros((60, 80, 1), bool)
    picture = draw_overlay(np.full((60, 80), 40, np.uint8), [[5, 5, 40, 60]], masks, [1], NAMES, show_labels=True)
    assert picture.shape == (60, 80, 3)


def test_counts_and_class_names_are_checked(scene):
    image, boxes, masks, class_ids = scene
    with pytest.raises(DatasetError, match=r"draw_overlay.*boxes=3, masks=\[60, 80, 2\], class_ids=3"):
        draw_overlay(image, boxes, masks[..., :2], class_ids, NAMES)
    with pytest.raises(DatasetError, match=r"class_ids=\[2\] and 2 class_names"):
        draw_overlay(image, boxes, masks, class_ids, NAMES[:2])


def test_default_colors_are_distinct_bright_and_the_same_each_time():
    colors = np.array(distinct_colors(60))
    np.testing.assert_array_equal(colors, distinct_colors(60))
    distances = np.abs(colors[:, None] - colors[None]).sum(axis=-1) + np.eye(60)
    assert distances.min() > 0.02
    assert np.abs(np.diff(colors, axis=0)).sum(axis=-1).min() > 0.4
    assert (colors @ [0.299, 0.587, 0.114]).min() >= 0.449
