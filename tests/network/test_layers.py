"""Every layer class of the network through one harness: configuration, shapes, half precision.

A new layer class needs a case here, with a value other than the default for every argument of its `__init__`.
"""

import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest
from keras import layers, ops

from mrcnn_plus import network
from mrcnn_plus.network.anchors import PyramidAnchors
from mrcnn_plus.network.assembly import ToNormalized
from mrcnn_plus.network.detection_targets import DetectionTargetLayer
from mrcnn_plus.network.detections import DetectionLayer
from mrcnn_plus.network.folding import NormedConv2D
from mrcnn_plus.network.heads import MaskOfClass, PerRoi, PerRoiProduct
from mrcnn_plus.network.normalization import BatchNorm, GroupNorm
from mrcnn_plus.network.occupied_rows import OccupiedRows
from mrcnn_plus.network.proposals import ProposalLayer
from mrcnn_plus.network.pyramid import Upsampling
from mrcnn_plus.network.roi_align import PyramidROIAlign
from mrcnn_plus.network.rpn_targets import RPNTargetLayer

pytestmark = [pytest.mark.backend, pytest.mark.slow_on_jax]

STD_DEV = [0.3, 0.4, 0.5, 0.6]
B, R, G, C, SIDE = 2, 9, 4, 3, 64

#: The class, arguments that all differ from the defaults, and the names of the inputs of `arrays`.
CASES = [
    (
        PyramidAnchors,
        {"scales": [8.0, 16.0], "ratios": [0.5, 2.0], "strides": [4, 8], "anchor_stride": 2},
        ["P2", "P3"],
    ),
    (ToNormalized, {}, ["boxes_px", "meta"]),
    (
        ProposalLayer,
        {
            "proposal_count": 7,
            "nms_threshold": 0.6,
            "pre_nms_limit": 20,
            "bbox_std_dev": STD_DEV,
            "min_size": 3.0,
            "compiled": False,
        },
        ["rpn_class", "rpn_bbox", "anchors", "meta"],
    ),
    (PyramidROIAlign, {"pool_shape": (3, 5), "method": "exact"}, ["rois", "meta", "P2", "P3", "P4", "P5"]),
    (
        RPNTargetLayer,
        {"samples": 10, "bbox_std_dev": STD_DEV, "seed": 5},
        ["anchors_px", "gt_class_ids", "boxes_px"],
    ),
    (
        DetectionTargetLayer,
        {
            "rois_per_image": 8,
            "positive_ratio": 0.25,
            "mask_shape": (6, 10),
            "bbox_std_dev": STD_DEV,
            "use_mini_mask": False,
            "seed": 5,
        },
        ["rois", "gt_class_ids", "boxes", "gt_masks"],
    ),
    (
        DetectionLayer,
        {"max_instances": 5, "min_confidence": 0.1, "nms_threshold": 0.45, "bbox_std_dev": STD_DEV},
        ["rois", "mrcnn_class", "mrcnn_bbox", "meta"],
    ),
    (OccupiedRows, {"step": 2}, ["gt_class_ids", "boxes"]),
    (BatchNorm, {"train_bn": True, "axis": 2, "momentum": 0.5, "epsilon": 0.01, "scale": False}, ["P5"]),
    (GroupNorm, {"groups": 4, "epsilon": 0.01}, ["P5"]),
    (Upsampling, {"size": (3, 2), "data_format": "channels_first", "interpolation": "bilinear"}, ["P5"]),
    (PerRoi, {"layer": layers.Conv2D(3, 2, strides=2, name="inside")}, ["pooled"]),
    (PerRoiProduct, {"layer": layers.Conv2D(3, 4, name="covering")}, ["pooled"]),
]
#: Layers of the graph that `detect` runs, which no file ever holds; their tests are in test_folding.py, test_heads.py
#: and test_proposals_and_detections.py.
IN_DETECTION = {NormedConv2D, MaskOfClass}
BOX_LAYERS = (
    ToNormalized,
    PyramidAnchors,
    ProposalLayer,
    RPNTargetLayer,
    DetectionTargetLayer,
    DetectionLayer,
    OccupiedRows,
)
LEARN = (PerRoi, PerRoiProduct, BatchNorm, GroupNorm)
each_layer = pytest.mark.parametrize(
    ("layer_class", "arguments", "names"), CASES, ids=[case[0].__name__ for case in CASES]
)


