"""Curves and tables: precision and recall, overlaps of detections and objects, statistics of weights.

As in Matterport's code a figure is made when no `ax` is given, and the caller shows it with plt.show().
"""

import re
import sys

import numpy as np

from mrcnn_plus.drawing.canvas import chart_axes, class_labels


def plot_precision_recall(AP, precisions, recalls, *, ax=None, save_path=None):
    """Plot the curve that `compute_ap` returns (at its default IoU threshold 0.5).

    AP: float in 0..1. precisions, recalls: sequences of floats in 0..1 of one length.
    save_path: a file to write, and no window.
    """
    with chart_axes(ax, None, save_path) as ax:
        ax.set_title(f"Precision-Recall Curve. AP@50 = {AP:.3f}")
        ax.set_xlabel("Recall")
        ax.set_ylabel("Precision")
        ax.set_xlim(0, 1.1)
        ax.set_ylim(0, 1.1)
        ax.plot(recalls, precisions)


def plot_overlaps(
    gt_class_ids, pred_class_ids, pred_scores, overlaps, class_names, threshold=0.5, *, ax=None, save_path=None
):
    """Plot the IoU of every prediction (rows) with every object (columns), and which agree in class.

    gt_class_ids: [G] int. pred_class_ids: [D] int. pred_scores: [D] float. Entries of class 0 are padding.
    overlaps: [D, G] float, in the order of the ids; `compute_matches` gives it for predictions sorted by score.
    threshold: IoU above which a cell says "match" or, for different classes, "wrong".
    save_path: a file to write, and no window.
    """
    gt_class_ids, pred_class_ids, overlaps = np.asarray(gt_class_ids), np.asarray(pred_class_ids), np.asarray(overlaps)
    gt_class_ids, pred_class_ids = gt_class_ids[gt_class_ids != 0], pred_class_ids[pred_class_ids != 0]
    gt_names = class_labels("plot_overlaps", gt_class_ids, class_names)
    pred_names = class_labels("plot_overlaps", pred_class_ids, class_names)
    is_new = ax is None
    with chart_axes(ax, (12, 10), save_path) as ax:
        if is_new:
            ax.figure.set_layout_engine("constrained")
        labels = gt_names, [f"{n} ({s:.2f})" for n, s in zip(pred_names, pred_scores, strict=False)]
        _draw_overlaps(ax, overlaps, labels, gt_class_ids, pred_class_ids, threshold)


def _draw_overlaps(ax, overlaps, labels, gt_class_ids, pred_class_ids, threshold):
    gt_labels, pred_labels = labels
    if overlaps.size:
        ax.imshow(overlaps, interpolation="nearest", cmap="Blues")
    ax.set_yticks(np.arange(len(pred_labels)), pred_labels)
    ax.set_xticks(np.arange(len(gt_labels)), gt_labels, rotation=90)
    ax.set_xlabel("Ground Truth")
    ax.set_ylabel("Predictions")
    for (row, column), iou in np.ndenumerate(overlaps):
        verdict = ""
        if iou > threshold:
            verdict = "match" if gt_class_ids[column] == pred_class_ids[row] else "wrong"
        color = "white" if iou > overlaps.max() / 2 else "black" if iou > 0 else "grey"
        ax.text(column, row, f"{iou:.3f}\n{verdict}", ha="center", va="center", fontsize=9, color=color)


def display_table(table):
    """Show rows of values as a table: HTML in a notebook, aligned text on the console elsewhere.

    table: iterable of rows, each an iterable of values. A cell may hold HTML; the console leaves its tags out.
    """
    rows = [[str(cell) for cell in row] for row in table]
    if in_notebook():
        from IPython.display import HTML, display

        body = "".join("<tr>" + "".join(f"<td>{cell:40}</td>" for cell in row) + "</tr>" for row in rows)
        display(HTML(f"<table>{body}</table>"))
    else:
        print(text_table([[re.sub(r"<[^>]*>", "", cell) for cell in row] for row in rows]))


def in_notebook():
    """Whether this process serves a notebook. IPython is asked only if it already runs; it is no requirement."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def text_table(rows):
    """Rows of strings as lines of text with aligned columns."""
    widths = {}
    for row in rows:
        for column, cell in enumerate(row):
            widths[column] = max(widths.get(column, 0), len(cell))
    lines = ["  ".join(f"{cell:{widths[column]}}" for column, cell in enumerate(row)).rstrip() for row in rows]
    return "\n".join(lines)


def display_weight_stats(model):
    """Show name, shape, least and largest value and standard deviation of every weight that can be trained.

    model: a `MaskRCNN`. A weight whose values are all equal is marked "dead?" (biases of convolutions start so and are
    not), one with a value beyond 1000 "Overflow?".
    """
    table = [["WEIGHT NAME", "SHAPE", "MIN", "MAX", "STD"]]
    for layer in model.get_trainable_layers():
        for position, (weight, values) in enumerate(zip(layer.weights, layer.get_weights(), strict=True)):
            low, high = values.min(), values.max()
            alert = ""
            if low == high and not (type(layer).__name__ == "Conv2D" and position == 1):
                alert += "<span style='color:red'> *** dead?</span>"
            if max(abs(low), abs(high)) > 1000:
                alert += "<span style='color:red'> *** Overflow?</span>"
            # Keras 3 names a weight "kernel" and gives the layer in its path; Keras 2 gave both in the name.
            name = getattr(weight, "path", weight.name)
            table.append([name + alert, str(values.shape), f"{low:+9.4f}", f"{high:+10.4f}", f"{values.std():+9.4f}"])
    display_table(table)
