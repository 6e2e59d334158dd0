"""COCO scores: equal to COCOeval driven by hand, on crowds, empty images, absent classes and no detections at all."""

import copy
import math

import numpy as np
import pytest

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.evaluation import coco_ground_truth, detect_dataset, evaluate_detections
from mrcnn_plus.evaluation.coco_json import encode_masks

from .by_hand import coco_eval, twelve_numbers
from .data_sets import Discs, detection, discs

EVERY_SIZE = {"size": (240, 300), "largest": 90}


def evaluate(detect, dataset, *, iou_types=("bbox", "segm"), max_detections=(1, 10, 100), **options):
    """{"bbox": CocoScores, "segm": CocoScores} of a function that detects."""
    return evaluate_detections(*detect_dataset(detect, dataset, **options), iou_types, max_detections=max_detections)


@pytest.fixture(scope="module")
def dataset():
    """Six images: objects of all sizes, a crowd, one image without any, and no object of class 3 ("dot")."""
    images = [(discs(9, seed=seed, **EVERY_SIZE), 1 + np.arange(9) % 2) for seed in range(4)]
    images[1][1][0] = -2
    images.append((np.zeros((240, 300, 0), bool), np.zeros(0, int)))
    images.append((discs(1, seed=9, **EVERY_SIZE), np.array([2])))
    return Discs(images)


def imperfect(dataset):
    """A detector that shifts masks, misses some, invents others and mistakes classes."""
    rng = np.random.default_rng(3)
    answers = {}
    for image_id in dataset.image_ids:
        masks, class_ids = dataset.load_mask(image_id)
        moved = np.stack(
            [np.roll(m, rng.integers(-4, 5, 2), (0, 1)) for m in np.moveaxis(masks, -1, 0)]
            + list(np.moveaxis(discs(3, seed=50 + image_id, **EVERY_SIZE), -1, 0)),
            axis=-1,
        )
        ids = np.concatenate([np.abs(class_ids), [1, 2, 3]])
        ids[::5] = 3 - np.minimum(ids[::5], 2)
        keep = rng.random(len(ids)) < 0.8
        answers[len(answers)] = detection(moved[..., keep], ids[keep], rng.random(keep.sum()))
    return answers


def coco_eval_by_hand(truth, detections, iou_type):
    """What a user of pycocotools would write. detections: {image_id: result of detect}."""
    results = []
    for image_id, found in detections.items():
        encoded = encode_masks(found["masks"])
        for (y1, x1, y2, x2), class_id, score, rle in zip(
            found["rois"], found["class_ids"], found["scores"], encoded, strict=True
        ):
            result = {"image_id": image_id, "category_id": int(class_id), "score": float(score)}
            shape = {"bbox": [x1, y1, x2 - x1, y2 - y1]} if iou_type == "bbox" else {"segmentation": rle}
            results.append(result | shape)
    return coco_eval(truth, results, iou_type)


@pytest.fixture(scope="module")
def answers(dataset):
    return imperfect(dataset)


@pytest.fixture(scope="module")
def scores(dataset, answers):
    order = iter(answers.values())
    return evaluate(lambda images: [next(order) for _ in images], dataset, batch_size=4)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_all_twelve_numbers_are_those_of_coco_eval(dataset, answers, scores, iou_type):
    by_hand = coco_eval_by_hand(coco_ground_truth(dataset), answers, iou_type).stats
    # The case must exercise every number, and none trivially.
    assert (by_hand > 0).all() and (by_hand < 1).all()
    np.testing.assert_allclose(twelve_numbers(scores[iou_type]), by_hand, rtol=0, atol=1e-9)


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_class_scores_are_those_of_coco_eval_on_the_class_alone(dataset, answers, scores, iou_type):
    truth = coco_ground_truth(dataset)
    for row in scores[iou_type].per_class[:2]:
        alone = {
            **truth,
            "categories": [c for c in truth["categories"] if c["id"] == row.class_id],
            "annotations": [a for a in truth["annotations"] if a["category_id"] == row.class_id],
        }
        by_hand = coco_eval_by_hand(alone, answers, iou_type).stats
        np.testing.assert_allclose([row.ap, row.ap50, row.ap75, row.ar], [*by_hand[:3], by_hand[8]], rtol=0, atol=1e-9)


