"""Event files as TensorFlow and Keras write them, read without either."""

import keras
import numpy as np
import pytest

from mrcnn_plus.diagnosis.history import LOSSES, History
from mrcnn_plus.errors import ConfigError

if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow writes these files", allow_module_level=True)
tf = pytest.importorskip("tensorflow")


def write_scalars(folder, epochs=3, *, plus=0.0):
    """As a program of TensorFlow 2 writes its figures, pictures among them."""
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        for epoch in range(epochs):
            for tag, value in (("loss/train_total", 2.0), ("loss/train_mask", 0.5), ("loss/val", 2.5), ("lr", 0.25)):
                tf.summary.scalar(tag, value + plus - epoch * 0.125, step=epoch)
            tf.summary.scalar("mAP/segm_AP", 0.25 * epoch, step=epoch)
            tf.summary.image("detections", np.zeros((1, 8, 8, 3), np.float32), step=epoch)
            tf.summary.histogram("kernel", np.arange(10.0), step=epoch)
    writer.close()


def test_scalars_of_tensorflow_2_which_are_tensors(tmp_path):
    write_scalars(tmp_path)
    history = History.read(tmp_path)
    assert history.epochs == (1, 2, 3)
    assert set(history.names) == {"loss", "mrcnn_mask_loss", "val_loss", "learning_rate", "val_mask_AP"}
    assert history.values("loss").tolist() == [2.0, 1.875, 1.75]
    assert history.values("val_mask_AP").tolist() == [0.0, 0.25, 0.5]


def test_events_of_tensorflow_1_with_the_names_of_matterport(tmp_path):
    with tf.Graph().as_default():  # its writer refuses to work outside of one
        writer = tf.compat.v1.summary.FileWriter(str(tmp_path / "shapes20200101T0000"))
        for epoch in range(3):
            for name in ("loss", *LOSSES, "val_loss", *(f"val_{name}" for name in LOSSES)):
                summary = tf.compat.v1.Summary()
                summary.value.add(tag=name, simple_value=0.5 - 0.125 * epoch + 2 * name.startswith("val"))
                writer.add_summary(summary, epoch)
        writer.close()
    history = History.read(tmp_path)
    assert history.epochs == (1, 2, 3)
    assert history.values("rpn_class_loss").tolist() == [0.5, 0.375, 0.25]
    assert history.values("val_mrcnn_mask_loss").tolist() == [2.5, 2.375, 2.25]


@pytest.mark.parametrize("update_freq", ["epoch", 1])
def test_the_callback_of_keras_whose_validation_also_counts_steps(tmp_path, update_freq):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    inputs = np.ones((8, 3), np.float32)
    callback = keras.callbacks.TensorBoard(str(tmp_path), update_freq=update_freq, write_graph=False)
    data = {"x": inputs, "y": inputs[:, 0], "batch_size": 2, "validation_data": (inputs, inputs[:, 0])}
    kept = model.fit(**data, epochs=3, verbose=0, callbacks=[callback]).history
    history = History.read(tmp_path)
    assert history.epochs == (1, 2, 3)  # 4, 8 and 12 are steps
    assert set(history.names) == {"loss", "val_loss", "learning_rate"}
    for name in ("loss", "val_loss"):
        assert history.values(name) == pytest.approx(kept[name], rel=1e-5)


def test_a_folder_of_several_runs_is_refused_rather_than_mixed(tmp_path):
    write_scalars(tmp_path / "first" / "train")
    write_scalars(tmp_path / "second" / "train", plus=1.0)
    with pytest.raises(ConfigError, match="one run"):
        History.read(tmp_path)
    assert History.read(tmp_path / "second").values("loss").tolist() == [3.0, 2.875, 2.75]
