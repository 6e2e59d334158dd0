"""Looking at what happens between the layers."""

import numpy as np
import pytest

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.inference import inspection
from mrcnn_plus.mask_rcnn import MaskRCNN

from ..support.tiny import Figures, FiveConvolutions, step_by_step


@pytest.fixture(scope="module", params=["inference", "training"])
def model(request, tmp_path_factory):
    return MaskRCNN(request.param, FiveConvolutions(), str(tmp_path_factory.mktemp("logs")))


@pytest.fixture(scope="module")
def image():
    return Figures([2]).load_image(0)


def run(model, image, outputs):
    with step_by_step():
        return model.run_graph([image], outputs)


def test_steps_of_the_proposal_layer_come_by_their_names_in_matterports_graph(model, image):
    names = ["pre_nms_anchors", "refined_anchors", "refined_anchors_clipped", "rpn_non_max_suppression"]
    values = run(model, image, [(name, model.ancestor(None, f"ROI/{name}:0")) for name in names])
    limit, count = model.config.PRE_NMS_LIMIT, model.config.POST_NMS_ROIS_INFERENCE
    assert [value.shape for value in values.values()] == [(1, limit, 4)] * 3 + [(count,)]
    kept = values["rpn_non_max_suppression"][:5]  # as Matterport's notebooks draw them
    assert values["refined_anchors_clipped"][0, kept].shape == (5, 4)
    anchors = model.get_anchors((64, 64, 3))
    found = values["pre_nms_anchors"][0]
    assert np.abs(found[:, None] - anchors).max(axis=2).min(axis=1).max() < 1e-5, "they are anchors"
    np.testing.assert_allclose(values["refined_anchors_clipped"], np.clip(values["refined_anchors"], 0, 1), atol=1e-6)


def test_an_unknown_name_is_none_as_in_matterport(model):
    assert model.ancestor(None, "ROI/no_such_step:0") is None
    assert model.ancestor(None, "no_such_layer/x:0") is None


def test_none_among_the_outputs_is_told_where_to_take_tensors_from(model, image):
    with pytest.raises(ConfigError, match=r"received None for \['mask'\].*keras_model.get_layer"):
        run(model, image, [("mask", None)])


def test_outputs_come_in_the_order_asked_for_and_equal_those_of_the_model(model, image):
    molded, meta, _ = model.mold_inputs([image])
    inputs = [molded, meta.astype("float32"), model.get_anchors(molded.shape[1:])[None]]
    detections = model.detection_model.outputs[0]
    wanted = [("second", model.ancestor(None, "ROI/refined_anchors:0")), ("first", detections)]
    with step_by_step():
        values = inspection.run(model.detection_model, wanted, inputs)
        expected = np.asarray(model.detection_model.predict_on_batch(inputs)[0])
    assert list(values) == ["second", "first"]
    np.testing.assert_allclose(values["first"], expected, atol=1e-6)


def test_molded_images_are_taken_with_their_metas(model, image):
    molded, metas, _ = model.mold_inputs([image])
    wanted = [("rois", model.ancestor(None, "ROI/refined_anchors:0"))]
    with step_by_step():
        given = model.run_graph(molded, wanted, image_metas=metas)
    np.testing.assert_array_equal(given["rois"], run(model, image, wanted)["rois"])
