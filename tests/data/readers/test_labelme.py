"""labelme files: shapes, groups, images beside the json or inside it, and what breaks."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.data import open_dataset

from .files import codes, listed, save_image, save_json


@pytest.fixture
def folder(tmp_path):
    save_image(tmp_path / "a.jpg")
    return tmp_path


def shape(label="leaf", points=((5, 5), (13, 5), (13, 13), (5, 13)), kind="polygon", **more):
    return {"label": label, "points": [list(point) for point in points], "shape_type": kind, "group_id": None, **more}


def labelme(*shapes, **more):
    return {
        "version": "5.4.1",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": "a.jpg",
        "imageData": None,
        "imageHeight": 30,
        "imageWidth": 40,
        **more,
    }


def read(folder, *shapes, options=None, **more):
    save_json(folder / "a.json", labelme(*shapes, **more))
    return open_dataset(folder, **(options or {}))


def pasted(mask):
    content = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(content, "PNG")
    return base64.b64encode(content.getvalue()).decode()


def test_a_folder_with_a_json_for_each_image_is_read(folder):
    save_image(folder / "b.jpg")
    save_json(folder / "b.json", labelme(shape("stem"), shape(), imagePath="b.jpg"))
    dataset = read(folder, shape())
    assert dataset.format == "labelme" and dataset.class_names == ["BG", "leaf", "stem"]
    assert [dataset.load_mask(i)[1].tolist() for i in (0, 1)] == [[1], [2, 1]]
    assert dataset.load_mask(0)[0].sum() == 81 and dataset.problems == []
    assert open_dataset(folder / "b.json").num_images == 1


@pytest.mark.parametrize(
    "drawn, pixels",
    [
        (shape(kind="rectangle", points=[(15, 16), (5, 6)]), 100),
        (shape(kind="rectangle", points=[(5, 6), (15, 6), (15, 16), (5, 16)]), 100),
        (shape(kind="circle", points=[(20, 15), (22, 15)]), 13),
        (shape(kind="rotation"), 81),
        (shape(kind="point", points=[(20, 15)]), 13),
        (shape(kind="line", points=[(5, 5), (14, 5)]), 36),
        (shape(kind="linestrip", points=[(5, 5), (14, 5)]), 36),
        (shape(kind=None), 81),
        (shape(kind="mask", points=[(5, 5), (8, 7)], mask=pasted(np.ones((3, 4), bool))), 12),
        (shape(kind="mask", points=[(-2, -1), (1, 1)], mask=pasted(np.ones((3, 4), bool))), 4),
        (shape(kind="mask", points=[(38, 28), (41, 30)], mask=pasted(np.ones((3, 4), bool))), 4),
    ],
)
def test_every_kind_of_shape_is_drawn(folder, drawn, pixels):
    dataset = read(folder, drawn, options=dict(point_radius=2, line_width=3))
    assert dataset.load_mask(0)[0].sum() == pytest.approx(pixels, abs=3)
    assert dataset.problems == []


def test_shapes_of_a_group_are_parts_of_one_object(folder):
    far = [(20, 20), (24, 20), (24, 24), (20, 24)]
    dataset = read(
        folder,
        shape(group_id=1),
        shape(group_id=1, points=far),
        shape("stem", group_id=1),
        shape(group_id=2),
        shape(points=far),
        shape(group_id=2, kind="rectangle", points=[(20, 20), (25, 25)]),
        shape(group_id=2, kind="circle", points=[(30, 5), (32, 5)]),
    )
    masks, class_ids = dataset.load_mask(0)
    assert class_ids.tolist() == [1, 2, 1, 1]
    assert masks.sum(axis=(0, 1))[:2].tolist() == [81 + 25, 81]
    assert masks.sum(axis=(0, 1))[2] == pytest.approx(81 + 25 + 13, abs=4)
    assert dataset.image_info[0]["annotations"][0].place == "shapes[0] + [1]"


def test_a_group_that_cannot_be_joined_is_listed(folder):
    mask = shape(kind="mask", points=[(5, 5), (8, 7)], mask=pasted(np.ones((3, 4), bool)), group_id=3)
    dataset = read(folder, shape(group_id=3), mask)
    assert dataset.load_mask(0)[0].shape[2] == 2
    assert "cannot be joined" in listed(dataset, "shapes[1]").message


@pytest.mark.parametrize("image_path", ["a.jpg", "..\\photos\\a.jpg", "../photos/a.jpg", "/home/x/a.jpg", None])
def test_the_image_is_found_by_its_path_or_its_name(folder, image_path):
    dataset = read(folder, shape(), imagePath=image_path)
    assert dataset.image_info[0]["path"] == str(folder / "a.jpg")


def test_image_paths_count_from_the_json(tmp_path):
    for name in ("one", "two"):
        save_image(tmp_path / name / "images" / "a.jpg", width=50 if name == "two" else 40)
        save_json(tmp_path / name / "json" / "a.json", labelme(shape(), imagePath="../images/a.jpg"))
    dataset = open_dataset(tmp_path)
    assert [dataset.load_image(i).shape[1] for i in (0, 1)] == [40, 50]


def test_an_image_inside_the_json_is_used_where_the_file_is_missing(tmp_path):
    content = save_image(tmp_path / "x" / "a.png").read_bytes()
    folder = tmp_path / "json"
    dataset = read(folder, shape(), imageData=base64.b64encode(content).decode())
    expected = np.asarray(Image.open(tmp_path / "x" / "a.png"))
    assert np.array_equal(dataset.load_image(0), expected)
    assert dataset.load_mask(0)[0].shape == (30, 40, 1)
    assert dataset.read_header(0) == (40, 30, 1)


def test_an_image_that_is_nowhere_is_listed(folder):
    save_json(folder / "b.json", labelme(shape(), imagePath="b.jpg"))
    dataset = read(folder, shape())
    assert dataset.num_images == 1 and "entry without an image" in listed(dataset, "DAT017").message


@pytest.mark.parametrize(
    "broken, code, words",
    [
        (shape(points=[(1, 1), (5, 5)]), "DAT033", "at least 3 points"),
        (shape(points=[]), "DAT033", "received none"),
        (shape(points=[(1, 1, 1)]), "DAT033", "each of two numbers"),
        (shape(points=[(1, "a"), (2, 3), (4, 5)]), "DAT033", "each of two numbers"),
        (shape(points=[(1, float("nan")), (2, 3), (4, 5)]), "DAT034", "finite"),
        ({"label": "x"}, "DAT033", "expected points"),
        (shape(kind="cuboid"), "DAT023", "unknown shape_type"),
        (shape(kind="circle", points=[(1, 1)]), "DAT033", "expected 2 points"),
        (shape(label=""), "DAT023", "has no label"),
        (shape(label=None), "DAT023", "has no label"),
        ("text", "DAT024", "expected an object"),
        (shape(kind="mask", points=[(1, 1), (4, 4)], mask="zzz"), "DAT017", "no base64 PNG"),
        (shape(kind="mask", points=[(1, 1)], mask="zzz"), "DAT033", "needs two points"),
        (shape(kind="point", points=[(1, 1)]), "DAT023", "point_radius"),
    ],
)
def test_a_shape_that_cannot_be_used_is_listed(folder, broken, code, words):
    dataset = read(folder, shape(), broken, shape())
    found = listed(dataset, "shapes[1]")
    assert (found.code, found.skipped) == (code, True) and words in found.message and "a.json" in found.where
    assert dataset.load_mask(0)[0].shape[2] == 2


def test_a_damaged_file_among_many_is_listed_and_the_others_are_read(folder):
    (folder / "b.json").write_text('{"version": "5", "shapes": [')
    save_json(folder / "settings.json", {"theme": "dark"})
    dataset = read(folder, shape())
    assert dataset.num_images == 1
    assert "ends in the middle" in listed(dataset, "'b.json'").message
    assert "no labelme file" in listed(dataset, "'settings.json'").message
    assert set(codes(dataset)) == {"DAT024"}
