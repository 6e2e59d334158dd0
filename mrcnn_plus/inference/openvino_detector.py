"""Detection with the convolutions on OpenVINO, an engine made for inference on CPUs: `INFERENCE_ENGINE = "openvino"`.

Boxes are computed in float32 by the Keras backend as ever; what surrounds them, nine tenths of the arithmetic, runs on
OpenVINO in the precision of `PRECISION`. The converted network is kept on disk, so only the first detection with new
weights converts it.
"""

import functools
import hashlib
import logging
import os
import shutil
import tempfile
import threading
from pathlib import Path

import keras
import numpy as np

from mrcnn_plus import __version__
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.execution import compiles, sums_of
from mrcnn_plus.weights.pretrained import keras_home

logger = logging.getLogger(__name__)

#: The parts of `InstanceParts` that OpenVINO computes.
CONVERTED = ("features", "box_head", "mask_head")
#: Of what `_convert` writes; another number makes networks on disk be converted anew.
FORMAT = 2
#: So many networks are kept on disk; a new one takes the place of the one that was used longest ago.
KEPT = 8
#: So many sizes of batches get a network of their own: square photographs, wide and tall ones. It is a quarter faster,
#: but holds its own copy of the weights (700 MB of ResNet-101 at 1024 x 1024), so all other sizes share one network.
OWN_NETWORKS = 3
_PRECISIONS = {"float32": "f32", "mixed_bfloat16": "bf16", "mixed_float16": "f16"}


class OpenVINODetector:
    """As `Detector`, with the same answers to within rounding. Weights may change between calls: it notices.

    Raises ConfigError where OpenVINO is not installed, and on other backends than TensorFlow.
    """

    def __init__(self, model):
        _require_openvino()
        self.settings = model.settings
        self._compiled_by_xla = compiles(model.settings.JIT_COMPILE)
        self.parts = model.network.instance_parts(model.settings, compiled=self._compiled_by_xla)
        self._network, self._sums = model.network, sums_of(model.weights)
        self._lock = threading.Lock()
        self._loaded_for = None

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
        sums = self._sums().numpy()
        if np.array_equal(self._loaded_for, sums):
            return
        folder = converted_network(self._network, compiled=self._compiled_by_xla)
        self._box_head, self._mask_head = (self._compiled(folder, part) for part in ("box_head", "mask_head"))
        self._features = functools.cache(lambda shape: self._compiled(folder, "features", shape))
        self._own_sizes = set()
        self._loaded_for = sums

    def _features_of(self, shape):
        """The function for a batch of images of this shape: its own, or the one that all further shapes share."""
        if len(self._own_sizes) < OWN_NETWORKS:
            self._own_sizes.add(shape)
        return self._features(shape if shape in self._own_sizes else None)

    def _compiled(self, folder, part, shape=None):
        """A function of arrays. shape: of the input, for which the network is compiled; None leaves it open."""
        import openvino

        core = openvino.Core()
        network = core.read_model(folder / f"{part}.xml")
        if shape is not None:
            network.reshape(openvino.PartialShape([*shape]))
        precision = {"INFERENCE_PRECISION_HINT": _PRECISIONS[self.settings.PRECISION]}
        compiled = core.compile_model(network, "CPU", precision)
        return lambda *arrays: list(compiled(arrays, share_inputs=True, share_outputs=True).values())


def converted_network(network, *, compiled):
    """The folder with the converted parts of a `Network`: the one on disk if there is one of these weights.

    It serves every precision, for OpenVINO lowers it by itself. compiled: see `Network.instance_parts`.
    """
    cache = Path(keras_home(), "mrcnn_plus", "openvino")
    folder = cache / _key(network, compiled)
    if folder.exists():
        os.utime(folder)
        return folder
    logger.info("Converting the network for OpenVINO, once for these weights; it is kept in %s", folder)
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished_", dir=cache))
    try:
        parts = network.in_float32().instance_parts(compiled=compiled)
        for part in CONVERTED:
            _convert(getattr(parts, part), unfinished / f"{part}.xml")
        _move_into_place(unfinished, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    for old in sorted((path for path in cache.iterdir() if path.is_dir()), key=os.path.getmtime)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


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


def _key(network, compiled):
    """A name for these weights in this network."""
    built_from = {name: value for name, value in network.settings.values.items() if name != "PRECISION"}
    digest = hashlib.sha256(
        f"{__version__} {FORMAT} {keras.__version__} {compiled} {sorted(built_from.items())}".encode()
    )
    for weight in keras.Model(*network.detection_graph()).weights:
        digest.update(weight.path.encode())
        digest.update(np.ascontiguousarray(keras.ops.convert_to_numpy(weight)))
    return digest.hexdigest()[:24]


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
