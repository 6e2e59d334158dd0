"""Proposals and detections against recorded answers of the original, and their corner cases."""

import keras
import numpy as np
import pytest
from keras import ops

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network.detections import DetectionLayer
from mrcnn_plus.network.occupied_rows import OccupiedRows
from mrcnn_plus.network.proposals import ProposalLayer

pytestmark = pytest.mark.backend


def probabilities(foreground):
    return np.stack([1 - foreground, foreground], axis=-1).astype("float32")


def test_proposals_equal_the_recorded_answer(golden):
    layer = ProposalLayer(200, 0.7, pre_nms_limit=1000)
    inputs = [probabilities(golden["proposal/probs"]), golden["proposal/deltas"], golden["proposal/anchors"][None]]
    np.testing.assert_allclose(ops.convert_to_numpy(layer(inputs)), golden["proposal/out"], rtol=1e-4, atol=1e-6)


def test_fewer_anchors_than_the_limit_are_padded_with_zeros(golden):
    layer = ProposalLayer(50, 0.7, pre_nms_limit=6000)
    few = slice(None), slice(20)
    inputs = [
        probabilities(golden["proposal/probs"][few]),
        golden["proposal/deltas"][few],
        golden["proposal/anchors"][None, :20],
    ]
    proposals = ops.convert_to_numpy(layer(inputs))
    kept = np.any(proposals != 0, axis=-1).sum(axis=1)
    assert np.all(kept > 0) and np.all(kept <= 20)
    assert proposals.shape == (2, 50, 4)


def test_steps_end_in_the_proposals(golden):
    layer = ProposalLayer(30, 0.7, pre_nms_limit=100)
    inputs = [probabilities(golden["proposal/probs"]), golden["proposal/deltas"], golden["proposal/anchors"][None]]
    steps = {name: ops.convert_to_numpy(value) for name, value in layer.steps(inputs).items()}
    rows = steps["rpn_non_max_suppression"][0]
    np.testing.assert_allclose(steps["refined_anchors_clipped"][0, rows], steps["proposals"][0], atol=1e-6)
    assert steps["pre_nms_anchors"].shape == (2, 100, 4)


def proposals_of(boxes_px, image_shape, **settings):
    """Proposals in pixels from anchors that stay where they are; scores fall from the first to the last."""
    boxes_px = np.asarray(boxes_px, "float32")
    scale = np.array([*image_shape, *image_shape], "float32") - 1
    anchors = (boxes_px - [0, 0, 1, 1]) / scale
    foreground = np.linspace(0.9, 0.5, len(boxes_px))[None]
    meta = np.zeros((1, 12 + 2), "float32")
    meta[0, 4:7] = [*image_shape, 3]
    layer = ProposalLayer(len(boxes_px), 0.7, pre_nms_limit=len(boxes_px), **settings)
    inputs = [probabilities(foreground), np.zeros((1, len(boxes_px), 4), "float32"), anchors[None].astype("float32")]
    found = ops.convert_to_numpy(layer([*inputs, meta]))[0]
    return np.round(found[np.any(found != 0, axis=1)] * scale + [0, 0, 1, 1]).astype(int).tolist()


def test_proposals_below_the_least_size_in_pixels_are_left_out():
    """Of an image of 256 x 512: height and width both count, the limit itself stays, what leaves the image is cut."""
    exact, low, narrow, large = [10, 10, 30, 30], [50, 50, 69, 90], [100, 100, 140, 119], [100, 200, 200, 400]
    cut = [150, -20, 180, 10]
    boxes = [exact, low, narrow, large, cut]
    assert proposals_of(boxes, (256, 512), min_size=20) == [exact, large]
    assert len(proposals_of(boxes, (256, 512))) == 5
    assert proposals_of(boxes, (256, 512), min_size=300) == []


@pytest.mark.parametrize("size", [4, 7, 20, 33, 100])
@pytest.mark.parametrize("image_shape", [(64, 64), (256, 512), (1024, 1024), (1344, 800)])
def test_rounding_does_not_lose_a_proposal_of_exactly_the_least_size(size, image_shape):
    if size < min(image_shape):
        boxes = [[start, start, start + size, start + size] for start in range(0, min(image_shape) - size, size)]
        assert len(proposals_of(boxes, image_shape, min_size=size)) == len(boxes)


def test_a_least_size_without_the_image_meta_is_an_error(golden):
    layer = ProposalLayer(30, 0.7, min_size=16)
    inputs = [probabilities(golden["proposal/probs"]), golden["proposal/deltas"], golden["proposal/anchors"][None]]
    with pytest.raises(ConfigError, match=r"min_size=16.*image_meta.*received 3"):
        layer.call(inputs)


def detect(golden, **settings):
    layer = DetectionLayer(40, **{"min_confidence": 0.3, "nms_threshold": 0.3, **settings})
    arrays = [golden[f"detect/{name}"][None] for name in ("rois", "probs", "deltas", "window")]
    return ops.convert_to_numpy(layer.refine(*(ops.convert_to_tensor(array) for array in arrays)))[0]


def test_detections_equal_the_recorded_answer(golden):
    np.testing.assert_allclose(detect(golden), golden["detect/out"], rtol=1e-4, atol=1e-6)


def test_a_confidence_that_nothing_reaches_gives_zeros_only(golden):
    assert not np.any(detect(golden, min_confidence=0.9999999))


def test_padding_rois_are_never_detected(golden):
    """The original lets rows of zeros through when their class is not background."""
    rois = np.zeros((1, 5, 4), "float32")
    scores = np.tile(np.array([0.0, 1.0], "float32"), (1, 5, 1))
    window = np.array([[0, 0, 1, 1]], "float32")
    arrays = [rois, scores, np.zeros((1, 5, 2, 4), "float32"), window]
    detections = DetectionLayer(3, min_confidence=0).refine(*(ops.convert_to_tensor(array) for array in arrays))
    assert not np.any(ops.convert_to_numpy(detections))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX compiles always, and keeps all rows")
@pytest.mark.parametrize(("found", "rows"), [((0, 0), 4), ((1, 3), 4), ((5, 2), 8), ((10, 0), 10)])
def test_rows_that_are_padding_in_all_images_are_left_out(found, rows):
    detections = np.zeros((2, 10, 6), "float32")
    for image, count in enumerate(found):
        detections[image, :count, 4:] = 1.0
    (left,) = OccupiedRows()([ops.convert_to_tensor(detections[..., 4]), ops.convert_to_tensor(detections)])
    left = ops.convert_to_numpy(left)
    np.testing.assert_array_equal(left, detections[:, :rows])


def test_longer_tensors_are_cut_to_the_rows_that_class_ids_have():
    class_ids, boxes = np.ones((2, 4), "int32"), np.ones((2, 9, 4), "float32")
    (left,) = OccupiedRows(step=3)([ops.convert_to_tensor(class_ids), ops.convert_to_tensor(boxes)])
    assert tuple(left.shape) == (2, 4, 4)
