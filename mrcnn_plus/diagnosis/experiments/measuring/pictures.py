"""Pictures that experiments keep: curves, and boxes drawn on images."""

from __future__ import annotations

import cv2
import numpy as np

from mrcnn_plus.drawing.canvas import to_rgb_pixels
from mrcnn_plus.drawing.labels import paint_labels, place_labels

_TILE = 384  # pixels of the longer side of a picture in a grid
_GAP = 8
_COLUMNS = 3
# Blue, orange, green, red, violet, brown: told apart also by people who do not see all colours.
_CURVES = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#8c564b", "#000000")


def curve_picture(x, series, *, x_label, y_label, title="", log_x=False, log_y=False, marks=()):
    """Curves over one x axis as a picture, uint8 `[H, W, 3]`.

    series: `{label: values}`, in the order of `x`; NaN leaves gaps. marks: `(x, label)` of vertical lines.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for number, (label, values) in enumerate(series.items()):
        color = _CURVES[number % len(_CURVES)]
        axes.plot(x, values, label=label, color=color, linewidth=2.2 if number == 0 else 1.3)
    for place, label in marks:
        axes.axvline(place, color="#777777", linestyle="--", linewidth=1)
        axes.text(place, 0.98, f" {label}", transform=axes.get_xaxis_transform(), va="top", fontsize=9)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.set_title(title)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def boxes_picture(image, groups):
    """Boxes on an image, enlarged or shrunk to a tile, uint8 `[h, w, 3]`.

    image: `[H, W, C]`. groups: list of `(boxes [N, (y1, x1, y2, x2)] in pixels, color, thickness, labels or None)`,
    drawn in this order; colors in 0..255.
    """
    height, width = image.shape[:2]
    factor = _TILE / max(height, width)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    pixels = cv2.resize(to_rgb_pixels(image), size, interpolation=method)
    texts, places, colors = [], [], []
    for boxes, color, thickness, labels in groups:
        scaled = np.asarray(boxes, float).reshape(-1, 4) * factor
        for number, box in enumerate(scaled):
            y1, x1, y2, x2 = (round(float(side)) for side in box)
            cv2.rectangle(pixels, (x1, y1), (x2 - 1, y2 - 1), color, thickness)
            if labels is not None:
                texts.append(labels[number])
                places.append(box)
                colors.append(color)
    if texts:
        pixels = paint_labels(pixels, place_labels(texts, np.array(places), None, pixels.shape), colors)
    return pixels


def grid(pictures):
    """Pictures of a grid, uint8 `[H, W, 3]`; None without pictures."""
    if not pictures:
        return None
    columns = min(_COLUMNS, len(pictures))
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    rows = -(-len(pictures) // columns)
    page = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), 255, np.uint8)
    for number, picture in enumerate(pictures):
        top = _GAP + number // columns * (height + _GAP)
        left = _GAP + number % columns * (width + _GAP)
        page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return page
