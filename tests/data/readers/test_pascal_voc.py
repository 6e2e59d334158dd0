"""Pascal VOC with masks: its own layout, that of CVAT and labelme2voc, and what breaks."""

import numpy as np
import pytest

from mrcnn_plus.data import open_dataset
from mrcnn_plus.errors import DatasetError

from .files import codes, listed, save_image, save_mask

# The first colors of VOC's palette; 255 is the pale rim.
PALETTE = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), *[(n, n, n) for n in range(4, 255)], (224, 224, 192)]


def instances():
    """Two objects with a rim: 1 at rows 2..8, 2 at rows 12..20."""
    values = np.zeros((30, 40), np.uint8)
    values[1:9, 1:10], values[2:8, 2:9] = 255, 1
    values[12:20, 12:30] = 2
    return values


def classes(first=8, second=12):
    """Cat and dog in VOC's numbers."""
    values = instances()
    return np.choose(np.where(values == 255, 3, values), [0, first, second, 255]).astype(np.uint8)


def xml(*objects, width=40, height=30):
    text = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for name, (x1, y1, x2, y2) in objects
    )
    return f"<annotation><size><width>{width}</width><height>{height}</height></size>{text}</annotation>"


FIRST, SECOND = (3, 3, 9, 8), (13, 13, 30, 20)


@pytest.fixture
def folder(tmp_path):
    save_image(tmp_path / "JPEGImages" / "a.jpg")
    save_mask(tmp_path / "SegmentationObject" / "a.png", instances(), palette=PALETTE)
    save_mask(tmp_path / "SegmentationClass" / "a.png", classes(), palette=PALETTE)
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(xml(("cat", FIRST), ("dog", SECOND)))
    return tmp_path


def by_class(dataset):
    masks, class_ids = dataset.load_mask(0)
    return {dataset.class_names[c]: int(n) for c, n in zip(class_ids, masks.sum(axis=(0, 1)))}


EXPECTED = {"cat": 42, "dog": 144}


def test_instances_get_the_class_and_box_of_the_xml(folder):
    dataset = open_dataset(folder)
    assert dataset.format == "pascal_voc" and by_class(dataset) == EXPECTED and dataset.problems == []
    annotation = dataset.image_info[0]["annotations"][0]
    assert annotation.box == (2, 2, 7, 6) and "object 1 of Annotations/a.xml" in annotation.place
    assert (dataset.image_info[0]["width"], dataset.image_info[0]["height"]) == (40, 30)


def test_without_xml_the_class_is_that_of_the_pixels(folder):
    (folder / "Annotations" / "a.xml").unlink()
    assert by_class(open_dataset(folder)) == EXPECTED


def test_objects_of_the_xml_are_matched_by_their_boxes_where_the_order_does_not_fit(folder):
    (folder / "Annotations" / "a.xml").write_text(xml(("bus", (30, 1, 39, 8)), ("owl", SECOND), ("hen", FIRST)))
    dataset = open_dataset(folder)
    assert by_class(dataset) == {"hen": 42, "owl": 144}
    assert "the xml has 3 objects, the mask has 2" in listed(dataset, "DAT025").message


def test_a_contradiction_between_xml_and_pixels_is_listed(folder):
    (folder / "Annotations" / "a.xml").write_text(xml(("dog", FIRST), ("dog", SECOND)))
    dataset = open_dataset(folder)
    assert "the xml calls it 'dog', SegmentationClass 'cat'" in listed(dataset, "DAT025", "value 1").message


def test_a_devkit_folder_and_the_lists_of_images_are_understood(folder):
    save_image(folder / "JPEGImages" / "b.jpg")
    save_mask(folder / "SegmentationObject" / "b.png", instances(), palette=PALETTE)
    lists = folder / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (folder.parent / "VOCdevkit").mkdir()
    root = folder.rename(folder.parent / "VOCdevkit" / "VOC2012")
    assert [info["id"] for info in open_dataset(root.parent, subset="train").image_info] == ["a"]
    with pytest.raises(DatasetError, match=r"subset='val'. There are \['train'\]"):
        open_dataset(root, subset="val")


def test_the_lists_of_classes_of_other_tools_are_read(folder):
    (folder / "Annotations" / "a.xml").unlink()
    save_mask(folder / "SegmentationClass" / "a.png", classes(1, 2), palette=PALETTE)
    (folder / "labelmap.txt").write_text(
        "# label:color:parts:actions\nbackground:0,0,0::\nleaf:128,0,0::\nstem:0,128,0::\n"
    )
    assert by_class(open_dataset(folder)) == {"leaf": 42, "stem": 144}
    (folder / "labelmap.txt").unlink()
    (folder / "class_names.txt").write_text("__ignore__\n_background_\nroot\nbud\n")
    assert by_class(open_dataset(folder)) == {"root": 42, "bud": 144}


def test_masks_in_full_color_are_read(folder):
    (folder / "Annotations" / "a.xml").unlink()
    colors = np.array([*PALETTE, *[(0, 0, 0)] * (256 - len(PALETTE))], np.uint8)
    save_mask(folder / "SegmentationClass" / "a.png", colors[classes(1, 2)])
    save_mask(folder / "SegmentationObject" / "a.png", colors[instances()])
    (folder / "labelmap.txt").write_text("leaf:128,0,0::\nstem:0,128,0::\n")
    assert by_class(open_dataset(folder)) == {"leaf": 42, "stem": 144}


def test_without_instances_connected_parts_are_taken_and_it_is_said(folder, caplog):
    (folder / "SegmentationObject" / "a.png").unlink()
    (folder / "SegmentationObject").rmdir()
    assert by_class(open_dataset(folder)) == EXPECTED
    assert "objects that touch one" in caplog.text


def test_boxes_alone_are_refused_with_the_reason(tmp_path):
    save_image(tmp_path / "JPEGImages" / "a.jpg")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(xml(("cat", FIRST)))
    with pytest.raises(DatasetError, match="boxes only.*needs the outline"):
        open_dataset(tmp_path)


def test_damaged_files_are_listed(folder):
    (folder / "Annotations" / "a.xml").write_text(xml(("cat", FIRST))[:60])
    save_image(folder / "JPEGImages" / "b.jpg")
    (folder / "SegmentationObject" / "b.png").write_bytes(b"no image")
    save_mask(folder / "SegmentationObject" / "c.png", instances(), palette=PALETTE)
    dataset = open_dataset(folder, default_class="thing")
    assert by_class(dataset) == EXPECTED
    assert "damaged or cut off" in listed(dataset, "a.xml").message
    assert listed(dataset, "image 'b'").skipped and listed(dataset, "image 'c'").code == "DAT017"


def test_an_instance_without_a_class_is_listed(folder):
    (folder / "Annotations" / "a.xml").unlink()
    save_mask(folder / "SegmentationClass" / "a.png", classes(8, 0), palette=PALETTE)
    dataset = open_dataset(folder)
    assert by_class(dataset) == {"cat": 42} and listed(dataset, "value 2").skipped


def test_class_pixels_of_another_size_are_listed(folder):
    save_mask(folder / "SegmentationClass" / "a.png", classes()[:20], palette=PALETTE)
    dataset = open_dataset(folder)
    assert by_class(dataset) == EXPECTED and codes(dataset) == ["DAT008"]
