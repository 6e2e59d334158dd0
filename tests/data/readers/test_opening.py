"""`open_dataset`: which format is it, and what is said where it is none."""

import json

import pytest

from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.readers.detection import FORMATS
from mrcnn_plus.errors import DatasetError

from .files import coco, save_image, save_json, via, via_region


@pytest.fixture
def folder(tmp_path):
    save_image(tmp_path / "a.jpg")
    return tmp_path


def test_the_content_decides_and_not_the_name(folder):
    (folder / "annotations.txt.json").write_text(json.dumps(via(via_region())))
    assert open_dataset(folder).format == "via"
    (folder / "export").write_text(json.dumps(coco([{}])))
    assert open_dataset(folder / "export").format == "coco"
    (folder / "table.json").write_text(json.dumps(coco([{}])))
    assert open_dataset(folder / "table.json", format="coco").format == "coco"


def test_a_folder_with_one_data_set_in_it_stands_for_it(folder):
    save_json(folder / "x" / "via.json", via(via_region()))
    save_image(folder / "x" / "a.jpg")
    assert open_dataset(folder).source_path == str(folder / "x" / "via.json")


def test_train_and_val_are_opened_by_their_names(tmp_path):
    for name in ("train", "val"):
        save_image(tmp_path / name / "a.jpg")
        save_json(tmp_path / name / "via_region_data.json", via(via_region()))
    with pytest.raises(DatasetError, match="Data sets are in 'train', 'val': open each by itself, e.g. subset='train'"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, subset="val").source_path == str(tmp_path / "val" / "via_region_data.json")


def test_several_annotation_files_are_told_apart_by_a_part_of_their_name(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    for name in ("train", "val"):
        save_json(tmp_path / "annotations" / f"instances_{name}.json", coco([{}]))
    with pytest.raises(DatasetError, match=r"2 annotation files: 'instances_train.json' \(coco\)"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, subset="val").source_path.endswith("instances_val.json")


def test_a_wrong_format_says_which_it_is(folder):
    path = save_json(folder / "x.json", coco([{}]))
    with pytest.raises(DatasetError, match="has the layout of 'coco', received format='via'"):
        open_dataset(path, format="via")
    with pytest.raises(DatasetError, match="is a file; format='pascal_voc' reads a folder"):
        open_dataset(path, format="pascal_voc")
    with pytest.raises(DatasetError, match="has not the layout of format='mask_folders'"):
        open_dataset(folder, format="mask_folders")


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("x.json", '{"a": 1, "b": 2}', "a JSON object with the keys 'a', 'b': no known layout"),
        ("x.json", "[1, 2, 3]", "a JSON list of 3 entries"),
        ("x.json", "[]", "a JSON list of 0 entries"),
        ("x.json", "5", "has no known layout"),
        ("x.json", '[{"Label": {}, "External ID": "a.jpg"}]', "Labelbox"),
        ("x.json", '{"objects": [], "size": {}}', "Supervisely"),
        ("x.json", '{"filename": "a.jpg", "regions": []}', "one entry of a VIA file"),
        ("x.json", "", "is empty"),
        ("x.json", "<!DOCTYPE html><html>", "is an HTML page"),
        ("x.json", "version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("x.csv", "a,b\n1,2\n", "a table with the columns 'a', 'b'"),
        ("x.txt", "0 0.5 0.5 0.1 0.1", "YOLO"),
        ("x.xml", "<annotation/>", "Pascal VOC is read by its folder"),
        ("x.zip", "PK", "Unpack it"),
        ("x.jpg", "", "is an image"),
    ],
)
def test_a_file_of_no_known_layout_says_what_it_is_and_what_can_be_read(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path / name)
    assert words in str(caught.value) and name in str(caught.value)
    if "no known layout" in words:
        assert all(description in str(caught.value) for description in FORMATS.values())


def test_the_nearest_layout_stands_first(tmp_path):
    path = save_json(tmp_path / "x.json", {"images": 5, "annotations": []})
    with pytest.raises(DatasetError) as caught:
        open_dataset(path)
    assert str(caught.value).split("What can be read:\n")[1].startswith("  coco: ")


@pytest.mark.parametrize(
    "names, words",
    [
        ([], "it holds nothing"),
        (["a.jpg", "b.jpg"], "Images alone have no masks"),
        (["notes.docx"], "1 files .docx"),
        (["pictures/a.jpg", "mask_pictures/a.jpg"], "folders named 'images' and 'masks'"),
    ],
)
def test_a_folder_of_no_known_layout_says_what_it_holds(tmp_path, names, words):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DatasetError) as caught:
        open_dataset(tmp_path)
    assert words in str(caught.value) and "What can be read" in str(caught.value)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"format": "cocoo"}, "received format='cocoo'. Is 'coco' meant?"),
        ({"mask_values": "instance"}, "Is 'instances' meant?"),
        ({"point_radius": 0}, "received point_radius=0"),
        ({"line_width": "3"}, "received line_width='3'"),
        ({"class_names": "leaf"}, "Write ['leaf']"),
        ({"class_names": ["leaf", "leaf"]}, "each class once"),
        ({"colors": {"leaf": "red"}}, "expected {class name: value or (red, green, blue)}"),
        ({"colors": [(1, 2, 3)]}, "expected {class name: value or (red, green, blue)}"),
    ],
)
def test_options_are_checked(folder, options, words):
    path = save_json(folder / "x.json", coco([{}]))
    with pytest.raises(DatasetError) as caught:
        open_dataset(path, **options)
    assert words in str(caught.value)


def test_a_path_that_is_not_there_names_its_neighbour(folder):
    save_json(folder / "via.json", via(via_region()))
    with pytest.raises(DatasetError, match="The folder has 'via.json'"):
        open_dataset(folder / "vai.json")
    with pytest.raises(DatasetError, match="There is no folder"):
        open_dataset(folder / "x" / "vai.json")


def test_the_background_may_stand_first_in_class_names(folder):
    path = save_json(folder / "x.json", coco([{}]))
    assert open_dataset(path, class_names=["BG", "leaf"]).class_names == ["BG", "leaf"]
