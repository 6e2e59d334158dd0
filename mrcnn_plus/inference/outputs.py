"""From the network's answer to instances in the pixels of the original image."""

import numpy as np

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
    padding = np.where(detections[:, 4] == 0)[0]
    count = padding[0] if len(padding) else len(detections)
    class_ids = detections[:count, 4].astype(np.int32)
    scores = detections[:count, 5]
    class_masks = mrcnn_mask[np.arange(count), :, :, class_ids]

    window_norm = box_geometry.norm_boxes(np.asarray(window), image_shape[:2])
    top, left, bottom, right = window_norm
    shift = np.array([top, left, top, left])
    scale = np.array([bottom - top, right - left, bottom - top, right - left])
    scale = np.where(scale > 0, scale, 1.0)  # an image that is one pixel high or wide after resizing
    boxes = box_geometry.denorm_boxes((detections[:count, :4] - shift) / scale, original_image_shape[:2])

    keep = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, class_ids, scores, class_masks = boxes[keep], class_ids[keep], scores[keep], class_masks[keep]
    masks = np.zeros((*original_image_shape[:2], len(boxes)), bool)
    for index, (mask, box) in enumerate(zip(class_masks, boxes, strict=True)):
        masks[..., index] = mask_geometry.unmold_mask(mask, box, original_image_shape)
    return boxes, class_ids, scores, masks
