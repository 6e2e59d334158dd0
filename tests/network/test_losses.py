"""The five losses: cases worked out by hand, what counts and what not, and gradients where nothing counts.

The recorded answers of the original are in `tests/test_model_facade.py`.
"""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from mrcnn_plus.constants import LOSS_DIVISORS, LOSS_NAMES
from mrcnn_plus.network import losses
from mrcnn_plus.network.hard_examples import hardest_rois
from mrcnn_plus.network.losses import Focal

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
    assert tuple(WITHOUT_POSITIVES) == LOSS_NAMES


@pytest.mark.parametrize("name", LOSS_NAMES)
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


# ---- weights of classes and of positives ----

# Two ROIs with probabilities 1/4, 3/4 and the classes 1 and 0: log(4/3) and log(4).
ODDS = np.array([[[0, np.log(3)], [0, np.log(3)]]], "float32")
ODDS_IDS = np.array([[1, 0]], "int32")
ALL_ACTIVE = np.ones((1, 2), "float32")
RIGHT, WRONG = np.log(4 / 3), np.log(4)


def test_positive_weights_raise_positives_and_leave_the_background_and_the_divisor():
    loss = losses.mrcnn_class_loss(ODDS_IDS, ODDS, ALL_ACTIVE, positive_weight=3.0)
    assert number(loss) == pytest.approx((3 * RIGHT + WRONG) / 2, rel=1e-5)
    labels = np.array([[1, 0, -1]], "int32")
    logits = np.array([[[0, np.log(3)], [0, np.log(3)], [9, -9]]], "float32")
    loss = losses.rpn_class_loss(labels, logits, positive_weight=5.0)
    assert number(loss) == pytest.approx((5 * RIGHT + WRONG) / 2, rel=1e-5)


def test_class_weights_are_factors_of_the_terms_and_no_part_of_the_divisor():
    loss = losses.mrcnn_class_loss(ODDS_IDS, ODDS, ALL_ACTIVE, class_weights=(0.5, 4.0), positive_weight=3.0)
    assert number(loss) == pytest.approx((3 * 4 * RIGHT + 0.5 * WRONG) / 2, rel=1e-5)


def test_class_weights_in_a_batch_of_one_class_do_not_cancel():
    ids = np.array([[1, 1]], "int32")
    plain, weighted = (
        number(losses.mrcnn_class_loss(ids, ODDS, ALL_ACTIVE, class_weights=weights)) for weights in (None, (1, 7))
    )
    assert weighted == pytest.approx(7 * plain, rel=1e-5)


def test_class_weights_reach_the_gradient():
    def loss(weights):
        return lambda x: losses.mrcnn_class_loss(ODDS_IDS, x, ALL_ACTIVE, class_weights=weights)

    plain, weighted = gradient(loss(None), ODDS), gradient(loss((1.0, 4.0)), ODDS)
    np.testing.assert_allclose(weighted[0, 0], 4 * plain[0, 0], rtol=1e-5)
    np.testing.assert_allclose(weighted[0, 1], plain[0, 1], rtol=1e-5)


def test_class_weights_in_the_box_and_mask_loss():
    """One ROI of class 2 (weight 3), one of class 1 (weight 0.5): distances 1 and 2 in one of four coordinates."""
    deltas = np.zeros((1, 3, 3, 4), "float32")
    deltas[0, 0, 2, 0], deltas[0, 1, 1, 0] = 1, 2
    ids = np.array([[2, 1, 0]], "int32")
    weights = (9.0, 0.5, 3.0)
    loss = losses.mrcnn_bbox_loss(np.zeros((1, 3, 4), "float32"), ids, deltas, class_weights=weights)
    assert number(loss) == pytest.approx((3 * 0.5 + 0.5 * 1.5) / 8)
    masks = np.full((1, 3, 2, 2, 3), 0.5, "float32")
    loss = losses.mrcnn_mask_loss(np.zeros((1, 3, 2, 2), "float32"), ids, masks, class_weights=weights)
    assert number(loss) == pytest.approx(LN2 * (3 + 0.5) / 2, rel=1e-5)


# ---- focal loss ----


def test_focal_loss_of_hand_computed_probabilities():
    """Right class at 3/4: (1/4)^2 log(4/3); at 1/4: (3/4)^2 log 4; alpha 0.25 for the object, 0.75 for background."""
    loss = losses.mrcnn_class_loss(ODDS_IDS, ODDS, ALL_ACTIVE, focal=Focal(2.0))
    assert number(loss) == pytest.approx((RIGHT / 16 + WRONG * 9 / 16) / 2, rel=1e-4)
    loss = losses.rpn_class_loss(ODDS_IDS, ODDS, focal=Focal(2.0, alpha=0.25))
    assert number(loss) == pytest.approx((0.25 * RIGHT / 16 + 0.75 * WRONG * 9 / 16) / 2, rel=1e-4)


