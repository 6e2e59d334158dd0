"""Saved results against saved annotations: as COCOeval on the same files, and files that are damaged."""

import copy
import json

import numpy as np
import pytest

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.evaluation import evaluate
from mrcnn_plus.evaluation.result import csv_text
from mrcnn_plus.evaluation.saved_results import evaluate_saved

from .by_hand import coco_eval, imperfect_detector, twelve_numbers
from .test_evaluator import mixed_data, write_coco_file


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """(folder of the files, the result that wrote them)."""
    folder = tmp_path_factory.mktemp("saved")
    dataset = mixed_data()
    result = evaluate(imperfect_detector(dataset), dataset)
    result.save_coco(folder)
    return folder, result


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_exported_files_score_as_the_evaluation_that_wrote_them(saved, kind):
    folder, result = saved
    again = evaluate_saved(folder / "ground_truth.json", folder / f"results_{kind}.json", iou_types=(kind,))
    first, second = (twelve_numbers((one.boxes, one.masks)[kind == "segm"]) for one in (result, again))
    np.testing.assert_array_equal(first, second)
    if kind == "segm":
        assert again.confusion.counts.tolist() == result.confusion.counts.tolist()
        assert csv_text(again.images) == csv_text(result.images)


def test_a_file_with_polygons_run_lengths_and_ids_of_its_own(tmp_path):
    truth = write_coco_file(tmp_path, categories=[3, 44, 90])
    rng = np.random.default_rng(0)
    results = [
        {
            "image_id": annotation["image_id"],
            "category_id": annotation["category_id"],
            "bbox": (np.array(annotation["bbox"]) + rng.uniform(-4, 4, 4)).tolist(),
            "score": rng.random(),
        }
        for annotation in truth["annotations"]
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    result = evaluate_saved(tmp_path / "truth.json", tmp_path / "results.json")
    assert result.masks is None and result.kind == "bbox"
    np.testing.assert_allclose(twelve_numbers(result.boxes), coco_eval(truth, results, "bbox").stats, rtol=0, atol=1e-9)
    assert [row.class_id for row in result.classes] == [3, 44, 90]


def test_no_results_at_all(saved, tmp_path):
    (tmp_path / "results.json").write_text("[]")
    result = evaluate_saved(saved[0] / "ground_truth.json", tmp_path / "results.json", classes="ring")
    assert result.masks.ap == result.boxes.ap == 0 and result.recall == 0
    assert [row.name for row in result.classes] == ["ring"]


def test_a_limit_takes_images_and_their_results(saved):
    folder, _ = saved
    result = evaluate_saved(folder / "ground_truth.json", folder / "results_segm.json", limit=2)
    assert [image.image_id for image in result.images] == [0, 3]
    assert {one["image_id"] for one in result.results} <= {0, 3}


TRUTH = {
    "images": [{"id": 7, "width": 40, "height": 30, "file_name": "a.png"}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 2, "segmentation": [[5, 5, 20, 5, 20, 20]], "iscrowd": 0}],
    "categories": [{"id": 2, "name": "cell"}],
}
RESULT = {"image_id": 7, "category_id": 2, "bbox": [5, 5, 15, 15], "score": 0.5}


def run_on(folder, truth, results):
    for name, content in (("truth.json", truth), ("results.json", results)):
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return evaluate_saved(folder / "truth.json", folder / "results.json")


def test_missing_boxes_and_areas_are_those_of_the_mask(tmp_path):
    result = run_on(tmp_path, TRUTH, [RESULT])
    (truth,) = result.ground_truth["annotations"]
    assert truth["bbox"] == [6, 5, 14, 14] and truth["area"] > 80  # pycocotools' own rounding of polygons
    assert result.boxes.ap == pytest.approx(0.8, abs=0.01)  # IoU 0.87: right up to 0.85, 8 of 10 thresholds


def changed(content, **changes):
    content = copy.deepcopy(content)
    content.update(changes)
    return content


@pytest.mark.parametrize(
    ("truth", "results", "words"),
    [
        ("[1, 2", [RESULT], r"truth.json'.*it is no JSON"),
        ([], [RESULT], r"truth.json': expected a COCO annotation file.*received a list"),
        (changed(TRUTH, categories=None), [RESULT], r"received a dict with \['annotations', 'categories', 'images'\]"),
        (changed(TRUTH, images=[{"id": 7}]), [RESULT], r"images\[0\]: .*received none of: width, height"),
        (
            changed(TRUTH, annotations=[changed(TRUTH["annotations"][0], category_id=5)]),
            [RESULT],
            r"annotations\[0\].*category_id=5",
        ),
        (
            changed(TRUTH, annotations=[changed(TRUTH["annotations"][0], segmentation=[[1, 2]])]),
            [RESULT],
            r"annotations\[0\].*cannot be read",
        ),
        (TRUTH, {"results": []}, r"results.json': expected a COCO results file.*received a dict with \['results'\]"),
        (TRUTH, [changed(RESULT, image_id=8)], r"expected image_id of the annotation file, which has \[7\].*\[8\]"),
        (TRUTH, [changed(RESULT, category_id=1)], r"received: category_id=\[1\].*with_source_ids"),
        (TRUTH, [changed(RESULT, score="high")], r"\[0\]: expected a number as score, received: score='high'"),
        (TRUTH, [changed(RESULT, score=float("nan"))], "score=nan"),
        (TRUTH, [changed(RESULT, bbox=[1, 2, 3])], r"bbox=\[1, 2, 3\]"),
        (TRUTH, [changed(RESULT, bbox=None)], r"\[0\]: expected a bbox or a segmentation"),
        (TRUTH, [changed(RESULT, segmentation=[[1, 2, 3, 4, 5, 6]])], "compressed RLE.*a list"),
        (
            TRUTH,
            [changed(RESULT, segmentation={"size": [300, 400], "counts": "0"})],
            r"\[30, 40\], received: size=\[300, 400\]",
        ),
        (TRUTH, [3], r"\[0\]: expected image_id, category_id, score"),
    ],
)
def test_damaged_files_are_named_with_the_place(tmp_path, truth, results, words):
    with pytest.raises(DatasetError, match=words):
        run_on(tmp_path, truth, results)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"none.json'.*No such file"):
        evaluate_saved(tmp_path / "none.json", tmp_path / "none.json")


def test_masks_that_some_results_lack_cannot_be_asked_for(saved, tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps(saved[1].results_of("bbox")))
    with pytest.raises(DatasetError, match="expected a segmentation in every result"):
        evaluate_saved(saved[0] / "ground_truth.json", tmp_path / "boxes.json", iou_types=("segm",))
