"""The two files that Matterport's programs ask for, from a server on this machine."""

import hashlib
import os

import numpy as np
import pytest

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights import pretrained
from mrcnn_plus.weights.matterport_h5 import write_tensors


@pytest.fixture
def weights(server, tmp_path):
    """The server serves a weights file; its bytes."""
    write_tensors(tmp_path / "served.h5", [("conv1", [("conv1/kernel:0", np.ones(3, "f"))])])
    server.content = (tmp_path / "served.h5").read_bytes()
    return server.content


@pytest.fixture
def imagenet(server, weights, tmp_path, monkeypatch):
    """What the server serves counts as the ImageNet weights, the cache is a fresh folder; path of the file in it."""
    monkeypatch.setattr(pretrained, "IMAGENET_RESNET50_MD5", hashlib.md5(weights).hexdigest())
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("MRCNN_PLUS_IMAGENET_URL", server.url)
    return tmp_path / "keras" / "models" / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


def test_coco_weights_come_from_the_url_of_the_environment(server, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("MRCNN_PLUS_COCO_URL", server.url)
    path = tmp_path / "mask_rcnn_coco.h5"
    assert pretrained.download_trained_weights(str(path), verbose=0) == str(path)
    assert path.read_bytes() == weights


def test_coco_weights_may_come_from_an_url_that_is_given(server, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("MRCNN_PLUS_COCO_URL", "http://127.0.0.1:1/other")
    pretrained.download_trained_weights(tmp_path / "coco.h5", 0, url=server.url)
    assert (tmp_path / "coco.h5").read_bytes() == weights


def test_matterports_own_coco_file_is_checked_against_its_checksum(tmp_path, monkeypatch):
    monkeypatch.delenv("MRCNN_PLUS_COCO_URL", raising=False)
    calls = []
    monkeypatch.setattr(pretrained, "download", lambda url, path, **options: calls.append((url, options["md5"])))
    pretrained.download_trained_weights(tmp_path / "coco.h5")
    assert calls == [(pretrained.COCO_MODEL_URL, "e98aaff6f99e307b5e2a8a3ff741a518")]
    assert (
        pretrained.COCO_MODEL_URL == "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"
    )


def test_html_instead_of_weights_is_called_so_and_not_kept(server, tmp_path):
    server.content = b"<!DOCTYPE html><html><title>Please sign in</title></html>"
    with pytest.raises(WeightsError, match="HTML or XML page"):
        pretrained.download_trained_weights(tmp_path / "coco.h5", 0, url=server.url)
    assert os.listdir(tmp_path) == []


def test_imagenet_weights_are_downloaded_once(server, weights, imagenet):
    assert pretrained.get_imagenet_weights(verbose=0) == str(imagenet)
    assert pretrained.get_imagenet_weights(verbose=0) == str(imagenet)
    assert imagenet.read_bytes() == weights
    assert len(server.requests) == 1


def test_damaged_imagenet_weights_in_the_cache_are_replaced(server, weights, imagenet):
    imagenet.parent.mkdir(parents=True)
    imagenet.write_bytes(weights[:-1])
    assert pretrained.get_imagenet_weights(verbose=0) == str(imagenet)
    assert imagenet.read_bytes() == weights


def test_imagenet_weights_with_another_checksum_are_refused(server, imagenet, monkeypatch):
    monkeypatch.setattr(pretrained, "IMAGENET_RESNET50_MD5", "0" * 32)
    with pytest.raises(WeightsError, match="another checksum"):
        pretrained.get_imagenet_weights(verbose=0)
    assert not imagenet.exists()


def test_cache_is_under_the_home_folder_without_keras_home(tmp_path, monkeypatch):
    monkeypatch.delenv("KERAS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = []
    monkeypatch.setattr(pretrained, "download", lambda url, path, **options: paths.append(path) or path)
    pretrained.get_imagenet_weights()
    assert paths == [str(tmp_path / ".keras" / "models" / "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5")]


class Model:
    """What `find_weights` asks of a `MaskRCNN`."""

    def find_last(self):
        return "the newest checkpoint"

    def get_imagenet_weights(self):
        return "the ImageNet file"


def test_words_of_a_command_line_name_weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pretrained.find_weights("last", Model()) == "the newest checkpoint"
    assert pretrained.find_weights("ImageNet", Model()) == "the ImageNet file"
    (tmp_path / "mine.h5").write_bytes(b"x")
    assert pretrained.find_weights("mine.h5", Model()) == "mine.h5"
    with pytest.raises(WeightsError, match="expected coco, imagenet, last or the path of a file, received 'cocoa'"):
        pretrained.find_weights("cocoa", Model())


def test_coco_weights_are_downloaded_once_unless_they_are_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    fetched = []

    def fetch(path):
        fetched.append(path)
        (tmp_path / "keras" / "models").mkdir(parents=True)
        (tmp_path / "keras" / "models" / "mask_rcnn_coco.h5").write_bytes(b"x")
        return path

    monkeypatch.setattr(pretrained, "download_trained_weights", fetch)
    expected = str(tmp_path / "keras" / "models" / "mask_rcnn_coco.h5")
    assert [pretrained.find_weights("coco", Model()) for _ in range(2)] == [expected] * 2 and fetched == [expected]
    (tmp_path / "mask_rcnn_coco.h5").write_bytes(b"x")
    assert pretrained.find_weights("coco", Model()) == "mask_rcnn_coco.h5"