def test_the_class_table_counts_objects_without_crowds_and_an_absent_class_has_nan(dataset, answers, scores):
    rows = scores["segm"].per_class
    assert [(row.class_id, row.name) for row in rows] == [(1, "disc"), (2, "ring"), (3, "dot")]
    expected = [sum(int(np.sum(ids == c)) for _, ids in dataset.images) for c in (1, 2, 3)]
    assert [row.objects for row in rows] == expected
    found = np.concatenate([answer["class_ids"] for answer in answers.values()])
    assert [row.detections for row in rows] == [int(np.sum(found == c)) for c in (1, 2, 3)]
    assert rows[2].objects == 0 and math.isnan(rows[2].ap) and math.isnan(rows[2].ar)
    # The mean leaves the absent class out.
    assert scores["segm"].ap == pytest.approx((rows[0].ap + rows[1].ap) / 2)


def perfect(dataset):
    """detect() that knows the answer. Images come one after the other, starting with the first."""
    turn = iter(dataset.image_ids)

    def detect(images):
        loaded = [dataset.load_mask(next(turn)) for _ in images]
        return [detection(masks, np.abs(class_ids)) for masks, class_ids in loaded]

    return detect


@pytest.mark.parametrize("batch_size", [1, 4])
def test_perfect_detections_score_one(dataset, batch_size):
    for scores in evaluate(perfect(dataset), dataset, batch_size=batch_size).values():
        assert scores.ap == scores.ap50 == scores.ap75 == scores.ar[-1] == pytest.approx(1.0)
        assert scores.images == 6


def nothing(images):
    return [detection(np.zeros((*image.shape[:2], 0), bool), []) for image in images]


def test_no_detection_at_all_scores_zero(dataset):
    for scores in evaluate(nothing, dataset).values():
        assert scores.ap == scores.ap50 == 0 and scores.ar == (0, 0, 0)


def test_detections_inside_a_crowd_count_neither_way():
    crowd, single = np.zeros((60, 60, 1), bool), np.zeros((60, 60, 1), bool)
    crowd[:, :30], single[10:30, 40:55] = True, True
    dataset = Discs([(np.concatenate([crowd, single], -1), np.array([-1, 1]))])
    inside = np.zeros((60, 60, 2), bool)
    inside[5:15, 5:15, 0], inside[40:50, 5:20, 1] = True, True
    found = detection(np.concatenate([inside, single], -1), [1, 1, 1], [0.9, 0.8, 0.7])
    for scores in evaluate(lambda _: [found], dataset).values():
        assert scores.ap == pytest.approx(1.0)
        assert scores.per_class[0].objects == 1


def test_sizes_without_objects_are_nan():
    dataset = Discs([(discs(3, largest=8), np.array([1, 1, 1]))])
    scores = evaluate(perfect(dataset), dataset)["segm"]
    assert scores.ap_small == pytest.approx(1.0)
    assert math.isnan(scores.ap_medium) and math.isnan(scores.ar_large)


def test_a_data_set_without_a_single_object_scores_nan():
    dataset = Discs([(np.zeros((20, 30, 0), bool), [])])
    scores = evaluate(nothing, dataset)["bbox"]
    assert math.isnan(scores.ap) and math.isnan(scores.ar[0])


