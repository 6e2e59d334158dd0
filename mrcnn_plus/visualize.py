"""Matterport's `visualize` under its old path; the functions live in `mrcnn_plus.drawing`."""

import os

from mrcnn_plus.drawing.boxes import draw_boxes, draw_rois
from mrcnn_plus.drawing.canvas import apply_mask, draw_box, random_colors
from mrcnn_plus.drawing.charts import display_table, display_weight_stats, plot_overlaps, plot_precision_recall
from mrcnn_plus.drawing.instances import display_differences, display_images, display_instances, display_top_masks

# compat: programs take the folder above the working directory from here.
ROOT_DIR = os.path.abspath("../")

__all__ = [
    "ROOT_DIR",
    "apply_mask",
    "display_differences",
    "display_images",
    "display_instances",
    "display_table",
    "display_top_masks",
    "display_weight_stats",
    "draw_box",
    "draw_boxes",
    "draw_rois",
    "plot_overlaps",
    "plot_precision_recall",
    "random_colors",
]
