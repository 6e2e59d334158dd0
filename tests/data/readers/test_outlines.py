"""Boxes and areas of many annotations at once, against one at a time and slow formulas."""

import numpy as np
import pytest

from mrcnn_plus.data.annotations import (
    Annotation,
    outline_area,
    outline_areas,
    outline_box,
    outline_boxes,
    undrawable,
    why_undrawable,
)
from mrcnn_plus.data.readers import outlines
from mrcnn_plus.data.readers.mask_images import MaskFile


def many_annotations():
    rng = np.random.default_rng(0)
    shapes = []
    for _ in range(200):
        parts = [rng.uniform(-20, 500, (rng.integers(3, 9), 2)) for _ in range(rng.integers(1, 4))]
        shapes.append(("polygon", parts, None))
    shapes[7:7] = [
        ("polygon", [], None),
        ("polygon", [np.zeros([0, 2])], None),
        ("polygon", [np.array([[1.0, 2.0], [np.nan, 5.0], [3.0, 3.0]])], None),
        ("polygon", [np.array([[1.0, 2.0], [3.0, 1e8], [3.0, 3.0]])], None),
        ("polygon", [np.array([[1.0, 2.0], [3.0, 4.0]])], None),
        ("rle", {"size": [10, 12], "counts": [23, 4, 6, 4, 83]}, None),
        ("rle", {"size": [10, 12], "counts": "~~~"}, None),
        ("mask_file", MaskFile("x.png", 3, (1.0, 2.0, 5.0, 9.0), 14), None),
        ("mask_file", MaskFile("x.png"), None),
        ("rectangle", (1.0, 2.0, 10.0, 20.0), None),
        ("circle", (5.0, 6.0, 3.0), None),
        ("ellipse", (5.0, 6.0, 3.0, 2.0, 0.7), None),
        ("point", np.array([[3.0, 4.0]]), 2),
        ("polyline", np.array([[3.0, 4.0], [9.0, 4.0]]), None),
    ]
    return [
        Annotation(1, f"n {number}", kind, geometry, stroke=stroke)
        for number, (kind, geometry, stroke) in enumerate(shapes)
    ]


@pytest.fixture(params=[3, 50_000], ids=["in many chunks", "in one chunk"])
def chunks(request, monkeypatch):
    monkeypatch.setattr(outlines, "_CHUNK", request.param)


def test_many_boxes_are_those_of_one_at_a_time(chunks):
    annotations = many_annotations()
    for box, annotation in zip(outline_boxes(annotations), annotations):
        expected = outline_box(annotation)
        assert np.array_equal(box, [np.nan] * 4 if expected is None else expected, equal_nan=True), annotation


def test_many_areas_are_those_of_one_at_a_time(chunks):
    annotations = many_annotations()
    for area, annotation in zip(outline_areas(annotations), annotations):
        assert area == pytest.approx(outline_area(annotation), nan_ok=True), annotation


def test_the_area_of_a_polygon_is_that_of_its_triangles():
    corners = np.array([[0.0, 0.0], [10.0, 0.0], [10.0, 5.0], [4.0, 9.0]])
    assert outline_area(Annotation(1, "", "polygon", [corners])) == pytest.approx(25 + 35)
    assert outline_area(Annotation(1, "", "polygon", [corners, corners + 5000])) == pytest.approx(120)


def test_the_box_of_a_run_length_mask_is_around_its_pixels():
    assert outline_box(Annotation(1, "", "rle", {"size": [10, 12], "counts": [23, 4, 6, 4, 83]})) == (2, 3, 4, 7)


def test_many_are_judged_as_one_at_a_time(chunks):
    annotations = many_annotations()
    expected = [(row, *why_undrawable(a)) for row, a in enumerate(annotations) if why_undrawable(a) is not None]
    assert list(undrawable(annotations)) == expected
    assert [code for _, code, _ in expected] == ["DAT033", "DAT033", "DAT034", "DAT034", "DAT033", "DAT035", "DAT023"]


def test_nothing_at_all_is_fine():
    assert outline_boxes([]).shape == (0, 4)
    assert outline_areas([]).shape == (0,)
    assert list(undrawable([])) == []
