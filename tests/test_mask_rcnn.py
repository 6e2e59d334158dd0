"""The object a user holds: what it refuses, what `detect` takes and gives, looking inside, subclasses."""

import os
import types
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mrcnn_plus.config_base import ConfigBase
from mrcnn_plus.errors import ConfigError, DatasetError, WeightsError
from mrcnn_plus.mask_rcnn import MaskRCNN

from .support.tiny import Figures, FiveConvolutions, TinyConfig


@pytest.fixture(scope="module")
def images():
    dataset = Figures([3, 2, 4], sizes=[(64, 64), (40, 90), (100, 70)])
    return [dataset.load_image(image_id) for image_id in dataset.image_ids]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return MaskRCNN("inference", FiveConvolutions(), str(tmp_path_factory.mktemp("logs")))


@pytest.fixture(scope="module")
def found(model, images):
    return model.detect(images, allow_untrained=True)


def assert_same_results(results, others):
    assert len(results) == len(others)
    for result, other in zip(results, others, strict=True):
        for key in ("rois", "class_ids", "masks"):
            np.testing.assert_array_equal(result[key], other[key])
        np.testing.assert_allclose(result["scores"], other["scores"], atol=1e-5)


def test_a_mode_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ConfigError, match="expected 'training' or 'inference', received: mode='train'"):
        MaskRCNN("train", TinyConfig(), tmp_path)


def test_the_class_in_place_of_an_instance_is_told_how_to_write_it(tmp_path):
    with pytest.raises(ConfigError, match=r"received the class TinyConfig. Write TinyConfig\(\)"):
        MaskRCNN("training", TinyConfig, tmp_path)


def test_a_class_that_is_no_config_detects_as_the_config_of_its_settings(tmp_path, images):
    names = [name for name in dir(FiveConvolutions) if name.isupper() and name not in vars(ConfigBase)]
    given = types.SimpleNamespace(**{name: getattr(FiveConvolutions, name) for name in names}, class_names=["BG", "a"])
    plain = MaskRCNN("inference", given, tmp_path)
    path = str(tmp_path / "weights.h5")
    plain.keras_model.save_weights(path)
    ours = MaskRCNN("inference", FiveConvolutions(), tmp_path)
    ours.load_weights(path, by_name=True)
    assert_same_results(plain.detect(images, allow_untrained=True), ours.detect(images))
    assert plain.config.class_names == ["BG", "a"]
    given.DETECTION_MAX_INSTANCES = 2
    assert [len(result["rois"]) for result in plain.detect(images, allow_untrained=True)] == [2, 2, 2]


@pytest.mark.parametrize("given", [5, {"NUM_CLASSES": 3}, object])
def test_what_is_no_configuration_is_refused(tmp_path, given):
    with pytest.raises(ConfigError, match="config: expected an instance"):
        MaskRCNN("inference", given, tmp_path)


def test_a_configuration_is_checked_before_anything_is_made(tmp_path):
    config = TinyConfig()
    config.IMAGE_MAX_DIM = 100
    with pytest.raises(ConfigError, match="IMAGE_MAX_DIM=100.*Use 64 or 128"):
        MaskRCNN("inference", config, tmp_path)


def test_detection_with_random_weights_is_refused_until_something_is_loaded(tmp_path, images):
    fresh = MaskRCNN("inference", FiveConvolutions(), tmp_path)
    with pytest.raises(WeightsError, match="random initial values.*allow_untrained=True"):
        fresh.detect(images)
    path = str(tmp_path / "weights.h5")
    fresh.keras_model.save_weights(path)
    report = fresh.load_weights(path, by_name=True)
    assert report.complete
    assert len(fresh.detect(images)) == 3


def test_every_image_has_boxes_classes_scores_and_masks_of_its_own_size(found, images):
    for result, image in zip(found, images, strict=True):
        count = len(result["rois"])
        assert result["rois"].shape == (count, 4) and result["rois"].dtype == np.int32
        assert result["class_ids"].shape == result["scores"].shape == (count,)
        assert result["masks"].shape == (*image.shape[:2], count) and result["masks"].dtype == bool
        assert np.all(np.diff(result["scores"]) <= 0), "best first"
        assert np.all(result["rois"] >= 0) and np.all(result["rois"][:, 2:] <= np.tile(image.shape[:2], (count, 1)))
    assert sum(len(result["rois"]) for result in found) > 0


