"""COCO files as tools write them, and as they break."""

import json
import logging

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mrcnn_plus.data import open_dataset
from mrcnn_plus.errors import DatasetError

from .files import coco, codes, listed, save_image, save_json, square


@pytest.fixture
def folder(tmp_path):
    save_image(tmp_path / "a.jpg")
    return tmp_path


def read(folder, data, **options):
    return open_dataset(save_json(folder / "instances.json", data), **options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
def test_every_kind_of_segmentation_has_the_pixels_of_pycocotools(folder):
    inside = np.zeros((30, 40), np.uint8)
    inside[3:9, 4:30] = 1
    compressed = coco_mask.encode(np.asfortranarray(inside))
    annotations = [
        {"segmentation": [[1.5, 2, 20, 3.5, 18, 25]]},
        {"segmentation": [square(2, 2, 5), square(20, 20, 30)], "category_id": 7},
        {"segmentation": {"size": [30, 40], "counts": compressed["counts"].decode()}},
        {"segmentation": {"size": [30, 40], "counts": [100, 50, 1050]}, "iscrowd": 1},
    ]
    categories = [{"id": 7, "name": "stem"}, {"id": 1, "name": "leaf"}]
    dataset = read(folder, coco(annotations, categories=categories))
    masks, class_ids = dataset.load_mask(0)
    reference = COCO(str(folder / "instances.json"))
    expected = np.stack([reference.annToMask(annotation) for annotation in reference.loadAnns([1, 2, 3, 4])], axis=-1)
    assert masks.dtype == bool and np.array_equal(masks, expected)
    assert dataset.class_names == ["BG", "leaf", "stem"]
    assert class_ids.dtype == np.int32 and class_ids.tolist() == [1, 2, 1, -1]
    assert dataset.map_source_class_id("coco.7") == 2
    assert dataset.problems == []


def test_ids_of_zero_and_gaps_are_ids_like_others(folder):
    images = [{"id": 0, "file_name": "a.jpg"}]
    categories = [{"id": 0, "name": "leaf"}, {"id": 90, "name": "stem"}]
    annotations = [{"image_id": 0, "category_id": 0, "id": 0}, {"image_id": 0, "category_id": 90, "id": 1}]
    dataset = read(folder, coco(annotations, images=images, categories=categories))
    assert dataset.load_mask(0)[1].tolist() == [1, 2]
    assert dataset.problems == []


def test_annotations_keep_what_the_file_declares(folder):
    dataset = read(folder, coco([{"id": 4711, "bbox": [5, 5, 8, 8.5], "area": 64.5}]))
    info = dataset.image_info[0]
    annotation = info["annotations"][0]
    assert (info["width"], info["height"]) == (40, 30)
    assert (annotation.box, annotation.area, annotation.place) == ((5, 5, 8, 8.5), 64.5, "annotations[0] (id 4711)")
    assert (dataset.format, dataset.source_path) == ("coco", str(folder / "instances.json"))


@pytest.mark.parametrize(
    "file_name",
    ["pictures/b.jpg", "pictures\\b.jpg", "b.jpg", "./pictures/b.jpg", "C:\\data\\old\\b.jpg", "/srv/x/pictures/b.jpg"],
)
def test_images_are_found_in_sub_folders_and_under_other_prefixes(folder, file_name):
    path = save_image(folder / "pictures" / "b.jpg")
    dataset = read(folder, coco([{}], images=[{"id": 1, "file_name": file_name}]))
    assert dataset.image_info[0]["path"] == str(path)
    assert dataset.load_image(0).shape == (30, 40, 3)


def test_the_folder_of_the_images_may_be_given_or_is_found_beside(tmp_path):
    path = save_image(tmp_path / "elsewhere" / "a.jpg")
    annotations = save_json(tmp_path / "annotations" / "x.json", coco([{}]))
    assert open_dataset(annotations, tmp_path / "elsewhere").image_info[0]["path"] == str(path)
    beside = save_image(tmp_path / "images" / "a.jpg")
    assert open_dataset(annotations).image_info[0]["path"] == str(beside)
    with pytest.raises(DatasetError, match="images='nowhere', which is no folder"):
        open_dataset(annotations, "nowhere")


def test_names_that_differ_in_case_or_ending_are_found_and_said(folder):
    save_image(folder / "B.JPG")
    save_image(folder / "c.png")
    images = [{"id": 1, "file_name": "b.jpg"}, {"id": 2, "file_name": "c.jpg"}]
    dataset = read(folder, coco([{}, {"image_id": 2}], images=images))
    assert dataset.num_images == 2
    assert "upper and lower case" in listed(dataset, "DAT038", "'b.jpg'").message
    assert "ends differently" in listed(dataset, "DAT038", "'c.jpg'").message


def test_of_two_files_with_the_name_none_is_guessed(folder):
    save_image(folder / "x" / "b.jpg")
    save_image(folder / "y" / "b.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "z/b.jpg"}, {"id": 3, "file_name": "q/x/b.jpg"}]
    dataset = read(folder, coco([{"image_id": 2}], images=images))
    assert "2 files of that name" in listed(dataset, "DAT017", "z/b.jpg").message
    assert dataset.image_info[1]["path"].endswith("x/b.jpg")


def test_entries_without_image_and_images_without_entry_are_listed(folder):
    save_image(folder / "extra.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "gone.jpg"}]
    dataset = read(folder, coco([{}, {"image_id": 2}, {"image_id": 2}], images=images))
    assert dataset.num_images == 1
    gone = listed(dataset, "gone.jpg")
    assert gone.code == "DAT017" and gone.skipped and "2 objects" in gone.message
    extra = listed(dataset, "extra.jpg")
    assert extra.code == "DAT037" and extra.skipped


def test_without_any_image_the_annotations_can_still_be_checked(tmp_path):
    dataset = read(tmp_path, coco([{}, {"segmentation": []}]))
    assert dataset.num_images == 1
    assert "say where they are, images=FOLDER" in listed(dataset, "DAT017").message
    assert "DAT025" in codes(dataset)


@pytest.mark.parametrize(
    "annotation, code, words",
    [
        ({"category_id": 9}, "DAT025", "category_id 9 is not in"),
        ({"category_id": "1"}, "DAT025", "The file has 1, a int"),
        ({"category_id": None}, "DAT025", "category_id None"),
        ({"category_id": [1]}, "DAT025", "category_id [1]"),
        ({"image_id": 777}, "DAT025", "image_id 777 is not in"),
        ({"image_id": {}}, "DAT025", "image_id {}"),
        ({"segmentation": []}, "DAT025", "expected polygons or an RLE"),
        ({"segmentation": None}, "DAT025", "expected polygons or an RLE"),
        ({"segmentation": "abc"}, "DAT025", "expected polygons or an RLE"),
        ({"segmentation": [], "bbox": [1, 2, 3, 4]}, "DAT025", "bbox, which is not enough for masks"),
        ({"segmentation": [[1, 2, 3, 4]]}, "DAT033", "at least 3 points"),
        ({"segmentation": [[1, 2, 30, 4, 5, 6, 7]]}, "DAT033", "at least 3 points"),
        ({"segmentation": [["a", 2, 30, 4, 5, 6]]}, "DAT033", "at least 3 points"),
        ({"segmentation": [[1, 2, 30, 4, float("nan"), 6]]}, "DAT034", "finite coordinates"),
        ({"segmentation": [[1, 2, 30, 4, float("inf"), 6]]}, "DAT034", "finite coordinates"),
        ({"segmentation": [[1, 2, 30, 4, None, 6]]}, "DAT034", "finite coordinates"),
        ({"segmentation": [[1, 2, 30, 4, 1e9, 6]]}, "DAT034", "1000000000.0"),
        ({"segmentation": {"size": [30, 40], "counts": [0, 5]}}, "DAT035", "5 pixels"),
        ({"segmentation": {"size": [30, 40], "counts": "###"}}, "DAT035", "damaged"),
        ({"segmentation": {"size": [30, 40], "counts": [0, -5, 2]}}, "DAT035", "from 0"),
        ({"segmentation": {"size": [30, 40], "counts": [0, "x"]}}, "DAT035", "list of numbers"),
        ({"segmentation": {"size": [30, 40]}}, "DAT035", "received counts=None"),
        ({"segmentation": {}}, "DAT035", "received counts=None"),
        ({"segmentation": {"size": [30, 40], "counts": [1200]}}, "DAT013", "no pixel"),
    ],
)
def test_an_object_that_cannot_be_used_is_listed_and_the_others_are_trained_on(folder, annotation, code, words):
    dataset = read(folder, coco([{}, annotation, {}]))
    found = [problem for problem in dataset.problems if problem.skipped]
    assert len(found) == 1 and found[0].code == code and words in found[0].message
    assert "instances.json" in found[0].where and "annotations[1]" in found[0].where
    masks, class_ids = dataset.load_mask(0)
    assert masks.shape == (30, 40, 2) and class_ids.tolist() == [1, 1]
    assert len([problem for problem in dataset.problems if problem.skipped]) == 1


def test_the_image_of_a_damaged_object_is_named(folder):
    assert (
        "image 'a.jpg' (id 1), annotations[0] (id 1)"
        in listed(read(folder, coco([{"segmentation": []}])), "DAT025").where
    )


def test_a_damaged_part_is_listed_and_the_other_parts_are_drawn(folder):
    dataset = read(folder, coco([{"segmentation": [square(5, 5, 8), [1, 2, 3, 4], [1, 2, 3]]}]))
    assert dataset.load_mask(0)[0].sum() == 64
    assert codes(dataset) == ["DAT033", "DAT033"]
    assert not any(problem.skipped for problem in dataset.problems)


def test_one_list_of_numbers_is_read_as_one_polygon_and_pairs_of_points_too(folder):
    dataset = read(
        folder, coco([{"segmentation": square(5, 5, 8)}, {"segmentation": [[[5, 5], [13, 5], [13, 13], [5, 13]]]}])
    )
    masks, _ = dataset.load_mask(0)
    assert masks[..., 0].sum() == 64 and np.array_equal(masks[..., 0], masks[..., 1])
    assert "list of lists" in listed(dataset, "DAT025").message


@pytest.mark.parametrize("box, code", [([1, 2, 3], "DAT025"), ("x", "DAT025"), ([1, 2, 3, float("nan")], "DAT034")])
def test_a_damaged_box_is_listed_and_the_mask_is_used(folder, box, code):
    dataset = read(folder, coco([{"bbox": box}]))
    assert codes(dataset) == [code] and dataset.load_mask(0)[0].any()
    assert dataset.image_info[0]["annotations"][0].box is None


def test_objects_outside_the_image_are_listed_when_they_are_drawn(folder, caplog):
    dataset = read(folder, coco([{"segmentation": [square(500, 500, 8)]}, {}]))
    assert dataset.problems == []
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert dataset.load_mask(0)[0].shape[2] == 1
    found = listed(dataset, "annotations[0]")
    assert found.code == "DAT013" and found.skipped and "outside the image of 40 x 30" in found.message
    assert len([record for record in caplog.records if "left out" in record.message]) == 1


def test_same_ids_are_listed(folder):
    save_image(folder / "b.jpg")
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]
    categories = [{"id": 1, "name": "leaf"}, {"id": 1, "name": "stem"}]
    dataset = read(folder, coco([{"id": 5}, {"id": 5}], images=images, categories=categories))
    assert "first at annotations[0]" in listed(dataset, "annotation id 5 occurs twice").message
    assert listed(dataset, "image id 1 occurs twice").skipped
    assert "'leaf' and 'stem'" in listed(dataset, "category id 1 occurs twice").message
    assert dataset.load_mask(0)[0].shape[2] == 2


def test_two_entries_of_one_file_are_listed(folder):
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "x/a.jpg"}]
    dataset = read(folder, coco([{}, {"image_id": 2}], images=images))
    assert dataset.num_images == 2 and "Unite the entries" in listed(dataset, "DAT025").message


