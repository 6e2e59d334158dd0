"""`PRECISION`: half precision trains as float32 does, and boxes, scores and losses never leave float32."""

import keras
import numpy as np
import pytest

from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.network.assembly import Network
from mrcnn_plus.training.optimizers import GuardedOptimizer

from ..support.tiny import Figures, FiveConvolutions, batch_of, step_by_step, weights_of

HALF = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}
# Half precision rounds to 2 or 3 digits, and near ties make other samples: losses of a step agree within a few percent.
TOLERANCE = 0.05
# Layers of the graphs that handle boxes, scores, targets or masks of instances; all others are convolutions,
# normalization and activations on features.
IN_FLOAT32 = (
    *("rpn_class_raw", "rpn_bbox_pred", "rpn_class_xxx", "rpn_class_logits_reshape", "rpn_bbox_reshape"),
    *("rpn_class_logits", "rpn_class", "rpn_bbox", "anchors", "norm_boxes", "ROI", "rpn_targets", "proposal_targets"),
    *("mrcnn_class_logits", "mrcnn_class", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_detection", "mrcnn_mask"),
    *("roi_align_classifier", "roi_align_mask"),
)


class PrecisionConfig(FiveConvolutions):
    NAME = "precision"
    USE_NEGATIVE_IMAGES = True
    RPN_ANCHOR_SCALES = (20, 24, 24, 32, 48)  # anchors, and with them proposals, lie on the objects
    PRE_NMS_LIMIT, POST_NMS_ROIS_TRAINING = 60, 20


def build(precision, folder, **settings):
    """A compiled model with weights of a seed."""
    config = type("Settings", (PrecisionConfig,), {"PRECISION": precision, **settings})()
    model = MaskRCNN(mode="training", config=config, model_dir=str(folder))
    rng = np.random.default_rng(0)
    for weight in model.keras_model.weights:
        if weight.name == "kernel":
            weight.assign(rng.normal(0, 0.05, weight.shape))
    model.compile(0.01, config.LEARNING_MOMENTUM)
    return model


def losses_of_steps(model, steps):
    """The losses of so many steps on two images, by name."""
    figures = Figures([[(1, 20, 24, 24), (2, 44, 40, 24)], [(2, 32, 32, 26)]])
    batch = batch_of(figures, model.config)
    with step_by_step():
        logs = [model.keras_model.train_on_batch(batch, return_dict=True) for _ in range(steps)]
    return {name: np.array([float(step[name]) for step in logs]) for name in logs[0]}


def sublayers(model):
    """Every layer of a model and of the models in it."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from sublayers(layer)


@pytest.fixture(scope="module")
def in_float32(tmp_path_factory):
    """Losses of three steps in float32."""
    return losses_of_steps(build("float32", tmp_path_factory.mktemp("float32")), 3)


@pytest.mark.parametrize("precision", HALF)
def test_half_precision_trains_as_float32_does(precision, in_float32, tmp_path):
    steps = 3 if keras.backend.backend() == "tensorflow" else 1  # what takes long elsewhere is compiling
    model = build(precision, tmp_path)
    before = weights_of(model.keras_model)
    found = losses_of_steps(model, steps)
    for name, values in found.items():
        np.testing.assert_allclose(values, in_float32[name][:steps], rtol=TOLERANCE, atol=1e-3, err_msg=name)
    for path, value in weights_of(model.keras_model).items():
        assert value.dtype == np.float32 and np.all(np.isfinite(value)), path
    moved = [path for path, value in weights_of(model.keras_model).items() if not np.array_equal(value, before[path])]
    assert {"stage1", "rpn_class_raw", "mrcnn_bbox_fc", "mrcnn_mask"} <= {path.split("/")[-2] for path in moved}


def test_the_scale_of_the_loss_follows_the_precision(tmp_path):
    for precision, scale in (("float32", 1.0), ("mixed_bfloat16", 1.0), ("mixed_float16", 2.0**15)):
        optimizer = build(precision, tmp_path).keras_model.optimizer
        assert isinstance(optimizer, GuardedOptimizer)
        assert float(optimizer.dynamic_scale) == scale, precision


@pytest.mark.parametrize("precision", HALF)
def test_layers_of_boxes_and_scores_compute_in_float32(precision):
    config = PrecisionConfig()
    config.PRECISION = precision
    network = Network(config)
    graphs = (keras.Model(*network.detection_graph()), keras.Model(*network.training_graph()))
    seen = set()
    for graph in graphs:
        for layer in sublayers(graph):
            inside = getattr(layer, "layer", layer)  # of a wrapper
            assert inside.variable_dtype == "float32", layer.name
            if layer.name in IN_FLOAT32:
                seen.add(layer.name)
                if not layer.name.startswith("roi_align"):  # it samples features, at places computed in float32
                    assert inside.compute_dtype == "float32", layer.name
                outputs = keras.tree.flatten(layer.output)
                dtypes = {keras.backend.standardize_dtype(output.dtype) for output in outputs}
                assert dtypes <= {"float32", "int32"}, (layer.name, dtypes)
        for output in keras.tree.flatten(graph.outputs):
            assert keras.backend.standardize_dtype(output.dtype) in ("float32", "int32"), output.name
    assert seen == set(IN_FLOAT32)
    assert graphs[0].get_layer("stage1").compute_dtype == HALF[precision]  # it is half precision at all


@pytest.mark.parametrize("precision", HALF)
def test_weights_of_half_precision_are_float32_files_for_everybody(precision, tmp_path):
    half, whole = build(precision, tmp_path), build("float32", tmp_path)
    path = str(tmp_path / "half.h5")
    for weight in half.keras_model.weights:
        if weight.name == "bias":
            weight.assign(np.random.default_rng(1).normal(0, 0.1, weight.shape))
    half.keras_model.save_weights(path)
    import h5py

    with h5py.File(path) as file:
        found = []
        file.visititems(lambda name, node: found.append(node.dtype) if isinstance(node, h5py.Dataset) else None)
    assert found and set(found) == {np.dtype("float32")}
    whole.load_weights(path, by_name=True)
    expected, loaded = weights_of(half.keras_model), weights_of(whole.keras_model)
    assert expected.keys() == loaded.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(loaded[name], value, err_msg=name)
