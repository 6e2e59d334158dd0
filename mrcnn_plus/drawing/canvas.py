"""What every drawing shares: pixels fit for display, colours, masks blended in, outlines, checks, and figures.

matplotlib's pyplot, which chooses a backend, is imported only when a figure must be made, never when an `ax` is given.
"""

import colorsys
import contextlib
import random
import warnings
from typing import NamedTuple

import numpy as np

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.boxes import extract_bboxes


def to_rgb_pixels(image):
    """A copy of `image` as uint8 [H, W, 3]: grey is repeated, of more than three channels the first three are shown.

    Values are clipped to 0..255 and not rescaled.
    """
    image = np.asarray(image)
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.shape[-1] == 0:
        raise DatasetError(
            f"drawing: expected an image [height, width, channels] or [height, width], "
            f"received image={list(image.shape)}. Of a batch [B, H, W, C] pass one image."
        )
    image = image[:, :, :3] if image.shape[-1] >= 3 else np.repeat(image[:, :, :1], 3, axis=-1)
    return to_uint8(image)


def to_uint8(image):
    """A copy of `image` as uint8, values clipped to 0..255 (NaN shows as 0)."""
    if image.dtype == np.uint8 or image.dtype == bool:
        return image.astype(np.uint8)
    return np.clip(np.nan_to_num(image), 0, 255).astype(np.uint8)


def random_colors(N, bright=True):
    """N RGB colours (tuples of floats in 0..1) of evenly spaced hues, in random order.

    bright: full brightness, else 0.7.
    """
    brightness = 1.0 if bright else 0.7
    colors = [colorsys.hsv_to_rgb(i / N, 1, brightness) for i in range(N)]
    random.shuffle(colors)
    return colors


def rgb(color):
    """Any colour that matplotlib knows, as a tuple of three floats in 0..1."""
    from matplotlib.colors import to_rgb

    return to_rgb(tuple(color) if not isinstance(color, str) else color)


def apply_mask(image, mask, color, alpha=0.5):
    """Blend `color` into the pixels of `image` [H, W, 3] where `mask` [H, W] is set.

    color: RGB in 0..1. alpha: weight of the colour, 0..1.
    compat: apply_mask. The image is changed in place, and returned.
    """
    inside = np.asarray(mask) > 0.5
    rgb = image[:, :, :3]
    rgb[inside] = rgb[inside] * (1 - alpha) + alpha * 255 * np.asarray(color[:3], dtype=np.float64)
    return image


def draw_box(image, box, color):
    """Draw the outline of `box` (y1, x1, y2, x2), two pixels wide, into `image` [H, W, 3].

    color: three values as they stand in the image (0..255 for uint8).
    compat: draw_box. The image is changed in place, and returned.
    """
    y1, x1, y2, x2 = (max(int(side), 0) for side in box)
    image[y1 : y1 + 2, x1:x2] = color
    image[y2 : y2 + 2, x1:x2] = color
    image[y1:y2, x1 : x1 + 2] = color
    image[y1:y2, x2 : x2 + 2] = color
    return image


class MaskPart(NamedTuple):
    """The part of a mask that holds the object: `inside` [h, w] bool, whose corner lies at row `top`, column `left`."""

    top: int
    left: int
    inside: np.ndarray

    def of(self, pixels):
        """The view of `pixels` [H, W, ...] at this place."""
        height, width = self.inside.shape
        return pixels[self.top : self.top + height, self.left : self.left + width]


def mask_parts(masks):
    """One `MaskPart` for each of masks [H, W, N]: much less to walk through than all pixels of many masks."""
    masks = np.asarray(masks)
    boxes = extract_bboxes(masks).tolist()
    return [MaskPart(y1, x1, masks[y1:y2, x1:x2, i] > 0.5) for i, (y1, x1, y2, x2) in enumerate(boxes)]


def mask_outlines(part):
    """The borders of the object of a `MaskPart` as a list of float arrays [V, (x, y)] in pixels, holes included."""
    from skimage.measure import find_contours

    # The frame of zeros closes outlines at the border.
    framed = np.pad(part.inside, 1).astype(np.float32)
    return [outline[:, ::-1] + (part.left - 1, part.top - 1) for outline in find_contours(framed, 0.5)]


def draw_mask(ax, pixels, part, color, *, fill=True):
    """Draw the outlines of a `MaskPart` on `ax` and, if `fill`, blend it into `pixels` [H, W, 3] (in place)."""
    from matplotlib.patches import Polygon

    if fill:
        apply_mask(part.of(pixels), part.inside, color)
    for outline in mask_outlines(part):
        ax.add_patch(Polygon(outline, facecolor="none", edgecolor=color))