def test_focal_loss_with_gamma_zero_is_cross_entropy():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 7, 4)).astype("float32")
    ids = rng.integers(0, 4, (2, 7)).astype("int32")
    plain, focal = (ops.convert_to_numpy(losses.class_terms(ids, logits, focal=focal)) for focal in (None, Focal(0.0)))
    np.testing.assert_array_equal(plain, focal)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_focal_loss_and_its_gradient_are_finite_however_sure_the_network_is(gamma):
    """Right and wrong answers from undecided to overflow, and an anchor that is not used."""
    scale = np.array([0, 1, 100, 10000], "float32")[:, None, None]
    logits = scale * np.array([[1, -1], [-1, 1], [1, -1]], "float32")
    labels = np.array([[1, 1, -1]] * 4, "int32")

    def loss(x):
        return losses.rpn_class_loss(labels, x, focal=Focal(gamma, 0.25))

    assert np.isfinite(number(loss(ops.convert_to_tensor(logits))))
    found = gradient(loss, logits)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[:, 2], 0)


# ---- normalization ----


def test_the_first_normalization_of_each_loss_is_its_default():
    for name, choices in LOSS_DIVISORS.items():
        argument = inspect.signature(getattr(losses, name)).parameters.get("normalization")
        assert choices[0] == (argument.default if argument else "positives")


def test_rpn_class_loss_by_positives():
    """One positive anchor among four that are used, all undecided: 4 log 2 instead of log 2."""
    labels = np.array([[1, 0, 0, 0, -1]], "int32")
    logits = np.zeros((1, 5, 2), "float32")
    assert number(losses.rpn_class_loss(labels, logits)) == pytest.approx(LN2, rel=1e-5)
    assert number(losses.rpn_class_loss(labels, logits, normalization="positives")) == pytest.approx(4 * LN2, rel=1e-5)


def test_rpn_bbox_loss_by_sampled_anchors_is_that_of_torchvision():
    """sum of smooth L1 / labelled anchors: (0.125 + 1.5) / 4, whatever the anchors that are not used say."""
    labels = np.array([[1, 0, 0, 0, -1]], "int32")
    deltas = np.zeros((1, 5, 4), "float32")
    deltas[0, 0] = [0.5, 0, -2, 0]
    deltas[0, 1:] = 50
    loss = losses.rpn_bbox_loss(labels, np.zeros_like(deltas), deltas, normalization="sampled")
    assert number(loss) == pytest.approx(1.625 / 4)


def test_class_loss_by_rows_counts_padding_and_by_sampled_does_not():
    """An object at log 2, a background ROI at log 2, two padding rows whose zeros are surely background (about 0)."""
    logits = np.zeros((1, 4, 2), "float32")
    logits[0, 2:, 0] = 50
    ids, is_roi = np.array([[1, 0, 0, 0]], "int32"), np.array([[True, True, False, False]])
    found = {
        choice: number(losses.mrcnn_class_loss(ids, logits, ALL_ACTIVE, normalization=choice, is_roi=is_roi))
        for choice in LOSS_DIVISORS["mrcnn_class_loss"]
    }
    expected = {"rows": LN2 / 2, "sampled": LN2, "positives": 2 * LN2}
    assert found == pytest.approx(expected, rel=1e-5)


def test_bbox_loss_by_sampled_rois_is_that_of_torchvision():
    """Distances 0.5 and 2 in the one positive ROI, 3 ROIs, a padding row: 1.625 / 3."""
    deltas = np.zeros((1, 4, 2, 4), "float32")
    deltas[0, 0, 1] = [0.5, 0, -2, 0]
    ids, is_roi = np.array([[1, 0, 0, 0]], "int32"), np.array([[True, True, True, False]])
    target = np.zeros((1, 4, 4), "float32")
    loss = losses.mrcnn_bbox_loss(target, ids, deltas, normalization="sampled", is_roi=is_roi)
    assert number(loss) == pytest.approx(1.625 / 3)
    assert number(losses.mrcnn_bbox_loss(target, ids, deltas, normalization="sampled")) == pytest.approx(1.625 / 4)


# ---- hard examples ----


def hardest(class_terms, box_terms, candidates, count):
    tensors = (ops.convert_to_tensor(values) for values in (class_terms, box_terms, candidates))
    return ops.convert_to_numpy(hardest_rois(*tensors, count=count))


