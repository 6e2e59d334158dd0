"""Labels set into the pixels of an image: where they go, and their letters.

The letters are matplotlib's own font, set by Pillow, because OpenCV's fonts know only ASCII and class names often hold
more. Their height follows the image, from 10 pixels in small ones to 40 in large ones.
"""

import functools
import os
from typing import NamedTuple

import numpy as np

from mrcnn_plus.drawing.colors import luma


class Label(NamedTuple):
    """A text and the rectangle that it fills, in pixels: corner `(x, y)`, width and height."""

    text: str
    x: int
    y: int
    width: int
    height: int


def place_labels(texts, rois, parts, image_shape):
    """The labels above the corners of the boxes, or, given the parts of masks, above the tops of the objects.

    rois: [N, (y1, x1, y2, x2)] pixels. parts: N `MaskPart` or None.
    """
    height, width = image_shape[:2]
    font = font_for(image_shape)
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
        labels.append(Label(text, x, y, text_width, text_height))
    return labels


def paint_labels(pixels, labels, colors):
    """A copy of `pixels` with the labels, first come first served; one that would cover another is left out.

    colors: one for each label, RGB in 0..255; the letters are black or white, whichever can be read on it.
    """
    from PIL import Image, ImageDraw

    font = font_for(pixels.shape)
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
        ink = (0, 0, 0) if luma(color) > 110 else (255, 255, 255)
        draw.text((label.x + 2 - left, label.y + 2 - top), label.text, font=font, fill=ink)
    return np.array(picture)


def font_for(image_shape):
    """The font of labels in an image of this shape."""
    return font_of_size(int(np.clip(min(image_shape[:2]) / 45, 10, 40)))


@functools.lru_cache(maxsize=8)
def font_of_size(size):
    """matplotlib's sans serif font, for Pillow; size in pixels."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), size)
