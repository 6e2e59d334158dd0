"""Shapes to pixels, against skimage, pycocotools and slow formulas; and shapes that must not reach a rasteriser."""

import numpy as np
import pytest
import skimage.draw
from pycocotools import mask as coco_mask

from mrcnn_plus.data.annotations import Annotation, outline_area, outline_box
from mrcnn_plus.data.readers.rasterizing import Undrawable, draw_annotation, draw_closed_polygon, draw_ellipse


def annotation(kind, geometry, stroke=None):
    return Annotation(1, "somewhere", kind, geometry, stroke=stroke)


def polygon(*points):
    return annotation("polygon", [np.array(points, float)])


def random_polygons(count):
    """Corners on whole, half and third numbers and anywhere, many beyond the image, many crossing themselves."""
    rng = np.random.default_rng(0)
    for number in range(count):
        corners = rng.integers(-8, 38, (rng.integers(3, 12), 2)).astype(float)
        if number % 4 == 1:
            corners += 0.5
        elif number % 4 == 2:
            corners = rng.uniform(-8, 38, corners.shape)
        elif number % 4 == 3:
            corners /= 3
        yield corners, tuple(int(length) for length in rng.integers(1, 30, 2))


def test_closed_polygons_have_the_pixels_of_skimage():
    for corners, (height, width) in random_polygons(3000):
        expected = np.zeros((height, width), bool)
        expected[skimage.draw.polygon(corners[:, 1], corners[:, 0], (height, width))] = True
        assert np.array_equal(draw_closed_polygon(corners, height, width), expected), corners.tolist()


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
def test_coco_polygons_have_the_pixels_of_pycocotools():
    for corners, (height, width) in random_polygons(1000):
        flat = corners.ravel().tolist()
        second = (corners[::-1] + 3).ravel().tolist()
        runs = coco_mask.merge(coco_mask.frPyObjects([flat, second], height, width))
        drawn = draw_annotation(annotation("polygon", [corners, corners[::-1] + 3]), height, width, polygon_rule="coco")
        assert drawn.dtype == bool
        assert np.array_equal(drawn, coco_mask.decode(runs).astype(bool))


def test_parts_of_a_polygon_are_united():
    parts = [
        np.array([[0, 0], [3, 0], [3, 3], [0, 3]], float),
        np.array([[10, 10], [12, 10], [12, 12], [10, 12]], float),
    ]
    mask = draw_annotation(annotation("polygon", parts), 20, 20)
    assert mask.sum() == 16 + 9


@pytest.mark.parametrize("rule", ["coco", "closed"])
def test_points_on_and_beyond_the_border_are_clipped(rule):
    around = polygon((-50, -50), (90, -50), (90, 70), (-50, 70))
    assert draw_annotation(around, 30, 40, polygon_rule=rule).all()
    corner = polygon((30, 20), (40, 20), (40, 30), (30, 30))
    assert draw_annotation(corner, 30, 40, polygon_rule=rule).sum() == 100


def test_circles_and_ellipses_follow_the_formula():
    rng = np.random.default_rng(1)
    for _ in range(200):
        x, y = rng.uniform(-5, 35, 2)
        radius_x, radius_y, angle = rng.uniform(0.5, 15), rng.uniform(0.5, 15), rng.uniform(-4, 4)
        expected = np.zeros((25, 30), bool)
        for row in range(25):
            for column in range(30):
                turned = (column - x + 1j * (row - y)) * np.exp(-1j * angle)
                expected[row, column] = (turned.real / radius_x) ** 2 + (turned.imag / radius_y) ** 2 <= 1
        assert np.array_equal(draw_ellipse((x, y, radius_x, radius_y, angle), 25, 30), expected)


def test_a_circle_is_a_round_ellipse():
    circle = draw_annotation(annotation("circle", (12.0, 10.0, 5.0)), 25, 30)
    assert np.array_equal(circle, draw_ellipse((12, 10, 5, 5, 0), 25, 30))
    assert circle[10, 17] and not circle[10, 18]


