"""Experiments run on small networks: what they measure, and that they leave everything as it was."""

import keras
import numpy as np
import pytest

from mrcnn_plus import diagnosis
from mrcnn_plus.diagnosis.experiments.measuring import overfit as measuring
from mrcnn_plus.diagnosis.experiments.measuring import subject
from mrcnn_plus.diagnosis.experiments.measuring.first_batch import input_values, object_fill
from mrcnn_plus.diagnosis.experiments.measuring.self_consistency import matches, own_ground_truth
from mrcnn_plus.diagnosis.experiments.overfit import Check
from mrcnn_plus.diagnosis.experiments.weights import AS_MADE, OTHER
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.training.optimizers import NORM_NAMES
from mrcnn_plus.training.stages import weighted_layers

from ...support.tiny import Figures, FiveConvolutions, TinyConfig, step_by_step


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A network of random weights, of the quickest backbone."""
    return MaskRCNN("training", FiveConvolutions(), str(tmp_path_factory.mktemp("logs")))


@pytest.fixture
def unchanged(model):
    """Fails if weights, random numbers, what trains, or the compiled state are other than before the test."""

    def state():
        keras_model = model.keras_model
        values = [keras.ops.convert_to_numpy(variable).copy() for variable in keras_model.variables]
        return (
            values,
            [layer.trainable for layer in weighted_layers(keras_model)],
            getattr(keras_model, "optimizer", None),
        )

    before, trains, optimizer = state()
    yield
    after, trains_after, optimizer_after = state()
    assert all(np.array_equal(first, second) for first, second in zip(before, after, strict=True))
    assert trains == trains_after
    assert optimizer is optimizer_after


FIGURES = Figures([2, 1, 3])


def test_random_layers_are_told_from_others_and_nothing_moves(model, unchanged):
    result = diagnosis.weights(model, layers="heads").result
    assert {state.state for state in result.layers} == {AS_MADE}
    frozen = {state.part for state in result.layers if not state.trains}
    assert frozen == {"backbone"}
    codes = [finding.code for finding in diagnosis.weights(model, layers="heads").report]
    assert codes == ["EXP030"]


def test_a_layer_that_was_moved_and_moved_back_shows_against_a_file(model, tmp_path):
    start = tmp_path / "start.h5"
    model.keras_model.save_weights(str(start))
    layer = next(layer for layer in weighted_layers(model.keras_model) if layer.name == "fpn_p2")
    kernel = np.array(keras.ops.convert_to_numpy(layer.kernel))
    layer.kernel.assign(1.5 * kernel)
    try:
        states = {state.name: state for state in diagnosis.weights(model, against=str(start)).result.layers}
    finally:
        layer.kernel.assign(kernel)
    assert states["fpn_p2"].state == OTHER
    assert states["fpn_p2"].moved == pytest.approx(0.5, abs=0.01)
    assert {state.moved for name, state in states.items() if name != "fpn_p2"} == {0.0}


@pytest.mark.backend
@pytest.mark.slow_on_jax
def test_the_first_batch_of_random_heads_is_at_the_level_of_knowing_nothing(model, unchanged):
    with step_by_step():
        outcome = diagnosis.first_batch(model, FIGURES, images=2)
    result = outcome.result
    blind = {level.name: level.blind for level in result.losses}
    assert blind["rpn_class_loss"] == pytest.approx(np.log(2), abs=1e-5)
    assert blind["mrcnn_mask_loss"] in (0.0, pytest.approx(np.log(2), abs=1e-5))  # 0 without a positive ROI
    assert blind["mrcnn_class_loss"] == pytest.approx(np.log(3), abs=1e-5)
    assert not any(level.is_trained for level in result.losses)
    assert all(count >= 1 for count in result.positive_anchors)
    assert result.gradient_norms["rpn"] > 0
    assert sum(objects for objects, _ in result.labels.values()) == sum(result.objects)
    assert outcome.report.ok


@pytest.mark.slow_on_jax
def test_a_loss_of_weight_0_gives_no_gradient_though_there_is_weight_decay(model, unchanged, monkeypatch):
    weights = {**model.config.LOSS_WEIGHTS, "mrcnn_mask_loss": 0.0}
    monkeypatch.setattr(model.config, "LOSS_WEIGHTS", weights)
    assert model.config.WEIGHT_DECAY > 0
    with step_by_step():
        outcome = diagnosis.first_batch(model, FIGURES, images=1, layers="all")
    assert outcome.result.gradient_norms["mask_head"] == 0.0
    assert outcome.result.l2 > 0
    positive = sum(outcome.result.positive_rois) > 0
    assert ("EXP005" in [finding.code for finding in outcome.report]) == positive


@pytest.mark.parametrize("small", [True, False])
def test_masks_that_fill_half_of_their_boxes(model, small, monkeypatch):
    class Halves(Figures):
        def load_mask(self, image_id):
            masks, class_ids = super().load_mask(image_id)
            for number in range(masks.shape[-1]):
                ys, xs = np.nonzero(masks[..., number])
                masks[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1, number] = True
                masks[ys.min() + 1 : ys.max(), (xs.min() + xs.max()) // 2 : xs.max(), number] = False
            return masks, class_ids

    monkeypatch.setattr(model.config, "USE_MINI_MASK", small)
    batch = subject.build_batch(model.config, Halves([2, 1]), [0, 1])
    assert 0.45 < object_fill(batch) < 0.7


def test_a_data_set_whose_masks_are_all_empty_is_refused():
    class Empty(Figures):
        def load_mask(self, image_id):
            masks, class_ids = super().load_mask(image_id)
            return masks & False, class_ids

    with pytest.raises(DatasetError, match="with a pixel in its mask"):
        subject.choose_images(Empty([2, 1]), 1)


def test_detections_are_counted_that_lie_on_an_object_and_that_have_its_class():
    def rows(class_ids, boxes):
        return {"input_gt_class_ids": np.array([class_ids]), "input_gt_boxes": np.array([boxes])}

    annotated = rows([1, 2, 0], [[0, 0, 10, 10], [20, 20, 40, 40], [0, 0, 0, 0]])
    own = rows([1, 1, 2, 0], [[0, 0, 10, 9], [20, 20, 40, 40], [50, 50, 60, 60], [0, 0, 0, 0]])
    assert matches(own, annotated) == (2, 1)
    assert matches(own, rows([0], [[0, 0, 0, 0]])) == (0, 0)


def test_images_divided_by_255_hardly_vary_though_the_means_of_the_channels_differ(model):
    class Divided(Figures):
        def load_image(self, image_id):
            return super().load_image(image_id) / 255

    usual = input_values(subject.build_batch(model.config, FIGURES, [0, 1]))
    divided = input_values(subject.build_batch(model.config, Divided([2, 1]), [0, 1]))
    assert usual.deviation > 20
    assert divided.deviation < 1
    assert divided.greatest < 0


def test_anchors_that_are_far_too_large_are_named(tmp_path):
    class HugeAnchors(FiveConvolutions):
        RPN_ANCHOR_SCALES = (128, 192, 256, 384, 512)

    model = MaskRCNN("training", HugeAnchors(), str(tmp_path))
    with step_by_step():
        outcome = diagnosis.rpn(model, FIGURES, images=1)
    assert "EXP040" in [finding.code for finding in outcome.report.errors]
    assert outcome.figures["rpn_anchors.png"].ndim == 3


@pytest.mark.slow
def test_anchors_that_fit_are_not_named(tmp_path):
    class FittingAnchors(FiveConvolutions):
        RPN_ANCHOR_SCALES = (8, 16, 24, 32, 48)  # for sides of 11 to 25 pixels

    outcome = diagnosis.rpn(MaskRCNN("training", FittingAnchors(), str(tmp_path)), FIGURES)
    assert outcome.result.anchor_recall(0.5) > 0.8
    assert outcome.result.is_untrained
    assert not outcome.report.at_least("warning")


@pytest.mark.slow
def test_a_random_network_loses_all_objects_and_every_one_has_a_reason(model, unchanged):
    outcome = diagnosis.funnel(model, FIGURES)
    lost = [item for item in outcome.result.objects if item.lost_at != "found"]
    assert len(lost) == len(outcome.result.objects) == 6
    assert all(item.reason for item in lost)
    assert len(outcome.figures["funnel_objects.csv"].splitlines()) == 7


@pytest.mark.slow
def test_overfitting_frozen_heads_names_them_and_leaves_the_weights(model, unchanged):
    outcome = diagnosis.overfit(model, FIGURES, images=2, layers="rpn_.*", steps=4, check_every=2)
    result = outcome.result
    assert result.steps == 4
    assert [check.step for check in result.checks] == [0, 2, 4]
    assert result.trained["class_head"][0] == result.trained["mask_head"][0] == 0 < result.trained["rpn"][0]
    # Backbone and pyramid are frozen too, with random weights.
    assert [finding.code for finding in outcome.report.errors] == ["EXP020", "EXP025"]
    assert len(outcome.figures["overfit_losses.csv"].splitlines()) == 5


@pytest.mark.slow
def test_a_sweep_of_rates_runs_through_its_range_and_puts_the_weights_back(model, unchanged):
    outcome = diagnosis.lr_range(model, FIGURES, steps=20, least=1e-4, most=1e-3)
    assert outcome.result.rates[0] == pytest.approx(1e-4)
    assert outcome.result.rates[-1] == pytest.approx(1e-3)
    assert np.all(np.diff(outcome.result.rates) > 0)


def test_own_detections_become_ground_truth_in_place_of_the_annotations(model):
    class OneSquare:
        """In place of a detection graph: finds one square, with a mask of its upper half."""

        def predict_on_batch(self, inputs):
            detections, masks = np.zeros((1, 3, 6), np.float32), np.zeros((1, 3, 28, 28, 3), np.float32)
            detections[0, 0] = (10 / 63, 20 / 63, 29 / 63, 39 / 63, 1, 0.9)
            masks[0, 0, :14, :, 1] = 1.0
            return [detections, np.zeros(0), np.zeros(0), masks]

    batch = subject.build_batch(model.config, FIGURES, [0])
    own = own_ground_truth(OneSquare(), model, batch)
    assert own["input_gt_class_ids"].tolist() == [[1, 0, 0, 0]]
    assert own["input_gt_boxes"][0, 0].tolist() == [10, 20, 30, 40]
    mask = own["input_gt_masks"][0, ..., 0]
    assert mask[: len(mask) // 2 - 1].all()
    assert not mask[len(mask) // 2 + 1 :].any()
    assert batch["input_gt_class_ids"].sum() > 0


def test_a_data_set_without_objects_is_an_error(model):
    with pytest.raises(DatasetError, match="none of which has one"):
        diagnosis.funnel(model, Figures([[], []]))


def test_a_keras_model_of_the_program_is_an_error(model, tmp_path):
    other = MaskRCNN("training", FiveConvolutions(), str(tmp_path))
    other.keras_model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(ConfigError, match="set itself"):
        diagnosis.weights(other)


def test_layers_of_several_stages_train_together(model, unchanged):
    with subject.borrowed(model, layers=["mrcnn_mask.*", "rpn_.*"]) as probe:
        training = {variable.path.split("/")[0] for variable in probe.trainable_variables}
    assert any(name.startswith("mrcnn_mask") for name in training)
    assert not any(name.startswith(("fpn", "stage", "mrcnn_class")) for name in training)


# ---- trained for real ----


class LearningConfig(TinyConfig):
    """Learns two figures by heart in a minute."""

    BACKBONE_WIDTH, NORMALIZATION = 16, "group"
    TOP_DOWN_PYRAMID_SIZE = RPN_CONV_CHANNELS = MASK_CONV_CHANNELS = 32
    FPN_CLASSIF_FC_LAYERS_SIZE = 64
    RPN_ANCHOR_SCALES = (8, 16, 32, 48, 64)
    PRE_NMS_LIMIT, POST_NMS_ROIS_TRAINING = 200, 60
    TRAIN_ROIS_PER_IMAGE, MINI_MASK_SHAPE = 24, (28, 28)
    OPTIMIZER, LEARNING_RATE = "AdamW", 1e-3
    DETECTION_MIN_CONFIDENCE = 0.5


@pytest.mark.slow
def test_a_sound_network_learns_two_images_by_heart_and_a_rate_of_nothing_does_not(tmp_path):
    model = MaskRCNN("training", LearningConfig(), str(tmp_path / "logs"))
    figures = Figures([2, 2])
    learnt = diagnosis.overfit(model, figures, images=2, steps=400, minutes=20)
    assert learnt.result.stopped == "reached", str(learnt)
    assert not learnt.report.at_least("warning")
    stuck = diagnosis.overfit(model, figures, images=2, steps=60, learning_rate=1e-9, minutes=20)
    assert "EXP021" in [finding.code for finding in stuck.report.errors]
    assert not (tmp_path / "logs").exists()


def test_overfitting_ends_early_where_the_loss_has_exploded_and_stays_so(monkeypatch):
    def steps_of(losses):
        following = iter(losses)
        monkeypatch.setattr(
            measuring, "take_step", lambda probe, batch: ({"loss": next(following)}, {NORM_NAMES[0]: 1.0})
        )
        history = measuring._train(None, None, lambda step: Check(step, 0.0, 0.0, 0.0), 200, 5.0, 25, None)
        return len(history.losses), history.stopped

    assert steps_of([4.0, 5.0] + [4e6] * 198) == (52, "exploded")
    assert steps_of([4.0] + [4e6] * 30 + [2.0] * 169) == (200, "steps")
