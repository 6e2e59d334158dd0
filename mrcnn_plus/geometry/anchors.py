"""Anchors: the boxes that the region proposal network starts from (Faster R-CNN 3.1.1, FPN section 4.1).

Every level of the feature pyramid has one scale; at every position of its feature map stands one anchor for each ratio.
Anchors are in pixels of the resized, padded image, `(y1, x1, y2, x2)`, and may reach beyond its border.
"""

import functools

import numpy as np

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.geometry.boxes import norm_boxes

# Images of 1024 x 1024 have 262 thousand anchors, 12 MB in pixels and normalized.
_SHAPES_KEPT = 16


def feature_shapes(image_shape, strides):
    """Heights and widths of the feature maps of an image.

    image_shape: `(height, width, ...)` of the molded image in pixels; strides: pixels per feature cell, one a level.

    Returns an int array `[levels, (height, width)]`: image size over stride, rounded up.
    """
    size = np.array([image_shape[0], image_shape[1]])
    strides = np.asarray(strides).reshape(-1, 1)
    _require_positive("feature_shapes", strides=strides)
    return np.ceil(size / strides).astype(int)


def generate_anchors(scales, ratios, shape, feature_stride, anchor_stride):
    """Anchors of one feature map.

    scales: side length in pixels of the square anchor, a number or a list, e.g. 32.
    ratios: width / height. The area stays: height = scale / sqrt(ratio), width = scale * sqrt(ratio), so 0.5 gives
        anchors that are taller than wide.
    shape: `(height, width)` of the feature map; feature_stride: image pixels per feature cell.
    anchor_stride: 1 puts anchors on every cell, 2 on every second, and so on.

    Returns float64 `[anchors, (y1, x1, y2, x2)]` in pixels: by row, then column, then ratio, then scale. An anchor's
    center is the top left corner of its cell, `cell * feature_stride`.
    Raises `ConfigError` when a value is not above 0.
    """
    scales, ratios = np.ravel(scales), np.ravel(ratios)
    _require_positive(
        "generate_anchors", scales=scales, ratios=ratios, feature_stride=feature_stride, anchor_stride=anchor_stride
    )
    roots = np.sqrt(ratios)[:, np.newaxis]
    heights, widths = (scales / roots).ravel(), (scales * roots).ravel()
    centers_y = np.arange(0, shape[0], anchor_stride) * feature_stride
    centers_x = np.arange(0, shape[1], anchor_stride) * feature_stride

    anchors = np.empty((len(centers_y), len(centers_x), len(heights), 4))
    anchors[..., 0] = centers_y[:, np.newaxis, np.newaxis] - 0.5 * heights
    anchors[..., 1] = centers_x[:, np.newaxis] - 0.5 * widths
    anchors[..., 2] = centers_y[:, np.newaxis, np.newaxis] + 0.5 * heights
    anchors[..., 3] = centers_x[:, np.newaxis] + 0.5 * widths
    return anchors.reshape(-1, 4)


def generate_pyramid_anchors(scales, ratios, feature_shapes, feature_strides, anchor_stride):
    """Anchors of all levels of the feature pyramid.

    scales: one for each level, the finest first (`RPN_ANCHOR_SCALES`, in pixels of the resized image).
    ratios: width / height, used on every level; 0.5 is taller than wide.
    feature_shapes: `[levels, (height, width)]`; feature_strides: one for each level, in pixels.
    anchor_stride: 1 puts anchors on every cell of a feature map, 2 on every second, and so on.

    Returns float64 `[A, (y1, x1, y2, x2)]` in pixels, the levels one after the other.
    Raises `ConfigError` when the numbers of scales, shapes and strides differ. (With fewer scales than levels
    Matterport left levels out, and training failed later with an index out of range.)
    """
    if not 0 < len(scales) == len(feature_shapes) == len(feature_strides):
        raise ConfigError(
            "generate_pyramid_anchors: expected one anchor scale for each level of the feature pyramid, received "
            f"{len(scales)} scales={_plain(scales)} for {len(feature_shapes)} levels of shapes "
            f"{_plain(feature_shapes)} with {len(feature_strides)} strides={_plain(feature_strides)}. "
            "Give RPN_ANCHOR_SCALES as many values as BACKBONE_STRIDES."
        )
    levels = zip(scales, feature_shapes, feature_strides)
    return np.concatenate(
        [generate_anchors(scale, ratios, shape, stride, anchor_stride) for scale, shape, stride in levels]
    )


def _shapes_by_strides(strides):
    """`feature_shapes` for given strides, as a function of the image shape alone."""
    return lambda image_shape: feature_shapes(image_shape, strides)


class AnchorCache:
    """Anchors of whole images by shape; those of the shapes asked for last are kept.

    scales, ratios, anchor_stride: as `RPN_ANCHOR_...`; strides: `BACKBONE_STRIDES`; feature_shapes: a function
    `image_shape -> [levels, (h, w)]` for backbones of other geometry (`COMPUTE_BACKBONE_SHAPE`), or None.
    """

    def __init__(self, scales, ratios, strides, anchor_stride, *, feature_shapes=None):
        shapes_of = feature_shapes or _shapes_by_strides(strides)

        @functools.lru_cache(maxsize=_SHAPES_KEPT)
        def pixels(image_shape):
            return generate_pyramid_anchors(scales, ratios, shapes_of(image_shape), strides, anchor_stride)

        @functools.lru_cache(maxsize=_SHAPES_KEPT)
        def normalized(image_shape):
            return norm_boxes(pixels(image_shape), image_shape[:2]).astype(np.float32)

        self._pixels, self._normalized = pixels, normalized

    def pixels(self, image_shape):
        """`[A, (y1, x1, y2, x2)]` in pixels of an image `(height, width, ...)`."""
        return self._pixels(_plain_shape(image_shape))

    def normalized(self, image_shape):
        """The same, normalized, float32."""
        return self._normalized(_plain_shape(image_shape))


def _require_positive(place, **values):
    """Raise `ConfigError` unless each value holds numbers, all above 0."""
    for name, value in values.items():
        if np.size(value) == 0 or not np.all(np.asarray(value) > 0):
            raise ConfigError(
                f"{place}: expected {name} above 0, received {name}={_plain(value)}. "
                "Check RPN_ANCHOR_SCALES, RPN_ANCHOR_RATIOS, RPN_ANCHOR_STRIDE and BACKBONE_STRIDES."
            )


def _plain_shape(image_shape):
    return tuple(int(size) for size in image_shape)


def _plain(values):
    """A value as lists and numbers, which read better in a message than arrays."""
    return np.asarray(values).tolist() if not isinstance(values, (list, tuple)) else values