def test_images_come_back_in_their_order_however_many_there_are(model, found, images):
    results = model.detect([*images, images[0], images[2]], allow_untrained=True)
    assert_same_results(results, [*found, found[0], found[2]])
    assert model.detect([], allow_untrained=True) == []


def test_one_image_without_a_list_is_an_error(model, images):
    with pytest.raises(DatasetError, match=r"Write detect\(\[image\]\)"):
        model.detect(images[0], allow_untrained=True)


def test_threads_get_what_one_thread_gets(model, found, images):
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(model.detect, [image], allow_untrained=True) for image in images * 2]
        assert_same_results([job.result()[0] for job in jobs], found * 2)


def test_a_model_in_training_mode_detects_like_one_that_loads_its_weights(tmp_path, images):
    trainer = MaskRCNN("training", FiveConvolutions(), tmp_path)
    path = str(tmp_path / "weights.h5")
    trainer.keras_model.save_weights(path)
    detector = MaskRCNN("inference", FiveConvolutions(), tmp_path)
    detector.load_weights(path, by_name=True)
    assert_same_results(trainer.detect(images, allow_untrained=True), detector.detect(images))


def test_keras_model_predicts_from_matterports_inputs_in_matterports_order(model, images):
    molded, metas, windows = model.mold_inputs(images[:1])
    anchors = model.get_anchors(molded[0].shape)
    outputs = model.keras_model.predict([molded, metas.astype("float32"), anchors[None]], verbose=0)
    config = model.config
    rois, classes = config.POST_NMS_ROIS_INFERENCE, config.NUM_CLASSES
    shapes = [output.shape[1:] for output in outputs]
    found = config.DETECTION_MAX_INSTANCES
    assert shapes[:3] == [(found, 6), (rois, classes), (rois, classes, 4)]
    assert shapes[3:] == [(found, 28, 28, classes), (rois, 4), (len(anchors), 2), (len(anchors), 4)]
    assert model.anchors.shape == anchors.shape and windows.tolist() == [[0, 0, 64, 64]]


def test_detection_answers_as_the_keras_model_whose_masks_a_program_unmolds_itself(tmp_path, images):
    class Own(MaskRCNN):
        def unmold_detections(self, detections, mrcnn_mask, *shapes):
            assert mrcnn_mask.shape[-1] == self.config.NUM_CLASSES
            return super().unmold_detections(detections, mrcnn_mask, *shapes)

    model = Own("inference", TinyConfig(), tmp_path)
    own = model.detect(images, allow_untrained=True)
    Own.unmold_detections = MaskRCNN.unmold_detections
    assert_same_results(model.detect(images, allow_untrained=True), own)


def test_masks_come_in_the_form_that_is_asked_for(model, found, images):
    crops, runs = (model.detect(images, allow_untrained=True, return_masks=form) for form in ("crop", "rle"))
    for full, crop, run in zip(found, crops, runs, strict=True):
        assert [mask.sum() for mask in crop["masks"]] == full["masks"].sum(axis=(0, 1)).tolist()
        assert coco_mask.area(run["masks"]).tolist() == full["masks"].sum(axis=(0, 1)).tolist()
    with pytest.raises(ConfigError, match=r"one of \('full', 'crop', 'rle'\), received: return_masks='polygon'"):
        model.detect(images, allow_untrained=True, return_masks="polygon")


def test_detect_molded_answers_in_molded_pixels(model, found, images):
    molded, metas, _ = model.mold_inputs(images[:1])
    model._initial_fingerprint = None  # random weights will do
    result = model.detect_molded(molded, metas)[0]
    np.testing.assert_array_equal(result["rois"], found[0]["rois"])
    with pytest.raises(DatasetError, match="received: 1 images, 0 image metas"):
        model.detect_molded(molded, metas[:0])


