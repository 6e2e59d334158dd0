"""The part of the report about the newest evaluation: classes, confusions, best and worst images."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from html import escape

from mrcnn_plus.diagnosis.history import History

_MOST_CLASSES = 100
_MOST_OF_MATRIX = 25  # classes
_MOST_PICTURES = 8  # best, and as many worst
_LARGEST_PICTURE = 2_000_000  # bytes
_LONGEST_NAME = 30  # of a file
_COLUMNS = (
    ("objects", "objects", "{:,}"),
    ("detections", "detected", "{:,}"),
    ("correct", "correct", "{:,}"),
    ("precision", "precision", "{:.2f}"),
    ("recall", "recall", "{:.2f}"),
    ("box_ap", "box AP", "{:.3f}"),
    ("mask_ap", "mask AP", "{:.3f}"),
    ("mask_ap50", "mask AP50", "{:.3f}"),
    ("best_score", "best score", "{:.2f}"),
)


def evaluation_sections(history: History, folder: str) -> list[str]:
    """Sections as HTML; [] without an evaluation. folder: of the run, where the pictures are."""
    if not history.evaluations:
        return []
    epoch = max(history.evaluations)
    content = history.evaluations[epoch]
    parts = [_class_table(content), _matrix(content.get("confusion") or {}), _counts(content.get("above") or ())]
    sections = [f"<section><h2>Evaluation after epoch {epoch}</h2>{_summary(content)}{''.join(parts)}</section>"]
    pictures = os.path.join(folder, "evaluation")
    for kind, heading in (("worst", "Worst images"), ("best", "Best images")):
        figures = _pictures(content.get(kind) or (), pictures)
        if figures:
            sections.append(f'<section><h2>{heading}</h2><div class="pictures">{figures}</div></section>')
    return sections


def _summary(content):
    kind = {"segm": "mask", "bbox": "box"}.get(content.get("kind"), "")
    rows = []
    for name in ("boxes", "masks"):
        scores = content.get(name)
        if scores:
            keys = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
            cells = [*(scores.get(key) for key in keys), (scores.get("ar") or [None])[-1]]
            rows.append([name, *(_text(value, "{:.3f}") for value in cells)])
    head = ["", "AP", "AP50", "AP75", "small", "medium", "large", "AR"]
    counted = (
        f"{content.get('images', 0):,} images, {content.get('objects', 0):,} objects. Counted as detected from a "
        f"score of {_text(content.get('score'), '{:g}')} on, as correct from a {kind} IoU of "
        f"{_text(content.get('iou'), '{:g}')} on."
    )
    return f"<p>{escape(counted)}</p>{table(head, rows)}"


def _class_table(content):
    classes = content.get("classes") or ()
    if not classes:
        return ""
    columns = [column for column in _COLUMNS if any(row.get(column[0]) is not None for row in classes)]
    rows = [[row.get("name", ""), *(_text(row.get(key), form) for key, _, form in columns)] for row in classes]
    more = f'<p class="dim">and {len(rows) - _MOST_CLASSES} more classes</p>' if len(rows) > _MOST_CLASSES else ""
    note = (
        '<p class="dim">Best score: where F1 of the class is highest; a choice for DETECTION_MIN_CONFIDENCE.</p>'
        if any(key == "best_score" for key, _, _ in columns)
        else ""
    )
    return f"<h3>Classes</h3>{table(['class', *(c[1] for c in columns)], rows[:_MOST_CLASSES])}{more}{note}"


def _matrix(confusion: Mapping):
    names, counts = list(confusion.get("names") or ()), confusion.get("counts") or ()
    if len(names) < 2 or len(counts) != len(names):
        return ""
    heading = "<h3>Confusion</h3>"
    if len(names) > _MOST_OF_MATRIX + 1:
        pairs = [
            (counts[t][d], names[t], names[d]) for t in range(1, len(names)) for d in range(1, len(names)) if t != d
        ]
        pairs = [pair for pair in sorted(pairs, key=lambda pair: -pair[0]) if pair[0]][:20]
        missed, false = sum(row[0] for row in counts[1:]), sum(counts[0])
        told = f"<p>{missed:,} objects were missed, {false:,} detections are false.</p>"
        return heading + told + table(["true class", "taken for", "times"], [[t, d, f"{n:,}"] for n, t, d in pairs])
    head = "".join(
        f'<th><span class="turned">{escape(_shortened(name) if i else "missed")}</span></th>'
        for i, name in enumerate(names)
    )
    rows = []
    for true, (name, row) in enumerate(zip(names, counts, strict=True)):
        most = max(max(row), 1)
        cells = "".join(_cell(count, count / most, right=true == found and true > 0) for found, count in enumerate(row))
        rows.append(f"<tr><td>{escape('false' if not true else name)}</td>{cells}</tr>")
    return (
        f'{heading}<p class="dim">Rows: what an object is. Columns: what it was taken for. The first column has missed '
        "objects, the first row detections of nothing.</p>"
        f'<div class="scroll"><table class="matrix"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'
    )


def _shortened(name):
    return name if len(name) <= 20 else name[:19] + "…"


def _cell(count, share, *, right):
    color = "var(--cell)" if right else "var(--wrong)"
    style = f' style="background:rgba({color},{0.08 + 0.5 * share:.2f})"' if count else ' class="dim"'
    return f"<td{style}>{count:,}</td>" if count else f"<td{style}>·</td>"


def _counts(above: Sequence[Mapping]):
    rows = [
        [
            _text(row.get("score"), "{:g}"),
            _text(row.get("detections"), "{:,}"),
            _text(row.get("per_image"), "{:.1f}"),
            _text(row.get("images_without"), "{:,}"),
        ]
        for row in above
    ]
    if not rows:
        return ""
    head = ["score from", "detections", "per image", "images without any"]
    return f"<details><summary>Detections above a score</summary>{table(head, rows)}</details>"


def _pictures(entries, folder):
    figures = []
    for entry in entries[:_MOST_PICTURES]:
        source = _embedded(folder, entry.get("picture"))
        if source:
            words = ", ".join(
                f"{entry[key]} {key.replace('_', ' ')}"
                for key in ("correct", "missed", "wrong_class", "false", "duplicate")
                if entry.get(key)
            )
            name = escape(str(entry.get("name", "")), quote=True)
            figures.append(
                f'<figure><img loading="lazy" alt="{name}: {words}" src="{source}">'
                f'<figcaption title="{name}"><b>{escape(_file_name(entry.get("name", "")))}</b> {words}</figcaption>'
                "</figure>"
            )
    return "".join(figures)


def _file_name(name):
    """The last part of a path, its middle left out if it is long."""
    last = str(name).replace("\\", "/").rstrip("/").rpartition("/")[2]
    return last if len(last) <= _LONGEST_NAME else f"{last[: _LONGEST_NAME - 16]}…{last[-15:]}"


def _embedded(folder, picture):
    """A picture as a data URI; None where it is not there or lies outside of the folder."""
    if not picture:
        return None
    path = os.path.realpath(os.path.join(folder, picture))
    if os.path.commonpath([path, os.path.realpath(folder)]) != os.path.realpath(folder):
        return None
    kind = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}.get(os.path.splitext(path)[1].lower())
    try:
        if kind is None or os.path.getsize(path) > _LARGEST_PICTURE:
            return None
        with open(path, "rb") as file:
            return f"data:image/{kind};base64,{base64.b64encode(file.read()).decode('ascii')}"
    except OSError:
        return None


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls sideways where it has no room; the first column are names, the others numbers."""
    if not rows:
        return ""
    first, *others = head
    top = f"<th>{escape(first)}</th>" + "".join(f'<th class="number">{escape(name)}</th>' for name in others)
    body = "".join(
        f"<tr><td>{escape(str(row[0]))}</td>"
        + "".join(f'<td class="number">{escape(str(c))}</td>' for c in row[1:])
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{top}</tr>{body}</table></div>'


def _text(value, form):
    return "-" if value is None or isinstance(value, str) else form.format(value)
