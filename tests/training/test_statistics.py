"""What the training step counts: skills are 0 without looking at the image and 1 for perfect answers, padding counts
nothing, and parts of a batch add up to the whole."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from mrcnn_plus.constants import META_SIZE_WITHOUT_CLASSES
from mrcnn_plus.geometry.molding import compose_image_meta
from mrcnn_plus.training.callbacks.epoch_figures import StatisticsLog
from mrcnn_plus.training.statistics import Sums, TrainingStatistics, statistics_of, step_sums

CLASSES, SIDE, SLOTS, ROWS, SAMPLES, ANCHORS = 4, 64, 3, 10, 12, 30
STD = (0.1, 0.1, 0.2, 0.2)
STYLE = {"rpn_std": STD, "box_std": STD}


def batch(images=4, seed=0):
    """Inputs and outputs of the training graph with random targets, and answers that are all 0."""
    rng = np.random.default_rng(seed)
    meta = [
        compose_image_meta(number, (64, 64, 3), (SIDE, SIDE, 3), (8, 0, 56, 64), 1.0, np.ones(CLASSES))
        for number in range(images)
    ]
    assert len(meta[0]) == META_SIZE_WITHOUT_CLASSES + CLASSES
    corner = rng.uniform(5, 30, (images, SLOTS, 2))
    gt_boxes = np.concatenate([corner, corner + rng.uniform(10, 30, corner.shape)], axis=-1)
    class_ids = np.zeros((images, ROWS), np.int32)
    class_ids[:, :6] = rng.integers(1, CLASSES, (images, 6))
    boxes = (gt_boxes - [0, 0, 1, 1]) / (SIDE - 1)
    rois = np.zeros((images, ROWS, 4))
    rois[:, :6] = np.tile(boxes, (1, 2, 1))
    rois[:, 6:9] = [0.9, 0.9, 0.99, 0.99]  # far from all; the last row is padding
    labels = np.full((images, SAMPLES), -1, np.int32)
    labels[:, :4], labels[:, 4:9] = 1, 0
    inputs = {
        "input_image": rng.normal(10, 5, (images, SIDE, SIDE, 3)),
        "input_image_meta": np.stack(meta),
        "input_gt_class_ids": rng.integers(1, CLASSES, (images, SLOTS)),
        "input_gt_boxes": gt_boxes,
    }
    positive = (class_ids > 0)[..., None]
    outputs = {
        "target_anchor_indices": np.tile(np.arange(SAMPLES), (images, 1)),
        "target_anchor_labels": labels,
        "target_rpn_bbox": rng.normal(0, 2, (images, SAMPLES, 4)) * (labels == 1)[..., None],
        "rpn_class_logits": np.zeros((images, ANCHORS, 2)),
        "rpn_bbox": np.zeros((images, ANCHORS, 4)),
        "rois": rois,
        "target_class_ids": class_ids,
        "target_bbox": rng.normal(0, 1, (images, ROWS, 4)) * positive,
        "mrcnn_class_logits": np.zeros((images, ROWS, CLASSES)),
        "mrcnn_bbox": np.zeros((images, ROWS, CLASSES, 4)),
        "target_mask": rng.integers(0, 2, (images, 6, 8, 8)) * positive[:, :6, ..., None],
        "mrcnn_mask": np.full((images, 6, 8, 8, CLASSES), 0.5),
    }
    # Anchors are the rows of their table, so the deltas that are asked for stand at the same places.
    return _tensors(inputs), _tensors(outputs)


def _tensors(arrays):
    whole = ("ids", "labels", "indices")
    return {
        name: ops.convert_to_tensor(value, dtype="int32" if name.endswith(whole) else "float32")
        for name, value in arrays.items()
    }


def statistics(inputs, outputs):
    sums = step_sums(inputs, outputs, **STYLE)
    return statistics_of(Sums(*(np.asarray(ops.convert_to_numpy(part), float) for part in sums)))


def changed(outputs, **values):
    return {**outputs, **_tensors(values)}


def numpy_of(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


@pytest.fixture(scope="module")
def given():
    return batch()


def logarithms_of(shares, shape):
    return np.broadcast_to(np.log(shares), (*shape, len(shares)))


def test_an_answer_that_is_always_the_same_and_the_best_such_has_skill_0(given):
    inputs, outputs = given
    ids, labels = numpy_of(outputs["target_class_ids"]), numpy_of(outputs["target_anchor_labels"])
    counts = np.bincount(ids[numpy_of(outputs["rois"]).any(axis=-1)], minlength=CLASSES)
    mean_box = numpy_of(outputs["target_bbox"])[ids > 0].mean(axis=0)
    mean_anchor = numpy_of(outputs["target_rpn_bbox"])[labels == 1].mean(axis=0)
    mean_mask = numpy_of(outputs["target_mask"]).reshape(-1, 8, 8).mean(axis=0)
    found = statistics(
        inputs,
        changed(
            outputs,
            rpn_class_logits=logarithms_of([5 / 9, 4 / 9], (4, ANCHORS)),
            mrcnn_class_logits=logarithms_of(counts / counts.sum(), (4, ROWS)),
            mrcnn_bbox=np.broadcast_to(mean_box, (4, ROWS, CLASSES, 4)),
            rpn_bbox=np.broadcast_to(mean_anchor, (4, ANCHORS, 4)),
            mrcnn_mask=np.broadcast_to(mean_mask[None, None, ..., None], (4, 6, 8, 8, CLASSES)),
        ),
    )
    for name in [name for name in found if name.startswith("skill_")]:
        assert found[name] == pytest.approx(0.0, abs=1e-4), name
    assert sum(name.startswith("skill_") for name in found) == 6


def test_perfect_answers_have_skill_1(given):
    inputs, outputs = given
    ids = numpy_of(outputs["target_class_ids"])
    is_object = np.zeros((4, ANCHORS), int)
    is_object[:, :SAMPLES] = numpy_of(outputs["target_anchor_labels"]) == 1
    boxes, anchors = np.zeros((4, ROWS, CLASSES, 4)), np.zeros((4, ANCHORS, 4))
    boxes[:] = numpy_of(outputs["target_bbox"])[:, :, None]
    anchors[:, :SAMPLES] = numpy_of(outputs["target_rpn_bbox"])
    found = statistics(
        inputs,
        changed(
            outputs,
            rpn_class_logits=60.0 * np.eye(2)[is_object],
            mrcnn_class_logits=60.0 * np.eye(CLASSES)[ids],
            mrcnn_bbox=boxes,
            rpn_bbox=anchors,
            mrcnn_mask=np.broadcast_to(numpy_of(outputs["target_mask"])[..., None], (4, 6, 8, 8, CLASSES)),
        ),
    )
    for name in [name for name in found if name.startswith("skill_")]:
        assert found[name] == pytest.approx(1.0, abs=1e-3), name
    for name in (
        "anchor_recall",
        "roi_recall",
        "label_accuracy",
        "label_recall",
        "mask_iou",
        "box_iou",
        "anchor_box_iou",
    ):
        assert found[name] == pytest.approx(1.0, abs=1e-3), name
    assert found["false_anchors"] == 0 and found["false_alarms"] == 0


def test_counts_are_per_image_and_leave_out_padding(given):
    found = statistics(*given)
    assert found["positive_anchors"] == 4 and found["positive_rois"] == 6 and found["sampled_rois"] == 9
    assert found["objects"] == SLOTS and found["objects_reached"] == 1.0
    assert found["far_rois"] == pytest.approx(3 / 9)


def test_a_far_roi_that_is_called_an_object_is_a_false_alarm(given):
    inputs, outputs = given
    logits = np.zeros((4, ROWS, CLASSES))
    logits[:, :, 1] = 1.0
    found = statistics(inputs, changed(outputs, mrcnn_class_logits=logits))
    assert found["false_alarms"] == pytest.approx(3 / 9) and found["roi_recall"] == 1.0
    assert found["majority_predicted"] == 1.0 and found["label_recall"] == pytest.approx(1 / 3)


def test_overlaps_come_from_the_deltas(given):
    """An anchor twice as high as its object, on the same centre, overlaps it by half."""
    inputs, outputs = given
    deltas = np.zeros((4, SAMPLES, 4))
    deltas[:, :4, 2] = math.log(0.5) / STD[2]
    found = statistics(inputs, changed(outputs, target_rpn_bbox=deltas))
    assert found["anchor_iou"] == pytest.approx(0.5, abs=1e-5)
    assert found["anchor_scale"] == pytest.approx(math.sqrt(2), abs=1e-5)


def test_the_brightness_is_that_of_the_image_without_its_padding(given):
    inputs, outputs = given
    image = numpy_of(inputs["input_image"]).copy()
    image[:, :8] = image[:, 56:] = -1000.0
    found = statistics({**inputs, "input_image": ops.convert_to_tensor(image, dtype="float32")}, outputs)
    assert found["input_mean"] == pytest.approx(10, abs=0.5) and found["input_std"] == pytest.approx(5, abs=0.5)


def test_parts_of_a_batch_add_up_to_the_whole(given):
    """So steps, and devices that share one, can be added without more ado."""
    whole = step_sums(*given, **STYLE)
    halves = [
        step_sums(*({name: value[rows] for name, value in part.items()} for part in given), **STYLE)
        for rows in (slice(0, 1), slice(1, 4))
    ]
    for name, total, first, second in zip(Sums._fields, whole, *halves, strict=True):
        np.testing.assert_allclose(
            numpy_of(total), numpy_of(first) + numpy_of(second), rtol=1e-4, atol=1e-3, err_msg=name
        )


def test_rows_that_fill_up_a_batch_count_nothing(given):
    inputs, outputs = given
    meta = numpy_of(inputs["input_image_meta"]).copy()
    meta[3, META_SIZE_WITHOUT_CLASSES:] = 0
    labels, rois = numpy_of(outputs["target_anchor_labels"]).copy(), numpy_of(outputs["rois"]).copy()
    labels[3], rois[3] = -1, 0
    filled = {**inputs, "input_image_meta": ops.convert_to_tensor(meta, dtype="float32")}
    found = statistics(filled, changed(outputs, target_anchor_labels=labels, rois=rois))
    assert found["objects"] == SLOTS and found["positive_anchors"] == 4 and found["sampled_rois"] == 9


def test_without_any_object_what_has_no_case_is_left_out():
    sums = Sums(*(np.zeros(np.shape(part)) for part in step_sums(*batch(1), **STYLE)))
    assert statistics_of(sums) == {}


def test_the_metric_adds_up_steps_reports_nothing_and_starts_anew(given):
    metric = TrainingStatistics(CLASSES, (8, 8), **STYLE)
    metric.update_state(*given)
    metric.update_state(*given)
    found, classes = metric.read()
    assert metric.result() == {}
    assert found["positive_rois"] == 6 and classes[0].sum() == 2 * 4 * 6
    metric.reset_state()
    assert metric.read()[0] == {}


def test_training_logs_statistics_of_both_data_sets_and_how_far_weights_moved(two_stages):
    """A real run: heads first, so that the backbone does not move."""
    first, last = two_stages.heads.epochs[0], two_stages.all.epochs[2]
    for logs in (first, last):
        assert logs["steps"] == 2 and logs["positive_anchors"] > 0
        assert {"skill_rpn_class_loss", "val_skill_rpn_class_loss", "input_std", "val_objects"} <= set(logs)
    assert "moved_backbone" not in first and first["moved_rpn"] > 0 and last["moved_backbone"] > 0
    assert first["val_objects"] == pytest.approx(2.0)  # 2, 1 and 3 figures


def test_a_model_that_counts_nothing_logs_only_what_moved():
    model = keras.Sequential([keras.layers.Dense(2, name="rpn_dense")])
    model.build((None, 3))
    callback = StatisticsLog()
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    callback.on_train_batch_end(0)
    kernel = model.layers[0].kernel
    kernel.assign(kernel * 1.5)
    logs = {}
    callback.on_epoch_end(0, logs)
    assert logs == {"steps": 1, "moved_rpn": pytest.approx(0.5, abs=1e-5)}
