"""Several devices and hosts share a step of training, and it has the result of one device with the same batch.

The processor is made to appear as several devices, in processes of their own, because a backend cannot be told so once
it has started (`support.shared_steps`).
"""

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.data.notices import forget_notices
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.network import replicas
from mrcnn_plus.training import devices
from mrcnn_plus.training.input_pipeline import fill_rows

from ..support.tiny import Figures, FiveConvolutions, batch_of, step_by_step

ROOT = Path(__file__).parents[2]
# `crop_and_resize` decides by the last bit whether a sample on the border counts; compiling for several devices rounds
# other bits. In mode "exact" nothing hangs on a bit.
ON_JAX = {"backend": "jax", "settings": {"ROI_ALIGN": "exact"}}


def start(path, task):
    """A process that takes the steps of `task` and writes what came of them to `path`."""
    command = [sys.executable, "-m", "tests.support.shared_steps", str(path), json.dumps(task)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process, path):
    """What a process has written, as a dict."""
    said, _ = process.communicate(timeout=1800)
    assert process.returncode == 0, said[-4000:]
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def steps(folder, **task):
    path = folder / "steps.npz"
    return finish(start(path, task), path)


def of_count(found, count, kind):
    beginning = f"{count}/{kind}/"
    return {name.removeprefix(beginning): value for name, value in found.items() if name.startswith(beginning)}


def differences(found, count, other=None):
    """Names of what differs from one device by more than rounding. other: where the results of `count` are."""
    differing = []
    for kind, tolerance in (("loss", 2e-6), ("val", 2e-6), ("weight", 1e-7), ("statistic", 1e-4)):
        expected, received = of_count(found, 1, kind), of_count(other or found, count, kind)
        assert expected and expected.keys() == received.keys()
        for name, value in expected.items():
            # The last step of validation is filled up, and Keras takes the rows for images in the mean of the total.
            allowed = 0.01 if (kind, name) == ("val", "loss") else tolerance
            if not np.allclose(received[name], value, rtol=allowed, atol=allowed):
                differing.append(f"{kind}/{name}")
    return differing


def test_steps_of_two_devices_are_those_of_one(tmp_path):
    found = steps(tmp_path, backend="tensorflow", counts=[1, 2], eager=True)
    assert differences(found, 2) == []
    losses = of_count(found, 2, "loss")
    assert all(len(losses[name]) == 2 and np.all(losses[name] > 0) for name in LOSS_NAMES)
    kernel = of_count(found, 2, "weight")["stage1/kernel"]
    assert not np.allclose(kernel, np.random.default_rng(0).normal(0, 0.05, kernel.shape), atol=1e-6)  # it has moved


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])  # each in a process of its own: TensorFlow keeps the size of its first group
def test_compiled_steps_of_several_devices_are_those_of_one(tmp_path, count):
    assert differences(steps(tmp_path, backend="tensorflow", counts=[1, count]), count) == []


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"TRAIN_BN": None}, {"OPTIMIZER": "AdamW", "GRADIENT_CLIP_BY": "global"}])
def test_statistics_and_optimizers_are_those_of_the_whole_batch(tmp_path, settings):
    found = steps(tmp_path, backend="tensorflow", counts=[1, 2], settings=settings)
    weights = of_count(found, 1, "weight"), of_count(found, 2, "weight")
    for name, value in weights[0].items():
        np.testing.assert_allclose(weights[1][name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "shows_in"),
    [("counts", "loss/rpn_bbox_loss"), ("samples", "loss/rpn_class_loss"), ("gradients", "weight/stage1/kernel")],
)
def test_each_remedy_is_needed(tmp_path, broken, shows_in):
    found = steps(tmp_path, backend="tensorflow", counts=[1, 2], eager=True, broken=broken)
    assert shows_in in differences(found, 2)


@pytest.mark.slow
def test_steps_of_two_devices_are_those_of_one_on_jax(tmp_path):
    found = steps(tmp_path, counts=[1, 2], **ON_JAX)
    assert differences(found, 2) == []


