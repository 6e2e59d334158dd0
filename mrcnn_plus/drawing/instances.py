"""Images with their instances, drawn with matplotlib: masks, boxes and labels; ground truth beside detections.

Boxes are [N, (y1, x1, y2, x2)] in pixels, masks [H, W, N] (bool or 0/1), class_ids [N]. Images are never changed.
Signatures are Matterport's; what stands after `*` is new. Without `ax` a figure is made and shown.
"""

import logging
import math

import numpy as np

from mrcnn_plus.drawing.canvas import (
    check_instances,
    class_labels,
    draw_image,
    draw_mask,
    draw_rectangle,
    mask_parts,
    random_colors,
    rgb,
    show_figures,
    show_image_area,
    to_rgb_pixels,
    to_uint8,
)
from mrcnn_plus.drawing.colors import instance_colors
from mrcnn_plus.evaluation.matching import compute_matches, object_rows, prediction_order

logger = logging.getLogger(__name__)


def display_images(
    images, titles=None, cols=4, cmap=None, norm=None, interpolation=None, *, save_path=None,
):  # fmt: skip
    """Show images in a grid of `cols` columns.

    images: list or array of [H, W, C] or [H, W]; shown as uint8, values clipped to 0..255.
    titles: one text per image. cmap, norm, interpolation: for images without colour, as matplotlib's imshow takes them.
    save_path: write the grid there, and open no window.
    """
    import matplotlib.pyplot as plt
    from matplotlib.figure import Figure

    titles = [""] * len(images) if titles is None else list(titles)
    rows = max(math.ceil(len(images) / cols), 1)
    size = (14, max(14 * rows / cols, 1))
    figure = plt.figure(figsize=size) if save_path is None else Figure(figsize=size)
    for position, image in enumerate(images):
        ax = figure.add_subplot(rows, cols, position + 1)
        ax.set_title(titles[position] if position < len(titles) else "", fontsize=9)
        ax.axis("off")
        pixels = to_uint8(np.asarray(image))
        if pixels.ndim == 3 and pixels.shape[-1] > 1:
            pixels = to_rgb_pixels(pixels)
        ax.imshow(pixels, cmap=cmap, norm=norm, interpolation=interpolation)
    if save_path is None:
        show_figures()
    else:
        figure.savefig(save_path, bbox_inches="tight")


def display_instances(
    image, boxes, masks, class_ids, class_names, scores=None, title="", figsize=(16, 16), ax=None,
    show_mask=True, show_bbox=True, colors=None, captions=None, *, save_path=None,
):  # fmt: skip
    """Show an image with its instances: masks, outlines, boxes and labels.

    masks: [H, W, N], or None to draw boxes alone.
    class_names: names by class id, the background first. scores: [N], shown behind the name.
    colors: N colours; "class" for the colour of each one's class, the same in all images; default random ones.
    captions: N texts to use instead of name and score.
    ax: matplotlib axes to draw on; then nothing is shown.
    save_path: write the picture there, at the image's own size in pixels without margins or title, and open no window.

    Instances whose box is all zeros (lost when the image was cropped) are left out.
    Errors: DatasetError if the arrays do not belong together or a class has no name.
    """
    boxes, class_ids = np.asarray(boxes), np.asarray(class_ids)
    if isinstance(colors, str):
        colors = instance_colors("display_instances", colors, class_ids, class_names)
    colors = random_colors(len(boxes)) if colors is None or len(colors) == 0 else colors[: len(boxes)]
    captions = None if captions is None or len(captions) == 0 else captions
    if len(boxes) == 0:
        logger.warning("No instances to display.")
    else:
        check_instances(
            "display_instances", image, boxes=boxes, masks=masks,
            class_ids=class_ids, scores=scores, captions=captions, colors=colors,
        )  # fmt: skip
        if captions is None:
            captions = _names_and_scores(class_ids, class_names, scores)

    def draw(axes):
        _draw_instances(axes, image, boxes, masks, captions, colors, show_mask=show_mask, show_bbox=show_bbox)
        axes.set_title(title)

    if draw_image(draw, image, ax=ax, figsize=figsize, save_path=save_path):
        show_figures()


def _names_and_scores(class_ids, class_names, scores):
    names = class_labels("display_instances", class_ids, class_names)
    if scores is None:
        return names
    # compat: display_instances. A score of exactly 0 is not shown.
    return [f"{name} {score:.3f}" if score else name for name, score in zip(names, scores, strict=True)]


