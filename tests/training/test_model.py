"""Weights in and out of the Keras models, in every format."""

import h5py
import keras
import numpy as np
import pytest

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.mask_rcnn import MaskRCNN

from ..support.tiny import FiveConvolutions, step_by_step, weights_of

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 50, 3), dtype=np.uint8)


def make(mode, folder, seed=0):
    class Seeded(FiveConvolutions):
        SEED = seed

    return MaskRCNN(mode=mode, config=Seeded(), model_dir=str(folder))


def detections(model):
    with step_by_step():
        return model.detect([IMAGE], allow_untrained=True)[0]


def assert_same_weights(one, other):
    one, other = weights_of(one), weights_of(other)
    assert len(one) == len(other) > 20
    for (path, first), second in zip(one.items(), other.values(), strict=True):
        np.testing.assert_array_equal(first, second, err_msg=path)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A training model whose weights are saved."""
    return make("training", tmp_path_factory.mktemp("source"))


@pytest.mark.parametrize("name", ["x.h5", "x.weights.h5"])
@pytest.mark.parametrize("by_name", [True, False])
def test_saved_weights_give_another_model_the_same_detections(source, tmp_path, name, by_name):
    source.keras_model.save_weights(str(tmp_path / name))
    other = make("training", tmp_path, seed=1)
    first, second = (model.keras_model.get_layer("stage1").kernel for model in (source, other))
    assert not np.array_equal(first, second)
    report = other.load_weights(str(tmp_path / name), by_name=by_name)
    assert (report is None) == name.endswith(".weights.h5"), "Keras' own formats have no report"
    assert_same_weights(source.keras_model, other.keras_model)
    found, expected = detections(other), detections(source)
    assert len(found["rois"]) > 0
    for part in expected:
        np.testing.assert_array_equal(found[part], expected[part])


def test_h5_is_matterports_layout(source, tmp_path):
    path = tmp_path / "x.h5"
    source.keras_model.save_weights(path)
    with h5py.File(path) as file:
        assert "layer_names" in file.attrs and "rpn_model" in file and "mrcnn_class_logits" in file
        names = [name.decode() for name in file["mrcnn_class_logits"].attrs["weight_names"]]
        assert names == ["mrcnn_class_logits/kernel:0", "mrcnn_class_logits/bias:0"]


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_keras_files_hold_the_whole_model(tmp_path, mode):
    """Architecture and weights: the loaded model computes the same without any of our configuration."""
    model = make(mode, tmp_path).keras_model
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert type(loaded) is type(model)
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in model.layers]
    assert_same_weights(model, loaded)


def test_a_loaded_keras_file_detects_the_same(tmp_path):
    model = make("inference", tmp_path)
    model.keras_model.save(tmp_path / "x.keras")
    expected = detections(model)
    other = make("inference", tmp_path, seed=1)
    other.keras_model = keras.saving.load_model(tmp_path / "x.keras")
    found = detections(other)
    for part in expected:
        np.testing.assert_array_equal(found[part], expected[part])


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_weights_are_read_from_a_keras_file_of_a_whole_model(tmp_path, mode):
    model, other = make(mode, tmp_path), make("training", tmp_path, seed=1)
    model.keras_model.save(tmp_path / "x.keras")
    assert other.load_weights(str(tmp_path / "x.keras")) is None
    assert_same_weights(model.detection_model, other.detection_model)


@pytest.mark.parametrize("name", ["x.h5", "x.weights.h5"])
@pytest.mark.parametrize(("writer", "reader"), [("training", "inference"), ("inference", "training")])
def test_files_of_weights_serve_both_modes(tmp_path, name, writer, reader):
    model, other = make(writer, tmp_path), make(reader, tmp_path, seed=1)
    model.keras_model.save_weights(tmp_path / name)
    other.load_weights(tmp_path / name, by_name=True)
    assert_same_weights(model.detection_model, other.detection_model)


def test_a_loaded_training_model_goes_on_training_with_its_losses(tmp_path):
    class Weighted(FiveConvolutions):
        LOSS_WEIGHTS = {"mrcnn_class_loss": 4.0}

    model = MaskRCNN(mode="training", config=Weighted(), model_dir=str(tmp_path)).keras_model
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert loaded.loss_weights == model.loss_weights and loaded.weight_decay == model.weight_decay > 0


def test_excluded_layers_stay_as_they_are(source, tmp_path):
    source.keras_model.save_weights(str(tmp_path / "x.h5"))
    other = make("training", tmp_path, seed=1)
    before = weights_of(other.keras_model)
    report = other.load_weights(str(tmp_path / "x.h5"), by_name=True, exclude=["mrcnn_mask", "rpn_model"])
    after, saved = weights_of(other.keras_model), weights_of(source.keras_model)
    for path, value in after.items():
        kept = path.split("/")[-2] in ("mrcnn_mask", "rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred")
        np.testing.assert_array_equal(value, before[path] if kept else saved[path], err_msg=path)
    assert "mrcnn_mask" in report.excluded and "rpn_model/rpn_conv_shared" in report.excluded


@pytest.mark.parametrize("mode", ["training", "inference"])
def test_heads_of_other_classes_are_left_random_in_training_and_an_error_in_detection(source, tmp_path, mode):
    class FourClasses(FiveConvolutions):
        NUM_CLASSES = 4

    source.keras_model.save_weights(str(tmp_path / "x.h5"))
    model = MaskRCNN(mode=mode, config=FourClasses(), model_dir=str(tmp_path))
    if mode == "inference":
        with pytest.raises(WeightsError, match="3 classes.*NUM_CLASSES=4"):
            model.load_weights(str(tmp_path / "x.h5"), by_name=True)
        return
    report = model.load_weights(str(tmp_path / "x.h5"), by_name=True)
    assert {skipped.layer for skipped in report.skipped} == {"mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask"}
    np.testing.assert_array_equal(*(m.keras_model.get_layer("fpn_p2").kernel for m in (model, source)))


def test_keras_formats_cannot_exclude_layers(source, tmp_path):
    source.keras_model.save_weights(str(tmp_path / "x.weights.h5"))
    with pytest.raises(WeightsError, match=r"exclude=\['mrcnn_mask'\]"):
        source.load_weights(str(tmp_path / "x.weights.h5"), exclude=["mrcnn_mask"])
