"""Folders of images and masks: every layout, what values mean, and what breaks."""

import logging

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.data import open_dataset
from mrcnn_plus.errors import DatasetError

from .files import codes, listed, save_image, save_mask


def blank(*boxes, height=30, width=40, dtype=np.uint8):
    """A mask with a value for each box (y1, x1, y2, x2, value)."""
    mask = np.zeros((height, width), dtype)
    for y1, x1, y2, x2, value in boxes:
        mask[y1:y2, x1:x2] = value
    return mask


ONE = blank((2, 2, 8, 9, 255))
TWO = blank((12, 12, 20, 30, 255))


def areas(dataset, image_id=0):
    return sorted(dataset.load_mask(image_id)[0].sum(axis=(0, 1)).tolist())


def test_the_layout_of_matterports_nucleus_sample_is_read(tmp_path):
    for name, masks in (("x1", [ONE, TWO]), ("x2", [ONE])):
        save_image(tmp_path / name / "images" / f"{name}.png")
        for number, mask in enumerate(masks):
            save_mask(tmp_path / name / "masks" / f"m{number}.png", mask)
    dataset = open_dataset(tmp_path)
    assert dataset.format == "mask_folders" and dataset.num_images == 2
    masks, class_ids = dataset.load_mask(0)
    assert np.array_equal(masks[..., 0], ONE > 0) and np.array_equal(masks[..., 1], TWO > 0)
    assert class_ids.tolist() == [1, 1] and dataset.class_names == ["BG", "object"]
    assert dataset.image_info[0]["annotations"][1].place == "x1/masks/m1.png"
    assert dataset.problems == []
    assert open_dataset(tmp_path, default_class="nucleus").class_names == ["BG", "nucleus"]


@pytest.mark.parametrize(
    "names",
    [
        ["a_1.png", "a_2.png"],
        ["a-1.png", "a-2.png"],
        ["a_mask_1.png", "a_mask_2.png"],
        ["a (1).png", "a (2).png"],
        ["a/1.png", "a/2.png"],
        ["a/first.png", "a/second.png"],
    ],
)
def test_a_mask_for_each_instance_is_found_by_its_name_or_folder(tmp_path, names):
    save_image(tmp_path / "images" / "a.jpg")
    for name, mask in zip(names, (ONE, TWO)):
        save_mask(tmp_path / "masks" / name, mask)
    dataset = open_dataset(tmp_path)
    assert areas(dataset) == [42, 144] and dataset.problems == []


def test_the_longest_name_of_an_image_owns_the_mask(tmp_path):
    for name in ("a", "a_label"):
        save_image(tmp_path / "images" / f"{name}.jpg")
    for name, mask in (("a_label_7", ONE), ("a_2", TWO)):
        save_mask(tmp_path / "masks" / f"{name}.png", mask)
    dataset = open_dataset(tmp_path)
    assert [(info["id"], areas(dataset, i)) for i, info in enumerate(dataset.image_info)] == [
        ("a", [144]),
        ("a_label", [42]),
    ]


@pytest.mark.parametrize(
    "names", [("leaf/a.png", "stem/a.png"), ("leaf/a_1.png", "stem/a_1.png"), ("leaf/a/1.png", "stem/a/1.png")]
)
def test_folders_between_are_classes(tmp_path, names):
    save_image(tmp_path / "images" / "a.jpg")
    for name, mask in zip(names, (ONE, TWO)):
        save_mask(tmp_path / "masks" / name, mask)
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ["BG", "leaf", "stem"]
    masks, class_ids = dataset.load_mask(0)
    assert masks.sum(axis=(0, 1)).tolist() == [42, 144] and class_ids.tolist() == [1, 2]


def test_values_of_an_id_mask_are_instances(tmp_path, caplog):
    save_image(tmp_path / "images" / "a.jpg")
    values = blank((2, 2, 8, 9, 1), (12, 12, 20, 30, 2), (25, 0, 30, 40, 700), dtype=np.uint16)
    save_mask(tmp_path / "masks" / "a.png", values)
    dataset = open_dataset(tmp_path)
    assert areas(dataset) == [42, 144, 200]
    assert "are taken to mean instances" in caplog.text
    annotation = dataset.image_info[0]["annotations"][2]
    assert annotation.place == "masks/a.png, value 700"
    assert (annotation.geometry.bounds, annotation.geometry.pixels) == ((0, 25, 40, 30), 200)


