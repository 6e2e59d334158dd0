"""Images with instances: what is drawn on the axes, what is shown, what is saved, and input with nothing in it."""

import logging

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Polygon, Rectangle

from mrcnn_plus.drawing.instances import display_differences, display_images, display_instances, display_top_masks
from mrcnn_plus.errors import DatasetError

from .conftest import NAMES


def patches(ax, kind):
    return [patch for patch in ax.patches if isinstance(patch, kind)]


def texts(ax):
    return [text.get_text() for text in ax.texts]


def shown_pixels(ax):
    (picture,) = ax.images
    return np.asarray(picture.get_array())


def test_every_instance_has_box_outline_label_and_tinted_mask(scene, ax, shown):
    image, boxes, masks, class_ids = scene
    display_instances(image, boxes, masks, class_ids, NAMES, [0.9, 0.123456, 0.5], title="three", ax=ax)
    assert [tuple(map(float, p.get_bbox().bounds)) for p in patches(ax, Rectangle)] == [
        (5, 5, 25, 20), (10, 30, 30, 20), (60, 40, 20, 20),
    ]  # fmt: skip
    assert len(patches(ax, Polygon)) == 3
    assert texts(ax) == ["date 0.900", "fig 0.123", "date 0.500"]
    assert ax.get_title() == "three"
    changed = (shown_pixels(ax) != image).any(axis=-1)
    np.testing.assert_array_equal(changed, masks.any(axis=-1))
    # With axes given nothing is shown and pyplot has no figure.
    assert shown == [] and plt.get_fignums() == []


def test_masks_and_boxes_can_be_left_out(scene, ax):
    image, boxes, masks, class_ids = scene
    display_instances(image, boxes, masks, class_ids, NAMES, ax=ax, show_mask=False, show_bbox=False)
    assert patches(ax, Rectangle) == []
    # compat: the outlines stay without the masks.
    assert len(patches(ax, Polygon)) == 3
    np.testing.assert_array_equal(shown_pixels(ax), image)
    assert texts(ax) == ["date", "fig", "date"]


def test_boxes_alone_need_no_masks(scene, ax):
    image, boxes, _, class_ids = scene
    display_instances(image, boxes, None, class_ids, NAMES, ax=ax)
    assert len(patches(ax, Rectangle)) == 3 and patches(ax, Polygon) == []


@pytest.mark.parametrize("mask_type, one", [(bool, True), (np.uint8, 1), (np.uint8, 255), (np.float32, 1.0)])
def test_masks_of_any_type_look_the_same_and_nothing_given_is_changed(scene, ax, mask_type, one):
    image, boxes, masks, class_ids = scene
    typed = (masks * np.array(one)).astype(mask_type)
    before = [array.copy() for array in (image, boxes, typed, class_ids)]
    display_instances(image, boxes, typed, class_ids, NAMES, ax=ax, colors=[(1, 0, 0)] * 3)
    expected = image.astype(float)
    expected[masks.any(axis=-1)] = expected[masks.any(axis=-1)] * 0.5 + [127.5, 0, 0]
    np.testing.assert_allclose(shown_pixels(ax), expected, atol=1)
    for array, copy in zip((image, boxes, typed, class_ids), before, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_colors_and_captions_are_used_as_given(scene, ax):
    image, boxes, masks, class_ids = scene
    display_instances(image, boxes, masks, class_ids + 50, NAMES, captions=["a", "b", "c"], ax=ax,
                      colors=np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1.0]]))  # fmt: skip
    # With captions the names are not needed, so ids beyond them are allowed.
    assert texts(ax) == ["a", "b", "c"]
    assert [patch.get_edgecolor()[:3] for patch in patches(ax, Polygon)] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]


def test_more_colors_than_instances_may_be_given_and_a_score_of_zero_is_not_shown(scene, ax):
    image, boxes, masks, class_ids = scene
    display_instances(image, boxes, masks, class_ids, NAMES, [0.0, 1.0, 0.5], colors=[(0, 0, 1)] * 9, ax=ax)
    assert texts(ax) == ["date", "fig 1.000", "date 0.500"]


def test_padding_is_not_drawn(scene, ax):
    image, boxes, masks, class_ids = scene
    boxes = boxes.copy()
    boxes[1] = 0
    display_instances(image, boxes, masks, class_ids, NAMES, ax=ax)
    assert len(patches(ax, Rectangle)) == len(texts(ax)) == 2


def test_no_instances_still_show_the_image_and_say_so(scene, ax, caplog):
    image = scene[0]
    with caplog.at_level(logging.WARNING):
        display_instances(image, np.zeros((0, 4)), np.zeros((60, 80, 0)), np.zeros(0, int), NAMES, ax=ax)
    assert "No instances to display" in caplog.text
    np.testing.assert_array_equal(shown_pixels(ax), image)
    assert len(ax.patches) == len(ax.texts) == 0


