"""The Keras model that detects: `keras_model` in inference mode, and the twin of a model in training mode."""

import logging
import threading

import keras

from mrcnn_plus.config_record import SettingsRecord
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.inference.detector import Detector
from mrcnn_plus.inference.openvino_detector import OpenVINODetector
from mrcnn_plus.weights.model_mixin import MatterportWeightsMixin

logger = logging.getLogger(__name__)

#: What computes `detect`, by the value of `INFERENCE_ENGINE`.
ENGINES = {"keras": Detector, "openvino": OpenVINODetector}
_making = threading.Lock()


@keras.saving.register_keras_serializable("mrcnn_plus")
class DetectionModel(MatterportWeightsMixin, keras.Model):
    """Image, meta and anchors to detections, masks and the intermediate results; see `Network.detection_graph`."""

    #: The `Network` that it was made from and the `SettingsRecord` of its graph; None for one that Keras loaded.
    network = settings = None
    _detector = None

    @property
    def detector(self):
        """What `INFERENCE_ENGINE` computes `detect` with, made when it is asked for the first time."""
        with _making:
            if self._detector is None:
                self._detector = _make_detector(self)
            return self._detector


def _make_detector(model):
    config = model.settings
    engine = config.INFERENCE_ENGINE
    if engine not in ENGINES:
        raise ConfigError(f"INFERENCE_ENGINE: expected one of {tuple(ENGINES)}, received: INFERENCE_ENGINE={engine!r}.")
    if model.network.training_settings is not None and engine != "keras":
        logger.info(
            "INFERENCE_ENGINE=%r: a network that is trained detects on Keras; it would be converted anew every time.",
            engine,
        )
        return Detector(model)
    return ENGINES[engine](model)


def detection_model(network, config):
    """The `DetectionModel` of a network, for the settings that `config` has at this moment.

    The model of the last call, unless a setting that its graph was built from (`DETECTION_MIN_CONFIDENCE`, ...) has
    another value since: then a new graph of the same layers, with the same weights.
    """
    with _making:
        model = network.detection_model
        if model is None or model.settings.changes(config):
            model = network.detection_model = _make_detection_model(network, SettingsRecord(config))
        return model


def _make_detection_model(network, config):
    model = DetectionModel(*network.detection_graph(config), name="mask_rcnn")
    model.network, model.settings = network, config
    if config.JIT_COMPILE is not None:
        model.jit_compile = config.JIT_COMPILE
    return model