@pytest.mark.slow
def test_steps_of_two_hosts_are_those_of_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    paths = [tmp_path / f"host{number}" / "steps.npz" for number in range(2)]
    for path in paths:
        path.parent.mkdir()
    processes = [
        start(path, {"counts": [2], "host": [address, 2, number], **ON_JAX}) for number, path in enumerate(paths)
    ]
    hosts = [finish(process, path) for process, path in zip(processes, paths, strict=True)]
    alone = steps(tmp_path, counts=[1], **ON_JAX)
    for host in hosts:
        assert differences(alone, 2, host) == []


# ---- which devices ----


class Shared(FiveConvolutions):
    GPU_COUNT = 2
    IMAGES_PER_GPU = 2


def test_fewer_devices_than_asked_for_compute_the_whole_batch(tmp_path, caplog):
    forget_notices()
    with caplog.at_level(logging.WARNING, logger="mrcnn_plus.training.devices"):
        model = MaskRCNN(mode="training", config=Shared(), model_dir=str(tmp_path))
    assert model.keras_model.devices.count == 1
    assert "GPU_COUNT=2, but" in caplog.text and "1 device: steps of 4 images" in caplog.text
    assert not hasattr(model.keras_model, "_distribute_strategy") or model.keras_model._distribute_strategy is None


def test_detection_takes_one_device_and_batches_of_all(tmp_path, caplog):
    forget_notices()
    model = MaskRCNN(mode="inference", config=Shared(), model_dir=str(tmp_path))
    assert model.config.BATCH_SIZE == 4 and not caplog.records
    with step_by_step():
        assert len(model.detect([np.zeros((64, 64, 3), np.uint8)] * 3, allow_untrained=True)) == 3


@pytest.mark.parametrize(
    ("gpu_count", "images_per_gpu", "found", "used"),
    [(2, 2, 2, 2), (4, 1, 2, 2), (3, 1, 2, 1), (2, 1, 8, 2), (4, 3, 3, 3), (8, 1, 1, 1)],
)
def test_the_devices_that_are_there_share_the_batch_evenly(gpu_count, images_per_gpu, found, used):
    config = FiveConvolutions()
    config.GPU_COUNT, config.IMAGES_PER_GPU = gpu_count, images_per_gpu
    assert devices._usable(config, found) == used


def test_pytorch_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(
        ConfigError, match="GPU_COUNT=2.*GPU_COUNT = 1 and IMAGES_PER_GPU.*KERAS_BACKEND=tensorflow or jax"
    ):
        devices.devices_of(Shared())
    assert devices.devices_of(FiveConvolutions()).count == 1


