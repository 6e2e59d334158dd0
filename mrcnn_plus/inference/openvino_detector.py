"""Detection with the convolutions on OpenVINO, an engine made for inference on CPUs: `INFERENCE_ENGINE = "openvino"`.

Boxes are computed in float32 by the Keras backend as ever; what surrounds them, nine tenths of the arithmetic, runs on
OpenVINO in the precision of `PRECISION`. The converted network is kept on disk, so only the first detection with new
weights converts it.
"""

import contextlib
import functools
import hashlib
import inspect
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import uuid
from pathlib import Path

import keras
import numpy as np

from mrcnn_plus import __version__
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.execution import compiles
from mrcnn_plus.inference.weight_changes import ChangesOf
from mrcnn_plus.weights.pretrained import keras_home

logger = logging.getLogger(__name__)

#: The parts of `InstanceParts` that OpenVINO computes.
CONVERTED = ("features", "box_head", "mask_head")
#: Of what `_convert` writes; another number makes networks on disk be converted anew.
FORMAT = 3
#: So many networks are kept on disk; a new one takes the place of the one that was used longest ago.
KEPT = 8
#: So many sizes of batches get a network of their own: square photographs, wide and tall ones. It is a quarter faster,
#: but holds its own copy of the weights (700 MB of ResNet-101 at 1024 x 1024), so all other sizes share one network.
OWN_NETWORKS = 3
_UNFINISHED = ".unfinished_"
_PRECISIONS = {"float32": "f32", "mixed_bfloat16": "bf16", "mixed_float16": "f16"}


class OpenVINODetector:
    """As `Detector`, with the same answers to within rounding. Weights may change between calls: it notices.

    Raises ConfigError where OpenVINO is not installed, and on other backends than TensorFlow.
    """

    #: A batch of another size is another network.
    fills_batches = True

    def __init__(self, model):
        _require_openvino()
        self.settings = model.settings
        self._compiled_by_xla = compiles(model.settings.JIT_COMPILE)
        self.parts = model.network.instance_parts(model.settings, compiled=self._compiled_by_xla)
        self._network, self._weights_changed = model.network, ChangesOf(model.weights)
        self._lock = threading.Lock()
        self._is_loaded = False

    def __call__(self, molded_images, image_metas, anchors):
        """See `Detector.__call__`."""
        with self._lock:  # a compiled network has room for the results of one call
            self._load()
            rpn_class, rpn_bbox, *pyramid = self._features_of(np.shape(molded_images))(molded_images)
            pyramid = [keras.ops.convert_to_tensor(level) for level in pyramid]
            around = [image_metas, *pyramid]
            proposals, pooled = self.parts.proposals.predict_on_batch([rpn_class, rpn_bbox, anchors, *around])
            answer = self._box_head(pooled)
            detections, pooled, class_ids = self.parts.detections.predict_on_batch([proposals, *answer, *around])
            (masks,) = self._mask_head(pooled, class_ids)
            return np.asarray(detections), np.array(masks)

    def _load(self):
        """Read the converted network, unless it is there and the weights are those of the last time."""
        if self._weights_changed():
            self._is_loaded = False
        if self._is_loaded:
            return
        converted = converted_network(self._network, self.settings, self.parts, compiled=self._compiled_by_xla)
        self._box_head, self._mask_head = (self._compiled(converted[part]) for part in ("box_head", "mask_head"))
        self._features = functools.cache(lambda shape: self._compiled(converted["features"], shape))
        self._own_sizes = set()
        self._is_loaded = True

    def _features_of(self, shape):
        """The function for a batch of images of this shape: its own, or the one that all further shapes share."""
        if len(self._own_sizes) < OWN_NETWORKS:
            self._own_sizes.add(shape)
        return self._features(shape if shape in self._own_sizes else None)

    def _compiled(self, network, shape=None):
        """A function of arrays. shape: of the input, for which the network is compiled; None leaves it open."""
        import openvino

        network = network.clone()
        if shape is not None:
            network.reshape(openvino.PartialShape([*shape]))
        precision = {"INFERENCE_PRECISION_HINT": _PRECISIONS[self.settings.PRECISION]}
        compiled = openvino.Core().compile_model(network, "CPU", precision)
        return lambda *arrays: list(compiled(arrays, share_inputs=True, share_outputs=True).values())


