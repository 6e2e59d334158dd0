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
        self.model = fold_frozen_norms(keras.Model(inputs, outputs, name="mask_rcnn_instances"))
        self.model.jit_compile = compiled
        # A network that is trained changes too often.
        trains = model.network.training_settings is not None
        self._constant = not trains and execution.takes_constant_weights(
            config.JIT_COMPILE, config.CONSTANT_WEIGHTS, self.model.weights
        )
        self._constant_models, self._weights_changed = {}, ChangesOf(self.model.weights)
        self._usual_size = None
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
            network, is_new = self._with_the_weights_of_now(inputs[0].shape[1:3])
            detections, masks = network(*map(keras.ops.convert_to_tensor, inputs))
            if is_new:
                give_back_memory()
        else:
            detections, masks = self.model.predict_on_batch(inputs)
        return np.asarray(detections), np.asarray(masks)

    def _with_the_weights_of_now(self, image_size):
        """The function with constant weights for such images, and whether it is a new one, as it is if the weights have
        changed since the last was made.

        There are two at the most: for the size of the first image, which all have in the mode "square" (unless their
        padding is cropped), and for all other sizes.
        """
        with self._making:
            if self._usual_size is None:
                self._usual_size = image_size
            known_size = image_size if image_size == self._usual_size else None
            if self._weights_changed():
                self._constant_models = {}
            is_new = known_size not in self._constant_models
            if is_new:
                self._constant_models[known_size] = execution.with_constant_weights(self.model, known_size)
            return self._constant_models[known_size], is_new
