"""Instances of each class, from annotations or from masks, counted once."""

import numpy as np
import pytest

from mrcnn_plus.data.class_counts import class_ids_by_image, count_instances
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.errors import DatasetError


class Listed(Dataset):
    """Every image has the class ids that it was added with; remembers which masks were loaded."""

    def __init__(self, per_image, **info):
        super().__init__()
        self.loaded = []
        self.add_class("things", 1, "one")
        self.add_class("things", 2, "two")
        for number, ids in enumerate(per_image):
            self.add_image("things", number, f"{number}.png", ids=ids, **info)
        self.prepare()

    def load_mask(self, image_id):
        self.loaded.append(int(image_id))
        ids = self.image_info[image_id]["ids"]
        return np.zeros((4, 4, len(ids)), bool), np.array(ids, np.int32)


class Annotated:
    def __init__(self, class_id, crowd=False):
        self.class_id, self.crowd = class_id, crowd


def test_masks_are_asked_for_class_ids_and_crowds_are_left_out():
    dataset = Listed([[1, 1, 2], [], [-1, 1]])
    assert [ids.tolist() for ids in class_ids_by_image(dataset)] == [[1, 1, 2], [], [1]]
    assert count_instances(dataset).tolist() == [0, 3, 1]


def test_masks_are_loaded_once():
    dataset = Listed([[1], [2], [2]])
    class_ids_by_image(dataset), count_instances(dataset)
    assert dataset.loaded == [0, 1, 2]


def test_images_that_are_added_later_are_counted():
    dataset = Listed([[1]])
    assert count_instances(dataset).tolist() == [0, 1, 0]
    dataset.add_image("things", 1, "1.png", ids=[2, 2])
    dataset.prepare()
    assert count_instances(dataset).tolist() == [0, 1, 2]


def test_annotations_are_counted_without_a_mask():
    dataset = Listed([[], []], annotations=[Annotated(2), Annotated(1), Annotated(1, crowd=True)])
    assert count_instances(dataset).tolist() == [0, 2, 2]
    assert dataset.loaded == []


@pytest.mark.parametrize("annotations", [[{"category_id": 7}], [], None, "a.json"])
def test_what_a_program_keeps_under_that_name_is_not_taken_for_ours(annotations):
    """Matterport's COCO sample keeps the dicts of pycocotools there."""
    dataset = Listed([[1]], annotations=annotations)
    assert count_instances(dataset).tolist() == [0, 1, 0]
    assert dataset.loaded == [0]


def test_a_class_that_does_not_exist_is_an_error_with_the_image():
    with pytest.raises(DatasetError, match=r"image 1 .*below 3.*class_ids=\[1, 5\]"):
        count_instances(Listed([[1], [5, 1]]))


def test_no_instance_anywhere_counts_zero():
    assert count_instances(Listed([[], []])).tolist() == [0, 0, 0]


def test_a_data_set_that_is_not_prepared_is_an_error():
    with pytest.raises(DatasetError, match="no images"):
        count_instances(Dataset())


def test_images_whose_masks_cannot_be_loaded_are_left_out_only_where_that_is_asked_for(caplog):
    class Broken(Listed):
        def load_mask(self, image_id):
            if image_id == 1:
                raise OSError("truncated file")
            return super().load_mask(image_id)

    dataset = Broken([[1], [2], [2]])
    assert count_instances(dataset, skip_bad_images=True).tolist() == [0, 1, 1]
    assert "SKIP_BAD_IMAGES" in caplog.text and "image 1" in caplog.text
    for _ in range(2):
        with pytest.raises(DatasetError, match="image 1 .*load_mask of Broken raised .*truncated file"):
            count_instances(dataset)
