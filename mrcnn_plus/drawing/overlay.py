"""Instances drawn into the pixels of an image at its own size: for files, batches and video. No figure, no window.

OpenCV draws masks, outlines and boxes; `drawing.labels` sets the labels.
"""

import cv2
import numpy as np

from mrcnn_plus.drawing.canvas import apply_mask, check_instances, class_labels, mask_parts, to_rgb_pixels
from mrcnn_plus.drawing.colors import instance_colors
from mrcnn_plus.drawing.labels import paint_labels, place_labels

MASK_OPACITY = 0.35
# Images whose shorter side has this many pixels get smoothed outlines.
SMOOTH_FROM = 500


def draw_overlay(
    image, rois, masks, class_ids, class_names, scores=None, *, colors=None, show_labels=None, show_boxes=False
):
    """A picture of the detections of one image, or of its ground truth: uint8 [H, W, 3], as large as the image.

    image: [H, W, C] or [H, W]; not changed. rois: [N, (y1, x1, y2, x2)] pixels. class_ids: [N] int.
    masks: [H, W, N] bool or 0/1, or None to draw boxes instead. scores: [N] float in 0..1, shown as per cent.
    class_names: names by class id, the background first.
    colors: N colours; "class" for the colour of each one's class, the same in all images and runs, as videos need it;
        default: as distinct as N can be, so that neighbours can be told apart.
    show_labels: name and score above each instance. True: all, except where labels would overlap; None: only those that
        are small against their instance, so that labels do not hide a crowd of small objects; False: none.
    show_boxes: draw boxes as well as masks.

    Errors: DatasetError if the arrays do not belong together or a class has no name.
    """
    place = "draw_overlay"
    rois, class_ids = np.asarray(rois).reshape(-1, 4), np.asarray(class_ids)
    count = len(rois)
    pixels = to_rgb_pixels(image)
    if count == 0:
        return pixels
    given = None if isinstance(colors, str) else colors
    check_instances(place, image, boxes=rois, masks=masks, class_ids=class_ids, scores=scores, colors=given)
    colors = instance_colors(place, colors, class_ids, class_names)
    colors = [tuple(round(255 * channel) for channel in color) for color in colors]
    thickness = max(1, round(min(pixels.shape[:2]) / 700))
    parts = None if masks is None else mask_parts(masks)
    # Small instances last, so that they lie on top of large ones and stay visible.
    areas = (rois[:, 2] - rois[:, 0]) * (rois[:, 3] - rois[:, 1])
    by_size = np.argsort(areas, kind="stable")
    for i in by_size[::-1]:
        if parts is not None:
            paint_mask(pixels, parts[i], colors[i], thickness)
        if parts is None or show_boxes:
            y1, x1, y2, x2 = (round(float(side)) for side in rois[i])
            cv2.rectangle(pixels, (x1, y1), (x2 - 1, y2 - 1), colors[i], thickness)
    if show_labels is not False:
        texts = class_labels(place, class_ids, class_names)
        if scores is not None:
            texts = [f"{text} {100 * score:.0f}%" for text, score in zip(texts, scores, strict=True)]
        labels = place_labels(texts, rois, None if show_boxes else parts, pixels.shape)
        chosen = [i for i in by_size if show_labels or labels[i].width * labels[i].height <= areas[i] / 4]
        pixels = paint_labels(pixels, [labels[i] for i in chosen], [colors[i] for i in chosen])
    return pixels


def paint_mask(pixels, part, color, thickness):
    """Tint the inside of a `MaskPart` and draw its outline, in place. color: RGB in 0..255. thickness: pixels."""
    apply_mask(part.of(pixels), part.inside, [channel / 255 for channel in color], MASK_OPACITY)
    outlines, _ = cv2.findContours(
        part.inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(part.left, part.top)
    )
    # In small images a sharp line stays inside its mask; in large ones a smoothed line looks better.
    smooth = min(pixels.shape[:2]) >= SMOOTH_FROM
    cv2.drawContours(pixels, outlines, -1, color, thickness, lineType=cv2.LINE_AA if smooth else cv2.LINE_8)
