"""The five losses: cases worked out by hand, what counts and what not, and gradients where nothing counts.

The recorded answers of the original are in `tests/test_model_facade.py`.
"""

import keras
import numpy as np
import pytest
from keras import ops

from mrcnn_plus.network import losses

pytestmark = pytest.mark.backend

LN2 = np.log(2)


def number(tensor):
    return float(ops.convert_to_numpy(tensor))


def gradient(loss, values):
    """Gradient of `loss(values)`, by one step of plain gradient descent of rate 1: the same on every backend."""

    class Loss(keras.Model):
        def __init__(self):
            super().__init__()
            self.values = self.add_weight(
                shape=values.shape, initializer=lambda *_, **__: ops.convert_to_tensor(values)
            )

        def call(self, inputs):
            return inputs + 0.0 * ops.sum(self.values)

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return loss(ops.convert_to_tensor(self.values))

    model = Loss()
    model.compile(optimizer=keras.optimizers.SGD(1.0), jit_compile=False)
    model.train_on_batch(np.zeros((1, 1), "float32"))
    return values - np.asarray(model.values)


# ---- building blocks ----


def test_smooth_l1_is_quadratic_to_one_and_then_linear():
    found = losses.smooth_l1(np.zeros(5, "float32"), np.array([0, 0.5, -1, 3, -3], "float32"))
    np.testing.assert_allclose(ops.convert_to_numpy(found), [0, 0.125, 0.5, 2.5, 2.5])


def test_masked_mean_counts_broadcast_rows_and_is_zero_without_any():
    values = ops.convert_to_tensor(np.array([[1.0, 2.0], [30.0, 40.0]], "float32"))
    assert number(losses.masked_mean(values, ops.convert_to_tensor(np.array([[True], [False]])))) == 1.5
    assert number(losses.masked_mean(values, ops.convert_to_tensor(np.array([[False], [False]])))) == 0


# ---- region proposal network ----


