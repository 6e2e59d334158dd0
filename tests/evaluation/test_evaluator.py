"""`evaluate`: equal to COCOeval run by hand on what it exports, and everything it adds, worked out by hand."""

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.evaluation import evaluate, with_source_ids
from mrcnn_plus.evaluation.result import METRIC_NAMES

from .by_hand import coco_eval, coco_eval_on_files, imperfect_detector, twelve_numbers
from .data_sets import Discs, boxes_of, detection, discs

KINDS = ("bbox", "segm")


class Numbered(Discs):
    """Images that hold their own id, so that a detector can tell them apart."""

    def load_image(self, image_id):
        image = super().load_image(image_id)
        image[0, 0, 0] = image_id
        return image


def mixed_data(**options):
    """Images of three sizes: objects of all sizes, a crowd, an empty image, and no object of class 3 ("dot")."""
    sizes = [(240, 300), (180, 200), (300, 220)]
    images = [(discs(9, size=sizes[n % 3], largest=90, seed=n), 1 + np.arange(9) % 2) for n in range(5)]
    images[1][1][0] = -2
    images[3][1][4] = -1
    images.append((np.zeros((240, 300, 0), bool), np.zeros(0, int)))
    return Numbered(images, **options)


@pytest.fixture(scope="module")
def dataset():
    return mixed_data()


@pytest.fixture(scope="module")
def result(dataset):
    return evaluate(imperfect_detector(dataset), dataset)


def nothing(images):
    return [detection(np.zeros((*image.shape[:2], 0), bool), []) for image in images]


@pytest.mark.parametrize("kind", KINDS)
def test_all_numbers_are_those_of_coco_eval_on_the_exported_files(result, kind, tmp_path):
    result.save_coco(tmp_path)
    by_hand = coco_eval_on_files(tmp_path, kind)
    scores = {"bbox": result.boxes, "segm": result.masks}[kind]
    assert (by_hand.stats > 0).all() and (by_hand.stats < 1).all(), "the case must exercise every number"
    np.testing.assert_allclose(twelve_numbers(scores), by_hand.stats, rtol=0, atol=1e-9)
    precision = by_hand.eval["precision"]
    for k, row in enumerate(result.classes):
        own = precision[:, :, k, 0, -1]
        expected = np.mean(own[own > -1]) if (own > -1).any() else math.nan
        np.testing.assert_allclose({"bbox": row.box_ap, "segm": row.mask_ap}[kind], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("images", "detect"),
    [
        ([(discs(4), [1, 2, -1, 2])], nothing),  # no detection at all
        ([(np.zeros((30, 40, 0), bool), [])] * 2, None),  # no object at all
        ([(discs(3), [-1, -2, -1])], None),  # nothing but crowds
        ([(np.zeros((30, 40, 0), bool), []), (discs(2), [3, 3])], None),
    ],
)
def test_odd_data_sets_score_as_in_coco_eval(images, detect, kind, tmp_path):
    dataset = Numbered([(masks, np.array(ids, int)) for masks, ids in images])
    result = evaluate(detect or imperfect_detector(dataset), dataset)
    result.save_coco(tmp_path)
    scores = {"bbox": result.boxes, "segm": result.masks}[kind]
    stats = coco_eval_on_files(tmp_path, kind).stats
    np.testing.assert_allclose(twelve_numbers(scores), stats, rtol=0, atol=1e-9)
    assert json.loads(result.to_json())["images"] == len(images)
    assert str(result)


def test_matches_of_classes_are_those_of_coco_eval(result):
    by_hand = coco_eval(result.ground_truth, result.results_of("segm"), "segm")
    right, found = {}, {}
    for entry in filter(None, by_hand.evalImgs):
        if entry["aRng"] == [0, 1e5**2]:
            counted = ~entry["dtIgnore"][0].astype(bool) & (np.array(entry["dtScores"]) >= result.score)
            class_id = entry["category_id"]
            found[class_id] = found.get(class_id, 0) + counted.sum()
            right[class_id] = right.get(class_id, 0) + (entry["dtMatches"][0].astype(bool) & counted).sum()
    assert sum(right.values()) > 10
    for row in result.classes:
        assert (row.correct, row.detections) == (right.get(row.class_id, 0), found.get(row.class_id, 0))


