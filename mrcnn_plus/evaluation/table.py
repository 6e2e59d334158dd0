"""An `EvaluationResult` as text for people: scores, classes, confusions, counts."""

import io
import math

_MOST_CLASSES_OF_MATRIX = 10


def describe(result, *, width=100):
    """The whole result as some tables of at most `width` columns."""
    crowds = [_counted(result.crowds, "crowd region")] if result.crowds else []
    counts = [_counted(len(result.images), "image"), _counted(result.objects, "object"), *crowds]
    lines = [
        f"{', '.join(counts)}; {_counted(result.detections, 'detection')}",
        "",
        *_rows(_score_rows(result), width),
        "",
        f"With a score of at least {result.score:g} and a {_kind(result)} IoU of at least {result.iou:g}: "
        f"precision {_number(result.precision)}, recall {_number(result.recall)}",
        "",
        *_rows(_class_rows(result), width),
        "",
        *_confusion(result.confusion, width),
        "",
        *_rows(_count_rows(result), width),
    ]
    if result.skipped:
        lines += ["", f"{len(result.skipped)} images could not be loaded: {list(result.skipped)[:20]}"]
    return "\n".join(lines)


def summary(result):
    """Two lines or one: the scores of boxes and of masks."""
    return "\n".join(str(scores) for scores in (result.boxes, result.masks) if scores is not None)


def _counted(number, word):
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _kind(result):
    return {"segm": "mask", "bbox": "box"}[result.kind]


def _score_rows(result):
    yield ["", "AP", "AP50", "AP75", "AP small", "AP medium", "AP large", "AR"]
    for name, scores in (("boxes", result.boxes), ("masks", result.masks)):
        if scores is not None:
            sizes = (scores.ap_small, scores.ap_medium, scores.ap_large)
            yield [name, *(_number(value) for value in (scores.ap, scores.ap50, scores.ap75, *sizes, scores.ar[-1]))]


def _class_rows(result):
    numbers = ("objects", "detected", "correct", "precision", "recall", "box AP", "mask AP", "mask AP50")
    yield ["class", *numbers, "best score"]
    for row in result.classes:
        best = "-" if math.isnan(row.best_score) else f"{row.best_score:.2f} (F1 {row.best_f1:.2f})"
        counts = (str(number) for number in (row.objects, row.detections, row.correct))
        ratios = (row.precision, row.recall, row.box_ap, row.mask_ap, row.mask_ap50)
        yield [row.name, *counts, *(_number(value) for value in ratios), best]


def _count_rows(result):
    yield ["score at least", "detections", "per image", "most in an image", "images without"]
    for row in result.above:
        yield [f"{row.score:g}", str(row.detections), f"{row.per_image:.1f}", str(row.most), str(row.images_without)]


def _confusion(confusion, width):
    """The whole matrix where it has room, else the classes that are most often taken for another."""
    counts = confusion.counts
    if len(confusion.names) <= _MOST_CLASSES_OF_MATRIX + 1:
        rows = [["true \\ detected", *confusion.names]]
        rows += [[name, *map(str, row)] for name, row in zip(confusion.names, counts.tolist(), strict=True)]
        return _rows(rows, width)
    lines = [f"{counts[1:, 0].sum()} objects were missed, {counts[0].sum()} detections are false"]
    frequent = confusion.most_frequent()
    if frequent:
        rows = [["true class", "taken for", "times"], *([true, taken, str(n)] for true, taken, n in frequent)]
        lines += ["", *_rows(rows, width)]
    return lines


def _number(value):
    return "-" if math.isnan(value) else f"{value:.3f}"


def _rows(rows, width):
    """Lines of a table; the first row is its head. rich knows how wide letters of other scripts are."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    head, *body = rows
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(head):
        table.add_column(Text(name), justify="right" if number else "left", overflow="fold")
    for row in body:
        table.add_row(*(Text(cell) for cell in row))
    output = io.StringIO()
    Console(file=output, width=width, color_system=None, legacy_windows=False).print(table)
    return [line.rstrip() for line in output.getvalue().splitlines()]
