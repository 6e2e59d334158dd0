"""What is read of weights files and of the machine, and how severe it is for training and detection."""

import subprocess
import sys

import pytest

from mrcnn_plus import lint
from mrcnn_plus.config import Config
from mrcnn_plus.lint.measuring import environment_facts
from mrcnn_plus.lint.measuring.environment_facts import imports_imgaug_itself, read_environment, version_numbers
from mrcnn_plus.lint.measuring.weights_facts import read_weights_facts, weights_path

from ..support.weights_files import COCO_LIKE, RESNET50_FIVE_CLASSES, write_shapes


class Five(Config):
    NAME = "parts"
    NUM_CLASSES = 5
    BACKBONE = "resnet50"


class Three(Five):
    NUM_CLASSES = 3


class OtherShapes(Five):
    TOP_DOWN_PYRAMID_SIZE = 128
    RPN_ANCHOR_RATIOS = [1]
    NORMALIZATION = "group"


def findings(config, path, mode, select="WGT"):
    report = lint.check(config, run=lint.Run(mode=mode, weights=str(path)), select=select)
    return {(finding.code, finding.severity, finding.where.rpartition(".")[2]) for finding in report}


@pytest.fixture(scope="module")
def five_classes(tmp_path_factory):
    return write_shapes(tmp_path_factory.mktemp("weights") / "parts_0010.h5", RESNET50_FIVE_CLASSES)


def test_facts_of_a_file_are_its_network(five_classes):
    facts = read_weights_facts(five_classes)
    assert (facts.classes, facts.depth, facts.has_heads, facts.error) == (5, 50, True, "")
    assert facts.shapes["conv1"]["kernel"] == (7, 7, 3, 64)
    assert facts.shapes["rpn_class_raw"]["kernel"][-1] == 6


def test_a_file_that_fits_is_fine_in_both_modes(five_classes):
    assert not findings(Five(), five_classes, "training") and not findings(Five(), five_classes, "inference")


def test_other_classes_are_an_error_for_detection_and_expected_in_training(five_classes):
    assert findings(Three(), five_classes, "inference") == {("WGT001", "error", "NUM_CLASSES")}
    assert findings(Three(), five_classes, "training") == {("WGT001", "info", "NUM_CLASSES")}


def test_every_setting_that_the_file_contradicts_is_named(five_classes):
    names = {"TOP_DOWN_PYRAMID_SIZE", "RPN_ANCHOR_RATIOS", "NORMALIZATION"}
    assert findings(OtherShapes(), five_classes, "training") == {("WGT001", "warning", name) for name in names}


def test_a_mask_rcnn_of_another_depth_is_an_error_for_detection_only(tmp_path):
    path = write_shapes(tmp_path / "coco.h5", COCO_LIKE)
    assert ("WGT002", "error", "BACKBONE") in findings(Five(), path, "inference")
    assert ("WGT002", "warning", "BACKBONE") in findings(Five(), path, "training")


@pytest.mark.parametrize(("words", "backbone"), [("imagenet", "resnet101"), ("coco", "resnet50")])
def test_published_weights_by_name_are_known_by_their_depth(words, backbone):
    config = Five()
    config.BACKBONE = backbone
    assert findings(config, words, "training") == {("WGT004", "warning", "BACKBONE")}
    config.BACKBONE = "resnet50" if words == "imagenet" else "resnet101"
    assert not findings(config, words, "training")


def test_a_file_that_is_not_there_is_an_error_and_words_are_none(tmp_path):
    missing = str(tmp_path / "mask_rcnn.h5")
    assert findings(Five(), missing, "training") == {("WGT005", "error", "h5")}
    assert weights_path("coco") is None and weights_path("last") is None and weights_path(None) is None


def test_neither_keras_nor_a_backend_is_loaded_for_it(five_classes):
    code = (
        "import sys; from mrcnn_plus import lint; from mrcnn_plus.config import Config\n"
        f"lint.check(Config(), run=lint.Run(mode='inference', weights={five_classes!r}))\n"
        "print({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == "set()"


def test_this_machine_can_be_read():
    environment = read_environment()
    assert version_numbers(environment.packages["numpy"]) >= (2,)
    assert environment.backend in ("tensorflow", "jax", "torch")


def test_hidden_devices_are_not_missed(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert environment_facts.visible_gpus.__wrapped__() == ()


def test_devices_are_those_that_the_driver_lists(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA A100-SXM4-40GB, 40960'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [gpu.name for gpu in environment_facts.visible_gpus.__wrapped__()] == ["NVIDIA A100-SXM4-40GB"]


@pytest.mark.parametrize(
    ("backend", "packages", "expected"),
    [
        ("tensorflow", {"tensorflow-cpu": "2.20"}, False),
        ("tensorflow", {"tensorflow": "2.20", "nvidia-cudnn-cu12": "9"}, True),
        ("jax", {"jax": "0.5", "jax-cuda12-plugin": "0.5"}, True),
        ("torch", {"torch": "2.6.0+cpu"}, False),
        ("torch", {"torch": "2.6.0+cu124"}, True),
        ("torch", {"torch": "2.6.0"}, None),
    ],
)
def test_the_libraries_of_each_backend_are_known(backend, packages, expected):
    assert environment_facts._gpu_support(backend, packages) is expected


def test_an_import_of_imgaug_is_found_wherever_it_stands(tmp_path):
    path = tmp_path / "program.py"
    path.write_text("import numpy\n\ndef train():\n    import imgaug.augmenters as iaa\n")
    assert imports_imgaug_itself(str(path)) == 4
    path.write_text("from mrcnn_plus.data.augmentation import import_imgaug\nimgaug = import_imgaug()\n")
    assert imports_imgaug_itself(str(path)) is None
    assert imports_imgaug_itself(None) is None and imports_imgaug_itself(str(tmp_path / "missing.py")) is None


def test_versions_are_compared_as_numbers():
    assert version_numbers("3.13.1") > version_numbers("3.9")
    assert version_numbers("2.18.0rc1") == (2, 18, 0)
