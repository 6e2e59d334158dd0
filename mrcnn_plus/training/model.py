"""The Keras models of the two modes: what `keras_model` is, with the loss, its parts, and Matterport's weights files.

The total loss is the weighted sum of the five losses plus L2. It is computed in `compute_loss`, so nothing adds up when
`compile` or `train` are called again (Matterport's `add_loss` on a functional model does not exist in Keras 3).
"""

import json
import os
import zipfile

import keras
from keras import ops

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.network import box_ops, image_meta, losses
from mrcnn_plus.weights import loading, matterport_h5
from mrcnn_plus.weights.file_format import detect_format

L2_NAME = "l2_loss"


class MatterportWeightsMixin:
    """`save_weights` and `load_weights` in Matterport's HDF5 layout for `*.h5`, and in Keras' own formats."""

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """Write the weights: Matterport's layout for `name.h5`, Keras' formats for `name.weights.h5`."""
        name = os.fspath(filepath)
        if name.endswith(".weights.h5") or not name.endswith((".h5", ".hdf5")):
            return super(MatterportWeightsMixin, self._in_keras_order()).save_weights(filepath, overwrite, **kwargs)
        return matterport_h5.write_weights(self, filepath)

    def load_weights(self, filepath, by_name=False, skip_mismatch=False, exclude=(), **kwargs):
        """Read weights of any of these kinds; returns a `weights.report.LoadReport` for Matterport's layout.

        Keras' own formats are loaded whole, or not at all with Keras' error; they return None.

        by_name: load what the file has; without it the file must hold all weights of the model. skip_mismatch: leave
        layers of another shape as they are, instead of a WeightsError. exclude: names of layers to leave as they are.
        """
        if detect_format(filepath) != "matterport":
            if exclude:
                raise WeightsError(
                    f"Weights file {os.fspath(filepath)!r} is in Keras' own format, which is loaded whole, received: "
                    f"exclude={exclude!r}. Leave `exclude` out, or use a file in Matterport's layout (name.h5)."
                )
            model = self if _is_training_model(filepath) else self._in_keras_order()
            return super(MatterportWeightsMixin, model).load_weights(filepath, **kwargs)
        on_mismatch = "keep" if skip_mismatch else "error"
        return loading.load_weights(self, filepath, by_name=by_name, exclude=exclude, on_mismatch=on_mismatch)

    def _in_keras_order(self):
        """The model whose layer order Keras' own formats follow, because Keras pairs layers by their position.

        It is the detection model, also for training, so that such a file serves both modes.
        """
        return self if self.detection_twin is None else self.detection_twin()

    #: For a training model a function that returns the detection model of the same layers.
    detection_twin = None


def _is_training_model(filepath):
    """Whether a file is a whole `TrainingModel`, as `model.save("name.keras")` writes it: it has that layer order."""
    if not zipfile.is_zipfile(filepath):
        return False
    with zipfile.ZipFile(filepath) as archive:
        return json.loads(archive.read("config.json"))["class_name"] == TrainingModel.__name__


@keras.saving.register_keras_serializable("mrcnn_plus")
class DetectionModel(MatterportWeightsMixin, keras.Model):
    """Image, meta and anchors to detections, masks and the intermediate results; see `Network.detection_graph`."""


@keras.saving.register_keras_serializable("mrcnn_plus")
class TrainingModel(MatterportWeightsMixin, keras.Model):
    """Ground truth and image to predictions and targets (`Network.training_graph`), and the loss between them.

    loss_weights: factor of each loss in the total, by name; a name that is missing counts 1.
    weight_decay: factor of the L2 term, the sum over kernels and biases of mean(w ** 2).

    Reported per step and epoch: `loss`, the five losses as they are before weighting, and `l2_loss`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_weights = {}
        self.weight_decay = 0.0
        self.trackers = {name: keras.metrics.Mean(name=name) for name in (*losses.LOSS_NAMES, L2_NAME)}

    def get_config(self):
        settings = {"loss_weights": dict(self.loss_weights), "weight_decay": self.weight_decay}
        return {**super().get_config(), **settings}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        graph = {name: value for name, value in config.items() if name not in ("loss_weights", "weight_decay")}
        model = super().from_config(graph, custom_objects=custom_objects)
        model.loss_weights, model.weight_decay = config.get("loss_weights", {}), config.get("weight_decay", 0.0)
        return model

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        meta = image_meta.parse(x["input_image_meta"])
        parts = compute_losses(y_pred, active_class_ids=meta.active_class_ids)
        total = sum(self.loss_weights.get(name, 1.0) * value for name, value in parts.items())
        parts[L2_NAME] = self.weight_decay * l2_penalty(self.trainable_weights) if self.weight_decay else ops.zeros(())
        images = ops.shape(x["input_image"])[0]
        for name, value in parts.items():
            self.trackers[name].update_state(value, sample_weight=ops.cast(images, "float32"))
        return total + parts[L2_NAME]


def compute_losses(outputs, *, active_class_ids):
    """The five losses by name, unweighted, from the outputs of the training graph."""
    indices, labels = outputs["target_anchor_indices"], outputs["target_anchor_labels"]
    class_ids = outputs["target_class_ids"]
    with_mask = class_ids[:, : outputs["target_mask"].shape[1]]
    return {
        "rpn_class_loss": losses.rpn_class_loss(labels, box_ops.gather_rows(outputs["rpn_class_logits"], indices)),
        "rpn_bbox_loss": losses.rpn_bbox_loss(
            labels, outputs["target_rpn_bbox"], box_ops.gather_rows(outputs["rpn_bbox"], indices)
        ),
        "mrcnn_class_loss": losses.mrcnn_class_loss(class_ids, outputs["mrcnn_class_logits"], active_class_ids),
        "mrcnn_bbox_loss": losses.mrcnn_bbox_loss(outputs["target_bbox"], class_ids, outputs["mrcnn_bbox"]),
        "mrcnn_mask_loss": losses.mrcnn_mask_loss(outputs["target_mask"], with_mask, outputs["mrcnn_mask"]),
    }


def l2_penalty(variables):
    """Sum over the variables of the mean of their squares, leaving out the `gamma` and `beta` of normalization.

    compat: MaskRCNN.compile, which divides the penalty of each tensor by its size.
    """
    penalized = [variable for variable in variables if not any(part in variable.name for part in ("gamma", "beta"))]
    return sum((ops.mean(ops.square(ops.cast(variable, "float32"))) for variable in penalized), ops.zeros(()))