def write_coco_file(folder, *, categories):
    """A COCO file with ids of its own, polygons, a crowd, and areas and boxes not quite those of the pixels."""
    rng = np.random.default_rng(5)
    images, annotations = [], []
    for number, (height, width) in enumerate([(120, 160), (200, 140), (90, 90)]):
        identity = 1000 + 7 * number
        name = f"{identity}.png"
        Image.fromarray(np.full((height, width, 3), number, np.uint8)).save(folder / name)
        images.append({"id": identity, "file_name": name, "height": height, "width": width})
        for n in range(5):
            y, x, size = *rng.uniform(10, 60, 2), rng.uniform(12, 50)
            polygon = [x, y, x + size, y + 3, x + size - 4, y + size, x + 2, y + size - 2]
            annotation = {
                "id": 50 + len(annotations),
                "image_id": identity,
                "category_id": categories[n % len(categories)],
                "iscrowd": 0,
                "segmentation": [polygon],
                # Near the limits between small, medium and large the area decides.
                "area": 32.0**2 + (-3 if n % 2 else 3),
                "bbox": [x - 0.5, y - 0.5, size + 1, size + 1],
            }
            if (number, n) == (1, 3):
                mask = np.zeros((height, width), np.uint8)
                mask[20:90, 30:100] = 1
                rle = coco_mask.encode(np.asfortranarray(mask))
                runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[2], mask.T.ravel(), [2]]))))
                annotation |= {"iscrowd": 1, "segmentation": {"size": [height, width], "counts": runs.tolist()}}
                annotation |= {"area": float(coco_mask.area(rle)), "bbox": coco_mask.toBbox(rle).tolist()}
            annotations.append(annotation)
    names = [{"id": identity, "name": f"class {identity}"} for identity in sorted(categories)]
    truth = {"images": images, "annotations": annotations, "categories": names}
    (folder / "truth.json").write_text(json.dumps(truth))
    return truth


@pytest.mark.parametrize("kind", KINDS)
def test_a_coco_file_scores_as_coco_eval_on_the_file_itself(tmp_path, kind):
    truth = write_coco_file(tmp_path, categories=[3, 44, 90])
    dataset = open_dataset(tmp_path / "truth.json")

    def detect(images):
        return imperfect_detector(dataset)(images)

    result = evaluate(detect, dataset)
    exported, results = with_source_ids(result.ground_truth, result.results_of(kind), dataset)
    assert {one["category_id"] for one in results} == {3, 44, 90}
    assert {one["image_id"] for one in results} == {1000, 1007, 1014}
    assert exported["categories"] == truth["categories"]
    by_hand = coco_eval(truth, results, kind).stats
    assert by_hand[3] > 0 and by_hand[4] > 0
    scores = {"bbox": result.boxes, "segm": result.masks}[kind]
    np.testing.assert_allclose(twelve_numbers(scores), by_hand, rtol=0, atol=1e-9)


class Annotated(Numbered):
    """A data set as Matterport's sample makes it: records of a COCO file in `image_info`."""

    def __init__(self, images, records):
        super().__init__(images)
        for info, own in zip(self.image_info, records, strict=True):
            info["annotations"] = own
        for info, identity in zip(self.class_info[1:], (18, 44, 62), strict=True):
            info["id"] = identity


def record(category_id, *, crowd=0, area=77.5, bbox=(10, 10, 20, 20)):
    return {"category_id": category_id, "iscrowd": crowd, "area": area, "bbox": list(bbox)}


def square(top, left, size, shape=(60, 60)):
    mask = np.zeros((*shape, 1), bool)
    mask[top : top + size, left : left + size] = True
    return mask