def test_damaged_images_and_categories_are_listed(folder):
    data = coco([{}])
    data["images"] += [5, {"file_name": "x.jpg"}, {"id": 3}, {"id": 4, "file_name": 12}]
    data["categories"] += ["x", {"name": "no id"}, {"id": [1], "name": "list"}]
    data["annotations"] += ["x"]
    dataset = read(folder, data)
    places = [problem.where.partition(", ")[2].partition(" ")[0] for problem in dataset.problems]
    assert places == [
        *(f"categories[{n}]" for n in (1, 2, 3)),
        *(f"images[{n}]" for n in (1, 2, 3, 4)),
        "annotations[1]",
    ]
    assert dataset.class_names == ["BG", "leaf"]


def test_the_size_of_an_rle_of_another_picture_is_said(folder):
    dataset = read(folder, coco([{"segmentation": {"size": [20, 20], "counts": [0, 400]}}]))
    assert dataset.load_mask(0)[0].shape == (30, 40, 0)
    assert "the image has [30, 40]" in listed(dataset, "DAT035").message


def test_another_size_than_declared_is_said(folder):
    dataset = read(folder, coco([{}], width=80, height=60))
    dataset.load_mask(0)
    assert "declare 80 x 60" in listed(dataset, "DAT016").message


def test_class_names_that_look_alike_stay_apart_and_are_listed(folder):
    names = ["leaf", "Leaf", "stem", "stem\n", "Käfer", "KÃ¤fer", "root ", "flower"]
    categories = [{"id": number, "name": name} for number, name in enumerate(names, 1)]
    dataset = read(folder, coco([{}], categories=categories))
    assert dataset.class_names == ["BG", *names]
    assert codes(dataset) == ["DAT036"] * 4
    assert "upper and lower case" in listed(dataset, "class 'Leaf'").message
    assert "line feeds" in listed(dataset, "class 'stem\\n'").message
    assert "wrong encoding" in listed(dataset, "class 'KÃ¤fer'").message
    assert "spaces" in listed(dataset, "class 'root '").message


