"""What `detect` runs: the network of a `DetectionModel` without what it does not need to know the instances."""

import threading

import keras
import numpy as np

from mrcnn_plus import execution
from mrcnn_plus.inference.weight_changes import ChangesOf
from mrcnn_plus.memory import give_back_memory
from mrcnn_plus.network.folding import fold_frozen_norms


class Detector:
    """Molded images to detections and the mask of each one's class, by the layers and weights of a `DetectionModel`.

    Same answers, less work: frozen norms are folded into convolutions, the mask head runs on real detections where
    shapes may vary, and neither masks of other classes nor the RPN's answers leave the network. Weights are constants
    where that is faster; when they change, the next call notices and takes the new ones.
    """

    def __init__(self, model):
        config = model.settings
        compiled = execution.compiles(config.JIT_COMPILE)
        inputs, outputs = model.network.instance_graph(config, compiled=compiled)
        self._unfolded = keras.Model(inputs, outputs, name="mask_rcnn_instances")
        self.model = fold_frozen_norms(self._unfolded)
        self.model.jit_compile = compiled
        # A network that is trained changes too often.
        trains = model.network.training_settings is not None
        self._constant = not trains and execution.takes_constant_weights(
            config.JIT_COMPILE, config.CONSTANT_WEIGHTS, self.model.weights
        )
        self._constants_anyway = config.CONSTANT_WEIGHTS is True
        self._functions, self._weights_changed = {}, ChangesOf(self.model.weights)
        # Of the sizes that come first: all images have one in the mode "square", and of those with their padding
        # cropped most have one of three.
        self._own_sizes, self._most_own_sizes = set(), 3 if config.DETECTION_CROP_PADDING else 1
        self._making = threading.Lock()
        #: Whether a batch with fewer images than the last is better filled up, because it would be compiled anew.
        self.fills_batches = compiled

    def __call__(self, molded_images, image_metas, anchors):
        """molded_images `[B, H, W, channels]`, image_metas `[B, 12 + C]`, anchors `[B, A, 4]` normalized; float32.

        Returns detections float32 `[B, D, (y1, x1, y2, x2, class_id, score)]`, normalized, padded with zeros, and masks
        float32 `[B, n, 28, 28]` of at least the rows that hold a detection.
        """
        inputs = [np.asarray(values, np.float32) for values in (molded_images, image_metas, anchors)]
        if self._constant:
            compute, is_new = self._with_the_weights_of_now(inputs[0].shape[1:3])
            detections, masks = compute(*map(keras.ops.convert_to_tensor, inputs))
            if is_new:
                give_back_memory()
        else:
            detections, masks = self.model.predict_on_batch(inputs)
        return np.asarray(detections), np.asarray(masks)

    def _with_the_weights_of_now(self, image_size):
        """The function for such images, and whether it is a new one, as it is if the weights have changed since the
        last was made: one for each of the sizes that came first, one for all others."""
        with self._making:
            if self._weights_changed():
                self._functions = {}
            if len(self._own_sizes) < self._most_own_sizes:
                self._own_sizes.add(image_size)
            size = image_size if image_size in self._own_sizes else None
            is_new = size not in self._functions
            if is_new:
                self._functions[size] = self._function_for(size)
            return self._functions[size], is_new

    def _function_for(self, size):
        """With the weights as constants, or in variables where another graph with constants would not fit."""
        anyway = not self._functions or self._constants_anyway
        if anyway or execution.fit_in_memory(self.model.weights):
            return execution.with_constant_weights(self.model, size)
        model = fold_frozen_norms(self._unfolded)  # of its own, for other threads may be making constants of the first
        return lambda *inputs: model.predict_on_batch(list(inputs))
