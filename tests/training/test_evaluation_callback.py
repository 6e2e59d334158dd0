"""Average precision while training: when, of which weights, into which logs and files."""

import csv
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import mrcnn_plus
from mrcnn_plus import EvaluationCallback
from mrcnn_plus.drawing.mistakes import DETECTION_OUTCOMES, TRUTH_OUTCOMES
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.evaluation import evaluate
from mrcnn_plus.evaluation import outcomes as words
from mrcnn_plus.training.callbacks.early_stopping import EarlyStopping

from ..evaluation.data_sets import detection
from ..support.tiny import Figures, weights_of
from ..support.toy import difference, files_of, toy, train

VAL = (2, 3)


class Learner:
    """detect() that moves every figure by so many pixels; call number n of an image takes `shifts[n]`."""

    def __init__(self, dataset, shifts):
        self.dataset, self.shifts = dataset, list(shifts)
        self.config = SimpleNamespace(DETECTION_MIN_CONFIDENCE=0.7)
        self.evaluations = 0
        self.confidences = set()

    def detect(self, images):
        self.confidences.add(self.config.DETECTION_MIN_CONFIDENCE)
        answers = []
        for image in images:
            same = [i for i in self.dataset.image_ids if np.array_equal(self.dataset.load_image(i), image)]
            masks, class_ids = self.dataset.load_mask(same[0])
            shift = self.shifts[min(self.evaluations // len(self.dataset.image_ids), len(self.shifts) - 1)]
            self.evaluations += 1
            answers.append(detection(np.roll(masks, shift, axis=1), class_ids, np.full(len(class_ids), 0.9)))
        return answers


def keras_model():
    """What a callback needs of one where no step is made."""
    return SimpleNamespace(optimizer=SimpleNamespace(), stop_training=False)


def run_epochs(callback, count):
    """The logs of so many epochs."""
    callback.set_model(keras_model())
    callback.on_train_begin()
    logs = [{"loss": 1.0} for _ in range(count)]
    for epoch, own in enumerate(logs):
        callback.on_epoch_end(epoch, own)
    return logs


@pytest.fixture
def dataset():
    return Figures(list(VAL))


def test_scores_are_logged_and_written_every_n_epochs(dataset, tmp_path, capsys):
    learner = Learner(dataset, [60, 2])
    callback = EvaluationCallback(dataset, 2, model=learner, log_dir=str(tmp_path))
    logs = run_epochs(callback, 5)
    assert [sorted(own) == ["loss"] for own in logs] == [True, False, True, False, True]
    assert logs[1]["val_mask_AP"] < 0.3 < logs[3]["val_mask_AP50"]
    assert set(logs[3]) == {"loss", *callback.metric_names}
    folder = tmp_path / "evaluation"
    assert sorted(os.listdir(folder)) == [
        "classes.csv",
        "epoch_0002",
        "epoch_0002.json",
        "epoch_0004",
        "epoch_0004.json",
    ]
    content = json.loads((folder / "epoch_0004.json").read_text(encoding="utf-8"))
    assert content["epoch"] == 4 and content["metrics"]["mask_AP"] == logs[3]["val_mask_AP"]
    assert callback.result.masks.ap == logs[3]["val_mask_AP"]
    with open(folder / "classes.csv", newline="") as file:
        assert [(row["epoch"], row["name"]) for row in csv.DictReader(file)] == [
            *[("2", "square"), ("2", "disc")],
            *[("4", "square"), ("4", "disc")],
        ]
    assert "Evaluation after epoch 4, 2 images" in capsys.readouterr().out
    assert learner.confidences == {0.05} and learner.config.DETECTION_MIN_CONFIDENCE == 0.7


def test_best_and_worst_images_are_drawn_and_named_in_the_json(dataset, tmp_path):
    run_epochs(EvaluationCallback(dataset, model=Learner(dataset, [3]), log_dir=str(tmp_path), images=1), 1)
    folder = tmp_path / "evaluation"
    content = json.loads((folder / "epoch_0001.json").read_text(encoding="utf-8"))
    pictures = [entry["picture"] for kind in ("best", "worst") for entry in content[kind]]
    assert pictures and all(picture.startswith("epoch_0001/") for picture in pictures)
    assert sorted(pictures) == sorted(f"epoch_0001/{name}" for name in os.listdir(folder / "epoch_0001"))
    assert min(Image.open(folder / pictures[0]).size) > 64


def test_outcomes_have_the_words_of_the_drawing():
    own = {words.CORRECT, words.WRONG_CLASS, words.FALSE, words.DUPLICATE, words.IN_CROWD, words.BELOW_SCORE}
    assert own == set(DETECTION_OUTCOMES)
    assert {words.FOUND, words.MISSED, words.CROWD} == set(TRUTH_OUTCOMES)


class Moody(Figures):
    """Gives its images once only."""

    def load_image(self, image_id):
        self.given = getattr(self, "given", set())
        if int(image_id) in self.given:
            raise OSError("the disk is gone")
        self.given.add(int(image_id))
        return super().load_image(image_id)


def test_a_picture_that_cannot_be_drawn_does_not_end_training(tmp_path, caplog):
    dataset = Moody(list(VAL))
    callback = EvaluationCallback(dataset, model=Learner(Figures(list(VAL)), [3]), log_dir=str(tmp_path))
    (logs,) = run_epochs(callback, 1)
    assert "val_box_AP" in logs
    content = json.loads((tmp_path / "evaluation" / "epoch_0001.json").read_text(encoding="utf-8"))
    assert {entry["picture"] for entry in content["best"] + content["worst"]} == {None}
    assert "the disk is gone" in caplog.text


def test_a_folder_that_cannot_be_written_does_not_end_training(dataset, tmp_path, caplog):
    (tmp_path / "evaluation").write_text("a file")
    (logs,) = run_epochs(EvaluationCallback(dataset, model=Learner(dataset, [3]), log_dir=str(tmp_path)), 1)
    assert "val_box_AP" in logs and "could not be written" in caplog.text


def test_a_second_data_set_has_names_and_a_folder_of_its_own(dataset, tmp_path):
    callback = EvaluationCallback(
        dataset, model=Learner(dataset, [3]), log_dir=str(tmp_path), prefix="test_", iou_types=("bbox",)
    )
    (logs,) = run_epochs(callback, 1)
    assert "test_box_AP" in logs and not [name for name in logs if name.startswith("val_")]
    assert "test_mask_AP" not in callback.metric_names
    assert (tmp_path / "evaluation_test" / "epoch_0001.json").exists()


def test_what_is_missing_is_said_before_the_first_step(dataset):
    with pytest.raises(DatasetError, match="no validation data"):
        run_epochs(EvaluationCallback(every=1), 1)
    with pytest.raises(ConfigError, match="model=NoneType"):
        run_epochs(EvaluationCallback(dataset), 1)
    with pytest.raises(ConfigError, match="every=0"):
        EvaluationCallback(dataset, every=0)


def rows_of(model):
    with open(os.path.join(model.log_dir, "losses.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def learning(folder, shifts, **settings):
    """A toy that trains, and whose detections are a matter of the calls alone."""
    model = toy(folder, **settings)
    learner = Learner(Figures(list(VAL)), shifts)
    model.detect = learner.detect
    return model


def test_in_a_run_it_takes_data_and_model_from_there_and_the_best_epoch_is_kept(tmp_path):
    model = learning(tmp_path, [20, 0, 4], BEST_METRIC="val_mask_AP", EARLY_STOPPING_PATIENCE=3)
    callback = EvaluationCallback(every=2)
    train(model, 30, val=VAL, custom_callbacks=[callback])
    # The best is epoch 4. Without a better one for 3 epochs the stage ends at the next evaluation, after epoch 8.
    assert model.epoch == 8
    values = [row["val_mask_AP"] for row in rows_of(model)]
    assert [value != "" for value in values] == [False, True] * 4
    assert float(values[3]) > max(float(values[n]) for n in (1, 5, 7))
    assert "best_mask_rcnn_toy.h5" in files_of(model)
    best = toy(tmp_path)
    best.load_weights(os.path.join(model.log_dir, "best_mask_rcnn_toy.h5"))
    fourth = toy(tmp_path)
    fourth.load_weights(model.checkpoint_path.format(epoch=4))
    assert difference(best, fourth) == 0.0
    assert callback.dataset.image_info == Figures(list(VAL)).image_info and callback.detector is model


def test_the_setting_evaluates_and_the_program_s_own_callback_goes_before_it(tmp_path):
    model = learning(tmp_path, [3], EVALUATE_EVERY=1)
    train(model, 1, val=VAL)
    assert float(rows_of(model)[0]["val_box_AP50"]) > 0
    other = Figures([1, 1, 1])
    callback = EvaluationCallback(other, model=Learner(other, [0]))
    train(model, 2, val=VAL, custom_callbacks=callback)
    assert float(rows_of(model)[1]["val_mask_AP"]) == pytest.approx(1.0)
    assert len(callback.result.images) == 3


def test_a_best_metric_that_nothing_measures_is_an_error_before_training(tmp_path):
    with pytest.raises(ConfigError, match=r"val_mask_AP comes from an evaluation.*EVALUATE_EVERY=0"):
        train(toy(tmp_path, BEST_METRIC="val_mask_AP"), 1, val=VAL)
    with pytest.raises(DatasetError, match="val_dataset"):
        train(toy(tmp_path, EVALUATE_EVERY=1), 1, val=None)


def test_epochs_without_a_value_count_for_early_stopping_but_do_not_stop():
    stopping = EarlyStopping("val_mask_AP", 3, occasional=True)
    stopping.set_model(keras_model())
    stopping.on_train_begin()
    for epoch, logs in enumerate([{"val_mask_AP": 0.5}, {}, {}, {}, {}, {"val_mask_AP": 0.6}, {}, {}, {}]):
        stopping.on_epoch_end(epoch, logs)
    assert not stopping.model.stop_training and stopping.to_dict()["wait"] == 3
    stopping.on_epoch_end(9, {"val_mask_AP": 0.55})
    assert stopping.model.stop_training


def test_the_package_exports_it():
    assert mrcnn_plus.EvaluationCallback is EvaluationCallback


class Onlooker:
    """detect() that finds nothing, and keeps the weights that the model has when it is asked."""

    def __init__(self, model):
        self.model = model

    def detect(self, images):
        self.weights = weights_of(self.model.keras_model)
        return [detection(np.zeros((*image.shape[:2], 0), bool), []) for image in images]


def test_averaged_weights_are_evaluated_and_training_goes_on_with_the_others(tmp_path):
    evaluated, plain = toy(tmp_path / "with", EMA_MOMENTUM=0.5), toy(tmp_path / "without", EMA_MOMENTUM=0.5)
    onlooker = Onlooker(evaluated)
    train(evaluated, 2, val=VAL, custom_callbacks=[EvaluationCallback(model=onlooker, images=0)])
    train(plain, 2, val=VAL)
    assert difference(evaluated, plain) == 0.0
    # After training the averages are the weights.
    weights = weights_of(evaluated.keras_model)
    assert max(abs(onlooker.weights[name] - weights[name]).max() for name in weights) == 0.0


@pytest.mark.backend
@pytest.mark.slow_on_jax
def test_a_model_in_the_middle_of_training_is_evaluated_with_the_weights_of_the_moment(two_stages):
    # It was the last thing before training ended, so the weights and the result have to be there still.
    weights = weights_of(two_stages.model.keras_model)
    assert all(np.array_equal(two_stages.watched.weights[name], weights[name]) for name in weights)
    after = evaluate(two_stages.model, two_stages.evaluation.dataset)
    assert after.results == two_stages.evaluation.result.results
    with open(os.path.join(two_stages.model.log_dir, "losses.csv"), newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["epoch"] == "2")
    assert float(row["val_mask_AP"]) == after.masks.ap
