"""ROI align: recorded answers of the original, and the exact method against a point by point version."""

import numpy as np
import pytest
from keras import ops

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network.roi_align import PyramidROIAlign, roi_level

pytestmark = pytest.mark.backend


def meta_of(image_shape, batch, classes=2):
    meta = np.zeros((batch, 12 + classes), "float32")
    meta[:, 4:7] = image_shape
    return meta


def slow_exact_align(feature_map, box_px, stride, pool, samples=2):
    """Every sample by itself, with pixel centres at +0.5, border values kept within one cell, 0 beyond."""
    height, width, channels = feature_map.shape
    result = np.zeros((pool, pool, channels))
    top, left, bottom, right = np.asarray(box_px) / stride
    for i in range(pool):
        for j in range(pool):
            for u in range(samples):
                for v in range(samples):
                    y = top + (i + (u + 0.5) / samples) * (bottom - top) / pool - 0.5
                    x = left + (j + (v + 0.5) / samples) * (right - left) / pool - 0.5
                    if not (-1 <= y <= height and -1 <= x <= width):
                        continue
                    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
                    y0, x0 = int(y), int(x)
                    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
                    fy, fx = y - y0, x - x0
                    value = (1 - fy) * ((1 - fx) * feature_map[y0, x0] + fx * feature_map[y0, x1])
                    value = value + fy * ((1 - fx) * feature_map[y1, x0] + fx * feature_map[y1, x1])
                    result[i, j] += value / samples**2
    return result


@pytest.mark.parametrize("pool", [7, 14])
def test_crop_and_resize_equals_the_recorded_answers(golden, pool):
    pyramid = [golden[f"roialign/P{level}"] for level in (2, 3, 4, 5)]
    pooled = PyramidROIAlign((pool, pool))([golden["roialign/boxes"], meta_of((256, 256, 3), 2), *pyramid])
    np.testing.assert_allclose(ops.convert_to_numpy(pooled), golden[f"roialign/{pool}"], rtol=1e-4, atol=1e-4)


def test_exact_align_equals_the_point_by_point_version():
    rng = np.random.default_rng(0)
    size, pool = 128, 7
    pyramid = [rng.normal(size=(2, size // s, size // s, 3)).astype("float32") for s in (4, 8, 16, 32)]
    boxes_px = np.array([[[3, 7, 40, 50], [-6, 100, 90, 140], [64, 64, 65, 66]], [[0, 0, 128, 128]] * 3], "float32")
    scale, shift = np.array([size - 1] * 4), np.array([0, 0, 1, 1])
    boxes = ((boxes_px - shift) / scale).astype("float32")
    meta = meta_of((size, size, 3), 2)
    level = ops.convert_to_numpy(roi_level(ops.convert_to_tensor(boxes), ops.convert_to_tensor(meta[:, 4:7])))
    pooled = ops.convert_to_numpy(PyramidROIAlign((pool, pool), method="exact")([boxes, meta, *pyramid]))
    for image in range(2):
        for roi in range(3):
            chosen = level[image, roi]
            expected = slow_exact_align(pyramid[chosen][image], boxes_px[image, roi], 4 * 2**chosen, pool)
            np.testing.assert_allclose(pooled[image, roi], expected, atol=1e-4)


def test_exact_align_of_a_ramp_is_the_centre_of_every_cell():
    """A map whose value is its own x gives back where each cell lies; drawn by hand: box 2 .. 6, cells of 2."""
    ramp = np.tile((np.arange(32, dtype="float32") + 0.5)[None, None, :, None], (1, 32, 1, 1))
    pyramid = [ramp, ramp[:, :16, :16], ramp[:, :8, :8], ramp[:, :4, :4]]
    box_px = np.array([[[8, 8, 24, 24]]], "float32")  # cells 2 .. 6 of a map of stride 4 in an image of 128
    box = (box_px - [0, 0, 1, 1]) / 127
    pooled = PyramidROIAlign((2, 2), method="exact")([box.astype("float32"), meta_of((128, 128, 3), 1), *pyramid])
    np.testing.assert_allclose(ops.convert_to_numpy(pooled)[0, 0, :, :, 0], [[3, 5], [3, 5]], atol=1e-5)


def test_roi_levels_follow_equation_1_of_the_fpn_paper():
    shape = np.array([[1024, 1024, 3]], "float32")
    sides = np.array([10, 80, 112, 224, 448, 1000]) / 1024
    boxes = np.array([[[0, 0, side, side] for side in sides]], "float32")
    # 224 pixels belong to P4, each factor 2 to the next level, both ends are kept.
    assert ops.convert_to_numpy(roi_level(ops.convert_to_tensor(boxes), shape)).tolist() == [[0, 1, 1, 2, 3, 3]]


def test_padding_rois_give_finite_features():
    pyramid = [np.ones((1, 64 // s, 64 // s, 2), "float32") for s in (4, 8, 16, 32)]
    pooled = PyramidROIAlign((7, 7))([np.zeros((1, 3, 4), "float32"), meta_of((64, 64, 3), 1), *pyramid])
    assert np.all(np.isfinite(ops.convert_to_numpy(pooled)))


def test_unknown_method_names_the_setting():
    with pytest.raises(ConfigError, match="ROI_ALIGN.*'nearest'"):
        PyramidROIAlign((7, 7), method="nearest")