def make_arrays():
    """One array of each kind that layers are called with."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 0.5, (B, 40, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(0.1, 0.5, (B, 40, 2))], axis=-1).astype("float32")
    probabilities = rng.dirichlet(np.ones(C), (B, R)).astype("float32")
    meta = np.zeros((B, 12 + C), "float32")
    meta[:, 4:7] = SIDE, SIDE, 3
    meta[:, 7:11] = 0, 0, SIDE, SIDE
    return {
        **{f"P{n}": rng.normal(size=(B, SIDE >> n, SIDE >> n, 8)).astype("float32") for n in (2, 3, 4, 5)},
        "pooled": rng.normal(size=(B, R, 4, 4, 8)).astype("float32"),
        "meta": meta,
        "boxes_px": boxes[:, :G] * SIDE,
        "boxes": boxes[:, :G],
        "rois": boxes[:, :R],
        "anchors": boxes,
        "anchors_px": boxes[:1] * SIDE,
        "rpn_class": rng.dirichlet(np.ones(2), (B, 40)).astype("float32"),
        "rpn_bbox": rng.normal(size=(B, 40, 4)).astype("float32"),
        "mrcnn_class": probabilities,
        "mrcnn_bbox": rng.normal(size=(B, R, C, 4)).astype("float32"),
        "gt_class_ids": np.array([[1, 2, 0, 0], [-1, 1, 2, 0]], "int32"),
        "gt_masks": rng.random((B, SIDE, SIDE, G)) > 0.5,
    }


ARRAYS = make_arrays()


def call(layer, names, value_of):
    values = [value_of(name) for name in names]
    outputs = layer(values[0] if len(values) == 1 else values)
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def test_every_layer_class_has_a_case():
    modules = [
        importlib.import_module(info.name) for info in pkgutil.walk_packages(network.__path__, "mrcnn_plus.network.")
    ]
    classes = {
        member
        for module in modules
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, layers.Layer) and member.__module__ == module.__name__
    }
    assert classes == {case[0] for case in CASES} | IN_DETECTION


@each_layer
def test_every_argument_survives_the_round_trip_through_the_config(layer_class, arguments, names):
    parameters = inspect.signature(layer_class.__init__).parameters
    own = {name for name, p in parameters.items() if name != "self" and p.kind is not p.VAR_KEYWORD}
    assert own <= set(arguments), "the case gives every argument"
    assert all(arguments[name] != parameters[name].default for name in own), "none has its default"
    layer = layer_class(**arguments, name="own")
    config = layer.get_config()
    simple = {name: value for name, value in arguments.items() if name != "layer"}
    assert {name: config[name] for name in simple} == simple
    restored = layer_class.from_config(dict(config))
    assert restored.get_config() == config and restored.name == "own"
    from_file = layers.deserialize(layers.serialize(layer))
    assert type(from_file) is layer_class and from_file.get_config() == config


@each_layer
def test_symbolic_and_real_calls_agree_on_shapes_and_types(layer_class, arguments, names):
    layer = layer_class(**arguments)
    found = call(layer, names, lambda name: ops.convert_to_tensor(ARRAYS[name]))
    for batch in (B, None):
        restored = layer_class(**arguments)

        def symbol(name, batch=batch):
            fixed = ARRAYS[name].shape[0] if ARRAYS[name].shape[0] == 1 else batch
            return layers.Input(batch_shape=(fixed, *ARRAYS[name].shape[1:]), dtype=str(ARRAYS[name].dtype))

        promised = call(restored, names, symbol)
        for promise, tensor in zip(promised, found, strict=True):
            depends = layer_class is OccupiedRows  # on the values, in its first dimension
            expected = (None, *tensor.shape[2:]) if depends else tuple(tensor.shape[1:])
            assert promise.shape[1:] == expected
        types = [keras.backend.standardize_dtype(tensor.dtype) for tensor in found]
        assert [keras.backend.standardize_dtype(tensor.dtype) for tensor in promised] == types


@each_layer
def test_half_precision_gives_finite_results_and_leaves_boxes_in_float32(layer_class, arguments, names):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        if "layer" in arguments:
            config = arguments["layer"].get_config()
            arguments = {"layer": layers.Conv2D.from_config({**config, "dtype": "mixed_bfloat16"})}
        layer = layer_class(**arguments)
        found = call(layer, names, lambda name: ops.convert_to_tensor(ARRAYS[name]))
    finally:
        keras.config.set_dtype_policy(before)
    for tensor in found:
        assert np.all(np.isfinite(ops.convert_to_numpy(ops.cast(tensor, "float32"))))
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        if layer_class in BOX_LAYERS:
            assert dtype in ("float32", "int32")
    if layer_class in LEARN:
        assert dtype == "bfloat16", "feature maps are what half precision is for"


@each_layer
def test_layers_that_learn_nothing_have_no_trainable_weights(layer_class, arguments, names):
    layer = layer_class(**arguments)
    call(layer, names, lambda name: ops.convert_to_tensor(ARRAYS[name]))
    assert bool(layer.trainable_weights) == (layer_class in LEARN)