def test_intermediate_tensors_have_the_names_of_matterports_notebooks(model, images):
    pillar = model.keras_model.get_layer("ROI").output
    names = ("pre_nms_anchors", "refined_anchors", "refined_anchors_clipped", "rpn_non_max_suppression")
    wanted = [(name, model.ancestor(pillar, f"ROI/{name}:0")) for name in names]
    layers = ("rpn_class", "ROI", "mrcnn_class", "mrcnn_bbox", "mrcnn_mask", "mrcnn_detection")
    wanted += [(name, model.keras_model.get_layer(name).output) for name in layers]
    values = model.run_graph(images[:1], wanted)
    assert list(values) == [name for name, _ in wanted]
    kept = values["refined_anchors_clipped"][0, values["rpn_non_max_suppression"]]
    valid = np.any(values["ROI"][0] != 0, axis=-1)
    np.testing.assert_allclose(kept[valid], values["ROI"][0][valid], atol=1e-6)
    assert values["mrcnn_mask"].shape[:2] == (1, model.config.DETECTION_MAX_INSTANCES)
    assert model.ancestor(pillar, "no_such_layer/x:0") is None


def test_layers_with_weights_are_listed_as_matterport_lists_them(model):
    names = [layer.name for layer in model.get_trainable_layers()]
    for name in ("stage1", "fpn_c5p5", "rpn_conv_shared", "mrcnn_class_conv1", "mrcnn_mask", "mrcnn_bbox_fc"):
        assert name in names
    assert all(layer.get_weights() for layer in model.get_trainable_layers())


def test_a_checkpoint_of_a_run_sets_epoch_and_folder(tmp_path):
    model = MaskRCNN("training", FiveConvolutions(), str(tmp_path))
    folder = tmp_path / "tiny20200102T0304"
    folder.mkdir()
    path = str(folder / "mask_rcnn_tiny_0007.h5")
    model.keras_model.save_weights(path)
    assert model.find_last() == path
    model.load_weights(path, by_name=True)
    assert model.epoch == 7 and os.path.samefile(model.log_dir, folder)
    assert model.checkpoint_path.format(epoch=8).endswith("mask_rcnn_tiny_0008.h5")


def test_a_backbone_that_returns_too_few_maps_is_named(tmp_path):
    class Wrong(FiveConvolutions):
        @staticmethod
        def BACKBONE(image, stage5=True, train_bn=None):
            return [image, image]

    with pytest.raises(ConfigError, match="BACKBONE: the function must return five feature maps"):
        MaskRCNN("inference", Wrong(), tmp_path)


def test_methods_that_a_subclass_overrides_are_used(tmp_path, images):
    class Mine(MaskRCNN):
        def __init__(self, mode, config, model_dir):  # as programs copied it from Matterport, without super()
            self.mode, self.config, self.model_dir = mode, config, model_dir
            self.calls = []
            self.set_log_dir()
            self.keras_model = self.build(mode=mode, config=config)

        def mold_inputs(self, images):
            self.calls.append("mold_inputs")
            return super().mold_inputs(images)

        def unmold_detections(self, *args, **kwargs):
            self.calls.append("unmold_detections")
            return super().unmold_detections(*args, **kwargs)

    mine = Mine("inference", FiveConvolutions(), str(tmp_path))
    assert len(mine.detect(images[:1])) == 1
    assert mine.calls == ["mold_inputs", "unmold_detections"]


@pytest.mark.parametrize("folder", [None, 3])
def test_a_folder_for_logs_is_needed(folder):
    with pytest.raises(ConfigError, match=f"model_dir: expected the folder .* received: model_dir={folder}"):
        MaskRCNN("inference", TinyConfig(), folder)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((64, 64, 3), np.uint8), r"Write mold_inputs\(\[image\]\)"),
        ([np.zeros((64, 64, 2), np.uint8)], r"mold_inputs: image 0 of 1: expected .* received: shape=\(64, 64, 2\)"),
        ([], "one or more images that mold to one size, received: 0"),
    ],
)
def test_what_cannot_be_molded_is_an_error(model, images, words):
    with pytest.raises(DatasetError, match=words):
        model.mold_inputs(images)