def test_rpn_class_loss_is_the_mean_over_the_sampled_anchors_of_the_batch():
    """Two anchors are used: one sure and right, log(1 + e^-2); one undecided, log 2. The third is not used."""
    labels = np.array([[1, 0, -1]], "int32")
    logits = np.array([[[0, 2], [5, 5], [9, -9]]], "float32")
    expected = (np.log(1 + np.exp(-2)) + LN2) / 2
    assert number(losses.rpn_class_loss(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_rpn_bbox_loss_counts_the_coordinates_of_positive_anchors_only():
    """Positive anchor: distances 0.5, 0, 2, 0 give 0.125, 0, 1.5, 0; their mean is 0.40625."""
    labels = np.array([[1, 0, -1]], "int32")
    target = np.zeros((1, 3, 4), "float32")
    deltas = np.array([[[0.5, 0, -2, 0], [7, 7, 7, 7], [8, 8, 8, 8]]], "float32")
    assert number(losses.rpn_bbox_loss(labels, target, deltas)) == pytest.approx(0.40625)


# ---- class head ----


def test_class_loss_is_the_cross_entropy_of_each_roi():
    """Logits 0, log 3 give the probabilities 1/4, 3/4."""
    logits = np.array([[[0, np.log(3)], [0, np.log(3)]]], "float32")
    loss = losses.mrcnn_class_loss(np.array([[1, 0]], "int32"), logits, np.ones((1, 2), "float32"))
    assert number(loss) == pytest.approx((np.log(4 / 3) + np.log(4)) / 2, rel=1e-5)


def test_a_roi_whose_predicted_class_its_source_does_not_know_does_not_count():
    """ROI 0 is predicted as class 2, which is not active: left is ROI 1, undecided between three classes, log 3."""
    logits = np.array([[[0, 0, 9], [0.0001, 0, 0]]], "float32")
    active = np.array([[1, 1, 0]], "float32")
    loss = losses.mrcnn_class_loss(np.array([[1, 1]], "int32"), logits, active)
    assert number(loss) == pytest.approx(np.log(3), rel=1e-3)


def test_each_image_has_its_own_active_classes():
    """Both images predict class 2, which only the second one's source knows."""
    logits = np.array([[[0, 0, 9]], [[0, 0, 9]]], "float32")
    active = np.array([[1, 1, 0], [1, 1, 1]], "float32")
    ids = np.array([[1], [2]], "int32")
    right = np.log(1 + 2 * np.exp(-9))
    assert number(losses.mrcnn_class_loss(ids, logits, active)) == pytest.approx(right, rel=1e-3)
    wrong = np.log(2 + np.exp(9))  # with the masks exchanged, the wrong ROI of image 0 counts
    assert number(losses.mrcnn_class_loss(ids, logits, active[::-1])) == pytest.approx(wrong, rel=1e-3)


# ---- box head ----


def test_bbox_loss_takes_the_deltas_of_the_target_class_and_positive_rois():
    deltas = np.zeros((1, 2, 3, 4), "float32")
    deltas[0, 0, 2] = [1, 0, 0, 0]  # class 2 of the positive ROI: 0.5 / 4
    deltas[0, 0, 1] = 50
    deltas[0, 1] = 60  # a negative ROI
    loss = losses.mrcnn_bbox_loss(np.zeros((1, 2, 4), "float32"), np.array([[2, 0]], "int32"), deltas)
    assert number(loss) == pytest.approx(0.125)


# ---- mask head ----


def test_mask_loss_takes_the_mask_of_the_target_class_and_positive_rois():
    """Every pixel 0.5: log 2, whatever the target. The other classes and the negative ROI would cost more."""
    masks = np.full((1, 2, 2, 2, 3), 0.9, "float32")
    masks[0, 0, :, :, 2] = 0.5
    target = np.zeros((1, 2, 2, 2), "float32")
    loss = losses.mrcnn_mask_loss(target, np.array([[2, 0]], "int32"), masks)
    assert number(loss) == pytest.approx(LN2, rel=1e-5)


def test_mask_loss_stays_finite_for_a_pixel_that_is_surely_wrong():
    masks, target = np.ones((1, 1, 1, 1, 2), "float32"), np.zeros((1, 1, 1, 1), "float32")
    assert 10 < number(losses.mrcnn_mask_loss(target, np.array([[1]], "int32"), masks)) < 20


# ---- nothing to learn from ----

NO_ROIS = np.zeros((1, 3), "int32")
NOT_USED = np.full((1, 3), -1, "int32")
WITHOUT_POSITIVES = {
    "rpn_class_loss": ((1, 3, 2), lambda x: losses.rpn_class_loss(NOT_USED, x)),
    "rpn_bbox_loss": ((1, 3, 4), lambda x: losses.rpn_bbox_loss(NOT_USED, np.ones((1, 3, 4), "float32"), x)),
    "mrcnn_class_loss": ((1, 3, 5), lambda x: losses.mrcnn_class_loss(NO_ROIS, x, np.zeros((1, 5), "float32"))),
    "mrcnn_bbox_loss": ((1, 3, 5, 4), lambda x: losses.mrcnn_bbox_loss(np.ones((1, 3, 4), "float32"), NO_ROIS, x)),
    "mrcnn_mask_loss": (
        (1, 3, 2, 2, 5),
        lambda x: losses.mrcnn_mask_loss(np.ones((1, 3, 2, 2), "float32"), NO_ROIS, ops.sigmoid(x)),
    ),
}


def test_every_loss_has_a_case_without_positives():
    assert tuple(WITHOUT_POSITIVES) == losses.LOSS_NAMES


@pytest.mark.parametrize("name", losses.LOSS_NAMES)
def test_a_loss_of_nothing_is_zero_and_moves_nothing(name):
    shape, loss = WITHOUT_POSITIVES[name]
    values = np.random.default_rng(0).normal(size=shape).astype("float32")
    assert number(loss(ops.convert_to_tensor(values))) == 0
    np.testing.assert_array_equal(gradient(loss, values), np.zeros(shape))


def test_gradients_reach_only_what_counts():
    """Positive ROI of class 2, distance 0.5 in one of four coordinates: gradient 0.5 / 4 there and 0 elsewhere."""
    deltas = np.zeros((1, 2, 3, 4), "float32")
    deltas[0, 0, 2, 1] = 0.5
    ids = np.array([[2, 0]], "int32")
    found = gradient(lambda x: losses.mrcnn_bbox_loss(np.zeros((1, 2, 4), "float32"), ids, x), deltas)
    expected = np.zeros_like(deltas)
    expected[0, 0, 2, 1] = 0.125
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_losses_of_half_precision_predictions_are_computed_in_float32():
    deltas = ops.cast(np.full((1, 1, 2, 4), 100.0, "float32"), "float16")
    loss = losses.mrcnn_bbox_loss(np.full((1, 1, 4), -60000.0, "float32"), np.array([[1]], "int32"), deltas)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert number(loss) == pytest.approx(60099.5)
