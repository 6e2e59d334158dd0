"""The 23 defects of data sets that other systems pass over: each is named, with place and remedy.

A clean COCO data set of six images of 200 x 160 pixels, 12 objects and 3 classes; each test plants one defect.
"""

import copy
import json

import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.config import Config
from mrcnn_plus.data.readers.opening import open_dataset
from tests.support.lint_data import coco_content, write_coco


class FittingConfig(Config):
    NAME = "defects"
    NUM_CLASSES = 1 + 3
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 256
    RPN_ANCHOR_SCALES = (16, 32, 64, 128, 256)
    STEPS_PER_EPOCH = 6
    VALIDATION_STEPS = 6
    IMAGES_PER_GPU = 1


def box_off_its_polygon(content):
    content["annotations"][3]["bbox"][0] += 60


def polygon_beyond_the_image(content):
    shift(content["annotations"][3], 45, 0)


def box_of_no_width(content):
    content["annotations"][3]["bbox"][2] = 0


def polygon_of_two_points(content):
    content["annotations"][3]["segmentation"] = [[20, 20, 60, 60]]


def empty_segmentation(content):
    content["annotations"][3]["segmentation"] = []


def unknown_category(content):
    content["annotations"][3]["category_id"] = 9


def wrong_size_declared(content):
    content["images"][2].update(width=400, height=320)


def same_object_twice(content):
    content["annotations"].append({**copy.deepcopy(content["annotations"][3]), "id": 99})


def same_annotation_id_twice(content):
    content["annotations"][4]["id"] = content["annotations"][3]["id"]


def annotation_of_an_absent_image(content):
    content["annotations"][3]["image_id"] = 777


def class_without_instances(content):
    content["categories"].append({"id": 4, "name": "fish"})


def x_and_y_swapped(content):
    for annotation in content["annotations"]:
        points = np.reshape(annotation["segmentation"][0], (-1, 2))[:, ::-1]
        annotation["segmentation"] = [points.ravel().tolist()]
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [y, x, height, width]


def all_objects_three_pixels(content):
    for annotation in content["annotations"]:
        x, y = (int(value) for value in annotation["bbox"][:2])
        annotation["segmentation"] = [[x, y, x + 3, y, x + 3, y + 3, x, y + 3]]
        annotation.update(bbox=[x, y, 3, 3], area=9)


def rle_of_another_size(content):
    content["annotations"][3]["segmentation"] = {"size": [100, 100], "counts": [2000, 500, 7500]}


def no_annotations(content):
    content["annotations"] = []


def class_name_in_another_case(content):
    content["categories"].append({"id": 4, "name": "Cat"})
    content["annotations"][0]["category_id"] = 4


def all_zero_mask(content):
    content["annotations"][3]["segmentation"] = {"size": [160, 200], "counts": [160 * 200]}


def nan_in_polygon(content):
    content["annotations"][3]["segmentation"][0][4] = float("nan")


def shift(annotation, x, y):
    points = np.reshape(annotation["segmentation"][0], (-1, 2)) + (x, y)
    annotation["segmentation"] = [points.ravel().tolist()]
    annotation["bbox"][0] += x
    annotation["bbox"][1] += y


def missing_file(folder):
    (folder / "003.png").unlink()


def truncated_file(folder):
    path = folder / "003.png"
    path.write_bytes(path.read_bytes()[:-2000])


