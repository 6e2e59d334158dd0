"""Training by `keras_model.fit_generator`, in the words of Matterport's `train`."""

import numpy as np

from ..support.tiny import Figures, FiveConvolutions, step_by_step

OWN_TRAIN = """
import multiprocessing
import os
import keras
from mrcnn_plus import model as modellib


class Own(modellib.MaskRCNN):
    def train(self, train_dataset, val_dataset, learning_rate, epochs, layers):
        train_generator = modellib.data_generator(
            train_dataset, self.config, shuffle=True, batch_size=self.config.BATCH_SIZE
        )
        val_generator = modellib.data_generator(
            val_dataset, self.config, shuffle=True, batch_size=self.config.BATCH_SIZE
        )
        if not os.path.exists(self.log_dir):
            os.makedirs(self.log_dir)
        callbacks = [
            keras.callbacks.TensorBoard(log_dir=self.log_dir, histogram_freq=0, write_graph=True, write_images=False),
            keras.callbacks.ModelCheckpoint(self.checkpoint_path, verbose=0, save_weights_only=True),
        ]
        self.set_trainable(r"(mrcnn\\_.*)|(rpn\\_.*)|(fpn\\_.*)")
        self.compile(learning_rate, self.config.LEARNING_MOMENTUM)
        self.keras_model.fit_generator(
            train_generator,
            initial_epoch=self.epoch,
            epochs=epochs,
            steps_per_epoch=self.config.STEPS_PER_EPOCH,
            callbacks=callbacks,
            validation_data=val_generator,
            validation_steps=1,
            max_queue_size=100,
            workers=multiprocessing.cpu_count(),
            use_multiprocessing=True,
        )
        self.epoch = max(self.epoch, epochs)


model = Own("training", config, folder)
model.train(data, data, learning_rate=0.001, epochs=1, layers="heads")
history = model.keras_model.history.history
losses = model.keras_model.evaluate_generator(
    modellib.data_generator(data, config, batch_size=config.BATCH_SIZE), steps=1, workers=1
)
"""


class OneStep(FiveConvolutions):
    STEPS_PER_EPOCH = 1
    IMAGES_PER_GPU = 1


def test_a_copy_of_matterports_train_trains_validates_and_writes_its_checkpoint(run_text, tmp_path):
    with step_by_step():
        found, used = run_text(OWN_TRAIN, config=OneStep(), data=Figures([2, 3]), folder=str(tmp_path))
    assert {"loss", "mrcnn_mask_loss", "val_loss", "val_mrcnn_mask_loss"} <= set(found["history"])
    assert np.isfinite(found["history"]["loss"]).all() and np.isfinite(found["losses"]).all()
    assert {"keras_model.fit_generator", "keras_model.evaluate_generator"} <= set(used)
    (checkpoint,) = tmp_path.rglob("*.h5")
    assert checkpoint.name == "mask_rcnn_tiny_0001.h5"
