"""`save_weights` and `load_weights` of the Keras models of both modes, as a mixin; it imports no Keras itself."""

import json
import os
import zipfile

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights import loading, matterport_h5
from mrcnn_plus.weights.file_format import as_path, detect_format


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
        filepath = as_path(filepath)
        if detect_format(filepath) != "matterport":
            if exclude:
                raise WeightsError(
                    f"Weights file {filepath!r} is in Keras' own format, which is loaded whole, received: "
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
        return json.loads(archive.read("config.json"))["class_name"] == "TrainingModel"
