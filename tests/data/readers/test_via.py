"""VIA 1, 2, 3, project files and csv: layouts, shapes, class attributes, and what breaks."""

import json
import logging

import numpy as np
import pytest
import skimage.draw

from mrcnn_plus.data import open_dataset
from mrcnn_plus.errors import DatasetError

from .files import codes, listed, save_image, save_json, via, via_region


@pytest.fixture
def folder(tmp_path):
    save_image(tmp_path / "a.jpg")
    return tmp_path


def read(folder, data, **options):
    return open_dataset(save_json(folder / "via.json", data), **options)


def version_1():
    entry = via(via_region(), via_region(attributes={"class": "stem"}))["a.jpg1000"]
    entry["regions"] = {str(number): region for number, region in enumerate(entry["regions"])}
    return {"a.jpg1000": {"fileref": "", "base64_img_data": "", **entry}}


def version_2():
    return via(via_region(), via_region(attributes={"class": "stem"}))


def project_2():
    return {"_via_settings": {}, "_via_img_metadata": version_2(), "_via_attributes": {"region": {}, "file": {}}}


def project_3():
    corners = [7, 5, 5, 13, 5, 13, 13, 5, 13]
    return {
        "project": {"pid": "__VIA_PROJECT_ID__", "vid_list": ["1"]},
        "config": {},
        "attribute": {
            "1": {"aname": "class", "anchor_id": "FILE1_Z0_XY1", "type": 4, "options": {"0": "leaf", "1": "stem"}}
        },
        "file": {"1": {"fid": 1, "fname": "a.jpg", "type": 2, "loc": 1, "src": "a.jpg"}},
        "view": {"1": {"fid_list": [1]}},
        "metadata": {
            "1_a": {"vid": "1", "flg": 0, "z": [], "xy": corners, "av": {"1": "0"}},
            "1_b": {"vid": "1", "flg": 0, "z": [], "xy": corners, "av": {"1": "1"}},
        },
    }


@pytest.mark.parametrize("layout", [version_1, version_2, project_2, project_3, lambda: list(version_2().values())])
def test_every_layout_gives_the_same_data_set(folder, layout):
    dataset = read(folder, layout())
    masks, class_ids = dataset.load_mask(0)
    assert dataset.format == "via" and dataset.class_names == ["BG", "leaf", "stem"]
    assert class_ids.tolist() == [1, 2] and masks[5:14, 5:14].all() and masks.sum() == 2 * 81
    assert dataset.problems == []


def test_the_csv_export_is_read_with_its_line_numbers(folder):
    shape = json.dumps(via_region()["shape_attributes"]).replace('"', '""')
    (folder / "via.csv").write_text(
        "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes\n"
        f'a.jpg,1000,"{{}}",2,0,"{shape}","{{""class"":""leaf""}}"\n'
        'a.jpg,1000,"{}",2,1,"{broken","{}"\n'
    )
    dataset = open_dataset(folder / "via.csv")
    assert dataset.load_mask(0)[0].sum() == 81
    assert "line 3" in listed(dataset, "DAT024").where


def test_polygons_have_the_pixels_of_matterports_sample(folder):
    xs, ys = [3, 30.5, 25, -4], [2, 8, 29, 20]
    dataset = read(folder, via(via_region(all_points_x=xs, all_points_y=ys)))
    expected = np.zeros((30, 40), bool)
    expected[skimage.draw.polygon(ys, xs, (30, 40))] = True
    assert np.array_equal(dataset.load_mask(0)[0][..., 0], expected)


