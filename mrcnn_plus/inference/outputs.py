"""From the network's answer to instances in the pixels of the original image."""

import numpy as np
from pycocotools import mask as coco_mask

from mrcnn_plus.geometry import boxes as box_geometry
from mrcnn_plus.geometry import masks as mask_geometry


def unmold_detections(detections, mrcnn_mask, original_image_shape, image_shape, window):
    """Boxes, classes, scores and full-size masks of one image. compat: MaskRCNN.unmold_detections.

    detections: `[D, (y1, x1, y2, x2, class_id, score)]`, normalized, padded with zeros. mrcnn_mask: sigmoid values
    `[D, h, w, C]`. original_image_shape, image_shape: of the file and of the molded image. window: the image inside its
    padding, pixels of the molded image.

    Returns boxes int32 `[N, 4]` in pixels of the original image, class ids int32 `[N]`, scores float32 `[N]`, masks
    bool `[height, width, N]`. Boxes that vanish in whole pixels are left out.
    """
    count = number_of_detections(detections)
    class_masks = mrcnn_mask[np.arange(count), :, :, detections[:count, 4].astype(np.int32)]
    return unmold_instances(detections, class_masks, original_image_shape, image_shape, window)


def number_of_detections(detections):
    """How many of the rows `[D, 6]` hold a detection; the others follow them."""
    padding = np.where(detections[:, 4] == 0)[0]
    return int(padding[0]) if len(padding) else len(detections)


def unmold_instances(detections, class_masks, original_image_shape, image_shape, window, *, form="full"):
    """As `unmold_detections`, with the mask of each detection's class, `[n, h, w]`.

    form: of the masks. "full": bool `[height, width, N]`. "crop": a list of N bool arrays with what lies in the boxes.
    "rle": a list of N dicts of COCO's run lengths, `{"size": [height, width], "counts": bytes}`.
    """
    count = number_of_detections(detections)
    class_ids = detections[:count, 4].astype(np.int32)
    scores = detections[:count, 5]
    class_masks = class_masks[:count]

    window_norm = box_geometry.norm_boxes(np.asarray(window), image_shape[:2])
    top, left, bottom, right = window_norm
    shift = np.array([top, left, top, left])
    scale = np.array([bottom - top, right - left, bottom - top, right - left])
    scale = np.where(scale > 0, scale, 1.0)  # an image that is one pixel high or wide after resizing
    boxes = box_geometry.denorm_boxes((detections[:count, :4] - shift) / scale, original_image_shape[:2])

    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, class_ids, scores, class_masks = boxes[keep], class_ids[keep], scores[keep], class_masks[keep]
    return boxes, class_ids, scores, _MASKS[form](class_masks, boxes, original_image_shape)


def _full_masks(class_masks, boxes, image_shape):
    masks = np.zeros((*image_shape[:2], len(boxes)), bool)
    for index, (mask, box) in enumerate(zip(class_masks, boxes, strict=True)):
        mask_geometry.paste_mask(mask, box, masks[..., index])
    return masks


def _cropped_masks(class_masks, boxes, image_shape):
    masks = []
    for mask, (y1, x1, y2, x2) in zip(class_masks, boxes, strict=True):
        inside = np.zeros((y2 - y1, x2 - x1), bool)
        mask_geometry.paste_mask(mask, (0, 0, *inside.shape), inside)
        top, left = max(-y1, 0), max(-x1, 0)
        masks.append(inside[top : top + image_shape[0] - max(y1, 0), left : left + image_shape[1] - max(x1, 0)])
    return masks


def _run_lengths(class_masks, boxes, image_shape):
    runs = []
    for mask, box in zip(class_masks, boxes, strict=True):
        full = np.zeros(image_shape[:2], np.uint8, order="F")
        mask_geometry.paste_mask(mask, box, full)
        runs.append(coco_mask.encode(full))
    return runs


_MASKS = {"full": _full_masks, "crop": _cropped_masks, "rle": _run_lengths}
#: What `return_masks` of `detect` may be.
MASK_FORMS = tuple(_MASKS)