def test_values_that_stand_for_classes_are_split_into_connected_parts(tmp_path, caplog):
    for number in range(3):
        save_image(tmp_path / "images" / f"{number}.jpg")
        values = blank((2, 2, 8, 9, 1), (12, 12, 20, 30, 1), (25, 0, 30, 10, 2), (25, 20, 30, 40, 2))
        save_mask(tmp_path / "masks" / f"{number}_mask.png", values)
    dataset = open_dataset(tmp_path)
    assert areas(dataset) == [42, 50, 100, 144]
    assert "are taken to mean classes" in caplog.text and "touch become one" in caplog.text
    assert dataset.class_names == ["BG", "value 1", "value 2"]
    named = open_dataset(tmp_path, class_names=["leaf", "stem"])
    assert named.load_mask(0)[1].tolist() == [1, 1, 2, 2]
    assert areas(open_dataset(tmp_path, mask_values="instances")) == [150, 186]


def test_a_black_and_white_mask_has_one_class(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    save_mask(tmp_path / "masks" / "a.png", ONE | TWO)
    dataset = open_dataset(tmp_path)
    assert areas(dataset) == [42, 144] and dataset.class_names == ["BG", "object"]


def test_colors_mean_the_classes_that_the_user_states(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    color = np.zeros((30, 40, 3), np.uint8)
    color[2:8, 2:9], color[12:20, 12:30], color[25:, :5] = (255, 0, 0), (0, 255, 0), (9, 9, 0)
    save_mask(tmp_path / "masks" / "a.png", color)
    dataset = open_dataset(tmp_path, colors={"stem": (0, 255, 0), "leaf": (255, 0, 0)})
    assert dataset.class_names == ["BG", "leaf", "stem"]
    assert dict(zip(dataset.load_mask(0)[1].tolist(), dataset.load_mask(0)[0].sum(axis=(0, 1)))) == {1: 42, 2: 144}
    unknown = listed(dataset, "#090900")
    assert unknown.code == "DAT023" and unknown.skipped and "25 pixels" in unknown.message


def test_colors_without_a_statement_are_instances(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    color = np.zeros((30, 40, 3), np.uint8)
    color[2:8, 2:9], color[12:20, 12:30] = (255, 0, 0), (0, 255, 0)
    save_mask(tmp_path / "masks" / "a.png", color)
    assert areas(open_dataset(tmp_path)) == [42, 144]


def test_palette_masks_are_read_by_number_and_255_belongs_to_nothing(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    palette = [(0, 0, 0), (128, 0, 0), (0, 128, 0), *[(200, 200, 200)] * 253]
    save_mask(
        tmp_path / "masks" / "a.png", blank((2, 2, 8, 9, 1), (12, 12, 20, 30, 2), (25, 0, 30, 40, 255)), palette=palette
    )
    assert areas(open_dataset(tmp_path)) == [42, 144]
    named = open_dataset(tmp_path, colors={"leaf": (128, 0, 0), "stem": 2})
    assert named.class_names == ["BG", "leaf", "stem"] and areas(named) == [42, 144]


def test_masks_beside_the_images_are_told_by_their_names(tmp_path):
    for class_name in ("benign", "other"):
        save_image(tmp_path / class_name / "p (1).png")
        save_mask(tmp_path / class_name / "p (1)_mask.png", ONE)
        save_mask(tmp_path / class_name / "p (1)_mask_1.png", TWO)
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == ["BG", "benign", "other"] and dataset.num_images == 2
    assert areas(dataset) == [42, 144]


def test_masks_and_images_in_any_two_folders_and_their_subsets(tmp_path):
    save_image(tmp_path / "pictures" / "a.jpg")
    save_mask(tmp_path / "drawn" / "a_1.png", ONE)
    assert areas(open_dataset(tmp_path / "drawn", tmp_path / "pictures", format="mask_folders")) == [42]
    save_image(tmp_path / "b" / "images" / "train" / "a.jpg")
    save_mask(tmp_path / "b" / "masks" / "train" / "a_1.png", TWO)
    assert areas(open_dataset(tmp_path / "b", subset="train")) == [144]


def test_grey_jpeg_masks_lose_their_blur(tmp_path):
    save_image(tmp_path / "images" / "a.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(ONE).save(tmp_path / "masks" / "a.jpg", quality=70)
    assert areas(open_dataset(tmp_path)) == pytest.approx([42], abs=4)


def test_masks_on_a_transparent_ground_are_read_by_what_is_painted(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    (tmp_path / "masks").mkdir()
    pixels = np.zeros((30, 40, 4), np.uint8)
    pixels[2:8, 2:9, 3] = 255  # black paint
    Image.fromarray(pixels).save(tmp_path / "masks" / "a_1.png")
    assert areas(open_dataset(tmp_path)) == [42]


def test_what_has_no_partner_is_listed(tmp_path):
    for name in ("a", "b"):
        save_image(tmp_path / "images" / f"{name}.jpg")
    save_mask(tmp_path / "masks" / "a.png", ONE)
    save_mask(tmp_path / "masks" / "zz.png", ONE)
    dataset = open_dataset(tmp_path)
    assert dataset.num_images == 1
    assert listed(dataset, "b.jpg").code == "DAT037" and "mask without an image" in listed(dataset, "zz.png").message
    assert all(problem.skipped for problem in dataset.problems)


def test_a_mask_that_cannot_be_read_is_listed(tmp_path):
    for name in ("a", "b", "c"):
        save_image(tmp_path / "images" / f"{name}.jpg")
    save_mask(tmp_path / "masks" / "a.png", ONE)
    (tmp_path / "masks" / "b.png").write_bytes(b"no image")
    (tmp_path / "masks" / "c_1.png").write_bytes((tmp_path / "masks" / "a.png").read_bytes()[:60])
    dataset = open_dataset(tmp_path)
    assert [info["id"] for info in dataset.image_info] == ["a", "c"]
    assert {problem.where.split(",")[1] for problem in dataset.problems} == {" image 'b.jpg'", " image 'images/b.jpg'"}
    assert dataset.load_mask(1)[0].shape == (30, 40, 0)
    assert listed(dataset, "masks/c_1.png").code == "DAT017"


def test_a_mask_of_another_size_is_listed_when_it_is_drawn(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    save_mask(tmp_path / "masks" / "a_1.png", ONE[:20])
    save_mask(tmp_path / "masks" / "a_2.png", TWO)
    dataset = open_dataset(tmp_path)
    assert areas(dataset) == [144]
    assert "the mask has 40 x 20 pixels" in listed(dataset, "DAT008").message


def test_an_empty_mask_is_an_image_without_objects(tmp_path):
    for name in ("a", "b"):
        save_image(tmp_path / "images" / f"{name}.jpg")
    save_mask(tmp_path / "masks" / "a.png", ONE)
    save_mask(tmp_path / "masks" / "b.png", ONE * 0)
    dataset = open_dataset(tmp_path)
    assert dataset.num_images == 2 and areas(dataset, 1) == [] and dataset.problems == []


def test_masks_with_fractions_are_refused(tmp_path):
    save_image(tmp_path / "images" / "a.jpg")
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.full((30, 40), 0.5, np.float32)).save(tmp_path / "masks" / "a.tif")
    with pytest.raises(DatasetError, match="fractions"):
        open_dataset(tmp_path)


def test_the_size_of_the_mask_tells_which_way_up_the_photo_was_annotated(tmp_path, caplog):
    for number, name in enumerate(("a", "b")):
        save_image(tmp_path / name / "images" / f"{name}.jpg", 40, 30, orientation=6)
        save_mask(tmp_path / name / "masks" / "1.png", ONE.T if number else ONE)
    dataset = open_dataset(tmp_path)
    with caplog.at_level(logging.WARNING):
        shapes = [(dataset.load_image(i).shape[:2], dataset.load_mask(i)[0].shape[:2]) for i in (0, 1)]
    assert shapes == [((30, 40), (30, 40)), ((40, 30), (40, 30))]
    assert codes(dataset) == ["DAT016", "DAT016"]
    assert [problem.value for problem in dataset.problems] == ["stored", "upright"]
