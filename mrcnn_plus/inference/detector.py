"""What `detect` runs: the network of a `DetectionModel` without what it does not need to know the instances."""

import keras
import numpy as np

from mrcnn_plus.execution import compiles
from mrcnn_plus.network.folding import fold_frozen_norms


class Detector:
    """Molded images to detections and the mask of each one's class, by the layers and weights of a `DetectionModel`.

    Same answers, less work: frozen norms are folded into convolutions, the mask head runs on real detections where
    shapes may vary, and neither masks of other classes nor the RPN's answers leave the network.
    """

    def __init__(self, model):
        settings = model.settings
        compiled = compiles(settings.JIT_COMPILE)
        inputs, outputs = model.network.instance_graph(settings, compiled=compiled)
        self.model = fold_frozen_norms(keras.Model(inputs, outputs, name="mask_rcnn_instances"))
        self.model.jit_compile = compiled

    def __call__(self, molded_images, image_metas, anchors):
        """molded_images `[B, H, W, channels]`, image_metas `[B, 12 + C]`, anchors `[B, A, 4]` normalized; float32.

        Returns detections float32 `[B, D, (y1, x1, y2, x2, class_id, score)]`, normalized, padded with zeros, and masks
        float32 `[B, n, 28, 28]` of at least the rows that hold a detection.
        """
        detections, masks = self.model.predict_on_batch([molded_images, image_metas, anchors])
        return np.asarray(detections), np.asarray(masks)