def test_more_than_100_objects_need_a_higher_limit():
    masks = np.zeros((120, 120, 144), bool)
    for n in range(144):
        masks[10 * (n // 12) + 1 : 10 * (n // 12) + 8, 10 * (n % 12) + 1 : 10 * (n % 12) + 8, n] = True
    dataset = Discs([(masks, np.ones(144, int))])
    usual = evaluate(perfect(dataset), dataset)["segm"]
    raised = evaluate(perfect(dataset), dataset, max_detections=(1, 50, 100, 200))["segm"]
    assert usual.ar[-1] == pytest.approx(100 / 144)
    assert raised.max_detections == (1, 50, 100, 200)
    assert raised.ar == pytest.approx((1 / 144, 50 / 144, 100 / 144, 1.0))
    assert raised.ap == pytest.approx(1.0)
    assert usual.ap < 0.75


def test_mask_size_decides_the_size_class_of_mask_scores():
    # A thin frame: its box has 100 x 100 pixels ("large"), its mask 396 ("small").
    frame = np.zeros((120, 120, 1), bool)
    frame[10:110, 10:110] = True
    frame[11:109, 11:109] = False
    dataset = Discs([(frame, np.array([1]))])
    found = detection(np.concatenate([np.roll(frame, 9, (0, 1)), frame], -1), [1, 1], [0.9, 0.8])
    scores = evaluate(lambda _: [found], dataset)
    # As masks both are small, so the false one, which has the better score, halves the precision.
    assert scores["segm"].ap_small == pytest.approx(0.5)


def test_nothing_is_printed_and_nothing_given_is_changed(dataset, answers, capsys):
    turn = iter(answers.values())
    truth, results = detect_dataset(lambda images: [next(turn) for _ in images], dataset)
    before = copy.deepcopy((truth, results))
    evaluate_detections(truth, results)
    assert capsys.readouterr().out == ""
    assert (truth, results) == before


def test_boxes_alone_can_be_scored():
    dataset = Discs([(discs(3), np.array([1, 2, 1]))])

    def detect(images):
        (answer,) = perfect(dataset)(images)
        return [{name: answer[name] for name in ("rois", "class_ids", "scores")}]

    assert evaluate(detect, dataset, iou_types=("bbox",))["bbox"].ap == pytest.approx(1.0)
    with pytest.raises(DatasetError, match="iou_types=.*bbox"):
        evaluate(detect, dataset)


def test_images_are_handed_over_in_batches_and_progress_is_reported(dataset):
    sizes, progress = [], []

    def detect(images):
        sizes.append(len(images))
        return nothing(images)

    evaluate(detect, dataset, batch_size=4, progress=lambda done, total: progress.append((done, total)))
    assert sizes == [4, 2]
    assert progress == [(4, 6), (6, 6)]


def test_max_images_takes_images_from_the_whole_set():
    dataset = Discs([(discs(1, seed=n), np.array([1])) for n in range(10)])
    truth, _ = detect_dataset(nothing, dataset, max_images=4)
    assert [image["id"] for image in truth["images"]] == [0, 2, 5, 7]
    truth, _ = detect_dataset(nothing, dataset, image_ids=[8, 3, 5], max_images=20)
    assert [image["id"] for image in truth["images"]] == [8, 3, 5]


def test_a_detector_that_returns_too_few_results_is_an_error(dataset):
    with pytest.raises(ValueError, match=r"one result per image, 3, received len\(results\)=1"):
        evaluate(lambda images: nothing(images)[:1], dataset, batch_size=3)


def test_masks_of_another_size_than_the_image_are_an_error():
    dataset = Discs([(discs(1), np.array([1]))])
    small = detection(np.ones((60, 80, 1), bool), [1])
    with pytest.raises(DatasetError, match=r"as large as image 0.*\[60, 80, 1\]"):
        evaluate(lambda _: [small], dataset)

    class Halved(Discs):
        def load_image(self, image_id):
            return super().load_image(image_id)[::2, ::2]

    with pytest.raises(DatasetError, match=r"60x80, received masks=\[120, 160, 1\]"):
        evaluate(nothing, Halved([(discs(1), np.array([1]))]))


def test_detections_on_images_that_the_ground_truth_lacks_are_an_error():
    truth = coco_ground_truth(Discs([(discs(1), np.array([1]))]))
    stray = [{"image_id": 5, "category_id": 1, "bbox": [0, 0, 2, 2], "score": 0.5}]
    with pytest.raises(DatasetError, match=r"image_id=\[5\]"):
        evaluate_detections(truth, stray, ("bbox",))


def test_detections_of_categories_that_the_ground_truth_lacks_are_an_error():
    truth = coco_ground_truth(Discs([(discs(1), np.array([1]))]))
    stray = [{"image_id": 0, "category_id": 44, "bbox": [0, 0, 2, 2], "score": 0.5}]
    with pytest.raises(DatasetError, match=r"category_id=\[44\].*with_source_ids"):
        evaluate_detections(truth, stray, ("bbox",))


def test_the_summary_line_reads_well(dataset):
    line = str(evaluate(perfect(dataset), dataset)["segm"])
    assert line.startswith("mask AP 1.000  AP50 1.000  AP75 1.000")
