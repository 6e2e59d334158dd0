"""Boxes and regions of interest with their refinements, drawn with matplotlib: what the stages of the network propose.

Boxes are [N, (y1, x1, y2, x2)] in pixels. Images are never changed. As in Matterport's code the figure is made when no
`ax` is given, and the caller shows it with plt.show().
"""

import logging

import numpy as np

from mrcnn_plus.drawing.canvas import (
    apply_mask,
    check_instances,
    class_labels,
    draw_image,
    draw_mask,
    draw_rectangle,
    mask_parts,
    random_colors,
    show_image_area,
    to_rgb_pixels,
)
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.masks import unmold_mask

logger = logging.getLogger(__name__)


def draw_boxes(
    image, boxes=None, refined_boxes=None, masks=None, captions=None, visibilities=None, title="", ax=None,
    *, save_path=None,
):  # fmt: skip
    """Draw boxes, their refined versions, masks and captions over an image.

    boxes: [N, 4], dotted. refined_boxes: [N, 4], solid, joined to the corner of the box each came from. One is needed.
    masks: [H, W, N]. captions: N texts, at the refined box where there is one.
    visibilities: N values; 0 draws the box grey and faint and leaves its refinement out, 1 dotted, 2 solid. Default 1.
    save_path: write the picture there, at the image's own size in pixels without margins or title, and make no figure.
    """
    given = boxes if boxes is not None else refined_boxes
    if given is None:
        raise DatasetError("draw_boxes: expected boxes or refined_boxes, received boxes=None, refined_boxes=None.")
    count = len(given)
    check_instances("draw_boxes", image, boxes=given, masks=masks, captions=captions)
    for name, values in (("refined_boxes", refined_boxes), ("visibilities", visibilities)):
        if values is not None and len(values) != count:
            raise DatasetError(f"draw_boxes: expected one entry per box, {count}, received {name}={len(values)}.")
    visibilities = [1] * count if visibilities is None else [int(visibility) for visibility in visibilities]
    if not set(visibilities) <= {0, 1, 2}:
        raise DatasetError(f"draw_boxes: expected visibilities 0, 1 or 2, received visibilities={set(visibilities)}.")

    colors = random_colors(count)

    def draw(axes):
        _draw_boxes(axes, image, boxes, refined_boxes, masks, captions, list(zip(colors, visibilities, strict=True)))
        axes.set_title(title)

    draw_image(draw, image, ax=ax, figsize=(12, 12), save_path=save_path)


def _draw_boxes(ax, image, boxes, refined_boxes, masks, captions, styles):
    """styles: `(color, visibility)` of each."""
    show_image_area(ax, image, margin=np.shape(image)[0] // 10)
    blended = to_rgb_pixels(image).astype(np.float32)
    parts = None if masks is None else mask_parts(masks)
    for i, (color, visibility) in enumerate(styles):
        color = (0.5, 0.5, 0.5) if visibility == 0 else color
        box = None if boxes is None else np.asarray(boxes[i])
        refined = None if refined_boxes is None or visibility == 0 else np.asarray(refined_boxes[i]).astype(np.int32)
        if box is not None and not np.any(box):
            continue  # zero padding
        _draw_box_and_refinement(
            ax, box, refined, color, style="solid" if visibility == 2 else "dotted", alpha=0.5 if visibility == 0 else 1
        )
        anchor = refined if refined is not None else box
        if captions is not None and anchor is not None:
            _draw_caption(ax, anchor, captions[i], color)
        if parts is not None:
            draw_mask(ax, blended, parts[i], color)
    ax.imshow(blended.astype(np.uint8))


def _draw_box_and_refinement(ax, box, refined, color, *, style, alpha):
    """Either may be None. The line between their top left corners shows which belongs to which."""
    from matplotlib.lines import Line2D

    if box is not None:
        draw_rectangle(ax, box, color, linestyle=style, alpha=alpha)
    if refined is not None:
        draw_rectangle(ax, refined, color, linestyle="solid")
    if box is not None and refined is not None:
        ax.add_line(Line2D([box[1], refined[1]], [box[0], refined[0]], color=color))


def _draw_caption(ax, box, caption, color):
    background = {"facecolor": color, "alpha": 0.5, "pad": 2, "edgecolor": "none"}
    ax.text(box[1], box[0], caption, size=11, verticalalignment="top", color="w", bbox=background)


def draw_rois(image, rois, refined_rois, mask, class_ids, class_names, limit=10, *, ax=None, save_path=None):
    """Draw at most `limit` ROIs, chosen at random: dashed; positive ones with refinement, class name and mask.

    rois: [R, 4] pixels. refined_rois: [R, 4] pixels, after the box regression. class_ids: [R] int, 0 is background.
    mask: [R, h, w] float, the mask of the ROI's class as the mask head gives it (small, relative to the ROI).
    save_path: as in `draw_boxes`.
    """
    rois, class_ids = np.asarray(rois), np.asarray(class_ids)
    labels = class_labels("draw_rois", class_ids, class_names)
    chosen = np.arange(len(rois))
    if len(rois) > limit:
        chosen = np.random.choice(chosen, limit, replace=False)
    title = f"Showing {len(chosen)} random ROIs out of {len(rois)}" if len(rois) > limit else f"{len(rois)} ROIs"

    def draw(axes):
        _draw_rois(axes, image, rois, refined_rois, mask, class_ids, labels, chosen)
        axes.set_title(title)

    draw_image(draw, image, ax=ax, figsize=(12, 12), save_path=save_path)
    positive = int(np.sum(class_ids > 0))
    negative = int(np.sum(class_ids == 0))
    ratio = positive / max(len(class_ids), 1)
    logger.info("Positive ROIs: %d, negative ROIs: %d, positive ratio: %.2f", positive, negative, ratio)


def _draw_rois(ax, image, rois, refined_rois, mask, class_ids, labels, chosen):
    show_image_area(ax, image, margin=20)
    # Room for labels of ROIs that reach over the left side.
    ax.set_xlim(left=-50)
    pixels = to_rgb_pixels(image).astype(np.float32)
    for i in chosen:
        color = tuple(np.random.rand(3))
        if class_ids[i] == 0:
            draw_rectangle(ax, rois[i], "gray", linestyle="dashed")
            continue
        _draw_box_and_refinement(ax, rois[i], refined_rois[i], color, style="dashed", alpha=1)
        ax.text(refined_rois[i][1], refined_rois[i][0] + 8, labels[i], color="w", size=11, backgroundcolor="none")
        apply_mask(pixels, unmold_mask(mask[i], rois[i][:4].astype(np.int32), pixels.shape), color)
    ax.imshow(pixels.astype(np.uint8))