SHAPES = {
    "rect": dict(x=5, y=6, width=10, height=4),
    "circle": dict(cx=20, cy=15, r=5.5),
    "ellipse": dict(cx=20, cy=15, rx=9, ry=4, theta=0.5),
    "point": dict(cx=20, cy=15),
    "polyline": dict(all_points_x=[5, 30], all_points_y=[5, 20]),
}
NUMBERS = {
    "rect": [2, 5, 6, 10, 4],
    "circle": [3, 20, 15, 5.5],
    "ellipse": [4, 20, 15, 9, 4, 0.5],
    "point": [1, 20, 15],
    "polyline": [6, 5, 5, 30, 20],
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_is_drawn_alike_in_version_2_and_3(folder, name):
    old = read(folder, via(via_region(name, **SHAPES[name])), point_radius=3, line_width=2)
    project = project_3()
    project["metadata"] = {"1_a": {"vid": "1", "z": [], "xy": NUMBERS[name], "av": {"1": "0"}}}
    new = read(folder, project, point_radius=3, line_width=2)
    mask = old.load_mask(0)[0]
    assert mask.shape == (30, 40, 1) and 20 < mask.sum() < 200
    assert np.array_equal(mask, new.load_mask(0)[0])
    assert old.problems == new.problems == []


def test_extreme_shapes_of_version_3_are_drawn(folder):
    project = project_3()
    for key, xy in [("1_a", [8, 5, 9, 9, 6, 14, 8, 10, 15]), ("1_b", [9, 10, 15, 20, 5, 30, 15])]:
        project["metadata"][key]["xy"] = xy
    rectangle, circle = read(folder, project).image_info[0]["annotations"]
    assert (rectangle.kind, rectangle.geometry) == ("rectangle", (5, 6, 9, 9))
    assert circle.kind == "circle" and circle.geometry == pytest.approx((20, 15, 10))


def test_points_and_lines_without_a_size_are_listed(folder):
    dataset = read(folder, via(via_region("point", **SHAPES["point"]), via_region("polyline", **SHAPES["polyline"])))
    assert "point_radius" in listed(dataset, "region 0").message
    assert "line_width" in listed(dataset, "region 1").message
    assert dataset.load_mask(0)[0].shape == (30, 40, 0)


def test_a_polyline_that_ends_where_it_begins_is_read_as_a_polygon(folder):
    line = via_region("polyline", all_points_x=[5, 13, 13, 5, 5], all_points_y=[5, 5, 13, 13, 5])
    dataset = read(folder, via(line))
    assert dataset.load_mask(0)[0].sum() == 81
    found = listed(dataset, "DAT023")
    assert not found.skipped and "read as a polygon" in found.message
    assert read(folder, via(line), line_width=1).load_mask(0)[0].sum() == 32


@pytest.mark.parametrize(
    "shape, code, words",
    [
        ({"name": "heart", "cx": 1}, "DAT023", "unknown shape"),
        ({}, "DAT023", "no shape_attributes"),
        (None, "DAT023", "no shape_attributes"),
        ({"name": "polygon"}, "DAT033", "no all_points_x"),
        ({"name": "polygon", "all_points_x": [1, 2, 3], "all_points_y": [1, 2]}, "DAT033", "has 3 values"),
        ({"name": "polygon", "all_points_x": [1, 20], "all_points_y": [1, 2]}, "DAT033", "at least 3 points"),
        ({"name": "polygon", "all_points_x": [1, "x", 3], "all_points_y": [1, 2, 9]}, "DAT033", "not a number"),
        ({"name": "polygon", "all_points_x": [1, None, 3], "all_points_y": [1, 2, 9]}, "DAT034", "finite"),
        ({"name": "polygon", "all_points_x": [1, 1e300, 3], "all_points_y": [1, 2, 9]}, "DAT034", "1e+300"),
        ({"name": "circle", "cx": 1, "cy": 2}, "DAT033", "has no 'r'"),
        ({"name": "circle", "cx": 1, "cy": 2, "r": 0}, "DAT033", "positive size"),
        ({"name": "rect", "x": "a", "y": 2, "width": 3, "height": 3}, "DAT033", "expected numbers"),
        ({"name": "rect", "x": 1, "y": 2, "width": 0, "height": 3}, "DAT033", "positive size"),
        ({"name": "ellipse", "cx": 1, "cy": 2, "rx": 3, "ry": -4}, "DAT033", "positive size"),
    ],
)
def test_a_shape_that_cannot_be_used_is_listed_and_the_others_are_trained_on(folder, shape, code, words):
    data = via(via_region(), via_region(), via_region())
    data["a.jpg1000"]["regions"][1]["shape_attributes"] = shape
    dataset = read(folder, data)
    found = listed(dataset, "region 1")
    assert found.code == code and found.skipped and words in found.message
    assert found.where == "via.json, image 'a.jpg', region 1"
    assert dataset.load_mask(0)[0].shape == (30, 40, 2)


@pytest.mark.parametrize("value", ["leaf", {"leaf": True}, {"leaf": True, "stem": False}, {"leaf": "true"}, ["leaf"]])
def test_a_class_may_be_a_text_a_choice_or_a_check_box(folder, value):
    assert read(folder, via(via_region(attributes={"name": value}))).class_names == ["BG", "leaf"]


def test_check_boxes_of_version_3_are_read(folder):
    project = project_3()
    project["attribute"]["1"]["type"] = 2
    project["metadata"]["1_b"]["av"] = {"1": "0,1"}
    dataset = read(folder, project)
    assert dataset.class_names == ["BG", "leaf"]
    assert "several values ('leaf', 'stem')" in listed(dataset, "metadata '1_b'").message


@pytest.mark.parametrize("value", ["", " ", None, {}, {"leaf": False}, "undefined"])
def test_a_region_without_a_class_is_listed_unless_one_is_given(folder, value):
    data = via(via_region(), via_region(attributes={"class": value}), via_region(attributes={}), via_region())
    dataset = read(folder, data)
    assert [p.where.rpartition(", ")[2] for p in dataset.problems if p.skipped] == ["region 1", "region 2"]
    assert set(codes(dataset)) == {"DAT023"}
    assert dataset.load_mask(0)[0].shape[2] == 2
    given = read(folder, data, default_class="weed")
    assert given.class_names == ["BG", "leaf", "weed"] and given.problems == []


def test_the_attribute_that_most_regions_have_is_taken_and_said(folder, caplog):
    regions = [via_region(attributes={"note": f"n{n}", "class": "leaf" if n < 9 else ""}) for n in range(10)]
    with caplog.at_level(logging.INFO):
        dataset = read(folder, via(*regions))
    assert dataset.class_names == ["BG", "leaf"]
    assert "the class is taken from the region attribute 'class' (9 values)" in caplog.text
    assert "'note'; choose with class_attribute" in caplog.text


def test_numbers_that_count_the_regions_are_not_taken_for_classes(folder):
    sorts = ["oak", "elm"] * 4 + [""]
    regions = [via_region(attributes={"number": str(n), "sort": sort}) for n, sort in enumerate(sorts)]
    assert read(folder, via(*regions)).class_names == ["BG", "elm", "oak"]


def test_the_attribute_may_be_chosen_and_a_list_is_tried_in_order(folder):
    data = via(via_region(attributes={"a": "x", "b": "y"}), via_region(attributes={"b": "z"}))
    assert read(folder, data, class_attribute="b").class_names == ["BG", "y", "z"]
    assert read(folder, data, class_attribute=["a", "b"]).class_names == ["BG", "x", "z"]
    with pytest.raises(DatasetError, match=r"class_attribute=\('clas',\).*Is 'class' meant.*'class' \(1 regions\)"):
        read(folder, via(via_region()), class_attribute="clas")


def test_attributes_of_the_file_are_taken_where_regions_have_none(folder):
    save_image(folder / "b.jpg")
    regions = [via_region(attributes={})]
    data = {
        **via(*regions, file_attributes={"caption": "a nice day", "label": "oak"}),
        **via(*regions, filename="b.jpg", file_attributes={"caption": "rain", "label": "elm"}),
    }
    dataset = read(folder, data)
    assert dataset.class_names == ["BG", "elm", "oak"]
    assert [dataset.load_mask(i)[1].tolist() for i in (0, 1)] == [[2], [1]]


def test_without_any_attribute_there_is_one_class_and_it_is_said(folder, caplog):
    data = via(via_region(attributes={}), file_attributes={"caption": "a", "public_domain": "no", "image_url": ""})
    dataset = read(folder, data)
    assert dataset.class_names == ["BG", "object"] and "default_class='weed'" in caplog.text
    assert "no region has a class attribute" in listed(dataset, "DAT023").message
    assert read(folder, data, default_class="balloon").class_names == ["BG", "balloon"]
    assert read(folder, data, class_names=["balloon"]).problems == []


def test_class_names_keep_their_line_feeds_and_are_listed(folder):
    regions = [via_region(attributes={"class": name}) for name in ("leaf\n", "leaf")]
    dataset = read(folder, via(*regions))
    assert set(dataset.class_names) == {"BG", "leaf", "leaf\n"}
    assert "line feeds" in listed(dataset, "DAT036").message


def test_images_without_regions_stay_as_images_without_objects(folder):
    dataset = read(folder, via())
    assert dataset.load_mask(0)[0].shape == (30, 40, 0)


def test_an_entry_added_by_its_address_is_found_by_its_name(folder):
    data = via(via_region(), filename="https://example.org/x%20y/a.jpg?size=1", size=-1)
    assert read(folder, data).num_images == 1


def test_of_two_files_of_a_name_the_one_of_the_right_size_is_taken(tmp_path):
    paths = [save_image(tmp_path / name / "a.jpg", width=width) for name, width in (("x", 40), ("y", 80))]
    data = via(via_region(), size=paths[1].stat().st_size)
    assert read(tmp_path, data).image_info[0]["path"] == str(paths[1])


def test_damaged_entries_are_listed(folder):
    data = via(via_region())
    data["a.jpg1000"]["regions"].append("x")
    data |= {"b": 5, "c": {"filename": None, "regions": []}, **via(filename="a.jpg", size=3)}
    data["a.jpg3"]["regions"] = 7
    dataset = read(folder, data)
    assert sorted(codes(dataset)) == ["DAT024", "DAT024", "DAT024", "DAT024", "DAT025"]


def test_a_project_without_images_and_a_video_say_why(folder):
    with pytest.raises(DatasetError, match="_via_img_metadata is empty"):
        read(folder, {"_via_settings": {}, "_via_img_metadata": {}})
    project = project_3()
    project["metadata"]["1_b"]["z"] = [2.5]
    project["metadata"]["1_c"] = {"vid": "9", "z": [], "xy": [1, 2, 3], "av": {}}
    dataset = read(folder, project)
    assert "frame of a video" in listed(dataset, "1_b").message
    assert "shows no file" in listed(dataset, "1_c").message