def test_given_class_names_fix_the_order_and_others_are_listed(folder, caplog):
    categories = [{"id": 1, "name": "leaf"}, {"id": 2, "name": "stem"}, {"id": 3, "name": "Root"}]
    data = coco([{}, {"category_id": 2}, {"category_id": 3}], categories=categories)
    dataset = read(folder, data, class_names=["stem", "root", "leaf"])
    assert dataset.class_names == ["BG", "stem", "root", "leaf"]
    assert dataset.load_mask(0)[1].tolist() == [3, 1]
    found = listed(dataset, "class 'Root'")
    assert found.skipped and "is 'root' meant" in found.message and "annotations[2]" in found.value[0]
    assert "no class 'root'" in caplog.text


@pytest.mark.parametrize(
    "data, words",
    [
        ({"images": [], "annotations": [], "categories": []}, "holds no image"),
        ({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": {}}, "expected 'annotations' to be a list"),
        (
            {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [], "categories": {}},
            "'categories' to be a list",
        ),
        ({"images": [{"id": 1, "file_name": "a.jpg"}], "categories": []}, "COCO's 'images' without 'annotations'"),
        ([{"image_id": 1, "category_id": 1, "segmentation": []}], "COCO without the images"),
    ],
)
def test_files_that_are_no_data_set_say_why(folder, data, words):
    with pytest.raises(DatasetError, match=words):
        read(folder, data)


def test_a_file_that_was_cut_off_says_where(folder):
    text = json.dumps(coco([{}, {}]), indent=1)
    path = folder / "cut.json"
    path.write_text(text[: len(text) // 2])
    with pytest.raises(DatasetError, match=r"cut.json', line \d+, column \d+.*ends in the middle.*export it again"):
        open_dataset(path)


def test_a_comma_too_many_says_where(folder):
    path = folder / "comma.json"
    path.write_text('{"images": [],\n "annotations": [1, 2,, 3]}')
    with pytest.raises(DatasetError, match=r"line 2, column 23.*no valid JSON.*near"):
        open_dataset(path)