@pytest.mark.parametrize("channels", [None, 1, 5])
def test_grey_and_multi_channel_images_can_be_shown(scene, ax, channels):
    _, boxes, masks, class_ids = scene
    image = np.full((60, 80) if channels is None else (60, 80, channels), 77, np.uint8)
    display_instances(image, boxes, masks, class_ids, NAMES, ax=ax, show_mask=False)
    assert (shown_pixels(ax) == 77).all() and shown_pixels(ax).shape == (60, 80, 3)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"class_ids": np.array([1, 2])}, r"boxes=3, masks=\[60, 80, 3\], class_ids=2"),
        ({"masks": np.zeros((60, 80, 4), bool)}, r"boxes=3, masks=\[60, 80, 4\], class_ids=3"),
        ({"masks": np.zeros((28, 28, 3), bool)}, r"masks=\[28, 28, 3\].*expand_mask"),
        ({"scores": [0.5]}, "scores=1"),
        ({"captions": ["a"]}, "captions=1"),
        ({"colors": [(1, 0, 0)]}, "colors=1"),
        ({"class_ids": np.array([1, 2, 3])}, r"class_ids=\[3\] and 3 class_names"),
    ],
)
def test_input_that_does_not_fit_is_an_error_with_the_numbers(scene, ax, change, message):
    image, boxes, masks, class_ids = scene
    arguments = {"boxes": boxes, "masks": masks, "class_ids": class_ids, "class_names": NAMES} | change
    with pytest.raises(DatasetError, match=message):
        display_instances(image, ax=ax, **arguments)


def test_without_axes_one_figure_is_made_and_shown(scene, shown):
    image, boxes, masks, class_ids = scene
    display_instances(image, boxes, masks, class_ids, NAMES, figsize=(5, 4))
    assert shown == [1]
    assert plt.gcf().get_size_inches().tolist() == [5, 4]


def test_showing_under_a_backend_without_windows_gives_no_warning(scene, monkeypatch, recwarn):
    monkeypatch.undo()
    # matplotlib keeps silent by itself on Linux without a display.
    monkeypatch.setenv("DISPLAY", ":0")
    image, boxes, masks, class_ids = scene
    display_instances(image, boxes, masks, class_ids, NAMES)
    assert [str(warning.message) for warning in recwarn] == []


@pytest.mark.parametrize("give_axes", [False, True])
def test_save_path_writes_the_picture_at_image_size_and_opens_no_window(scene, ax, shown, tmp_path, give_axes):
    image, boxes, masks, class_ids = scene
    axes = {"ax": ax} if give_axes else {}
    display_instances(image, boxes, masks, class_ids, NAMES, title="t", save_path=tmp_path / "a.png", **axes)
    assert cv2.imread(str(tmp_path / "a.png")).shape == image.shape
    assert shown == [] and plt.get_fignums() == []
    assert len(ax.texts) == (3 if give_axes else 0)


def test_differences_show_objects_green_detections_red_with_score_and_iou(scene, ax):
    image, gt_boxes, gt_masks, gt_ids = scene
    pred_masks = np.zeros((60, 80, 2), bool)
    pred_masks[5:25, 5:20, 0] = True  # 15 of 25 columns of object 0
    pred_masks[30:50, 10:40, 1] = True  # object 1
    pred_boxes = np.array([[5, 5, 25, 20], [30, 10, 50, 40]])
    # Given in rising order of score; the labels must stand with their own boxes nevertheless.
    display_differences(
        image, gt_boxes, gt_ids, gt_masks, pred_boxes, np.array([1, 2]), np.array([0.6, 0.9]), pred_masks, NAMES, ax=ax
    )
    assert texts(ax) == ["", "", "", "0.90 / 1.00", "0.60 / 0.60"]
    positions = [text.get_position() for text in ax.texts[3:]]
    assert positions == [(10, 38), (5, 13)]
    colors = [patch.get_edgecolor()[:3] for patch in patches(ax, Rectangle)]
    assert colors == [(0, 1, 0)] * 3 + [(1, 0, 0)] * 2
    assert "GT=green" in ax.get_title()


def test_a_false_detection_is_labelled_with_its_largest_overlap(scene, ax):
    image, gt_boxes, gt_masks, gt_ids = scene
    wrong = np.array([2])
    display_differences(
        image, gt_boxes, gt_ids, gt_masks, gt_boxes[:1], wrong, np.array([0.7]), gt_masks[..., :1], NAMES, ax=ax
    )
    assert texts(ax)[-1] == "0.70 / 1.00"