def test_areas_and_boxes_are_taken_from_records_that_belong_to_the_masks():
    masks = np.concatenate([square(10, 10, 20), square(35, 35, 10)], axis=-1)
    declared = [record(18, bbox=(9.5, 9.5, 21, 21)), record(62, crowd=1, area=120.0, bbox=(35, 35, 10, 10))]
    dataset = Annotated([(masks, np.array([1, -3]))], [declared])
    truths = evaluate(nothing, dataset).ground_truth["annotations"]
    assert [one["area"] for one in truths] == [77.5, 120.0]
    assert truths[0]["bbox"] == [9.5, 9.5, 21, 21]


@pytest.mark.parametrize(
    "records",
    [
        [record(18)],  # another number
        [record(44), record(62, crowd=1)],  # another class
        [record(18), record(62)],  # no crowd
        ["text", None],
    ],
)
def test_records_that_cannot_be_paired_with_the_masks_are_left_alone(records):
    masks = np.concatenate([square(10, 10, 20), square(35, 35, 10)], axis=-1)
    dataset = Annotated([(masks, np.array([1, -3]))], [records])
    truths = evaluate(nothing, dataset).ground_truth["annotations"]
    assert [one["area"] for one in truths] == [400, 100]
    assert truths[1]["bbox"] == [35, 35, 10, 10]


@pytest.mark.parametrize("bad", [{"bbox": (10, 10, 0, 20)}, {"bbox": (40, 40, 60, 60)}, {"bbox": (1, 2)}])
def test_a_declared_box_that_does_not_fit_its_mask_is_replaced(bad):
    dataset = Annotated([(square(10, 10, 20), np.array([1]))], [[record(18, **bad)]])
    (truth,) = evaluate(nothing, dataset).ground_truth["annotations"]
    assert truth["bbox"] == [10, 10, 20, 20]


def hand_made():
    """One image with squares A (disc), B (ring), C (ring), D (dot) in a row, and a crowd of discs below.

    Detections: A right; B as a disc; C right, and again; D missed; one false dot; a disc in the crowd; a doubtful dot
    on D.
    """
    places = [(5, 5), (5, 25), (5, 45), (5, 65)]
    squares = [square(top, left, 10, (60, 90)) for top, left in places]
    crowd = np.zeros((60, 90, 1), bool)
    crowd[30:, :40] = True
    masks = np.concatenate([*squares, crowd], axis=-1)
    dataset = Discs([(masks, np.array([1, 2, 2, 3, -1]))])
    false = square(30, 60, 10, (60, 90))
    inside = square(35, 10, 10, (60, 90))
    found = [squares[0], squares[1], squares[2], squares[2], false, inside, squares[3]]
    answer = detection(np.concatenate(found, axis=-1), [1, 1, 2, 2, 3, 1, 3], [0.9, 0.8, 0.95, 0.7, 0.6, 0.85, 0.3])
    return dataset, answer


def test_the_confusion_matrix_of_a_hand_made_image():
    dataset, answer = hand_made()
    result = evaluate(lambda _: [answer], dataset)
    assert result.confusion.names == ("background", "disc", "ring", "dot")
    # Rows: what it is. Background: C a second time, and the false dot. B (a ring) was taken for a disc; D was missed.
    expected = [[0, 0, 1, 1], [0, 1, 0, 0], [0, 1, 1, 0], [1, 0, 0, 0]]
    assert result.confusion.counts.tolist() == expected
    assert (result.confusion.score, result.confusion.iou, result.confusion.kind) == (0.5, 0.5, "segm")
    assert result.confusion.most_frequent() == [("ring", "disc", 1)]


def test_a_lower_score_lets_doubtful_detections_count():
    dataset, answer = hand_made()
    result = evaluate(lambda _: [answer], dataset, score=0.25)
    assert result.confusion.counts[3].tolist() == [0, 0, 0, 1]
    assert result.classes[2].recall == 1.0


