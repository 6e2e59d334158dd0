"""`AnnotatedDataset`: masks of photos in the right frame, what is left out and listed, what the training part needs."""

import copy
import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps

from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.annotations import PROBLEM_CODES, AnnotatedDataset, Annotation, Problem
from mrcnn_plus.data.ground_truth import load_checked_image
from mrcnn_plus.data.notices import forget_notices
from mrcnn_plus.errors import DatasetError

from .readers.files import coco, codes, listed, save_image, save_json, square, via, via_region


@pytest.fixture(autouse=True)
def fresh_notices():
    forget_notices()


def dataset_of(path, *annotations, width=None, height=None, **options):
    dataset = AnnotatedDataset("made here", "test", **options)
    for number, name in enumerate(("leaf", "stem"), 1):
        dataset.add_class("test", number, name)
    dataset.add_image(
        "test", "x", str(path), width=width, height=height, annotations=list(annotations), place="photo x"
    )
    dataset.prepare()
    return dataset


def polygon(*corners, class_id=1, crowd=False, place="shape 0"):
    return Annotation(class_id, place, "polygon", [np.array(corners, float)], crowd=crowd)


IN_BOTH = ((5, 5), (10, 5), (10, 10), (5, 10))
LOW = ((5, 32), (10, 32), (10, 38), (5, 38))  # leaves an image of 40 x 30, fits one of 30 x 40
RIGHT = ((32, 5), (38, 5), (38, 10), (32, 10))


def test_masks_and_class_ids_have_the_form_that_training_takes(tmp_path):
    dataset = dataset_of(save_image(tmp_path / "a.jpg"), polygon(*IN_BOTH, class_id=2), polygon(*IN_BOTH, crowd=True))
    image, masks, class_ids = load_checked_image(dataset, 0)[:3]
    assert image.shape == (30, 40, 3) and masks.shape == (30, 40, 2) and masks.dtype == bool
    assert class_ids.tolist() == [2, -1] and class_ids.dtype == np.int32


def test_an_image_without_annotations_has_masks_of_its_size(tmp_path):
    masks, class_ids = dataset_of(save_image(tmp_path / "a.jpg")).load_mask(0)
    assert masks.shape == (30, 40, 0) and class_ids.shape == (0,)


def test_what_cannot_be_drawn_is_left_out_and_listed_once(tmp_path, caplog):
    bad = [polygon(*IN_BOTH[:2], place="shape 1"), polygon((100, 100), (120, 100), (110, 120), place="shape 2")]
    dataset = dataset_of(save_image(tmp_path / "a.jpg"), polygon(*IN_BOTH), *bad)
    for _ in range(3):
        masks, class_ids = dataset.load_mask(0)
        assert masks.shape[2] == len(class_ids) == 1
    assert [(p.code, p.where, p.skipped) for p in dataset.problems] == [
        ("DAT033", "photo x, shape 1", True),
        ("DAT013", "photo x, shape 2", True),
    ]
    assert len([record for record in caplog.records if "left out" in record.message]) == 1


def test_instances_say_which_annotation_each_mask_belongs_to(tmp_path):
    first, second, third = polygon(*IN_BOTH), polygon(*IN_BOTH[:1]), polygon(*RIGHT)
    dataset = dataset_of(save_image(tmp_path / "a.jpg"), first, second, third)
    masks, annotations, left_out = dataset.load_instances(0)
    assert annotations == [first, third] and masks.sum(axis=(0, 1)).tolist() == [36, 42]
    assert [(annotation, code) for annotation, code, _ in left_out] == [(second, "DAT033")]
    assert dataset.problems == []


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("upright", [False, True])
def test_image_and_masks_stand_in_the_same_frame(tmp_path, orientation, upright):
    """An object is painted white in the photo; its mask has to lie on it, whichever way up it was annotated."""
    stored = np.zeros((30, 40, 3), np.uint8)
    stored[4:12, 20:36] = 255
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    seen = stored
    if upright:
        seen = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
    rows, columns = np.flatnonzero(seen[..., 0].any(axis=1)), np.flatnonzero(seen[..., 0].any(axis=0))
    corners = [(columns[0], rows[0]), (columns[-1], rows[0]), (columns[-1], rows[-1]), (columns[0], rows[-1])]
    height, width = seen.shape[:2]
    dataset = dataset_of(tmp_path / "a.png", polygon(*corners), width=width, height=height, upright_by_custom=upright)
    assert np.array_equal(dataset.load_image(0)[..., 0] > 0, dataset.load_mask(0)[0][..., 0])
    found = listed(dataset, "DAT016")
    assert found.value == ("upright" if upright else "stored") and not found.skipped


@pytest.mark.parametrize("corners, shape, taken", [(LOW, (40, 30), "upright"), (RIGHT, (30, 40), "stored")])
def test_coordinates_tell_which_way_up_a_photo_was_annotated(tmp_path, corners, shape, taken):
    path = save_image(tmp_path / "a.jpg", orientation=6)
    dataset = dataset_of(path, polygon(*IN_BOTH), polygon(*corners))
    assert dataset.load_image(0).shape[:2] == dataset.load_mask(0)[0].shape[:2] == shape
    found = listed(dataset, "DAT016")
    assert found.value == taken and "1 of 2 objects leave" in found.message and "photo x" in found.where


