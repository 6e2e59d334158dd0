"""ROI align: a feature map of fixed size for every box (Mask R-CNN, arXiv 1703.06870, section 3).

Each sample point is read with one gather from the flattened feature maps of all levels, so shapes are static, one ROI
touches one level only, and every backend compiles it.
"""

import math

import keras
from keras import ops

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network import box_ops, image_meta

METHODS = ("crop_and_resize", "exact")


@keras.saving.register_keras_serializable("mrcnn_plus")
class PyramidROIAlign(keras.layers.Layer):
    """Pooled features `[B, R, height, width, channels]` of boxes, each from the pyramid level that fits its size.

    Called with `[boxes [B, R, 4] normalized, image_meta [B, 12 + C], P2, P3, P4, P5]`.

    pool_shape: (height, width) of the result.
    method: 'crop_and_resize' spreads the samples from edge to edge of the box, one per cell (compat: PyramidROIAlign;
    weights trained with Matterport need it); 'exact' averages 2 x 2 bilinear samples in every cell without rounding or
    shift, as Detectron2 and torchvision's `roi_align(aligned=True, sampling_ratio=2)` do.
    """

    def __init__(self, pool_shape, *, method="crop_and_resize", **kwargs):
        super().__init__(**{"dtype": "float32", "autocast": False, **kwargs})
        if method not in METHODS:
            raise ConfigError(f"ROI_ALIGN: expected one of {METHODS}, received: ROI_ALIGN={method!r}.")
        self.pool_shape = tuple(int(size) for size in pool_shape)
        self.method = method

    def call(self, inputs):
        boxes, meta, *pyramid = inputs
        boxes = ops.stop_gradient(boxes)
        image_shape = image_meta.parse(meta).image_shape
        level = roi_level(boxes, image_shape, count=len(pyramid))
        table = FeatureTable(pyramid)
        if self.method == "exact":
            boxes_px = box_ops.denorm_boxes(boxes, image_shape[:, None])
            return exact_roi_align(table, level, boxes_px, image_shape, self.pool_shape)
        return crop_and_resize(table, level, boxes, self.pool_shape)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:2], *self.pool_shape, input_shape[2][-1])

    def get_config(self):
        return {**super().get_config(), "pool_shape": self.pool_shape, "method": self.method}


