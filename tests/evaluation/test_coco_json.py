"""Ground truth and detections in COCO's formats: ids, areas, boxes, crowds, and contradictory data sets."""

import json
import logging

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.evaluation.coco_json import coco_ground_truth, coco_results, encode_masks

from .data_sets import Discs, boxes_of, discs


def test_every_instance_becomes_one_annotation_with_its_own_mask_area_and_box():
    masks = discs(4)
    dataset = Discs([(discs(3, seed=5), np.array([1, 1, 2])), (masks, np.array([1, 3, 2, 3]))])
    truth = coco_ground_truth(dataset)
    assert [annotation["id"] for annotation in truth["annotations"]] == [1, 2, 3, 4, 5, 6, 7]
    second = [annotation for annotation in truth["annotations"] if annotation["image_id"] == 1]
    assert [annotation["category_id"] for annotation in second] == [1, 3, 2, 3]
    for n, annotation in enumerate(second):
        y1, x1, y2, x2 = boxes_of(masks)[n]
        np.testing.assert_array_equal(coco_mask.decode(annotation["segmentation"]), masks[..., n])
        assert annotation["area"] == masks[..., n].sum()
        assert annotation["bbox"] == [x1, y1, x2 - x1, y2 - y1]
        assert annotation["iscrowd"] == 0


def test_categories_are_the_classes_without_background_and_images_have_size_and_file():
    truth = coco_ground_truth(Discs([(discs(1), [1])]))
    assert truth["categories"] == [{"id": 1, "name": "disc"}, {"id": 2, "name": "ring"}, {"id": 3, "name": "dot"}]
    assert truth["images"] == [{"id": 0, "width": 160, "height": 120, "file_name": "folder/d0.png"}]


def test_a_negative_class_id_becomes_a_crowd_of_that_class():
    truth = coco_ground_truth(Discs([(discs(2), np.array([-3, 3]))]))
    assert [(a["category_id"], a["iscrowd"]) for a in truth["annotations"]] == [(3, 1), (3, 0)]


def test_chosen_images_alone_are_taken():
    dataset = Discs([(discs(n), np.ones(n)) for n in (1, 2, 3)])
    truth = coco_ground_truth(dataset, np.array([2, 0]))
    assert [image["id"] for image in truth["images"]] == [2, 0]
    assert [annotation["image_id"] for annotation in truth["annotations"]] == [2, 2, 2, 0]


def test_both_formats_can_be_written_as_json():
    masks = discs(2).astype(np.uint8) * 255
    truth = coco_ground_truth(Discs([(masks, np.array([1, 2]))]))
    results = coco_results(np.int64(0), boxes_of(masks), np.array([1, 2]), np.array([0.5, 0.25], np.float32), masks)
    assert json.loads(json.dumps(truth)) == truth
    assert json.loads(json.dumps(results)) == results


def test_empty_masks_are_left_out_with_a_warning(caplog):
    masks = discs(3)
    masks[..., 1] = False
    with caplog.at_level(logging.WARNING):
        truth = coco_ground_truth(Discs([(masks, np.array([1, 2, 3]))]))
    assert [(a["id"], a["category_id"]) for a in truth["annotations"]] == [(1, 1), (2, 3)]
    assert "image 0 (discs.d0): 1 masks are empty" in caplog.text


def test_an_image_without_instances_is_listed_with_the_size_of_the_image():
    class Empty(Discs):
        def load_mask(self, image_id):
            return np.zeros((0, 0, 0)), np.zeros(0, np.int32)

    truth = coco_ground_truth(Empty([(np.zeros((30, 50, 0)), [])]))
    assert truth["annotations"] == []
    assert (truth["images"][0]["width"], truth["images"][0]["height"]) == (50, 30)


def test_masks_and_class_ids_of_different_number_are_an_error_that_names_the_image():
    dataset = Discs([(discs(1), [1]), (discs(3), np.array([1, 2]))])
    with pytest.raises(DatasetError, match=r"image 1 \(discs.d1\).*masks=\[120, 160, 3\], class_ids=\[2\]"):
        coco_ground_truth(dataset)


@pytest.mark.parametrize("class_id", [0, 4, -4])
def test_class_ids_that_are_no_class_are_an_error(class_id):
    with pytest.raises(DatasetError, match=rf"class ids 1\.\.3.*class_ids=\[{class_id}\]"):
        coco_ground_truth(Discs([(discs(1), np.array([class_id]))]))


def test_a_dataset_before_prepare_or_without_images_is_an_error():
    with pytest.raises(DatasetError, match="prepare"):
        coco_ground_truth(Dataset())
    with pytest.raises(DatasetError, match="add_image"):
        coco_ground_truth(Discs([]))


def test_boxes_of_results_are_x_y_width_height_and_y2_x2_are_exclusive():
    masks = np.zeros((20, 30, 1), bool)
    masks[4:9, 10:22, 0] = True
    (result,) = coco_results(7, np.array([[4, 10, 9, 22]]), np.array([2]), np.array([0.75]), masks)
    assert result["bbox"] == [10, 4, 12, 5]
    assert (result["image_id"], result["category_id"], result["score"]) == (7, 2, 0.75)
    assert coco_mask.area(result["segmentation"]) == 12 * 5


def test_results_without_masks_hold_boxes_alone_and_no_detections_give_no_results():
    (result,) = coco_results(0, [[0, 0, 5, 5]], [1], [0.5])
    assert "segmentation" not in result
    assert coco_results(0, np.zeros((0, 4)), [], [], np.zeros((20, 30, 0))) == []


def test_results_with_counts_that_differ_are_an_error_with_all_counts():
    with pytest.raises(DatasetError, match="image 3.*rois=2, class_ids=1, scores=2, masks=2"):
        coco_results(3, np.ones((2, 4)), [1], [0.5, 0.5], np.ones((5, 5, 2)))


def test_soft_masks_are_cut_at_one_half():
    soft = np.array([[[0.2], [0.6]], [[0.5], [1.0]]])
    np.testing.assert_array_equal(coco_mask.decode(encode_masks(soft)[0]), [[0, 1], [0, 1]])