def test_where_nothing_tells_it_is_said_what_is_taken(tmp_path):
    path = save_image(tmp_path / "a.jpg", orientation=6)
    for upright, shape in ((False, (30, 40)), (True, (40, 30))):
        dataset = dataset_of(path, polygon(*IN_BOTH), upright_by_custom=upright)
        assert dataset.load_mask(0)[0].shape[:2] == shape
        assert "no declared size decides" in listed(dataset, "DAT016").message


def test_the_custom_of_each_format_is_taken_where_nothing_tells(tmp_path):
    save_image(tmp_path / "a.jpg", orientation=6)
    images = [{"id": 1, "file_name": "a.jpg"}]
    of_coco = open_dataset(save_json(tmp_path / "coco.json", coco([{}], images=images)))
    of_via = open_dataset(save_json(tmp_path / "via.json", via(via_region())))
    assert [d.load_image(0).shape[:2] for d in (of_coco, of_via)] == [(30, 40), (40, 30)]


def test_coco_files_that_declare_the_upright_size_are_read_upright(tmp_path):
    save_image(tmp_path / "a.jpg", orientation=6)
    dataset = open_dataset(save_json(tmp_path / "coco.json", coco([{}], width=30, height=40)))
    assert dataset.load_image(0).shape[:2] == dataset.load_mask(0)[0].shape[:2] == (40, 30)
    assert codes(dataset) == ["DAT016"]


def test_an_rle_tells_its_frame_by_its_size(tmp_path):
    save_image(tmp_path / "a.jpg", orientation=8)
    annotation = {"segmentation": {"size": [40, 30], "counts": [100, 50, 1050]}}
    dataset = open_dataset(save_json(tmp_path / "coco.json", coco([annotation])))
    assert dataset.load_mask(0)[0].shape == (40, 30, 1)


def test_headers_that_were_read_before_are_not_read_again(tmp_path):
    dataset = dataset_of(tmp_path / "missing.jpg", polygon(*IN_BOTH))
    frame = dataset.photo_frame(0, header=(400, 300, 6))
    assert (frame.width, frame.height, frame.orientation) == (400, 300, 1)
    assert dataset.photo_frame(0) is frame


def test_the_notice_about_turned_photos_says_what_is_done(tmp_path, caplog):
    dataset = dataset_of(save_image(tmp_path / "a.jpg", orientation=6), polygon(*LOW))
    with caplog.at_level(logging.WARNING):
        dataset.load_image(0)
    assert "in the frame of its annotations" in caplog.text and "masks must fit those" not in caplog.text


def test_another_size_than_declared_is_listed(tmp_path):
    dataset = dataset_of(save_image(tmp_path / "a.jpg"), polygon(*IN_BOTH), width=400, height=300)
    dataset.load_mask(0)
    found = listed(dataset, "DAT016")
    assert found.value == (400, 300) and "the file has 40 x 30" in found.message


@pytest.mark.parametrize("content", [b"no image", b"", None])
def test_an_image_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "a.jpg"
    if content is not None:
        path.write_bytes(content)
    dataset = dataset_of(path, polygon(*IN_BOTH))
    for load in (dataset.load_image, dataset.load_mask, dataset.photo_frame, dataset.read_header):
        with pytest.raises(DatasetError, match=r"image 0 .*a.jpg"):
            load(0)


def test_an_image_id_that_does_not_exist_is_refused(tmp_path):
    dataset = dataset_of(save_image(tmp_path / "a.jpg"))
    with pytest.raises(DatasetError, match="from 0 to 0, received image_id=5"):
        dataset.load_mask(5)


def test_problems_read_as_sentences():
    text = str(Problem("DAT025", "x.json, annotations[3]", "category_id 9 is unknown.", 9, True))
    assert text == "DAT025 x.json, annotations[3]: category_id 9 is unknown. Received: 9."


def test_the_same_problem_is_listed_once_and_a_skipped_thing_has_one_reason():
    dataset = AnnotatedDataset()
    dataset.add_problem("DAT025", "here", "first", skipped=True)
    dataset.add_problem("DAT033", "here", "second", skipped=True)
    dataset.add_problem("DAT036", "here", "third")
    dataset.add_problem("DAT036", "here", "third")
    assert [problem.message for problem in dataset.problems] == ["first.", "third."]
    assert set(codes(dataset)) <= set(PROBLEM_CODES)


def test_data_sets_can_be_copied_and_sent_to_other_processes(tmp_path):
    save_image(tmp_path / "a.jpg")
    dataset = open_dataset(save_json(tmp_path / "coco.json", coco([{"segmentation": [square(2, 2, 9)]}])))
    for twin in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert np.array_equal(twin.load_mask(0)[0], dataset.load_mask(0)[0])


def test_importing_data_sets_does_not_load_the_readers():
    code = (
        "import sys, mrcnn_plus.data.dataset\nprint([n for n in sys.modules if 'readers' in n or 'pycocotools' in n])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
