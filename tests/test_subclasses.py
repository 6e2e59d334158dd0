"""Subclasses and hooks as programs for Matterport's package write them: own losses, compiling, training, detecting."""

import inspect

import keras
import numpy as np
import pytest

from mrcnn_plus import model as modellib
from mrcnn_plus import utils
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network.assembly import Network
from mrcnn_plus.training.model import TrainingModel, make_training_model

from .support.tiny import Figures, FiveConvolutions, step_by_step

CALL = {"learning_rate": 0.001, "epochs": 1, "layers": "all", "lint": "off"}


class OneStep(FiveConvolutions):
    STEPS_PER_EPOCH = 1
    IMAGES_PER_GPU = 1


@pytest.fixture(scope="module")
def data():
    return Figures([2, 3])


@pytest.fixture(autouse=True)
def _quick():
    with step_by_step():
        yield


@pytest.mark.slow
def test_a_subclass_compiles_with_an_optimizer_of_its_own_in_matterports_way(tmp_path, data):
    class Own(modellib.MaskRCNN):
        def compile(self, learning_rate, momentum):
            optimizer = keras.optimizers.Adam(learning_rate=learning_rate, beta_1=momentum)
            self.keras_model.compile(optimizer=optimizer, loss=[None] * len(self.keras_model.outputs))

    model = Own("training", OneStep(), str(tmp_path))
    model.train(data, data, **CALL)
    assert isinstance(model.keras_model.optimizer.inner_optimizer, keras.optimizers.Adam)
    assert np.isfinite(model.keras_model.history.history["loss"][0])


def test_a_loss_of_the_users_own_comes_in_by_the_way_that_the_error_names(tmp_path, data):
    class Shifted(TrainingModel):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return super().compute_loss(x, y, y_pred, sample_weight, training) + 100.0

    class Own(modellib.MaskRCNN):
        def build(self, mode, config):
            return make_training_model(Network(config), config, model_class=Shifted)

    model = Own("training", OneStep(), str(tmp_path))
    model.train(data, None, **CALL)
    assert model.keras_model.history.history["loss"][0] > 100


@pytest.mark.parametrize(
    "call",
    [
        lambda keras_model: keras_model.get_layer("rpn_class_loss"),
        lambda keras_model: keras_model.add_loss(0.0),
        lambda keras_model: keras_model.add_metric(0.0, name="x"),
        lambda keras_model: keras_model.metrics_tensors.append(0.0),
    ],
)
def test_losses_added_by_hand_are_an_error_that_names_the_way_out(tmp_path, call):
    model = modellib.MaskRCNN("training", OneStep(), str(tmp_path))
    with pytest.raises(ConfigError, match="compute_loss|custom_callbacks"):
        call(model.keras_model)


def test_a_subclass_that_detects_in_matterports_words_finds_what_detect_finds(tmp_path, data):
    class Own(modellib.MaskRCNN):
        def detect(self, images, verbose=0):
            assert len(images) == self.config.BATCH_SIZE
            molded_images, image_metas, windows = self.mold_inputs(images)
            anchors = self.get_anchors(molded_images[0].shape)
            anchors = np.broadcast_to(anchors, (self.config.BATCH_SIZE, *anchors.shape))
            detections, _, _, mrcnn_mask, _, _, _ = self.keras_model.predict(
                [molded_images, image_metas, anchors], verbose=0
            )
            found = []
            for i, image in enumerate(images):
                rois, ids, scores, masks = self.unmold_detections(
                    detections[i], mrcnn_mask[i], image.shape, molded_images[i].shape, windows[i]
                )
                found.append({"rois": rois, "class_ids": ids, "scores": scores, "masks": masks})
            return found

    model = Own("inference", OneStep(), str(tmp_path))
    images = [data.load_image(0)]
    expected = modellib.MaskRCNN.detect(model, images, allow_untrained=True)[0]
    found = model.detect(images)[0]
    np.testing.assert_array_equal(found["rois"], expected["rois"])
    np.testing.assert_array_equal(found["masks"], expected["masks"])
    assert model.anchors.shape[1] == 4


def test_methods_that_train_calls_may_be_overridden(tmp_path, data):
    called = []

    class Own(modellib.MaskRCNN):
        def set_log_dir(self, model_path=None):
            called.append("set_log_dir")
            super().set_log_dir(model_path)
            self.log_dir = str(tmp_path / "mine")
            self.checkpoint_path = str(tmp_path / "mine" / "weights_{epoch:04d}.h5")

        def set_trainable(self, layer_regex, keras_model=None, indent=0, verbose=1):
            called.append("set_trainable")
            super().set_trainable(layer_regex, keras_model, indent, verbose=0)

        def train(self, train_dataset, val_dataset, learning_rate, epochs, layers, **others):
            called.append("train")
            return super().train(train_dataset, val_dataset, learning_rate, epochs, layers, **others)

        def unmold_detections(self, *arguments):
            called.append("unmold_detections")
            return super().unmold_detections(*arguments)

    model = Own("training", OneStep(), str(tmp_path))
    model.train(data, data, **CALL)
    assert len(model.detect([data.load_image(0)])) == 1
    assert {"set_log_dir", "set_trainable", "train", "unmold_detections"} <= set(called)
    assert (tmp_path / "mine" / "weights_0001.h5").is_file()


def test_callbacks_of_the_program_see_the_epoch_the_logs_and_the_model(tmp_path, data):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((epoch, sorted(logs), self.model))

    model = modellib.MaskRCNN("training", OneStep(), str(tmp_path))
    stop = keras.callbacks.EarlyStopping(monitor="val_loss", patience=5)
    model.train(data, data, custom_callbacks=[Watch(), stop], **CALL)
    (epoch, names, keras_model) = seen[0]
    assert epoch == 0 and keras_model is model.keras_model
    assert {"loss", "mrcnn_mask_loss", "val_loss", "val_mrcnn_mask_loss"} <= set(names)


def test_a_data_set_may_override_what_matterports_calls(tmp_path, data):
    class Own(Figures):
        def add_class(self, source, class_id, class_name):
            super().add_class(source, class_id, class_name.upper())

        def image_reference(self, image_id):
            info = self.image_info[image_id]
            return info["id"] if info["source"] == "figures" else super(self.__class__, self).image_reference(image_id)

        def load_image(self, image_id):
            return super(self.__class__, self).load_image(image_id)[:, ::-1]

    own = Own([2])
    assert own.class_names == ["BG", "SQUARE", "DISC"]
    assert own.image_reference(0) == "0"
    np.testing.assert_array_equal(own.load_image(0), Figures([2]).load_image(0)[:, ::-1])


def test_what_programs_read_of_the_keras_model_is_there(tmp_path, capsys):
    model = modellib.MaskRCNN("inference", OneStep(), str(tmp_path))
    assert model.keras_model.get_layer("mrcnn_detection") in model.keras_model.layers
    assert len(model.keras_model.outputs) == 7 and len(model.keras_model.inputs) == 3
    model.keras_model.summary()
    assert "mrcnn_mask" in capsys.readouterr().out


def test_signatures_that_subclasses_repeat_are_matterports():
    assert list(inspect.signature(modellib.MaskRCNN.unmold_detections).parameters) == [
        *("self", "detections", "mrcnn_mask", "original_image_shape", "image_shape", "window")
    ]
    assert list(inspect.signature(modellib.MaskRCNN.compile).parameters) == ["self", "learning_rate", "momentum"]
    assert list(inspect.signature(utils.Dataset.add_image).parameters)[:4] == ["self", "source", "image_id", "path"]