def test_a_higher_iou_turns_a_shifted_detection_into_a_false_one():
    dataset = Discs([(square(10, 10, 20), np.array([1]))])
    answer = detection(square(10, 14, 20), [1])  # IoU 16 / 24
    assert evaluate(lambda _: [answer], dataset, iou=0.6).confusion.counts[1].tolist() == [0, 1, 0, 0]
    strict = evaluate(lambda _: [answer], dataset, iou=0.7).confusion.counts
    assert strict[1].tolist() == [1, 0, 0, 0] and strict[0].tolist() == [0, 1, 0, 0]


def test_classes_of_a_hand_made_image():
    dataset, answer = hand_made()
    result = evaluate(lambda _: [answer], dataset)
    disc, ring, dot = result.classes
    # Discs: A right, B wrong; the one in the crowd counts neither way. Rings: C right, C again; B was not found.
    assert (disc.objects, disc.images, disc.detections, disc.correct) == (1, 1, 2, 1)
    assert (disc.precision, disc.recall) == (0.5, 1.0)
    assert (ring.objects, ring.detections, ring.correct, ring.precision, ring.recall) == (2, 2, 1, 0.5, 0.5)
    assert (dot.objects, dot.detections, dot.correct, dot.precision, dot.recall) == (1, 1, 0, 0.0, 0.0)
    assert (result.precision, result.recall) == (2 / 5, 2 / 4)
    assert (disc.best_score, disc.best_f1) == (0.9, 1.0)
    assert (ring.best_score, ring.best_precision, ring.best_recall) == (0.95, 1.0, 0.5)
    assert (dot.best_score, dot.best_precision, dot.best_recall, dot.best_f1) == (0.3, 0.5, 1.0, pytest.approx(2 / 3))


def test_images_of_a_hand_made_image_and_its_quality():
    dataset, answer = hand_made()
    (image,) = evaluate(lambda _: [answer], dataset).images
    counts = (image.objects, image.detections, image.correct, image.wrong_class, image.false, image.duplicate)
    assert counts == (4, 5, 2, 1, 1, 1)
    assert image.missed == 2  # B, found as another class, and D
    assert image.quality == pytest.approx(2 / (2 + 5 / 2))
    assert (image.height, image.width, image.name) == (60, 90, "folder/d0.png")


def test_detections_above_scores_are_counted_per_image():
    dataset = Numbered([(discs(2), [1, 1]), (discs(1), [1])])
    scores = {0: [0.95, 0.6, 0.2], 1: [0.06]}

    def detect(images):
        answers = []
        for image in images:
            own = scores[int(image[0, 0, 0])]
            answers.append(detection(discs(len(own)), [1] * len(own), own))
        return answers

    rows = {row.score: row for row in evaluate(detect, dataset).above}
    assert (rows[0.05].detections, rows[0.05].per_image, rows[0.05].most, rows[0.05].images_without) == (4, 2.0, 3, 0)
    assert (rows[0.5].detections, rows[0.5].most, rows[0.5].images_without) == (2, 2, 1)
    assert rows[0.9].per_image == 0.5


def test_best_and_worst_images():
    good, bad = square(10, 10, 20), square(10, 10, 20)
    empty = (np.zeros((60, 60, 0), bool), [])
    dataset = Numbered([(good, [1]), (bad, [1]), empty, (np.concatenate([good, square(40, 40, 9)], -1), [1, 2]), empty])
    found = {0: good, 1: square(30, 30, 20), 3: good, 4: good}

    def detect(images):
        ids = [int(image[0, 0, 0]) for image in images]
        return [detection(found[i], [1]) if i in found else nothing(images[:1])[0] for i in ids]

    result = evaluate(detect, dataset)
    # Image 2 has nothing in it and nothing was found: neither good nor bad.
    assert [image.image_id for image in result.best_images()] == [0, 3]
    assert [image.image_id for image in result.worst_images()] == [1, 4, 3]
    assert [image.image_id for image in result.worst_images(1)] == [1]
    assert math.isnan(result.images[2].quality)