def converted_network(network, settings, parts, *, compiled):
    """`{part: openvino.Model}` of a `Network`: what is on disk of these weights, or else converted now and kept there.

    It serves every precision, for OpenVINO lowers it by itself. The arguments are those of `Network.instance_parts`,
    and the `parts` that it gave.
    """
    cache = Path(keras_home(), "mrcnn_plus", "openvino")
    folder = cache / _key(network, parts, compiled)
    try:
        os.utime(folder)
        return _read(folder)
    except (OSError, RuntimeError):  # there is none, or not all of it
        _remove(folder)
    logger.info("Converting the network for OpenVINO, once for these weights; it is kept in %s", folder)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=cache))
    try:
        in_float32 = network.in_float32().instance_parts(settings, compiled=compiled)
        for part in CONVERTED:
            _convert(getattr(in_float32, part), unfinished / f"{part}.xml")
        _move_into_place(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    converted = _read(folder)
    _remove_those_used_longest_ago(cache)
    return converted


def _read(folder):
    """At once, because another process may remove the folder."""
    import openvino

    return {part: openvino.Core().read_model(folder / f"{part}.xml") for part in CONVERTED}


def _remove_those_used_longest_ago(cache):
    last_used = []
    for folder in cache.iterdir():
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            last_used.append((folder.stat().st_mtime, folder))
    for _, folder in sorted(last_used)[:-KEPT]:
        _remove(folder)


def _remove(folder):
    """Under another name, so that nobody finds half of it; one that is in use stays on systems that want it so."""
    with contextlib.suppress(OSError):
        shutil.rmtree(folder.rename(folder.with_name(f"{_UNFINISHED}{uuid.uuid4().hex}")), ignore_errors=True)


def _convert(model, path):
    """Write a Keras model as OpenVINO's intermediate representation, with the outputs of the model and no others."""
    import openvino

    exported = path.with_stem(f"{path.stem}_exported")
    model.export(str(exported), format="openvino", verbose=False)
    network = openvino.Core().read_model(exported)
    # Keras 3.15 leaves intermediate results of the traced function as further outputs behind those of the model.
    results = network.get_results()[: len(model.outputs)]
    network = openvino.Model(results, network.get_parameters(), model.name)
    _drop_undone_transposes(network)
    openvino.serialize(network, path)
    for file in (exported, exported.with_suffix(".bin")):
        file.unlink()


def _drop_undone_transposes(network):
    """Where a transpose only undoes the one before it, read what there was before both.

    OpenVINO drops such pairs by itself, but not where the value between them is an output, as the maps of the pyramid
    are. Of the time of ResNet-101 at 1024 x 1024 they took a twelfth in float32 and a sixth in bfloat16.
    """
    orders = {
        node: node.input_value(1).get_node().get_data()
        for node in network.get_ops()
        if node.get_type_name() == "Transpose" and node.input_value(1).get_node().get_type_name() == "Constant"
    }
    for node, order in orders.items():
        before = node.input_value(0).get_node()
        if before in orders and list(orders[before][order]) == sorted(order):
            node.output(0).replace(before.input_value(0))


def _move_into_place(unfinished, folder):
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        shutil.rmtree(unfinished, ignore_errors=True)  # another process was faster


def _key(network, parts, compiled):
    """A name for these weights in this network, with what settings of detection make of its parts."""
    model = keras.Model(*network.detection_graph())
    own = {name: value for name, value in network.settings.values.items() if name not in ("BACKBONE", "PRECISION")}
    inputs = [[tensor.shape for tensor in getattr(parts, part).inputs] for part in CONVERTED]
    structure = _structure(model, network.settings.BACKBONE)
    versions = __version__, FORMAT, keras.__version__
    digest = hashlib.sha256(repr((versions, compiled, sorted(own.items()), inputs, structure)).encode())
    for weight in model.weights:
        digest.update(repr(weight.shape).encode())
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))
    return digest.hexdigest()[:24]


def _structure(model, backbone):
    """The layers of a functional model as text, by their places: names that Keras chose differ from model to model.

    Without their precision, and with the code of those that are neither Keras' nor ours. Where that is not to be had,
    as in a notebook, the text is another one every time.
    """
    try:
        layers = model.get_config()["layers"]
        code = [inspect.getsource(sys.modules[name]) for name in _modules_of_program(model, backbone)]
    except (NotImplementedError, TypeError, OSError):
        return uuid.uuid4().hex
    places = {layer["name"]: place for place, layer in enumerate(layers)}

    def numbered(value):
        if isinstance(value, dict):
            return {key: numbered(item) for key, item in value.items() if key != "dtype"}
        if isinstance(value, list | tuple):
            return [numbered(item) for item in value]
        return places.get(value, value) if isinstance(value, str) else value

    return json.dumps([numbered(layers), code], default=repr)


def _modules_of_program(model, backbone):
    """Names of the modules, not of Keras nor this package, that define layers of a model or its backbone."""
    modules = {type(layer).__module__ for layer in model._flatten_layers()}
    if callable(backbone):
        modules.add(backbone.__module__)
    return sorted(name for name in modules if name.partition(".")[0] not in ("keras", __package__.partition(".")[0]))


def _require_openvino():
    backend = keras.backend.backend()
    if backend != "tensorflow":  # JAX, through Keras' export, wants to know the size of the image
        raise ConfigError(
            f'INFERENCE_ENGINE: expected Keras to run on TensorFlow for INFERENCE_ENGINE="openvino", received: '
            f'{backend}. Set KERAS_BACKEND=tensorflow, or INFERENCE_ENGINE="keras".'
        )
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            'INFERENCE_ENGINE: expected OpenVINO to be installed for INFERENCE_ENGINE="openvino", received: '
            f'{error}. Install it with `pip install "mrcnn-plus[openvino]"`, or set INFERENCE_ENGINE="keras".'
        ) from error
