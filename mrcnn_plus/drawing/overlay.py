"""Instances drawn into the pixels of an image at its own size: for files, batches and video. No figure, no window.

OpenCV draws masks, outlines and boxes. Labels are set in matplotlib's own font through Pillow, because OpenCV's fonts
know only ASCII and class names often hold more.
"""

import colorsys
import functools
import os
from typing import NamedTuple

import cv2
import numpy as np

from mrcnn_plus.drawing.canvas import apply_mask, check_instances, class_labels, mask_parts, rgb, to_rgb_pixels

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
    colors: N colours; default: as distinct as N can be, the same in every call.
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
    colors = distinct_colors(count) if colors is None else [rgb(color) for color in colors[:count]]
    check_instances(place, image, boxes=rois, masks=masks, class_ids=class_ids, scores=scores, colors=colors)
    colors = [tuple(round(255 * channel) for channel in color) for color in colors]
    thickness = max(1, round(min(pixels.shape[:2]) / 700))
    parts = None if masks is None else mask_parts(masks)
    # Small instances last, so that they lie on top of large ones and stay visible.
    areas = (rois[:, 2] - rois[:, 0]) * (rois[:, 3] - rois[:, 1])
    by_size = np.argsort(areas, kind="stable")
    for i in by_size[::-1]:
        if parts is not None:
            _paint_mask(pixels, parts[i], colors[i], thickness)
        if parts is None or show_boxes:
            y1, x1, y2, x2 = (round(float(side)) for side in rois[i])
            cv2.rectangle(pixels, (x1, y1), (x2 - 1, y2 - 1), colors[i], thickness)
    if show_labels is not False:
        texts = class_labels(place, class_ids, class_names)
        if scores is not None:
            texts = [f"{text} {100 * score:.0f}%" for text, score in zip(texts, scores, strict=True)]
        labels = _place_labels(texts, rois, None if show_boxes else parts, pixels.shape)
        chosen = [i for i in by_size if show_labels or labels[i].width * labels[i].height <= areas[i] / 4]
        pixels = _paint_labels(pixels, [labels[i] for i in chosen], [colors[i] for i in chosen])
    return pixels


def distinct_colors(count):
    """`count` RGB colours in 0..1 whose neighbours differ: hues a golden section apart, alternately full and light."""
    golden_section, least_luma = 0.618033988749895, 0.45
    colors = []
    for i in range(count):
        hue = (0.55 + i * golden_section) % 1
        # Blue and red are dark; mixed with white they can be seen on the black ground of a microscope.
        most_saturated = (1 - least_luma) / (1 - _luma(colorsys.hsv_to_rgb(hue, 1, 1)))
        colors.append(colorsys.hsv_to_rgb(hue, min((0.95, 0.6, 0.8)[i % 3], most_saturated), 1))
    return colors


def _luma(color):
    """Brightness of an RGB colour as it is seen (ITU-R BT.601), in the unit of the colour."""
    red, green, blue = color
    return 0.299 * red + 0.587 * green + 0.114 * blue


def _paint_mask(pixels, part, color, thickness):
    """Tint the inside of a `MaskPart` and draw its outline, in place."""
    apply_mask(part.of(pixels), part.inside, [channel / 255 for channel in color], MASK_OPACITY)
    outlines, _ = cv2.findContours(
        part.inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(part.left, part.top)
    )
    # In small images a sharp line stays inside its mask; in large ones a smoothed line looks better.
    smooth = min(pixels.shape[:2]) >= SMOOTH_FROM
    cv2.drawContours(pixels, outlines, -1, color, thickness, lineType=cv2.LINE_AA if smooth else cv2.LINE_8)


class _Label(NamedTuple):
    text: str
    x: int
    y: int
    width: int
    height: int


def _place_labels(texts, rois, parts, image_shape):
    """The labels above the corners of the boxes, or, given the parts of masks, above the tops of the objects."""
    height, width = image_shape[:2]
    font = _font(image_shape)
    labels = []
    for i, text in enumerate(texts):
        left, top, right, bottom = font.getbbox(text)
        text_width, text_height = int(right - left) + 4, int(bottom - top) + 4
        y, x = rois[i][:2]
        if parts is not None and parts[i].inside.any():
            y = parts[i].top
            x = parts[i].left + np.mean(np.flatnonzero(parts[i].inside[0])) - text_width / 2
        x = int(np.clip(x, 0, max(width - text_width, 0)))
        y = int(np.clip(y - text_height, 0, max(height - text_height, 0)))
        labels.append(_Label(text, x, y, text_width, text_height))
    return labels


def _paint_labels(pixels, labels, colors):
    """A copy of `pixels` with the labels, first come first served; one that would cover another is left out."""
    from PIL import Image, ImageDraw

    font = _font(pixels.shape)
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    taken = np.zeros(pixels.shape[:2], dtype=bool)
    for label, color in zip(labels, colors, strict=True):
        area = taken[label.y : label.y + label.height, label.x : label.x + label.width]
        if area.any():
            continue
        area[:] = True
        draw.rectangle((label.x, label.y, label.x + label.width - 1, label.y + label.height - 1), fill=color)
        left, top = font.getbbox(label.text)[:2]
        ink = (0, 0, 0) if _luma(color) > 110 else (255, 255, 255)
        draw.text((label.x + 2 - left, label.y + 2 - top), label.text, font=font, fill=ink)
    return np.array(picture)


def _font(image_shape):
    return _font_of_size(int(np.clip(min(image_shape[:2]) / 45, 10, 40)))


@functools.lru_cache(maxsize=8)
def _font_of_size(size):
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