# Number in the table, what is done to the content, or to the files; rule; words that the place and message must hold.
IN_CONTENT = [
    (1, box_off_its_polygon, "DAT041", ["001.png", "annotations[3]"]),
    (2, polygon_beyond_the_image, "DAT015", ["001.png", "annotations[3]"]),
    (3, box_of_no_width, "DAT041", ["001.png", "annotations[3]", "width"]),
    (4, polygon_of_two_points, "DAT033", ["001.png", "annotations[3]", "2 points"]),
    (5, empty_segmentation, "DAT025", ["001.png", "annotations[3]", "segmentation"]),
    (6, unknown_category, "DAT025", ["001.png", "annotations[3]", "9"]),
    (7, wrong_size_declared, "DAT016", ["002.png", "400 x 320", "200 x 160"]),
    (10, same_object_twice, "DAT027", ["001.png", "cat"]),
    (11, same_annotation_id_twice, "DAT025", ["annotations[4]", "twice"]),
    (12, annotation_of_an_absent_image, "DAT025", ["annotations[3]", "777"]),
    (13, class_without_instances, "DAT022", ["fish"]),
    (14, x_and_y_swapped, "DAT047", ["000.png"]),
    (15, all_objects_three_pixels, "DAT044", ["000.png", "12 of 12"]),
    (16, rle_of_another_size, "DAT035", ["001.png", "annotations[3]", "100", "160"]),
    (17, no_annotations, "DAT018", ["6"]),
    (20, class_name_in_another_case, "DAT036", ["Cat", "cat"]),
    (21, all_zero_mask, "DAT013", ["001.png", "annotations[3]"]),
    (22, nan_in_polygon, "DAT034", ["001.png", "annotations[3]"]),
]
IN_FILES = [
    (8, missing_file, "DAT017", ["003.png"]),
    (9, truncated_file, "DAT017", ["003.png"]),
]
DEPTHS = ("headers", "pixels")


def described(finding):
    return " ".join([finding.where, *finding.places, finding.message])


def assert_named(report, code, words):
    found = [finding for finding in report.at_least("warning") if finding.code == code]
    assert found, str(report)
    text = " ".join(map(described, found))
    assert all(word in text for word in words), text
    assert all(finding.where and finding.fix for finding in found)
    assert "LNT001" not in {finding.code for finding in report}, str(report)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    ("number", "damage", "code", "words"), IN_CONTENT, ids=[item[1].__name__ for item in IN_CONTENT]
)
def test_a_defect_of_the_annotations_is_named(tmp_path, depth, number, damage, code, words):
    content = coco_content()
    clean = copy.deepcopy(content)
    damage(content)
    dataset = open_dataset(write_coco(tmp_path, content, draw_from=clean))
    assert_named(lint.check(None, dataset, depth=depth), code, words)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(("number", "damage", "code", "words"), IN_FILES, ids=[item[1].__name__ for item in IN_FILES])
def test_a_defect_of_the_files_is_named(tmp_path, depth, number, damage, code, words):
    path = write_coco(tmp_path, coco_content())
    damage(tmp_path)
    assert_named(lint.check(None, open_dataset(path), depth=depth), code, words)


@pytest.mark.parametrize(("number", "classes"), [(18, 5), (19, 2)])
def test_a_wrong_number_of_classes_is_named(tmp_path, number, classes):
    config = FittingConfig()
    config.NUM_CLASSES = classes
    dataset = open_dataset(write_coco(tmp_path, coco_content()))
    assert_named(lint.check(config, dataset), "CFG021", [str(classes), "4", "bird"])


def test_validation_on_training_images_is_named(tmp_path):  # number 23
    path = write_coco(tmp_path / "one", coco_content())
    copied = write_coco(tmp_path / "two", coco_content())
    same = open_dataset(path)
    for train, val in ((same, same), (same, open_dataset(path)), (same, open_dataset(copied))):
        assert_named(lint.check(None, train, val), "DAT021", ["6"])


def test_class_names_that_differ_between_the_parts_are_named(tmp_path):  # number 20, as two files
    other = coco_content(seed=1)
    other["categories"][0]["name"] = "Cat"
    train = open_dataset(write_coco(tmp_path / "train", coco_content()))
    val = open_dataset(write_coco(tmp_path / "val", other, draw_from=coco_content(seed=1), seed=50))
    assert_named(lint.check(None, train, val), "DAT020", ["cat", "Cat"])


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_clean_data_set_has_no_finding(tmp_path, depth):
    train = open_dataset(write_coco(tmp_path / "train", coco_content()))
    val = open_dataset(write_coco(tmp_path / "val", coco_content(seed=1), seed=50))
    assert not lint.check(None, train, val, depth=depth).at_least("warning")
    report = lint.check(FittingConfig(), train, val, depth=depth)
    assert not report.at_least("warning"), str(report)


def test_the_user_s_files_stay_as_they_are(tmp_path):
    path = write_coco(tmp_path, coco_content())
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    lint.check(None, open_dataset(path), depth="pixels")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert json.loads(path.read_text())["annotations"]