def _draw_instances(ax, image, boxes, masks, captions, colors, *, show_mask, show_bbox):
    show_image_area(ax, image, margin=10)
    blended = to_rgb_pixels(image).astype(np.float32)
    parts = None if masks is None or len(boxes) == 0 else mask_parts(masks)
    for i in object_rows(boxes[:, :4] if len(boxes) else boxes):
        y1, x1 = boxes[i][:2]
        color = rgb(colors[i])
        if show_bbox:
            draw_rectangle(ax, boxes[i], color, linestyle="dashed", alpha=0.7)
        ax.text(x1, y1 + 8, captions[i], color="w", size=11, backgroundcolor="none")
        if parts is not None:
            draw_mask(ax, blended, parts[i], color, fill=show_mask)
    ax.imshow(blended.astype(np.uint8))


def display_differences(
    image, gt_box, gt_class_id, gt_mask, pred_box, pred_class_id, pred_score, pred_mask, class_names, title="", ax=None,
    show_mask=True, show_box=True, iou_threshold=0.5, score_threshold=0.5, *, save_path=None,
):  # fmt: skip
    """Show ground truth (green) and detections (red) on one image; every detection is labelled "score / IoU".

    The IoU is that of the masks, with the object that the detection matches, else with the one it overlaps most.
    iou_threshold, score_threshold: as in `compute_matches`. ax, save_path: as in `display_instances`.
    """
    gt_rows = object_rows(gt_box)
    order = prediction_order(pred_box, pred_score)
    gt_box, gt_class_id, gt_mask = np.asarray(gt_box)[gt_rows], np.asarray(gt_class_id)[gt_rows], gt_mask[..., gt_rows]
    _, pred_match, overlaps = compute_matches(
        gt_box, gt_class_id, gt_mask, pred_box, pred_class_id, pred_score, pred_mask, iou_threshold, score_threshold
    )
    # Matches and overlaps are in falling order of score, so the detections are put in that order as well.
    pred_box, pred_class_id = np.asarray(pred_box)[order], np.asarray(pred_class_id)[order]
    pred_score, pred_mask = np.asarray(pred_score)[order], pred_mask[..., order]
    captions = [""] * len(gt_box)
    for score, match, row in zip(pred_score, pred_match, overlaps, strict=True):
        best = row[match] if match > -1 else max(row, default=0.0)
        captions.append(f"{score:.2f} / {best:.2f}")
    present = [part for part in ((gt_box, gt_class_id, gt_mask), (pred_box, pred_class_id, pred_mask)) if len(part[0])]
    boxes, class_ids, masks = zip(*present, strict=True) if present else ([np.zeros((0, 4))], [np.zeros(0)], [None])
    display_instances(
        image,
        np.concatenate(boxes),
        np.concatenate(masks, axis=-1) if present else None,
        np.concatenate(class_ids),
        class_names,
        title=title or "Ground Truth and Detections\n GT=green, pred=red, captions: score/IoU",
        ax=ax,
        show_mask=show_mask,
        show_bbox=show_box,
        colors=[(0, 1, 0)] * len(gt_box) + [(1, 0, 0)] * len(pred_box),
        captions=captions,
        save_path=save_path,
    )


def display_top_masks(image, mask, class_ids, class_names, limit=4, *, save_path=None):
    """Show the image and beside it the masks of the `limit` classes that cover most of it, one shade per instance.

    mask: [H, W, N]. class_ids: [N]. Where there are fewer classes, empty places titled "-" fill the row.
    save_path: as in `display_images`.
    """
    image, mask, class_ids = np.asarray(image), np.asarray(mask), np.asarray(class_ids)
    areas = {class_id: np.sum(mask[:, :, class_ids == class_id]) for class_id in np.unique(class_ids)}
    top_ids = [class_id for class_id in sorted(areas, key=areas.get, reverse=True) if areas[class_id] > 0][:limit]
    pictures = [image]
    for class_id in top_ids:
        instances = mask[:, :, class_ids == class_id]
        pictures.append(np.sum(instances * np.arange(1, instances.shape[-1] + 1), axis=-1))
    titles = [f"H x W={image.shape[0]}x{image.shape[1]}", *class_labels("display_top_masks", top_ids, class_names)]
    missing = limit - len(top_ids)
    pictures += [np.zeros(image.shape[:2], dtype=np.uint8)] * missing
    display_images(pictures, titles=titles + ["-"] * missing, cols=limit + 1, cmap="Blues_r", save_path=save_path)