def test_a_rectangle_has_as_many_pixels_as_its_sides_say():
    mask = draw_annotation(annotation("rectangle", (2.0, 3.0, 5.0, 4.0)), 20, 20)
    assert mask.sum() == 20 and mask[3:7, 2:7].all()
    assert draw_annotation(annotation("rectangle", (-5.0, 15.0, 100.0, 100.0)), 20, 20).sum() == 5 * 20


def test_points_and_lines_need_a_stated_size():
    point, line = np.array([[10.0, 10.0]]), np.array([[2.0, 10.0], [17.0, 10.0]])
    with pytest.raises(Undrawable, match="point_radius=5"):
        draw_annotation(annotation("point", point), 20, 20)
    with pytest.raises(Undrawable, match="line_width=3"):
        draw_annotation(annotation("polyline", line), 20, 20)
    assert draw_annotation(annotation("point", point, stroke=2), 20, 20).sum() == 13
    thick = draw_annotation(annotation("polyline", line, stroke=3), 20, 20)
    assert thick[9:12, 2:18].all() and thick.sum() == 3 * 16 + 2 * 3  # and a column at each round end


@pytest.mark.parametrize(
    "broken, code, reason",
    [
        (polygon((1, 1), (9, 1)), "DAT033", "at least 3 points, received 2"),
        (annotation("polygon", []), "DAT033", "received none"),
        (polygon((1, 1), (9, np.nan), (5, 5)), "DAT034", "finite"),
        (polygon((1, 1), (9, np.inf), (5, 5)), "DAT034", "finite"),
        (polygon((1, 1), (9, 1e9), (5, 5)), "DAT034", "pixels of the image"),
        (annotation("polygon", [np.tile([[0.0, 0.0], [9e4, 9e4]], (100, 1))]), "DAT034", "pixels long"),
        (annotation("circle", (1.0, 2.0, 0.0)), "DAT033", "positive size"),
        (annotation("circle", (1.0, 2.0, 1e9)), "DAT034", "pixels of the image"),
        (annotation("ellipse", (1.0, 2.0, 3.0, -1.0, 0.0)), "DAT033", "positive size"),
        (annotation("rectangle", (1.0, np.nan, 3.0, 1.0)), "DAT034", "finite"),
        (annotation("rle", {"size": [3, 3], "counts": [0, 900]}), "DAT035", "900 pixels"),
        (annotation("rle", {"size": [3, 4], "counts": [0, 12]}), "DAT035", "the image has \\[20, 20\\]"),
        (annotation("rle", {"size": None, "counts": [0, 900]}), "DAT035", "900 pixels"),
        (annotation("rle", {"size": [20, 20], "counts": "zz"}), "DAT035", "damaged"),
        (annotation("rle", {"size": [20, 20], "counts": [400]}), "DAT013", "no pixel"),
    ],
)
def test_what_would_crash_a_rasteriser_is_refused_before(broken, code, reason):
    for rule in ("coco", "closed"):
        with pytest.raises(Undrawable, match=reason) as caught:
            draw_annotation(broken, 20, 20, polygon_rule=rule)
        assert caught.value.code == code


def test_the_box_and_area_of_an_outline_agree_with_its_pixels():
    shapes = [
        polygon((10, 10), (30, 10), (30, 40), (10, 40)),
        annotation("rectangle", (10.0, 10.0, 20.0, 30.0)),
        annotation("circle", (50.0, 50.0, 20.0)),
        annotation("ellipse", (50.0, 50.0, 25.0, 10.0, 0.5)),
        annotation("point", np.array([[50.0, 50.0]]), stroke=12),
        annotation("polyline", np.array([[10.0, 50.0], [80.0, 55.0]]), stroke=6),
    ]
    for shape in shapes:
        mask = draw_annotation(shape, 100, 100, polygon_rule="coco")
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert outline_box(shape) == pytest.approx((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), abs=1.1)
        assert outline_area(shape) == pytest.approx(mask.sum(), rel=0.15)