def draw_rectangle(ax, box, color, **style):
    """Draw `box` (y1, x1, y2, x2) on `ax`; style: matplotlib's linestyle, alpha, ..."""
    from matplotlib.patches import Rectangle

    y1, x1, y2, x2 = box[:4]
    ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, linewidth=2, edgecolor=color, facecolor="none", **style))


def check_instances(place, image, *, boxes, masks, class_ids=None, scores=None, captions=None, colors=None):
    """DatasetError unless all that is given has one entry per box, and masks [H, W, N] are as large as the image.

    Every argument after `image` may be None, which means: not given.
    """
    given = {"class_ids": class_ids, "scores": scores, "captions": captions, "colors": colors}
    counts = {name: len(values) for name, values in given.items() if values is not None}
    shape = None if masks is None else np.shape(masks)
    stacked = shape is None or (len(shape) == 3 and shape[-1] == len(boxes))
    if not stacked or any(count != len(boxes) for count in counts.values()):
        received = [f"boxes={len(boxes)}"]
        received += [] if shape is None else [f"masks={list(shape)}"]
        received += [f"{name}={count}" for name, count in counts.items()]
        raise DatasetError(
            f"{place}: expected one entry per box (masks are [height, width, N]), received {', '.join(received)}. "
            "Pass arrays of one and the same image, as detect() or load_image_gt() returns them."
        )
    if shape is not None and shape[:2] != np.shape(image)[:2]:
        raise DatasetError(
            f"{place}: expected masks as large as the image {list(np.shape(image)[:2])}, received masks={list(shape)}. "
            "Mini masks must be enlarged first with utils.expand_mask(), or loaded with use_mini_mask=False."
        )


def class_labels(place, class_ids, class_names):
    """The name of every class id. A negative id is a crowd of that class. DatasetError when there is no such name."""
    missing = sorted({int(class_id) for class_id in class_ids if abs(int(class_id)) >= len(class_names)})
    if missing:
        raise DatasetError(
            f"{place}: expected a name for every class id, received class_ids={missing} and {len(class_names)} "
            f"class_names={list(class_names)[:10]} (ids 0..{len(class_names) - 1}). "
            "class_names starts with the background 'BG'; use dataset.class_names of the dataset that was trained on."
        )
    return [str(class_names[abs(int(c))]) + (" (crowd)" if c < 0 else "") for c in class_ids]


def new_axes(figsize):
    """Axes of a new pyplot figure; figsize in inches."""
    import matplotlib.pyplot as plt

    return plt.subplots(1, figsize=figsize)[1]


def show_image_area(ax, image, *, margin):
    """Set the limits of `ax` to the image and `margin` pixels around it, so that boxes outside can be seen."""
    height, width = np.shape(image)[:2]
    ax.set_ylim(height + margin, -margin)
    ax.set_xlim(-margin, width + margin)
    ax.axis("off")


def show_figures():
    """plt.show(), without the warning of backends that have no window (Agg): there the caller saves the figure."""
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(non-interactive|non-GUI).*")
        plt.show()


def draw_image(draw, image, *, ax, figsize, save_path):
    """Let `draw(axes)` draw on `ax`, into a file of the image's own size, on both, or else on a new figure.

    Returns whether there is a new figure, for the caller to show.
    """
    if save_path is not None:
        save_at_image_size(save_path, np.shape(image), draw)
    if ax is not None:
        draw(ax)
    elif save_path is None:
        draw(new_axes(figsize))
        return True
    return False


@contextlib.contextmanager
def chart_axes(ax, figsize, save_path):
    """Axes for a chart: `ax`, or those of a new figure, which no window has if it is to be saved. Writes the file."""
    from matplotlib.figure import Figure

    if ax is None:
        ax = new_axes(figsize) if save_path is None else Figure(figsize=figsize, layout="constrained").add_subplot()
    yield ax
    if save_path is not None:
        ax.figure.savefig(save_path)


def save_at_image_size(path, image_shape, draw):
    """Write a picture of exactly the image's width and height in pixels, filled by `draw(ax)`, without margins."""
    from matplotlib.figure import Figure

    height, width = image_shape[:2]
    # Text and lines grow with the picture. Only powers of two divide every size without a rounding error, which would
    # cost a row or column of pixels.
    side = max(height, width)
    dpi = 64 if side <= 1000 else 128 if side <= 2000 else 256
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi)
    axes = figure.add_axes((0, 0, 1, 1))
    draw(axes)
    axes.set_axis_off()
    axes.set_title("")
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    figure.savefig(path, dpi=dpi)
