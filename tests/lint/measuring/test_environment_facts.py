"""What is learnt of GPUs from `nvidia-smi`, and of the machine."""

import pytest

from mrcnn_plus.lint.measuring.environment_facts import machine_memory, parse_gpus

LISTED = "NVIDIA A100-SXM4-40GB, 40960\nTesla T4, 15360\nbroken line\nName, [N/A]\n"


def test_names_and_memory_are_read():
    devices = parse_gpus(LISTED)
    assert [(device.words, device.memory and device.memory // 2**30) for device in devices] == [
        ("GPU NVIDIA A100-SXM4-40GB", 40),
        ("GPU Tesla T4", 15),
        ("GPU Name", None),
    ]


@pytest.mark.parametrize(("visible", "names"), [("1", ["Tesla T4"]), ("GPU-3f2a", None), (None, None), ("7", [])])
def test_hidden_devices_are_left_out(visible, names):
    found = [device.name for device in parse_gpus(LISTED, visible)]
    assert found == (["NVIDIA A100-SXM4-40GB", "Tesla T4", "Name"] if names is None else names)


def test_the_machine_has_memory():
    assert machine_memory() is None or machine_memory() > 2**28
