"""The heads: layers applied to every ROI, names, shapes, one set of weights for several graphs."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from mrcnn_plus.network.heads import ClassifierHead, MaskHead, MaskOfClass, PerRoi, PerRoiProduct, select_class
from mrcnn_plus.network.normalization import BatchNorm

backend = pytest.mark.backend  # the heads as a whole are in `tests/inference/test_golden_network.py`

CLASSES, ROIS, SIDE = 3, 5, 64


@pytest.fixture
def inputs():
    """Normalized rois, image meta and pyramid of two images, arrays."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.5, (2, ROIS, 2))
    rois = np.concatenate([corner, corner + 0.3], axis=-1).astype("float32")
    meta = np.zeros((2, 12 + CLASSES), "float32")
    meta[:, 4:7] = SIDE, SIDE, 3
    pyramid = [rng.normal(size=(2, SIDE >> n, SIDE >> n, 8)).astype("float32") for n in (2, 3, 4, 5)]
    return rois, meta, pyramid


def numpy(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


@backend
def test_per_roi_applies_the_layer_to_each_roi_by_itself():
    inner = layers.Conv2D(3, 3, padding="same", name="conv")
    layer = PerRoi(inner)
    x = np.random.default_rng(0).normal(size=(2, ROIS, 6, 6, 4)).astype("float32")
    found = ops.convert_to_numpy(layer(x))
    each = np.stack([ops.convert_to_numpy(inner(x[:, roi])) for roi in range(ROIS)], axis=1)
    np.testing.assert_allclose(found, each, rtol=1e-4, atol=1e-5)


@backend
def test_a_kernel_that_covers_its_input_gives_what_its_convolution_gives():
    inner = layers.Conv2D(3, (6, 5), bias_initializer="random_normal", name="conv")
    x = np.random.default_rng(0).normal(size=(2, ROIS, 6, 5, 4)).astype("float32")
    product, convolution = (ops.convert_to_numpy(kind(inner)(x)) for kind in (PerRoiProduct, PerRoi))
    np.testing.assert_allclose(product, convolution, rtol=1e-4, atol=1e-5)


@backend
def test_the_mask_of_a_class_is_the_one_among_those_of_all_classes():
    inner = layers.Conv2D(CLASSES, 1, activation="sigmoid", bias_initializer="random_normal", name="masks")
    x = np.random.default_rng(0).normal(size=(2, ROIS, 6, 5, 4)).astype("float32")
    class_ids = np.array([[0, 1, 2, 0, 2], [2, 2, 1, 0, 1]], np.int32)
    all_classes, found = numpy([PerRoi(inner)(x), MaskOfClass(inner)([x, class_ids])])
    expected = np.stack([[all_classes[b, r, ..., c] for r, c in enumerate(ids)] for b, ids in enumerate(class_ids)])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_per_roi_has_the_name_and_weights_of_the_layer_inside():
    inner = layers.Dense(4, name="mrcnn_class_logits")
    layer = PerRoi(inner)
    layer(np.zeros((1, 2, 3), "float32"))
    assert layer.name == "mrcnn_class_logits"
    assert [weight.name for weight in layer.weights] == ["kernel", "bias"]
    assert layer.weights[0] is inner.kernel


@backend
def test_per_roi_tells_the_layer_whether_it_trains():
    inner = BatchNorm(train_bn=None, name="bn")
    layer = PerRoi(inner)
    x = np.random.default_rng(0).normal(5, 1, (2, ROIS, 2, 2, 4)).astype("float32")
    layer(x, training=False)
    assert np.all(np.asarray(inner.moving_mean) == 0)
    layer(x, training=True)
    assert np.all(np.asarray(inner.moving_mean) != 0)


@backend
def test_select_class_takes_each_rois_own_class_on_any_axis():
    rng = np.random.default_rng(0)
    ids = rng.integers(0, CLASSES, (2, ROIS)).astype("int32")
    deltas, masks = rng.normal(size=(2, ROIS, CLASSES, 4)), rng.normal(size=(2, ROIS, 6, 7, CLASSES))
    rows = np.ogrid[:2, :ROIS]
    np.testing.assert_allclose(
        *numpy([select_class(ops.convert_to_tensor(deltas), ids, axis=2), deltas[rows[0], rows[1], ids]])
    )
    np.testing.assert_allclose(
        *numpy([select_class(ops.convert_to_tensor(masks), ids, axis=4), masks[rows[0], rows[1], :, :, ids]])
    )


@backend
def test_select_class_ignores_what_the_other_classes_say():
    """Also where they are infinite: a product with 0 would give nan."""
    values = np.array([[[1.0, np.inf, np.nan]]], "float32")
    assert float(select_class(values, np.array([[0]], "int32"), axis=2)[0, 0]) == 1.0


def test_classifier_head_gives_logits_probabilities_and_deltas_for_every_class(inputs):
    head = ClassifierHead(num_classes=CLASSES, fc_size=16)
    logits, probabilities, deltas = numpy(head(*inputs))
    assert logits.shape == probabilities.shape == (2, ROIS, CLASSES) and deltas.shape == (2, ROIS, CLASSES, 4)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    np.testing.assert_allclose(probabilities, exponentials / exponentials.sum(axis=-1, keepdims=True), atol=1e-5)
    np.testing.assert_array_equal(*numpy([head(*inputs)[2], deltas]))


def test_mask_head_gives_probabilities_at_twice_the_pool_size(inputs):
    head = MaskHead(num_classes=CLASSES, pool_size=6, channels=8)
    masks = ops.convert_to_numpy(head(*inputs))
    assert masks.shape == (2, ROIS, 12, 12, CLASSES)
    assert np.all((masks > 0) & (masks < 1))


def test_a_head_in_two_graphs_has_one_set_of_weights(inputs):
    """One for training and one for detection, with other numbers of ROIs."""
    head = MaskHead(num_classes=CLASSES, pool_size=6, channels=8)
    models = []
    for rois in (ROIS, 2 * ROIS):
        symbols = [layers.Input((rois, 4)), layers.Input((12 + CLASSES,))]
        pyramid = [layers.Input(level.shape[1:]) for level in inputs[2]]
        models.append(keras.Model([*symbols, *pyramid], head(*symbols, pyramid)))
    assert [id(weight) for weight in models[0].weights] == [id(weight) for weight in models[1].weights]
    assert models[0].count_params() > 0


@pytest.mark.parametrize(("normalization", "weights"), [("batch", 4), ("group", 2)])
def test_heads_take_the_kind_of_normalization_from_the_settings(inputs, normalization, weights):
    head = ClassifierHead(num_classes=CLASSES, fc_size=16, normalization=normalization, train_bn=None)
    head(*inputs)
    norm = next(layer for layer in head.body if layer.name == "mrcnn_class_bn1")
    assert len(norm.weights) == weights
    assert normalization == "group" or norm.layer.train_bn is None


def test_group_normalization_leaves_something_of_a_small_class_head(inputs):
    """Its maps are single cells: with one channel in a group, each would be its own mean and the answer constant."""
    head = ClassifierHead(num_classes=CLASSES, fc_size=16, normalization="group")
    logits = ops.convert_to_numpy(head(*inputs)[0])
    assert logits.std(axis=1).min() > 1e-3


def test_the_exact_align_gives_other_features(inputs):
    heads = {}
    for method in ("crop_and_resize", "exact"):
        keras.utils.set_random_seed(0)
        heads[method] = ops.convert_to_numpy(
            ClassifierHead(num_classes=CLASSES, fc_size=16, roi_align=method)(*inputs)[0]
        )
    assert not np.allclose(*heads.values(), atol=1e-4)