def roi_level(boxes, image_shape, *, count=4):
    """Index of the pyramid level (0 is P2) for each box: k = 4 + log2(sqrt(area) / 224), FPN equation 1.

    boxes `[B, R, 4]` normalized, image_shape `[B, (height, width, ...)]` pixels -> int32 `[B, R]`. 224 counts in
    pixels of an image of the same area, as in Matterport.
    """
    area = (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    side = ops.sqrt(ops.where(area > 1e-12, area, 1e-12))  # a diverging network's NaN must not become an index
    image_side = ops.sqrt(image_shape[:, 0:1] * image_shape[:, 1:2])
    level = 4.0 + ops.round(ops.log(side * image_side / 224.0) / math.log(2.0))
    return ops.cast(ops.clip(level - 2.0, 0.0, count - 1.0), "int32")


class FeatureTable:
    """The feature maps of several levels as one table of rows `[B * sum(h * w), channels]`, and where each begins."""

    def __init__(self, feature_maps):
        batch = ops.shape(feature_maps[0])[0]
        channels = feature_maps[0].shape[-1]
        self.sizes = [ops.shape(feature_map)[1:3] for feature_map in feature_maps]
        starts, rows = [], 0
        for height, width in self.sizes:
            starts.append(rows)
            rows = rows + height * width
        flat = [ops.reshape(feature_map, (batch, -1, channels)) for feature_map in feature_maps]
        flat = flat[0] if len(flat) == 1 else ops.concatenate(flat, axis=1)
        self.rows = ops.reshape(flat, (-1, channels))
        self.heights = _int_vector([height for height, _ in self.sizes])
        self.widths = _int_vector([width for _, width in self.sizes])
        self.starts = _int_vector(starts)
        self.first_row = ops.cast(ops.arange(batch), "int32")[:, None] * rows  # [B, 1]

    def look_up(self, level):
        """For levels `[B, R]`: first row, height and width of the feature map, each int32 `[B, R]`."""
        start = self.first_row + ops.take(self.starts, level)
        return start, ops.take(self.heights, level), ops.take(self.widths, level)


def _int_vector(values):
    return ops.stack([ops.cast(value, "int32") for value in values])


def crop_and_resize(table, level, boxes, pool_shape):
    """Sample each box on a grid from edge to edge, one point per cell. compat: tf.image.crop_and_resize.

    boxes `[B, R, 4]` normalized -> `[B, R, pool height, pool width, channels]`; points outside the map are 0.
    """
    start, height, width = table.look_up(level)
    ys = edge_to_edge(boxes[..., 0], boxes[..., 2], height, pool_shape[0])
    xs = edge_to_edge(boxes[..., 1], boxes[..., 3], width, pool_shape[1])
    return bilinear_samples(table.rows, ys, xs, start=start, height=height, width=width, column_step=1)


def edge_to_edge(low, high, size, count):
    """`count` positions in cells from `low` to `high` (normalized), both ends included, `[B, R, count]`."""
    last = ops.cast(size, "float32") - 1.0
    if count == 1:
        return (0.5 * (low + high) * last)[..., None]
    step = (high - low) * last / (count - 1)
    return _rounded(low * last)[..., None] + _rounded(step[..., None] * ops.arange(count, dtype="float32"))


def _rounded(product):
    """Keeps XLA from fusing a product with the addition that follows, which would skip its rounding.

    Boxes that were clipped to the image end exactly on the centre of the last pixel; on which side of it their last
    sample falls, and so whether it counts as outside, is decided by the last bit. It has to be the bit of
    `tf.image.crop_and_resize`, on every backend.
    """
    return ops.minimum(product, 1e30)


def exact_roi_align(table, level, boxes_px, image_shape, pool_shape, *, samples=2):
    """Mean of `samples` x `samples` points in every cell, in continuous coordinates where a pixel's centre is at +0.5.

    boxes_px `[B, R, 4]` in pixels of the molded image, image_shape `[B, (height, width, ...)]`.
    """
    start, height, width = table.look_up(level)
    image_height, image_width = image_shape[:, 0:1], image_shape[:, 1:2]
    ys = _cell_samples(boxes_px[..., 0], boxes_px[..., 2], height, image_height, pool_shape[0], samples)
    xs = _cell_samples(boxes_px[..., 1], boxes_px[..., 3], width, image_width, pool_shape[1], samples)
    ys, xs = (_keep_border(positions, size) for positions, size in ((ys, height), (xs, width)))
    values = bilinear_samples(table.rows, ys, xs, start=start, height=height, width=width, column_step=1)
    batch, rois = ops.shape(values)[:2]
    channels = values.shape[-1]
    values = ops.reshape(values, (batch, rois, pool_shape[0], samples, pool_shape[1], samples, channels))
    return ops.mean(values, axis=(3, 5))


def _cell_samples(low_px, high_px, size, image_size, cells, samples):
    """Positions in feature cells of `samples` points in each of `cells` cells, `[B, R, cells * samples]`."""
    cells_per_pixel = ops.cast(size, "float32") / image_size
    low, high = low_px * cells_per_pixel, high_px * cells_per_pixel
    offsets = (ops.arange(cells * samples, dtype="float32") + 0.5) / (cells * samples)
    return low[..., None] + (high - low)[..., None] * offsets - 0.5


def _keep_border(positions, size):
    """Samples less than a cell outside the map take its border value; farther ones stay outside and count as 0."""
    last = ops.cast(size, "float32")[..., None] - 1.0
    near = ops.logical_and(positions >= -1.0, positions <= last + 1.0)
    return ops.where(near, ops.clip(positions, 0.0, last), positions)


def bilinear_samples(rows, ys, xs, *, start, height, width, column_step):
    """Bilinear samples on a grid per box from a table of feature rows.

    rows: `[rows, channels]`; the cell (y, x) of a box's map lies in row `start + (y * width + x) * column_step`.
    ys `[B, R, h]`, xs `[B, R, w]`: positions in cells, 0 is the first cell. start, height, width: int32 `[B, R]`.
    Returns float32 `[B, R, h, w, channels]`; points outside `0 .. size - 1` are 0.
    """
    y_cells, y_weights = _neighbours(ys, height)  # [B, R, h, 2]
    x_cells, x_weights = _neighbours(xs, width)
    row = start[..., None, None, None, None] + column_step * (
        y_cells[:, :, :, None, :, None] * width[..., None, None, None, None] + x_cells[:, :, None, :, None, :]
    )  # [B, R, h, w, 2, 2]
    weight = y_weights[:, :, :, None, :, None] * x_weights[:, :, None, :, None, :]
    corners = ops.cast(ops.take(rows, row, axis=0), "float32")
    return ops.sum(corners * weight[..., None], axis=(4, 5))


def _neighbours(positions, size):
    """The two cells around each position and their weights, `[..., 2]`; both weights are 0 outside the map."""
    last = ops.cast(size, "float32")[..., None] - 1.0
    inside = ops.logical_and(positions >= 0.0, positions <= last)
    positions = ops.where(inside, positions, 0.0)
    low = ops.floor(positions)
    fraction = positions - low
    cells = ops.stack([low, ops.minimum(low + 1.0, last)], axis=-1)
    weights = ops.where(inside[..., None], ops.stack([1.0 - fraction, fraction], axis=-1), 0.0)
    return ops.cast(cells, "int32"), weights