def test_accumulated_gradients_are_refused_where_keras_fails():
    inner = SimpleNamespace(gradient_accumulation_steps=2)
    model = SimpleNamespace(jit_compile=False, optimizer=SimpleNamespace(inner_optimizer=inner), _compute_loss=len)
    mirrored = devices.MirroredDevices(SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(ConfigError, match="GRADIENT_ACCUMULATION_STEPS: expected 1.*STEPS=2.*IMAGES_PER_GPU"):
        mirrored.prepare(model)
    inner.gradient_accumulation_steps = None
    model.optimizer.apply = inner.apply = None
    mirrored.prepare(model)
    assert inner._all_reduce_sum_gradients("as they are") == "as they are"


def test_several_hosts_with_tensorflow_are_told_to_take_jax(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    monkeypatch.setattr(devices, "current_devices", devices.Devices)
    cluster = {"cluster": {"chief": ["a:1"], "worker": ["b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setitem(os.environ, "TF_CONFIG", json.dumps(cluster))
    with pytest.raises(ConfigError, match="TF_CONFIG: .*received: 2 hosts.*KERAS_BACKEND=jax"):
        devices.devices_of(FiveConvolutions())
    monkeypatch.setitem(os.environ, "TF_CONFIG", json.dumps({"cluster": {"worker": ["a:1"]}}))
    assert devices.devices_of(FiveConvolutions()).count == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"GPU_COUNT": 2}, "GPU_COUNT: expected 4, the devices of all 2 hosts"),
        ({"GPU_COUNT": 4, "SEED": None}, "SEED: expected a number.*SEED=None"),
        ({"GPU_COUNT": 4, "IMAGE_RESIZE_MODE": "pad64"}, "IMAGE_RESIZE_MODE: expected 'square' or 'crop'"),
    ],
)
def test_hosts_that_would_not_train_the_same_model_are_refused(settings, message):
    config = type("HostConfig", (FiveConvolutions,), settings)()
    with pytest.raises(ConfigError, match=message):
        devices._check_hosts(config, hosts=2, found=4)


# ---- rows ----


def shares(count, host=0, hosts=1):
    shared = devices.Devices()
    shared.count, shared.host, shared.hosts = count, host, hosts
    return shared


def test_rows_of_a_step_are_shared_out_among_hosts_and_filled_up():
    assert shares(1).rows_of(3) == range(3)
    assert shares(2).rows_of(3) == range(4)
    assert [shares(4, host, 2).rows_of(5) for host in range(2)] == [range(4), range(4, 8)]


def test_rows_that_fill_up_have_no_object_and_no_class():
    config = FiveConvolutions()
    batch = batch_of(Figures([2, 1, 2]), config)
    assert fill_rows(batch, images=3, rows=3) is batch
    filled = fill_rows(batch, images=3, rows=4)
    for name, array in filled.items():
        assert array.shape == (4, *batch[name].shape[1:]) and array.dtype == batch[name].dtype
        np.testing.assert_array_equal(array[:3], batch[name])
    np.testing.assert_array_equal(filled["input_image"][3], batch["input_image"][2])
    assert not filled["input_gt_class_ids"][3].any() and not filled["input_image_meta"][3, 12:].any()
    of_host_without_image = fill_rows({name: array[:1] for name, array in batch.items()}, images=0, rows=2)
    assert not of_host_without_image["input_image_meta"][:, 12:].any()


@pytest.mark.backend
def test_rows_without_a_class_are_no_anchors_and_no_rois():
    outputs = {
        "target_anchor_labels": keras.ops.ones((2, 3), "int32"),
        "rois": keras.ops.ones((2, 4, 4)),
        "mrcnn_bbox": "untouched",
    }
    left = replicas.without_filling(outputs, keras.ops.array([[1.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(left["target_anchor_labels"], [[1, 1, 1], [-1, -1, -1]])
    np.testing.assert_array_equal(keras.ops.sum(left["rois"], axis=(1, 2)), [16, 0])
    assert left["mrcnn_bbox"] == "untouched"


# ---- one device pays nothing ----


def test_one_device_has_nothing_of_it_in_its_graph():
    import tensorflow as tf

    def operations(function):
        values = [tf.TensorSpec((), "float32")] * 2
        return [op.type for op in tf.function(function).get_concrete_function(*values).graph.get_operations()]

    plain = operations(lambda total, count: total / keras.ops.maximum(count, 1.0))
    assert operations(replicas.ratio) == plain
    assert operations(lambda total, count: replicas.share_of_loss(total)) == operations(lambda total, count: total)
    gradients = [object(), None]
    assert replicas.sum_of_gradients(gradients) is gradients
    generator = keras.random.SeedGenerator(3)
    drawn = [
        operations(lambda *_: keras.random.uniform((4, 5), seed=generator, dtype="float32")),
        operations(lambda *_: replicas.uniform((4, 5), seed=generator)),
    ]
    assert drawn[0] == drawn[1]


def test_preparing_a_model_for_one_device_changes_nothing():
    model = SimpleNamespace(optimizer=SimpleNamespace())
    devices.Devices().prepare(model)
    assert vars(model) == {"optimizer": model.optimizer} and not vars(model.optimizer)
