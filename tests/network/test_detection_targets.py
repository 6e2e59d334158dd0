"""Detection targets against a slow version in plain Python, the sampling rules, and its corner cases."""

import numpy as np
import pytest
from keras import ops

from mrcnn_plus.geometry.boxes import box_refinement, compute_overlaps
from mrcnn_plus.network.detection_targets import DetectionTargetLayer

backend = pytest.mark.backend  # some of the tests: each layer of other sizes costs JAX ten seconds

STD_DEV = np.array([0.1, 0.1, 0.2, 0.2])
SLOTS = 5


def random_boxes(rng, count, low=0.1, high=0.5):
    corner = rng.uniform(0, 1 - high, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(low, high, (count, 2))], axis=1).astype("float32")


def near(rng, boxes, count, jitter=0.02):
    return (boxes[rng.integers(0, len(boxes), count)] + rng.uniform(-jitter, jitter, (count, 4))).astype("float32")


def make_scene(seed, *, ids=(1, 2, 1), proposals=60, mask_size=14):
    """Proposals near objects and elsewhere, padding rows among them, and objects with masks of random blobs."""
    rng = np.random.default_rng(seed)
    gt_boxes, gt_ids = np.zeros((SLOTS, 4), "float32"), np.zeros(SLOTS, "int32")
    gt_boxes[: len(ids)], gt_ids[: len(ids)] = random_boxes(rng, len(ids), low=0.2), ids
    blobs = rng.random((mask_size // 2, mask_size // 2, SLOTS)) > 0.4
    gt_masks = np.kron(blobs, np.ones((2, 2, 1), bool)).astype(bool)
    gt_masks[..., len(ids) :] = False
    close = proposals // 3
    rows = np.concatenate([near(rng, gt_boxes[: len(ids)], close), random_boxes(rng, proposals - close)])
    rows = np.concatenate([rows, np.zeros((6, 4), "float32")])
    return rng.permutation(rows), gt_ids, gt_boxes, gt_masks


def run(layer, *scenes):
    """The targets of several scenes as one batch, NumPy arrays."""
    arrays = [np.stack(parts) for parts in zip(*scenes, strict=True)]
    return [ops.convert_to_numpy(target) for target in layer(arrays)]


def slow_targets(proposals, gt_ids, gt_boxes, gt_masks, *, mini, mask_shape):
    """Every proposal by itself: {index: (class id, deltas, mask)} of the positive ones and the set of negative ones."""
    positive, negative = {}, set()
    is_object = np.flatnonzero(gt_ids > 0)
    crowds = gt_boxes[gt_ids < 0]
    for index, roi in enumerate(proposals):
        if not roi.any():
            continue
        overlaps = compute_overlaps(roi[None], gt_boxes[is_object])[0] if len(is_object) else np.zeros(1)
        if overlaps.max() >= 0.5:
            best = is_object[overlaps.argmax()]
            deltas = box_refinement(roi[None], gt_boxes[best][None])[0] / STD_DEV
            box = in_frame_of(roi, gt_boxes[best]) if mini else roi
            positive[index] = gt_ids[best], deltas, slow_crop(gt_masks[..., best], box, mask_shape)
        elif not len(crowds) or compute_overlaps(roi[None], crowds).max() < 0.001:
            negative.add(index)
    return positive, negative


def in_frame_of(roi, box):
    """The ROI in coordinates in which the box goes from 0 to 1."""
    height, width = box[2] - box[0], box[3] - box[1]
    return (roi - [box[0], box[1], box[0], box[1]]) / [height, width, height, width]


def slow_crop(mask, box, shape):
    """Bilinear samples from edge to edge of a normalized box, 0 outside, before rounding."""
    height, width = mask.shape
    out = np.zeros(shape)
    for i in range(shape[0]):
        for j in range(shape[1]):
            y = (box[0] + (box[2] - box[0]) * i / (shape[0] - 1)) * (height - 1)
            x = (box[1] + (box[3] - box[1]) * j / (shape[1] - 1)) * (width - 1)
            if not (0 <= y <= height - 1 and 0 <= x <= width - 1):
                continue
            y0, x0 = int(y), int(x)
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            fy, fx = y - y0, x - x0
            top = (1 - fx) * mask[y0, x0] + fx * mask[y0, x1]
            bottom = (1 - fx) * mask[y1, x0] + fx * mask[y1, x1]
            out[i, j] = (1 - fy) * top + fy * bottom
    return out


def index_of(roi, proposals):
    return int(np.flatnonzero(np.all(proposals == roi, axis=1))[0])


@backend
@pytest.mark.slow_on_jax
@pytest.mark.parametrize(("mini", "mask_size"), [(True, 14), (False, 32)])
@pytest.mark.parametrize("ids", [(1, 2, 1), (2, -1, 1)], ids=["objects", "with a crowd"])
def test_with_room_for_all_every_proposal_gets_the_targets_of_the_slow_version(mini, mask_size, ids):
    """A ratio of 0.1 leaves room for nine negatives to each positive, so nothing is sampled away."""
    mask_shape = (10, 12)
    scenes = [make_scene(seed, ids=ids, mask_size=mask_size) for seed in (1, 2)]
    layer = DetectionTargetLayer(400, 0.1, mask_shape=mask_shape, bbox_std_dev=STD_DEV, use_mini_mask=mini, seed=0)
    targets = run(layer, *scenes)
    assert targets[3].shape == (2, 40, *mask_shape)
    for image, scene in enumerate(scenes):
        proposals = scene[0]
        positive, negative = slow_targets(*scene, mini=mini, mask_shape=mask_shape)
        rois, class_ids, deltas, masks = (target[image] for target in targets)
        assert len(positive) >= 5 and len(negative) >= 5, "the scene holds both kinds"
        for row in range(len(positive)):
            index = index_of(rois[row], proposals)
            class_id, expected_deltas, expected_mask = positive.pop(index)
            assert class_ids[row] == class_id
            np.testing.assert_allclose(deltas[row], expected_deltas, rtol=1e-3, atol=1e-4)
            undecided = np.abs(expected_mask - 0.5) < 1e-3  # rounding may go either way
            np.testing.assert_array_equal(masks[row][~undecided], np.round(expected_mask)[~undecided])
        first_padding = int(np.flatnonzero(~rois.any(axis=1))[0])
        rest = slice(int((class_ids > 0).sum()), None)
        assert (
            not positive and {index_of(roi, proposals) for roi in rois[rest][: first_padding - rest.start]} == negative
        )
        assert not rois[first_padding:].any() and not class_ids[rest].any()
        assert not deltas[rest].any() and not masks[rest].any()


def test_at_most_the_ratio_is_positive_and_negatives_are_in_proportion():
    scene = make_scene(3, proposals=60)
    positive, negative = slow_targets(*scene, mini=True, mask_shape=(28, 28))
    assert len(positive) > 4 and len(negative) > 8
    layer = DetectionTargetLayer(12, 0.33, seed=0)
    rois, class_ids, _, masks = run(layer, scene)
    assert layer.max_positives == 3 and masks.shape == (1, 3, 28, 28)
    # compat: detection_targets_graph. Negatives are int(3 / 0.33) - 3 = 6, so the sample is not quite full.
    assert (class_ids[0] > 0).tolist() == [True] * 3 + [False] * 9
    assert rois[0].any(axis=1).tolist() == [True] * 9 + [False] * 3
    chosen = [index_of(roi, scene[0]) for roi in rois[0, :9]]
    assert set(chosen[:3]) <= set(positive) and set(chosen[3:]) <= negative
    assert len(set(chosen)) == 9, "no proposal twice"


def test_another_draw_takes_other_proposals():
    layer = DetectionTargetLayer(12, 0.33, seed=0)
    scene = make_scene(3, proposals=60)
    first, second = (run(layer, scene)[0] for _ in range(2))
    assert not np.array_equal(first, second)


@backend
@pytest.mark.slow_on_jax
@pytest.mark.parametrize("ids", [(), (-1, -2)], ids=["no object", "crowds only"])
def test_without_a_positive_proposal_the_negatives_are_still_drawn(ids):
    """The original gives no ROI at all then, and the class head learns nothing from the image."""
    proposals, *_ = make_scene(4, proposals=60)
    _, gt_ids, gt_boxes, gt_masks = make_scene(4)
    gt_boxes = gt_boxes * 0.1  # small, in the corner: no proposal overlaps a crowd there
    gt_ids[:] = 0
    gt_ids[: len(ids)] = ids
    scene = proposals, gt_ids, gt_boxes, gt_masks
    rois, class_ids, deltas, masks = run(DetectionTargetLayer(12, 0.33, seed=0), scene)
    assert rois[0].any(axis=1).sum() == 12 - 3
    assert not class_ids.any() and not deltas.any() and not masks.any()


def test_proposals_on_a_crowd_are_neither_positive_nor_negative():
    crowd = np.array([0.2, 0.2, 0.6, 0.6], "float32")
    proposals = np.stack([crowd, [0.25, 0.2, 0.6, 0.7], [0.7, 0.7, 0.9, 0.9]]).astype("float32")
    gt_boxes, gt_ids = np.zeros((SLOTS, 4), "float32"), np.zeros(SLOTS, "int32")
    gt_boxes[0], gt_ids[0] = crowd, -1
    rois, class_ids, _, _ = run(
        DetectionTargetLayer(4, 0.5, seed=0), (proposals, gt_ids, gt_boxes, np.ones((14, 14, SLOTS), bool))
    )
    np.testing.assert_array_equal(rois[0], np.concatenate([proposals[2:], np.zeros((3, 4))]))
    assert not class_ids.any()


@backend
@pytest.mark.slow_on_jax
def test_an_object_of_one_pixel_gives_finite_targets():
    box = np.array([0.5, 0.5, 0.5 + 1 / 63, 0.5 + 1 / 63], "float32")
    gt_boxes, gt_ids = np.zeros((SLOTS, 4), "float32"), np.zeros(SLOTS, "int32")
    gt_boxes[0], gt_ids[0] = box, 2
    flat = np.array([0.5, 0.5, 0.5, 0.6], "float32")  # a proposal without height
    proposals = np.stack([box, flat, box + np.float32(0.001), [0, 0, 1, 1]]).astype("float32")
    targets = run(DetectionTargetLayer(6, 0.5, seed=0), (proposals, gt_ids, gt_boxes, np.ones((14, 14, SLOTS), bool)))
    assert all(np.isfinite(target).all() for target in targets)
    assert targets[1][0].max() == 2


def test_fewer_proposals_than_the_sample_needs_are_padded():
    scene = make_scene(5, proposals=8)
    rois, class_ids, deltas, masks = run(DetectionTargetLayer(200, 0.33, seed=0), scene)
    assert rois.shape == (1, 200, 4) and class_ids.shape == (1, 200) and deltas.shape == (1, 200, 4)
    assert masks.shape == (1, 66, 28, 28)
    positive, _ = slow_targets(*scene, mini=True, mask_shape=(28, 28))
    assert (class_ids > 0).sum() == len(positive) > 0
