"""Anchors made in the training graph, for the feature maps as they really are (arXiv 1612.03144, section 4.1)."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable("mrcnn_plus")
class PyramidAnchors(keras.layers.Layer):
    """The anchors of all pyramid levels, `[1, A, (y1, x1, y2, x2)]` in pixels of the molded image.

    Order and values are those of `geometry.anchors.generate_pyramid_anchors`: level by level, row by row, then by
    ratio. Called with the list of feature maps P2 .. P6, of which only the shapes are read, so images of any size work.

    scales: side of a square anchor in pixels, one per level. ratios: width / height. strides: pixels per feature cell,
    one per level. anchor_stride: anchors at every n-th feature cell.
    """

    def __init__(self, scales, ratios, strides, *, anchor_stride=1, **kwargs):
        super().__init__(**{"dtype": "float32", "trainable": False, **kwargs})
        self.scales = [float(scale) for scale in scales]
        self.ratios = [float(ratio) for ratio in ratios]
        self.strides = [int(stride) for stride in strides]
        self.anchor_stride = int(anchor_stride)

    def call(self, feature_maps):
        levels = [
            self._level_anchors(feature_map, scale, stride)
            for feature_map, scale, stride in zip(feature_maps, self.scales, self.strides, strict=True)
        ]
        return ops.concatenate(levels, axis=0)[None]

    def _level_anchors(self, feature_map, scale, stride):
        _, rows, columns, _ = ops.shape(feature_map)
        root = np.sqrt(self.ratios)
        half_sizes = 0.5 * np.stack([scale / root, scale * root], axis=-1)  # [ratios, (height, width)]
        corners = np.concatenate([-half_sizes, half_sizes], axis=-1).astype("float32")
        center_y = ops.cast(ops.arange(0, rows, self.anchor_stride) * stride, "float32")[:, None]
        center_x = ops.cast(ops.arange(0, columns, self.anchor_stride) * stride, "float32")[None, :]
        center_y, center_x = center_y + 0.0 * center_x, center_x + 0.0 * center_y
        centers = ops.stack([center_y, center_x, center_y, center_x], axis=-1)  # [rows, columns, 4]
        return ops.reshape(centers[:, :, None, :] + ops.convert_to_tensor(corners), (-1, 4))

    def compute_output_shape(self, input_shape):
        counts = [
            None if None in shape[1:3] else -(-shape[1] // self.anchor_stride) * -(-shape[2] // self.anchor_stride)
            for shape in input_shape
        ]
        return (1, None if None in counts else sum(counts) * len(self.ratios), 4)

    def get_config(self):
        return {
            **super().get_config(),
            "scales": self.scales,
            "ratios": self.ratios,
            "strides": self.strides,
            "anchor_stride": self.anchor_stride,
        }