def test_a_subset_of_classes(dataset, result):
    alone = evaluate(imperfect_detector(dataset), dataset, classes=["ring"])
    assert [row.name for row in alone.classes] == ["ring"]
    assert alone.masks.ap == pytest.approx(result.classes[1].mask_ap, abs=1e-12)
    assert alone.confusion.counts.shape == (2, 2)
    with pytest.raises(ConfigError, match=r"'rung'.*'disc', 'ring', 'dot'"):
        evaluate(nothing, dataset, classes=["rung"])


def test_limits_and_chosen_images(dataset):
    assert [image.image_id for image in evaluate(nothing, dataset, limit=3).images] == [0, 2, 4]
    assert [image.image_id for image in evaluate(nothing, dataset, image_ids=[4, 1, 4]).images] == [4, 1]
    with pytest.raises(ConfigError, match="limit=0"):
        evaluate(nothing, dataset, limit=0)


def test_boxes_alone(dataset):
    def detect(images):
        return [{key: found[key] for key in ("rois", "class_ids", "scores")} for found in full(images)]

    full = imperfect_detector(dataset)
    result = evaluate(detect, dataset, iou_types=("bbox",))
    assert result.masks is None and result.kind == "bbox" and math.isnan(result.classes[0].mask_ap)
    assert result.boxes.ap == pytest.approx(evaluate(full, dataset).boxes.ap)
    assert "mask_AP" not in result.metrics()
    with pytest.raises(DatasetError, match=r"iou_types=\('bbox',\)"):
        evaluate(detect, dataset)


class Model:
    """Something with detect() and a configuration."""

    def __init__(self, detect, confidence):
        self.answer = detect
        self.config = type("Settings", (), {"DETECTION_MIN_CONFIDENCE": confidence})()
        self.seen = set()

    def detect(self, images):
        self.seen.add(self.config.DETECTION_MIN_CONFIDENCE)
        return self.answer(images)


@pytest.mark.parametrize(("confidence", "asked", "seen"), [(0.7, 0.05, 0.05), (0.0, 0.05, 0.0), (0.7, None, 0.7)])
def test_the_least_confidence_is_lowered_for_the_evaluation_and_put_back(dataset, confidence, asked, seen):
    model = Model(nothing, confidence)
    evaluate(model, dataset, min_confidence=asked)
    assert model.seen == {seen}
    assert (model.config.DETECTION_MIN_CONFIDENCE, vars(model.config)) == (confidence, {})


def test_the_least_confidence_is_put_back_after_an_error(dataset):
    def fail(images):
        raise RuntimeError("no memory")

    model = Model(fail, 0.7)
    with pytest.raises(RuntimeError):
        evaluate(model, dataset)
    assert model.config.DETECTION_MIN_CONFIDENCE == 0.7


def test_metrics_have_the_names_that_are_announced(result):
    assert tuple(result.metrics()) == METRIC_NAMES
    assert result.metrics("val_")["val_mask_AP50"] == result.masks.ap50
    reported = sum(one["score"] >= 0.5 for one in result.results)
    crowd = sum(outcome.count("in crowd") for outcome in result.outcomes)
    assert result.metrics()["detections_per_image"] == pytest.approx((reported - crowd) / 6)


