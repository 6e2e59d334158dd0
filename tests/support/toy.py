"""A `MaskRCNN` whose Keras model is a toy: the same inputs, layer names and losses, but traced in a second.

For tests of what happens around the training steps: stages, optimizers, checkpoints, resuming, guarding.
"""

import os

import keras
from keras import layers, ops

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.training.loss_balancing import weighted_total
from mrcnn_plus.training.model import L2_NAME, TrainingModel, l2_penalty

from .tiny import Figures, TinyConfig, weights_of

#: A layer of each part of the network.
LAYERS = ("res2a_branch2a", "fpn_p2", "rpn_conv_shared", "mrcnn_class_logits", "mrcnn_mask")


class ToyConfig(TinyConfig):
    NAME = "toy"
    STEPS_PER_EPOCH = 3


class ToyModel(TrainingModel):
    """Says from the mean colours of an image how many objects of which class there are; five losses of that."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        wanted = ops.cast(ops.sum(x["input_gt_class_ids"], axis=1), "float32")
        error = ops.mean(ops.square(y_pred - wanted[:, None]), axis=0)
        parts = {name: error[row] for row, name in enumerate(LOSS_NAMES)}
        total = weighted_total(parts, self.loss_weights, self.log_variances if self.loss_balancing != "fixed" else None)
        parts[L2_NAME] = self.weight_decay * l2_penalty(self.trainable_weights) if self.weight_decay else ops.zeros(())
        for name, value in parts.items():
            self.trackers[name].update_state(value)
        return total + parts[L2_NAME]


def toy_model(config):
    """A chain of small layers with random dropout in between, so that random numbers matter."""
    inputs = {
        "input_image": layers.Input((64, 64, 3), name="input_image"),
        "input_image_meta": layers.Input((config.IMAGE_META_SIZE,), name="input_image_meta"),
        "input_gt_class_ids": layers.Input((config.MAX_GT_INSTANCES,), name="input_gt_class_ids", dtype="int32"),
        "input_gt_boxes": layers.Input((config.MAX_GT_INSTANCES, 4), name="input_gt_boxes"),
        "input_gt_masks": layers.Input((14, 14, config.MAX_GT_INSTANCES), name="input_gt_masks", dtype="bool"),
    }
    features = layers.AveragePooling2D(16)(inputs["input_image"] / 50.0)
    features = layers.Flatten()(features)
    for name in LAYERS[:3]:
        features = layers.Dense(6, activation="tanh", name=name)(features)
    features = layers.Dropout(0.3)(features)
    heads = [layers.Dense(3, name="mrcnn_class_logits")(features), layers.Dense(2, name="mrcnn_mask")(features)]
    return ToyModel(inputs, ops.concatenate(heads, axis=-1), name="toy")


class ToyMaskRCNN(MaskRCNN):
    def build(self, mode, config):
        keras.utils.set_random_seed(0)
        return toy_model(config)


def toy(folder, **settings):
    """A `ToyMaskRCNN` in a folder for logs, with settings by name."""
    config = ToyConfig()
    for name, value in settings.items():
        setattr(config, name, value)
    return ToyMaskRCNN("training", config, str(folder))


def train(model, epochs, *, learning_rate=0.01, layers="all", images=(2, 1, 3, 2, 1), val=(1, 2), **options):
    """One call of `train` without the linter."""
    datasets = Figures(list(images)), Figures(list(val)) if val else None
    model.train(*datasets, learning_rate=learning_rate, epochs=epochs, layers=layers, lint="off", **options)
    return model


def files_of(model):
    return sorted(name for name in os.listdir(model.log_dir) if "." in name)


def difference(first, second):
    """The largest difference between two models' weights."""
    first, second = weights_of(first.keras_model), weights_of(second.keras_model)
    return max(float(abs(first[name] - second[name]).max()) for name in first)