def test_the_hardest_candidates_of_each_image_are_chosen():
    """Class loss plus the mean of the box loss decides; ROI 0 of image 1 is no candidate."""
    class_terms = np.array([[0.1, 0.9, 0.3, 0.2], [9, 0.1, 0.2, 0.3]], "float32")
    box_terms = np.zeros((2, 4, 4), "float32")
    box_terms[0, 0, 1] = 4.0  # mean 1
    candidates = np.array([[True] * 4, [False, True, True, True]])
    found = hardest(class_terms, box_terms, candidates, 2)
    np.testing.assert_array_equal(found, [[True, True, False, False], [False, False, True, True]])


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_no_more_rois_are_chosen_than_there_are_candidates_and_ties_give_no_extra(count):
    candidates = np.array([[True, True, True, False], [False] * 4])
    found = hardest(np.ones((2, 4), "float32"), np.zeros((2, 4, 4), "float32"), candidates, count)
    assert found.sum(axis=1).tolist() == [min(count, 3), 0]
    assert not (found & ~candidates).any()


def test_losses_of_chosen_rois_only():
    chosen = np.array([[False, True]])
    loss = losses.mrcnn_class_loss(ODDS_IDS, ODDS, ALL_ACTIVE, chosen=chosen)
    assert number(loss) == pytest.approx(WRONG, rel=1e-5)
    deltas = np.ones((1, 2, 2, 4), "float32")
    target = np.zeros((1, 2, 4), "float32")
    ids = np.array([[1, 1]], "int32")
    for normalization, expected in (("positives", 0.5), ("sampled", 2.0)):
        arguments = {"normalization": normalization, "chosen": chosen}
        assert number(losses.mrcnn_bbox_loss(target, ids, deltas, **arguments)) == pytest.approx(expected)
        found = gradient(lambda x, a=arguments: losses.mrcnn_bbox_loss(target, ids, x, **a), deltas)
        assert np.all(found[0, 0] == 0) and np.all(found[0, 1, 1] > 0)


# ---- every option with nothing to learn from ----

OPTIONS = {
    "class_weights": (1.0, 2.0, 3.0, 4.0, 5.0),
    "positive_weight": 5.0,
    "focal": Focal(2.0, 0.25),
    "is_roi": np.zeros((1, 3), bool),
    "chosen": np.zeros((1, 3), bool),
}


@pytest.mark.parametrize(
    ("name", "normalization"), [(name, choice) for name, choices in LOSS_DIVISORS.items() for choice in choices]
)
def test_no_option_makes_a_loss_of_nothing_anything_but_zero(name, normalization):
    accepted = inspect.signature(getattr(losses, name)).parameters
    options = {key: value for key, value in {**OPTIONS, "normalization": normalization}.items() if key in accepted}
    if normalization == "rows":
        options.pop("is_roi")  # padding rows count there; `chosen` leaves none
    given = {
        "rpn_class_loss": lambda x: losses.rpn_class_loss(NOT_USED, x, **options),
        "rpn_bbox_loss": lambda x: losses.rpn_bbox_loss(NOT_USED, np.ones((1, 3, 4), "float32"), x, **options),
        "mrcnn_class_loss": lambda x: losses.mrcnn_class_loss(NO_ROIS, x, np.ones((1, 5), "float32"), **options),
        "mrcnn_bbox_loss": lambda x: losses.mrcnn_bbox_loss(np.ones((1, 3, 4), "float32"), NO_ROIS, x, **options),
        "mrcnn_mask_loss": lambda x: losses.mrcnn_mask_loss(
            np.ones((1, 3, 2, 2), "float32"), NO_ROIS, ops.sigmoid(x), **options
        ),
    }[name]
    values = np.random.default_rng(0).normal(size=WITHOUT_POSITIVES[name][0]).astype("float32")
    assert number(given(ops.convert_to_tensor(values))) == 0
    np.testing.assert_array_equal(gradient(given, values), np.zeros_like(values))


def test_background_alone_trains_the_class_head_by_positives_too():
    """Without a positive ROI the divisor is 1: the sum over the background, finite."""
    logits = np.zeros((1, 3, 2), "float32")
    loss = losses.mrcnn_class_loss(NO_ROIS, logits, ALL_ACTIVE, normalization="positives")
    assert number(loss) == pytest.approx(3 * LN2, rel=1e-5)


def test_options_of_half_precision_logits_are_computed_in_float32():
    logits = ops.cast(ODDS, "bfloat16")
    loss = losses.mrcnn_class_loss(ODDS_IDS, logits, ALL_ACTIVE, class_weights=(1, 2), focal=Focal(2.0))
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert number(loss) == pytest.approx((2 * RIGHT / 16 + WRONG * 9 / 16) / 2, rel=0.02)
