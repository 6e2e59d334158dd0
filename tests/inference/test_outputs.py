"""From the network's answer to instances of the original image, worked out by hand."""

import numpy as np
from pycocotools import mask as coco_mask

from mrcnn_plus.geometry.boxes import norm_boxes
from mrcnn_plus.inference.outputs import unmold_detections, unmold_instances

CLASSES = 3
MOLDED, WINDOW = (128, 128, 3), (32, 0, 96, 128)  # an image of 32 x 64, enlarged twice, padded above and below
ORIGINAL = (32, 64, 3)


def answer(boxes_px, class_ids, scores=None, slots=6):
    """What the network gives for boxes in pixels of the molded image: detections, and masks that are full."""
    detections = np.zeros((slots, 6), "float32")
    count = len(class_ids)
    detections[:count, :4] = norm_boxes(np.array(boxes_px, "float32").reshape(-1, 4), MOLDED[:2])
    detections[:count, 4] = class_ids
    detections[:count, 5] = np.linspace(0.9, 0.5, count) if scores is None else scores
    return detections, np.ones((slots, 28, 28, CLASSES), "float32")


def unmold(detections, masks):
    return unmold_detections(detections, masks, ORIGINAL, MOLDED, WINDOW)


def test_boxes_go_back_through_padding_and_scale():
    boxes, class_ids, scores, masks = unmold(*answer([[32, 0, 96, 128], [42, 20, 62, 60]], [1, 2]))
    assert np.abs(boxes - [[0, 0, 32, 64], [5, 10, 15, 30]]).max() <= 1
    assert boxes[0].tolist() == [0, 0, 32, 64], "the window is the whole image, to the pixel"
    assert class_ids.tolist() == [1, 2] and np.allclose(scores, [0.9, 0.5])
    assert (boxes.dtype, class_ids.dtype, scores.dtype, masks.dtype) == (np.int32, np.int32, np.float32, bool)


def test_a_full_mask_fills_its_box_in_the_original_image():
    boxes, _, _, masks = unmold(*answer([[42, 20, 62, 60]], [1]))
    assert masks.shape == (32, 64, 1)
    ys, xs = np.nonzero(masks[..., 0])
    assert [ys.min(), xs.min(), ys.max() + 1, xs.max() + 1] == boxes[0].tolist()
    assert masks.sum() == len(ys) == (boxes[0, 2] - boxes[0, 0]) * (boxes[0, 3] - boxes[0, 1])


def test_the_mask_is_that_of_the_detected_class():
    detections, masks = answer([[32, 0, 96, 128]], [2])
    masks[..., 2] = 0
    masks[:, :, :14, 2] = 1  # the left half
    found = unmold(detections, masks)[3]
    assert found[:, :30, 0].all() and not found[:, 34:, 0].any()


def test_rows_from_the_first_padding_row_on_are_left_out():
    boxes, class_ids, scores, masks = unmold(*answer([], []))
    assert boxes.shape == (0, 4) and class_ids.shape == scores.shape == (0,) and masks.shape == (32, 64, 0)
    full = answer([[32, 0, 96, 128]] * 6, [1] * 6)
    assert len(unmold(*full)[0]) == 6, "no padding row at all"


def test_boxes_that_vanish_in_whole_pixels_are_left_out_with_all_that_belongs_to_them():
    detections, masks = answer([[42, 20, 62, 60], [42, 20, 41, 60], [50, 40, 80, 90]], [1, 2, 1], [0.9, 0.8, 0.7])
    boxes, class_ids, scores, found = unmold(detections, masks)
    assert len(boxes) == found.shape[-1] == 2
    assert class_ids.tolist() == [1, 1] and np.allclose(scores, [0.9, 0.7])


def test_arguments_are_not_changed():
    detections, masks = answer([[42, 20, 62, 60]], [1])
    copies = detections.copy(), masks.copy()
    unmold(detections, masks)
    np.testing.assert_array_equal(detections, copies[0])
    np.testing.assert_array_equal(masks, copies[1])


def test_masks_cut_to_their_boxes_and_run_lengths_say_what_full_masks_say():
    detections, masks = answer([[32, 0, 96, 128], [42, 20, 62, 60], [20, -30, 50, 40]], [1, 2, 1])
    masks[:, :14, 10:] = 0
    class_masks = masks[..., 1]
    boxes, _, _, full = unmold_instances(detections, class_masks, ORIGINAL, MOLDED, WINDOW)
    *_, crops = unmold_instances(detections, class_masks, ORIGINAL, MOLDED, WINDOW, form="crop")
    *_, runs = unmold_instances(detections, class_masks, ORIGINAL, MOLDED, WINDOW, form="rle")
    assert full.any(axis=(0, 1)).all() and not full.all(axis=(0, 1)).any(), "masks with and without pixels"
    for index, (y1, x1, y2, x2) in enumerate(boxes):
        assert (crops[index] == full[max(y1, 0) : y2, max(x1, 0) : x2, index]).all() and crops[index].dtype == bool
        assert crops[index].sum() == full[..., index].sum()
        assert (coco_mask.decode(runs[index]) == full[..., index]).all()
