"""The whole network with recorded weights on two photographs, against what the original answered.

`tests/support/make_weights.py` writes the weights file from a seed; the answers are in `golden/model_resnet50_256.npz`.
"""

import json

import numpy as np
import pytest
import skimage.data

from mrcnn_plus import execution
from mrcnn_plus.config import Config
from mrcnn_plus.geometry.boxes import compute_overlaps
from mrcnn_plus.mask_rcnn import MaskRCNN

from ..support import make_weights

pytestmark = [pytest.mark.backend, pytest.mark.slow_on_jax]


class RecordedConfig(Config):
    NAME = "recorded"
    BACKBONE = "resnet50"
    NUM_CLASSES = 5
    IMAGES_PER_GPU = 1
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 256
    RPN_ANCHOR_SCALES = (16, 32, 64, 128, 256)
    DETECTION_MIN_CONFIDENCE = 0.0
    DETECTION_MAX_INSTANCES = 100
    DETECTION_NMS_THRESHOLD = 0.3


@pytest.fixture(scope="module")
def model(golden_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded")
    layout = json.loads((golden_dir / "layout_resnet50_5classes.json").read_text())
    make_weights.write(layout, folder / "weights.h5", seed=0)
    model = MaskRCNN(mode="inference", config=RecordedConfig(), model_dir=str(folder))
    report = model.load_weights(str(folder / "weights.h5"), by_name=True)
    assert not report.initial and not report.skipped
    return model


@pytest.fixture(scope="module")
def recorded(golden_dir):
    """A function of an image's name: the recorded answers for that image."""
    with np.load(golden_dir / "model_resnet50_256.npz") as file:
        arrays = {name: file[name] for name in file.files}
    return lambda image: {name.split("/")[1]: array for name, array in arrays.items() if name.startswith(f"{image}/")}


@pytest.fixture(scope="module")
def results(model):
    """What `detect` answers for both photographs, detected in one call though their sizes differ.

    With weights in variables: constant ones are compared with these below.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "takes_constant_weights", lambda *settings: False)
        found = model.detect([skimage.data.astronaut(), skimage.data.coffee()])
    model.detection_model._detector = None
    return dict(zip(("astronaut", "coffee"), found, strict=True))


@pytest.fixture(scope="module")
def molded(model):
    """Molded image, image meta and window of the astronaut."""
    return [part[0] for part in model.mold_inputs([skimage.data.astronaut()])]


@pytest.fixture(scope="module")
def outputs(model, molded):
    """The seven outputs of the Keras model for the astronaut."""
    image, meta, _ = molded
    inputs = [image[None], meta[None].astype("float32"), model.get_anchors(image.shape)[None]]
    return [np.asarray(output)[0] for output in model.keras_model.predict_on_batch(inputs)]


def partner_in(others, boxes, class_ids, scores):
    """For each detection whether `others` (boxes, class ids, scores) hold it too, and which row that is."""
    other_boxes, other_ids, other_scores = others
    overlaps = compute_overlaps(boxes.astype(float), other_boxes.astype(float))
    same = (class_ids[:, None] == other_ids) & (np.abs(scores[:, None] - other_scores) < 0.002)
    overlaps = np.where(same, overlaps, 0)
    return overlaps.max(axis=1) > 0.97, overlaps.argmax(axis=1)


@pytest.mark.parametrize("image", ["astronaut", "coffee"])
def test_detections_are_the_recorded_ones_and_no_others(results, recorded, image):
    expected, found = recorded(image), results[image]
    recorded_detections = [expected[f"detect_{name}"] for name in ("rois", "class_ids", "scores")]
    detections = [found[name] for name in ("rois", "class_ids", "scores")]
    assert len(expected["detect_rois"]) == 100
    assert partner_in(detections, *recorded_detections)[0].mean() >= 0.99
    assert partner_in(recorded_detections, *detections)[0].mean() >= 0.99
    assert [array.dtype for array in detections] == [np.int32, np.int32, np.float32]


def test_constant_weights_differ_by_rounding_alone(model, results):
    """Random weights bring overlaps that equal the threshold of NMS to the sixth digit: rounding decides on a few."""
    (found,) = model.detect([skimage.data.astronaut()])
    constant, variable = (
        [of[name] for name in ("rois", "class_ids", "scores")] for of in (found, results["astronaut"])
    )
    same, row = partner_in(variable, *constant)
    assert same.mean() >= 0.98
    np.testing.assert_allclose(constant[2][same], variable[2][row[same]], atol=1e-4)


@pytest.mark.parametrize("image", ["astronaut", "coffee"])
def test_masks_are_the_recorded_ones_at_the_size_of_the_image(results, recorded, image):
    expected, found = recorded(image), results[image]
    height, width = expected["image_shape"][:2]
    assert found["masks"].shape == (height, width, len(found["rois"])) and found["masks"].dtype == bool
    packed = expected["detect_masks_first5_packed"]
    first_five = np.unpackbits(packed)[: height * width * 5].reshape(height, width, 5).astype(bool)
    detections = [found[name] for name in ("rois", "class_ids", "scores")]
    same, row = partner_in(detections, *(expected[f"detect_{name}"] for name in ("rois", "class_ids", "scores")))
    for number in range(5):
        mask = found["masks"][..., row[number]]
        union = (mask | first_five[..., number]).sum()
        assert (mask & first_five[..., number]).sum() / union > 0.97
    areas, recorded_areas = found["masks"].sum(axis=(0, 1))[row[same]], expected["detect_mask_area"][same]
    close = np.abs(areas - recorded_areas) <= np.maximum(0.03 * recorded_areas, 3)
    assert close.mean() >= 0.99


def test_the_image_is_molded_as_recorded(molded, recorded):
    image, meta, window = molded
    expected = recorded("astronaut")
    np.testing.assert_allclose(image.sum(dtype=float), expected["molded_image_sum"], rtol=1e-4)
    np.testing.assert_allclose(image[40:48, 60:68], expected["molded_patch"], atol=1)
    np.testing.assert_allclose(meta, expected["image_meta"], rtol=1e-6)
    np.testing.assert_array_equal(window, expected["window"])


def test_anchors_are_the_recorded_ones(model, molded, recorded):
    expected = recorded("astronaut")
    anchors = model.get_anchors(molded[0].shape)
    assert anchors.shape == tuple(expected["anchors_shape"])
    np.testing.assert_allclose(anchors[:30], expected["anchors_head"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(anchors[-30:], expected["anchors_tail"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(anchors.sum(axis=0, dtype=float), expected["anchors_sum"], rtol=1e-4)


def test_the_rpn_answers_as_recorded(outputs, recorded):
    *_, rpn_class, rpn_bbox = outputs
    expected = recorded("astronaut")
    step = len(rpn_class) // 400
    np.testing.assert_allclose(rpn_class.sum(axis=0, dtype=float), expected["rpn_class_sum"], rtol=1e-4)
    np.testing.assert_allclose(rpn_class[::step], expected["rpn_class_some"], atol=1e-4)
    np.testing.assert_allclose(rpn_bbox[::step], expected["rpn_bbox_some"], atol=1e-3)


def test_proposals_and_classes_are_the_recorded_ones(outputs, recorded):
    """But for a few rows: rounding decides between anchors of equal score, and on which side of the last pixel the last
    sample of a ROI falls that was clipped to the image."""
    _, mrcnn_class, mrcnn_bbox, _, rpn_rois, _, _ = outputs
    expected = recorded("astronaut")
    assert rpn_rois.shape == (1000, 4)
    assert rows_alike(rpn_rois, expected["rpn_rois"], 1e-4) > 0.99
    assert rows_alike(mrcnn_class, expected["mrcnn_class"], 2e-3) > 0.99
    assert rows_alike(mrcnn_bbox[::10], expected["mrcnn_bbox_some"], 5e-3) > 0.97


def rows_alike(found, expected, tolerance):
    """Share of the rows in which no number differs by more than the tolerance."""
    return (np.abs(found - expected).reshape(len(found), -1).max(axis=1) < tolerance).mean()


def test_mask_probabilities_are_the_recorded_ones(outputs, recorded):
    detections, _, _, masks, _, _, _ = outputs
    expected = recorded("astronaut")
    same = np.abs(detections - expected["detections"]).max(axis=1)[:20] < 2e-3
    assert same.mean() >= 0.9
    chosen = masks[np.arange(20), :, :, detections[:20, 4].astype(int)]
    np.testing.assert_allclose(chosen[same], expected["mrcnn_mask_some"][same], atol=1e-2)