def test_json_and_csv_hold_the_numbers(result, tmp_path):
    content = json.loads(result.to_json(images=2))
    assert content["masks"]["ap"] == result.masks.ap
    assert content["classes"][2]["mask_ap"] is None  # no object of it
    assert content["confusion"]["counts"] == result.confusion.counts.tolist()
    assert len(content["worst"]) == 2
    result.save_classes(tmp_path / "classes.csv")
    result.save_images(tmp_path / "images.csv")
    with open(tmp_path / "classes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["disc", "ring", "dot"]
    assert float(rows[0]["box_ap50"]) == result.classes[0].box_ap50 and rows[2]["mask_ap"] == ""
    with open(tmp_path / "images.csv", newline="") as file:
        assert [int(row["missed"]) for row in csv.DictReader(file)] == [image.missed for image in result.images]


def test_the_text_shows_scores_classes_confusions_and_counts(result):
    text = str(result)
    assert "6 images" in text and "2 crowd regions" in text
    assert f"{result.masks.ap:.3f}" in text and f"{result.classes[1].box_ap:.3f}" in text
    assert "true \\ detected" in text and "images without" in text
    assert max(map(len, text.splitlines())) <= 100


def test_many_classes_are_shown_by_their_confusions():
    names = [f"kind {n}" for n in range(14)]
    dataset = Discs([(square(10, 10, 20), np.array([3]))], names=names)
    result = evaluate(lambda _: [detection(square(10, 10, 20), [14])], dataset)
    text = str(result)
    assert "true \\ detected" not in text
    assert any(line.split() == ["kind", "2", "kind", "13", "1"] for line in text.splitlines())


class Broken(Numbered):
    """Image 1 cannot be read, the masks of image 2 raise."""

    def load_image(self, image_id):
        if image_id == 1:
            raise DatasetError("image 1: no such file")
        return super().load_image(image_id)

    def load_mask(self, image_id):
        if image_id == 2:
            raise KeyError("polygons")
        return super().load_mask(image_id)


def test_images_that_cannot_be_loaded_are_an_error_or_left_out_with_a_warning(caplog):
    dataset = Broken([(discs(2, seed=n), np.array([1, 2])) for n in range(4)])
    with pytest.raises(DatasetError, match="image 1"):
        evaluate(nothing, dataset)
    result = evaluate(nothing, dataset, skip_bad_images=True, batch_size=2)
    assert result.skipped == (1, 2) and [image.image_id for image in result.images] == [0, 3]
    assert "Image 2 was not evaluated: KeyError: 'polygons'" in caplog.text
    assert "2 images could not be loaded" in str(result)


def test_detections_of_a_class_that_the_data_set_lacks_are_an_error():
    dataset = Discs([(square(10, 10, 20), np.array([1]))])
    with pytest.raises(DatasetError, match=r"class ids 1 to 3.*class_ids=\[17\]"):
        evaluate(lambda _: [detection(square(10, 10, 20), [17])], dataset)


def test_what_cannot_detect_is_an_error(dataset):
    with pytest.raises(ConfigError, match="a str"):
        evaluate("mask_rcnn.h5", dataset)
    with pytest.raises(ConfigError, match="score=50"):
        evaluate(nothing, dataset, score=50)
    with pytest.raises(ConfigError, match="iou_types"):
        evaluate(nothing, dataset, iou_types=("masks",))
    with pytest.raises(DatasetError, match="with images"):
        evaluate(nothing, Dataset())


def test_an_empty_mask_of_class_0_stands_for_an_image_without_objects():
    dataset = Discs([(np.zeros((40, 50, 1), bool), np.array([0])), (discs(1), np.array([1]))])
    assert evaluate(nothing, dataset).objects == 1
    with pytest.raises(DatasetError, match=r"class_ids=\[0\]"):
        evaluate(nothing, Discs([(discs(1), np.array([0]))]))


def test_ids_of_several_sources_cannot_be_translated():
    class TwoSources(Discs):
        def __init__(self, images):
            super().__init__(images)
            self.image_info[1]["source"] = "other"

    dataset = TwoSources([(discs(1), np.array([1]))] * 2)
    result = evaluate(nothing, dataset)
    with pytest.raises(DatasetError, match="'discs', 'other'"):
        with_source_ids(result.ground_truth, result.results, dataset)


def test_boxes_of_detections_are_taken_as_they_are():
    masks = square(10, 10, 20)
    answer = detection(masks, [1]) | {"rois": boxes_of(masks) + 1.25}
    result = evaluate(lambda _: [answer], Discs([(masks, np.array([1]))]))
    assert result.results[0]["bbox"] == [11.25, 11.25, 20, 20]
