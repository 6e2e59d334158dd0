"""What `detect` runs: weights as constants that are never out of date, and no trace for an image alone."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mrcnn_plus import execution
from mrcnn_plus.inference import model as model_module
from mrcnn_plus.inference.detector import Detector
from mrcnn_plus.mask_rcnn import MaskRCNN
from tests.support.tiny import FiveConvolutions

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, shape, dtype=np.uint8) for shape in ((64, 48, 3), (130, 64, 3), (64, 190, 3))]


class AnySize(FiveConvolutions):
    IMAGE_RESIZE_MODE = "pad64"
    IMAGE_MIN_DIM = None
    IMAGE_MIN_SCALE = 0


def scores(model):
    return [result["scores"] for result in model.detect(IMAGES, allow_untrained=True)]


def test_constant_weights_are_those_of_the_moment_and_traced_once_for_all_sizes(tmp_path, monkeypatch):
    model = MaskRCNN("inference", AnySize(), str(tmp_path))
    made = []
    make = execution.with_constant_weights
    monkeypatch.setattr(execution, "with_constant_weights", lambda *given: made.append(1) or make(*given))
    logits = model.keras_model.get_layer("mrcnn_class_logits").layer
    logits.kernel.assign(0.01 * logits.kernel)
    first = scores(model)
    assert len({len(image) for image in IMAGES}) > 1 and len(made) == 2, "one for the first size, one for all others"

    logits.kernel.assign(2.0 * logits.kernel)
    second = scores(model)
    assert len(made) == 4
    # One that never had other weights, and computes alike: constants and variables differ by rounding, which decides
    # between boxes of random weights (test_golden_network.py compares the two).
    twin = MaskRCNN("inference", AnySize(), str(tmp_path))
    twin.keras_model.set_weights(model.keras_model.get_weights())
    for before, now, expected in zip(first, second, scores(twin), strict=True):
        np.testing.assert_allclose(now, expected, atol=1e-5)
        assert not np.allclose(now, before, atol=1e-4)
    assert len(made) == 6


def test_the_size_of_all_images_is_known_to_the_function_and_others_are_taken_too(tmp_path, monkeypatch):
    model = MaskRCNN("inference", FiveConvolutions(), str(tmp_path))
    sizes = []
    make = execution.with_constant_weights
    monkeypatch.setattr(
        execution, "with_constant_weights", lambda network, size: sizes.append(size) or make(network, size)
    )
    first = scores(model)
    assert sizes == [(64, 64)]
    molded, metas, _ = model.mold_inputs([np.zeros((64, 64, 3), np.uint8)])
    larger = np.zeros((1, 128, 128, 3), np.float32)
    anchors = model.get_anchors(larger.shape[1:])[None]
    detector = model.detection_model.detector
    detections, _ = detector(larger, metas, anchors)
    assert sizes == [(64, 64), None] and detections.shape == (1, 10, 6)
    detector(molded, metas, model.get_anchors(molded.shape[1:])[None])
    for before, now in zip(first, scores(model), strict=True):
        np.testing.assert_array_equal(before, now)
    assert sizes == [(64, 64), None]


@pytest.mark.slow
@pytest.mark.parametrize(("fits", "graphs"), [(True, 4), (False, 1)])
def test_sizes_of_cropped_photos_have_own_functions_as_memory_allows(tmp_path, monkeypatch, fits, graphs):
    config = type("Cropping", (AnySize,), {"DETECTION_CROP_PADDING": True})()
    model, made = MaskRCNN("inference", config, str(tmp_path)), []
    make = execution.with_constant_weights
    monkeypatch.setattr(execution, "with_constant_weights", lambda *given: made.append(given[1]) or make(*given))
    monkeypatch.setattr(execution, "fit_in_memory", lambda weights: fits or not made)
    sizes = [(64, 64), (128, 64), (64, 192), (192, 64), (64, 64), (192, 192)]
    photos = [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    found = model.detect(photos, allow_untrained=True)
    assert made == [*sizes[:3], None][:graphs]
    model.config.CONSTANT_WEIGHTS = False
    for ours, expected in zip(found, model.detect(photos, allow_untrained=True), strict=True):
        np.testing.assert_allclose(ours["scores"], expected["scores"], atol=1e-4)


def test_only_images_that_were_given_are_computed(tmp_path, monkeypatch):
    """The last batch is not filled up where nothing is compiled for batches of one size."""
    model = MaskRCNN("inference", FiveConvolutions(), str(tmp_path))
    detector, batches = model.detection_model.detector, []
    call = type(detector).__call__
    monkeypatch.setattr(
        type(detector), "__call__", lambda self, *given: batches.append(len(given[0])) or call(self, *given)
    )
    expected = [model.detect([image], allow_untrained=True)[0]["scores"] for image in IMAGES]
    batches.clear()
    for ours, theirs in zip(scores(model), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert batches == [2, 1]
    detector.fills_batches = True
    scores(model)
    assert batches[2:] == [2, 2]


def test_threads_share_one_detector_from_the_first_call_on(tmp_path, monkeypatch):
    made = []

    def make(model):
        made.append(model)
        time.sleep(0.2)
        return Detector(model)

    monkeypatch.setitem(model_module.ENGINES, "keras", make)
    model = MaskRCNN("inference", FiveConvolutions(), str(tmp_path))
    with ThreadPoolExecutor(4) as pool:
        detectors = list(pool.map(lambda _: model.detection_model.detector, range(4)))
    assert len(made) == 1 and len(set(detectors)) == 1


def test_a_network_that_trains_keeps_its_weights_in_variables(tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "with_constant_weights", None)
    model = MaskRCNN("training", FiveConvolutions(), str(tmp_path))
    assert len(scores(model)) == 3


@pytest.mark.parametrize(("jit_compile", "constant"), [(None, True), (False, True), (True, False)])
def test_what_xla_compiles_keeps_them_too(jit_compile, constant):
    assert execution.takes_constant_weights(jit_compile) is constant
