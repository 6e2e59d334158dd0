"""Detection with the convolutions on OpenVINO: the answers of Keras, of the weights that are in the network now."""

import logging
import shutil
import sys

import keras
import numpy as np
import pytest
from keras import layers

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.inference import model as model_module
from mrcnn_plus.inference import openvino_detector
from mrcnn_plus.mask_rcnn import MaskRCNN
from tests.support.tiny import FiveConvolutions, five_convolutions

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 48, 3), (50, 64, 3), (64, 64, 3))]


@pytest.fixture(scope="module")
def kept_in(tmp_path_factory):
    """Conversions of all tests of this file."""
    folder = tmp_path_factory.mktemp("keras_home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(folder))
        yield folder / "mrcnn_plus" / "openvino"


def detector(tmp_path, **settings):
    """Two images in a batch, three to detect, so that the last batch is filled up."""
    config = type("OpenVINOConfig", (FiveConvolutions,), {"INFERENCE_ENGINE": "openvino", **settings})()
    model = MaskRCNN("inference", config, str(tmp_path))
    logits = model.keras_model.get_layer("mrcnn_class_logits").layer
    logits.kernel.assign(0.01 * logits.kernel)  # scores that are not all 1
    return model


def detections(model, engine, images=IMAGES):
    model.config.INFERENCE_ENGINE = engine
    return model.detect(images, allow_untrained=True)


def assert_same(ours, theirs):
    assert len(ours) == len(theirs) >= len(IMAGES)
    for one, other in zip(ours, theirs, strict=True):
        assert len(set(one["scores"])) > 3
        np.testing.assert_array_equal(one["class_ids"], other["class_ids"])
        np.testing.assert_allclose(one["scores"], other["scores"], atol=1e-4)
        np.testing.assert_allclose(one["rois"], other["rois"], atol=1)
        assert np.mean(one["masks"] != other["masks"]) < 0.01


@pytest.mark.slow
def test_it_detects_what_keras_detects_also_after_the_weights_have_changed(tmp_path, kept_in):
    model = detector(tmp_path)
    first = detections(model, "openvino")
    assert_same(first, detections(model, "keras"))

    for weight in model.keras_model.weights:
        weight.assign(weight + 0.01 * RNG.normal(size=weight.shape))
    changed = detections(model, "openvino")
    assert_same(changed, detections(model, "keras"))
    assert not np.array_equal(first[0]["scores"], changed[0]["scores"])
    assert len(list(kept_in.iterdir())) == 2


@pytest.mark.slow
def test_the_same_weights_are_converted_once(tmp_path, kept_in, caplog):
    caplog.set_level(logging.INFO, openvino_detector.__name__)
    model, twin = detector(tmp_path), detector(tmp_path)
    twin.keras_model.set_weights(model.keras_model.get_weights())
    first = detections(model, "openvino")
    caplog.clear()
    assert_same(detections(twin, "openvino"), first)
    assert "Converting" not in caplog.text


@pytest.mark.slow
def test_a_setting_of_detection_that_shapes_a_part_is_another_network(tmp_path, kept_in):
    model = detector(tmp_path)
    for rois in (30, 20):
        model.config.POST_NMS_ROIS_INFERENCE = rois
        assert_same(detections(model, "openvino"), detections(model, "keras"))


@pytest.mark.slow
def test_a_network_is_known_again_by_what_it_computes(tmp_path, kept_in, caplog, monkeypatch):
    """A function as backbone is another object in another process. Precision does not count, for OpenVINO lowers it."""

    def backbone(activation):
        return lambda image, stage5=True, train_bn=None: [
            layers.Activation(activation)(feature) for feature in five_convolutions(image, stage5, train_bn)
        ]

    def is_converted(activation, **settings):
        model = detector(tmp_path, BACKBONE=staticmethod(backbone(activation)), SEED=7, **settings)
        caplog.clear()
        detections(model, "openvino")
        return "Converting" in caplog.text

    caplog.set_level(logging.INFO, openvino_detector.__name__)
    assert is_converted("relu")
    assert not is_converted("relu")
    assert not is_converted("relu", PRECISION="mixed_bfloat16")
    assert is_converted("tanh")
    monkeypatch.setattr(openvino_detector.inspect, "getsource", lambda module: "another version")
    assert is_converted("relu")


@pytest.mark.slow
def test_a_load_that_was_interrupted_is_made_good(tmp_path, kept_in, monkeypatch):
    model = detector(tmp_path)
    detections(model, "openvino")
    for weight in model.keras_model.weights:
        weight.assign(weight + 0.01 * RNG.normal(size=weight.shape))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(openvino_detector.OpenVINODetector, "_compiled", interrupted)
        detections(model, "openvino")
    assert_same(detections(model, "openvino"), detections(model, "keras"))


def interrupted(*given):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_half_a_folder_is_converted_anew(tmp_path, kept_in):
    model = detector(tmp_path, SEED=9)
    expected = detections(model, "openvino")
    newest = max(kept_in.iterdir(), key=lambda folder: folder.stat().st_mtime)
    (newest / "box_head.xml").unlink()
    assert_same(detections(detector(tmp_path, SEED=9), "openvino"), expected)
    assert (newest / "box_head.xml").exists()


@pytest.mark.slow
def test_what_is_removed_from_disk_serves_a_model_that_has_read_it(tmp_path, kept_in):
    model = detector(tmp_path, IMAGE_RESIZE_MODE="pad64", IMAGE_MIN_DIM=None, IMAGE_MIN_SCALE=0, SEED=8)
    detections(model, "openvino")
    shutil.rmtree(kept_in)
    larger = [RNG.integers(0, 256, (130, 64, 3), dtype=np.uint8)]
    assert len(detections(model, "openvino", larger)) == 1


def test_a_network_that_is_trained_detects_on_keras(tmp_path, caplog):
    caplog.set_level(logging.INFO, model_module.__name__)
    config = type("Trained", (FiveConvolutions,), {"INFERENCE_ENGINE": "openvino"})()
    model = MaskRCNN("training", config, str(tmp_path))
    assert isinstance(model.detection_model.detector, model_module.Detector)
    assert "converted anew every time" in caplog.text


@pytest.mark.slow
def test_those_used_longest_ago_are_removed_and_what_is_unfinished_never_counts(tmp_path, kept_in, monkeypatch):
    monkeypatch.setattr(openvino_detector, "KEPT", 1)
    model = detector(tmp_path, SEED=5)
    detections(model, "openvino")
    (newest,) = kept_in.iterdir()
    assert {path.suffix for path in newest.iterdir()} == {".xml", ".bin"} and len(list(newest.iterdir())) == 6

    def full_disk(part, path):
        path.write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr(openvino_detector, "_convert", full_disk)
    with pytest.raises(OSError, match="No space left"):
        detections(detector(tmp_path, SEED=6), "openvino")
    assert list(kept_in.iterdir()) == [newest]


@pytest.mark.slow
def test_images_of_many_sizes_share_a_network_as_each_own_one_holds_the_weights_again(tmp_path, kept_in, monkeypatch):
    compiled, compile_network = [], openvino_detector.OpenVINODetector._compiled

    def recorded(detector, network, shape=None):
        compiled.append(shape)
        return compile_network(detector, network, shape)

    monkeypatch.setattr(openvino_detector.OpenVINODetector, "_compiled", recorded)
    monkeypatch.setattr(openvino_detector, "OWN_NETWORKS", 1)
    sized = {"IMAGE_MIN_DIM": 256, "IMAGE_MAX_DIM": 256, "IMAGES_PER_GPU": 1, "DETECTION_CROP_PADDING": True, "SEED": 3}
    model = detector(tmp_path, **sized)
    sizes = (120, 256), (256, 120), (256, 256), (120, 256)
    images = [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    assert_same(detections(model, "openvino", images), detections(model, "keras", images))
    assert compiled[2:] == [(1, 128, 256, 3), None], "behind the two heads"


@pytest.mark.slow
def test_lower_precision_is_a_matter_of_the_setting(tmp_path, kept_in):
    """bfloat16 or, on a processor without it, float32: close to Keras in either case."""
    import openvino

    model, other = detector(tmp_path, PRECISION="mixed_bfloat16"), detector(tmp_path)
    other.keras_model.set_weights(model.keras_model.get_weights())
    ours, theirs = detections(model, "openvino"), detections(model, "keras")
    np.testing.assert_allclose(ours[0]["scores"], theirs[0]["scores"], atol=0.02)
    lowers = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    in_float32 = detections(other, "openvino")
    assert np.array_equal(ours[0]["scores"], in_float32[0]["scores"]) is not lowers


def test_layers_whose_code_is_not_to_be_had_are_never_taken_for_others(monkeypatch):
    """In a notebook a function may be another one after a cell was edited, with the same weights."""

    def no_source(module):
        raise OSError("could not get source code")

    monkeypatch.setattr(openvino_detector.inspect, "getsource", no_source)
    image = layers.Input((8, 8, 3))
    model = keras.Model(image, five_convolutions(image))
    assert openvino_detector._structure(model, "resnet50") == openvino_detector._structure(model, "resnet50")
    own, again = (openvino_detector._structure(model, five_convolutions) for _ in range(2))
    assert own != again


def test_a_transpose_that_undoes_another_is_not_read_though_the_other_is_an_output():
    """Image to columns, columns to image and on: as the maps of the pyramid between two convolutions."""
    from openvino import Model, opset13

    image = opset13.parameter([1, 3, 4, 5], np.float32)
    there = opset13.transpose(opset13.relu(image), [0, 2, 3, 1])
    back = opset13.transpose(there, [0, 3, 1, 2])
    other = opset13.transpose(there, [0, 1, 3, 2])
    network = Model([there, opset13.negative(back), opset13.negative(other)], [image])
    value = RNG.normal(size=(1, 3, 4, 5)).astype("float32")
    expected = list(openvino_answer(network, value))
    openvino_detector._drop_undone_transposes(network)
    assert sum(node.get_type_name() == "Transpose" for node in network.get_ops()) == 2
    for ours, before in zip(openvino_answer(network, value), expected, strict=True):
        np.testing.assert_array_equal(ours, before)


def openvino_answer(network, value):
    from openvino import Core

    return Core().compile_model(network, "CPU")([value]).values()


def test_without_openvino_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"pip install .mrcnn-plus\[openvino\]"):
        detections(detector(tmp_path), "openvino")


def test_another_engine_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"one of \('keras', 'openvino'\), received: INFERENCE_ENGINE='onnx'"):
        detections(detector(tmp_path), "onnx")