# ---- settings that change after the model was built ----


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_detection_follows_its_settings_with_the_same_weights(tmp_path, images, mode):
    model = MaskRCNN(mode, FiveConvolutions(), tmp_path)
    before = model.detect(images[:1], allow_untrained=True)[0]
    boxes = model.detection_model.get_layer("ROI").output
    model.config.DETECTION_MIN_CONFIDENCE = float(np.median(before["scores"]))
    model.config.DETECTION_MAX_INSTANCES = 3
    kept = before["scores"] >= model.config.DETECTION_MIN_CONFIDENCE
    after = model.detect(images[:1], allow_untrained=True)[0]
    np.testing.assert_array_equal(after["rois"], before["rois"][kept][:3])
    assert len(after["rois"]) < len(before["rois"])
    assert (model.keras_model is model.detection_model) == (mode == "inference")
    assert model.detection_model is model.detection_model, "made anew only where something changed"
    rois = model.run_graph(images[:1], [("rois", boxes)])["rois"]
    assert rois.shape == (1, TinyConfig.POST_NMS_ROIS_INFERENCE, 4), "tensors of the model before it still serve"


def test_a_change_of_what_shapes_the_network_is_an_error(tmp_path, images):
    model = MaskRCNN("training", FiveConvolutions(), tmp_path)
    model.config.POOL_SIZE = 5
    with pytest.raises(ConfigError, match="detect: .*POOL_SIZE=7 when it was built, POOL_SIZE=5 now"):
        model.detect(images, allow_untrained=True)
    with pytest.raises(ConfigError, match="train: .*POOL_SIZE=7 when it was built"):
        model.compile(0.1, 0.9)


def test_a_change_of_what_only_training_reads_stops_training_and_not_detection(tmp_path, images):
    model = MaskRCNN("training", FiveConvolutions(), tmp_path)
    model.config.TRAIN_ROIS_PER_IMAGE = 6
    with pytest.raises(ConfigError, match="TRAIN_ROIS_PER_IMAGE=8 when it was built, TRAIN_ROIS_PER_IMAGE=6 now"):
        model.train(Figures([1]), None, 0.1, 1, "all")
    assert len(model.detect(images[:1], allow_untrained=True)) == 1


def test_settings_of_data_optimizer_and_losses_may_change(tmp_path):
    model = MaskRCNN("training", FiveConvolutions(), tmp_path)
    for name, value in {
        **{"IMAGES_PER_GPU": 1, "STEPS_PER_EPOCH": 9, "VALIDATION_STEPS": 2, "WEIGHT_DECAY": 0.0, "NAME": "other"},
        **{"IMAGE_MIN_DIM": 128, "IMAGE_MAX_DIM": 128, "IMAGE_RESIZE_MODE": "pad64", "OPTIMIZER": "AdamW"},
        **{"LOSS_WEIGHTS": {"mrcnn_mask_loss": 2.0}, "MEAN_PIXEL": [0, 0, 0], "USE_NEGATIVE_IMAGES": True},
        **{"DETECTION_MIN_CONFIDENCE": 0.5, "GRADIENT_CLIP_NORM": None, "POST_NMS_ROIS_INFERENCE": 20},
    }.items():
        setattr(model.config, name, value)
    model.compile(0.1, 0.9)
    assert model.keras_model.loss_weights == {"mrcnn_mask_loss": 2.0}


def test_anchors_follow_their_settings(model):
    config, before = model.config, model.get_anchors((64, 64, 3))
    config.RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    try:
        assert not np.array_equal(model.get_anchors((64, 64, 3)), before)
    finally:
        config.RPN_ANCHOR_SCALES = TinyConfig.RPN_ANCHOR_SCALES
    np.testing.assert_array_equal(model.get_anchors((64, 64, 3)), before)


def test_building_a_second_network_leaves_the_first_as_it_is(tmp_path, images):
    model = MaskRCNN("training", FiveConvolutions(), tmp_path)
    model.keras_model.get_layer("stage1").kernel.assign_add(model.keras_model.get_layer("stage1").kernel)
    before = model.detect(images[:1], allow_untrained=True)
    other = model.build("inference", model.config)
    assert_same_results(model.detect(images[:1], allow_untrained=True), before)
    assert other is not model.detection_model
    model.keras_model = other
    assert model.detection_model is other