@pytest.mark.parametrize(
    "thresholds, caption",
    [
        ({"score_threshold": 0.1, "iou_threshold": 0.2}, "0.70 / 0.25"),
        ({"score_threshold": 0.1, "iou_threshold": 0.3}, "0.70 / 0.75"),
        ({"score_threshold": 0.3, "iou_threshold": 0.2}, "0.70 / 0.75"),
    ],
)
def test_a_match_is_labelled_with_the_overlap_of_the_matched_object(ax, thresholds, caption):
    masks = np.zeros((20, 40, 3), bool)
    masks[:, 0:10, 0] = masks[:, 10:40, 1] = masks[:, :, 2] = True
    boxes = np.array([[0, 0, 20, 10], [0, 10, 20, 40], [0, 0, 20, 40]])
    # Of the detection's own class is only the object that it overlaps by a quarter.
    display_differences(
        np.zeros((20, 40, 3), np.uint8), boxes[:2], np.array([1, 2]), masks[..., :2],
        boxes[2:], np.array([1]), np.array([0.7]), masks[..., 2:], NAMES, ax=ax, **thresholds,
    )  # fmt: skip
    assert texts(ax)[-1] == caption


@pytest.mark.parametrize("objects, detections", [(0, 2), (2, 0), (0, 0)])
def test_differences_with_nothing_on_one_side_are_drawn(scene, ax, objects, detections):
    image, boxes, masks, ids = scene
    display_differences(
        image, boxes[:objects], ids[:objects], masks[..., :objects],
        boxes[:detections], ids[:detections], np.full(detections, 0.5), masks[..., :detections], NAMES, ax=ax,
    )  # fmt: skip
    assert texts(ax) == [""] * objects + ["0.50 / 0.00"] * detections
    assert shown_pixels(ax).shape == image.shape


def test_padded_ground_truth_is_not_drawn(scene, ax):
    image, boxes, masks, ids = scene
    display_differences(
        image, np.pad(boxes, ((0, 2), (0, 0))), np.pad(ids, (0, 2)), np.pad(masks, ((0, 0), (0, 0), (0, 2))),
        boxes, ids, np.array([0.9, 0.8, 0.7]), masks, NAMES, ax=ax, show_mask=False, show_box=False,
    )  # fmt: skip
    assert len(texts(ax)) == 6 and patches(ax, Rectangle) == []


def test_differences_can_be_saved(scene, shown, tmp_path):
    image, boxes, masks, ids = scene
    scores = np.array([0.9, 0.8, 0.7])
    display_differences(image, boxes, ids, masks, boxes, ids, scores, masks, NAMES, save_path=tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")).shape == image.shape and shown == []


def test_images_stand_in_a_grid_with_their_titles(shown):
    images = [np.full((10, 20), 300.0), np.zeros((10, 20, 3), np.uint8), np.ones((10, 20, 1), bool),
              np.zeros((10, 20, 6))]  # fmt: skip
    display_images(images, titles=["a", "b"], cols=3, cmap="Blues")
    axes = plt.gcf().axes
    assert [a.get_title() for a in axes] == ["a", "b", "", ""]
    assert [a.get_subplotspec().get_gridspec().get_geometry() for a in axes] == [(2, 3)] * 4
    assert [np.asarray(a.images[0].get_array()).shape for a in axes] == [(10, 20), (10, 20, 3), (10, 20), (10, 20, 3)]
    assert np.asarray(axes[0].images[0].get_array()).max() == 255
    assert shown == [1]


def test_more_columns_than_images_and_no_images_can_be_shown(shown):
    display_images(np.zeros((2, 10, 10, 3), np.uint8), cols=40)
    assert plt.gcf().get_size_inches().min() >= 1
    display_images([])
    assert shown == [1, 2]


def test_a_full_last_row_is_followed_by_no_empty_one():
    display_images(np.zeros((6, 10, 10, 3), np.uint8), cols=3)
    assert plt.gcf().axes[0].get_subplotspec().get_gridspec().get_geometry() == (2, 3)


def test_top_masks_are_those_of_the_classes_that_cover_most(scene, shown):
    image, _, masks, class_ids = scene
    display_top_masks(image, masks, class_ids, NAMES, limit=3)
    axes = plt.gcf().axes
    # Class 1 covers 500 + 400 pixels, class 2 covers 600.
    assert [a.get_title() for a in axes] == ["H x W=60x80", "date", "fig", "-"]
    first = np.asarray(axes[1].images[0].get_array())
    np.testing.assert_array_equal(first, masks[..., 0] * 1 + masks[..., 2] * 2)
    assert np.asarray(axes[3].images[0].get_array()).max() == 0


def test_top_masks_stop_at_the_limit_and_work_without_instances(scene):
    image, _, masks, class_ids = scene
    display_top_masks(image, masks, class_ids, NAMES, limit=1)
    assert [a.get_title() for a in plt.gcf().axes] == ["H x W=60x80", "date"]
    display_top_masks(image, masks[..., :0], class_ids[:0], NAMES, limit=2)
    assert [a.get_title() for a in plt.gcf().axes] == ["H x W=60x80", "-", "-"]
