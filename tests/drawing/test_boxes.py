"""Boxes, refinements and ROIs: how many of what is drawn, in which style, and input that does not fit."""

import logging

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Polygon, Rectangle

from mrcnn_plus.drawing.boxes import draw_boxes, draw_rois
from mrcnn_plus.errors import DatasetError

from .conftest import NAMES

GREY = (0.5, 0.5, 0.5)


def rectangles(ax):
    return [patch for patch in ax.patches if isinstance(patch, Rectangle)]


def test_visibility_decides_style_and_whether_the_refinement_is_drawn(scene, ax):
    image, boxes, _, _ = scene
    draw_boxes(image, boxes, boxes + 2, visibilities=[0, 1, 2], title="all", ax=ax)
    drawn = rectangles(ax)
    assert [patch.get_linestyle() for patch in drawn] == ["dotted", "dotted", "solid", "solid", "solid"]
    assert drawn[0].get_edgecolor() == (*GREY, 0.5)
    assert [tuple(p.get_xy()) for p in drawn] == [(5, 5), (10, 30), (12, 32), (60, 40), (62, 42)]
    # A line joins each refinement to its box, in the colour of both.
    assert [line.get_xydata().tolist() for line in ax.lines] == [[[10, 30], [12, 32]], [[60, 40], [62, 42]]]
    assert ax.lines[0].get_color() == drawn[1].get_edgecolor()[:3] == drawn[2].get_edgecolor()[:3]
    assert ax.get_title() == "all"


def test_captions_stand_at_the_refinement_where_there_is_one(scene, ax):
    image, boxes, _, _ = scene
    draw_boxes(image, boxes, boxes + 2, captions=["a", "b", "c"], visibilities=[0, 1, 2], ax=ax)
    assert [(text.get_text(), text.get_position()) for text in ax.texts] == [
        ("a", (5, 5)), ("b", (12, 32)), ("c", (62, 42)),
    ]  # fmt: skip


def test_masks_are_tinted_and_outlined_and_the_image_is_not_changed(scene, ax):
    image, boxes, masks, _ = scene
    before = image.copy()
    draw_boxes(image, refined_boxes=boxes, masks=masks, ax=ax)
    assert len([p for p in ax.patches if isinstance(p, Polygon)]) == len(rectangles(ax)) == 3
    changed = (np.asarray(ax.images[0].get_array()) != image).any(axis=-1)
    np.testing.assert_array_equal(changed, masks.any(axis=-1))
    np.testing.assert_array_equal(image, before)


def test_padding_is_not_drawn(scene, ax):
    image, boxes, _, _ = scene
    draw_boxes(image, np.pad(boxes, ((0, 2), (0, 0))), captions=list("abcde"), ax=ax)
    assert len(rectangles(ax)) == len(ax.texts) == 3


def test_no_boxes_draw_the_image_alone(scene, ax):
    draw_boxes(scene[0], np.zeros((0, 4)), ax=ax)
    assert len(ax.patches) == 0 and len(ax.images) == 1


def test_without_axes_a_figure_is_made_and_left_for_the_caller_to_show(scene, shown):
    draw_boxes(scene[0], scene[1])
    assert plt.get_fignums() == [1] and shown == []


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "boxes=None, refined_boxes=None"),
        ({"boxes": np.ones((2, 4)), "refined_boxes": np.ones((3, 4))}, "2, received refined_boxes=3"),
        ({"boxes": np.ones((2, 4)), "visibilities": [1]}, "2, received visibilities=1"),
        ({"boxes": np.ones((2, 4)), "visibilities": [1, 3]}, "0, 1 or 2"),
        ({"boxes": np.ones((2, 4)), "captions": ["a"]}, "boxes=2, captions=1"),
        ({"boxes": np.ones((2, 4)), "masks": np.zeros((60, 80, 1))}, r"boxes=2, masks=\[60, 80, 1\]"),
    ],
)
def test_input_that_does_not_fit_is_an_error(scene, ax, arguments, message):
    with pytest.raises(DatasetError, match=message):
        draw_boxes(scene[0], ax=ax, **arguments)


def test_rois_are_dashed_and_positive_ones_have_refinement_label_and_mask(scene, ax, caplog):
    image, boxes, _, _ = scene
    with caplog.at_level(logging.INFO):
        draw_rois(image, boxes, boxes + 3, np.ones((3, 28, 28)), np.array([1, 0, 2]), NAMES, ax=ax)
    assert [patch.get_linestyle() for patch in rectangles(ax)] == ["dashed", "solid", "dashed", "dashed", "solid"]
    assert [(text.get_text(), text.get_position()) for text in ax.texts] == [("date", (8, 16)), ("fig", (63, 51))]
    changed = (np.asarray(ax.images[0].get_array()) != image).any(axis=-1)
    # The mask head answers relative to the ROI, not to the refined box.
    expected = np.zeros((60, 80), bool)
    expected[5:25, 5:30] = expected[40:60, 60:80] = True
    assert (changed != expected).mean() < 0.01
    assert ax.get_title() == "3 ROIs"
    assert "Positive ROIs: 2, negative ROIs: 1, positive ratio: 0.67" in caplog.text


def test_too_many_rois_are_sampled_without_repetition(scene, ax):
    image = scene[0]
    rois = np.array([[n, n, n + 10, n + 10] for n in range(30)])
    draw_rois(image, rois, rois, np.zeros((30, 28, 28)), np.zeros(30, int), NAMES, limit=12, ax=ax)
    corners = {tuple(patch.get_xy()) for patch in rectangles(ax)}
    assert len(corners) == 12 and len(ax.texts) == 0
    assert ax.get_title() == "Showing 12 random ROIs out of 30"


def test_no_rois_draw_the_image_alone(scene, ax):
    draw_rois(scene[0], np.zeros((0, 4)), np.zeros((0, 4)), np.zeros((0, 28, 28)), np.zeros(0, int), NAMES, ax=ax)
    assert len(ax.patches) == 0 and len(ax.images) == 1
