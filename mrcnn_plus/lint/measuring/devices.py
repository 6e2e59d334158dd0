"""The memory of this machine's GPU, or of the machine; without loading a framework."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from typing import NamedTuple

_SECONDS = 5
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class Device(NamedTuple):
    """Where training will run, as far as that can be told from outside."""

    name: str  # "GPU NVIDIA A100" or "this machine"
    memory: int  # bytes in all
    is_gpu: bool


@functools.cache
def find_device(*, use_gpu: bool = True) -> Device | None:
    """The first visible NVIDIA GPU, or else the machine itself; None if its memory is not known."""
    gpus = visible_gpus() if use_gpu else ()
    if gpus:
        return gpus[0]
    memory = machine_memory()
    return Device("this machine", memory, is_gpu=False) if memory else None


@functools.cache
def visible_gpus() -> tuple[Device, ...]:
    """The NVIDIA GPUs that `nvidia-smi` lists and CUDA_VISIBLE_DEVICES does not hide."""
    program = shutil.which("nvidia-smi")
    if not program or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ()
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(listed, os.environ.get("CUDA_VISIBLE_DEVICES"))


def parse_gpus(listed: str, visible: str | None = None) -> tuple[Device, ...]:
    """Devices of `nvidia-smi`'s lines "name, megabytes". visible: as CUDA_VISIBLE_DEVICES, e.g. "0,2"."""
    devices = []
    for line in listed.splitlines():
        name, _, megabytes = line.rpartition(",")
        if megabytes.strip().isdigit():
            devices.append(Device(f"GPU {name.strip()}", int(megabytes) * 2**20, is_gpu=True))
    numbers = [part.strip() for part in visible.split(",")] if visible else []
    if numbers and all(number.isdigit() for number in numbers):
        devices = [devices[int(number)] for number in numbers if int(number) < len(devices)]
    return tuple(devices)


def machine_memory() -> int | None:
    """Bytes of main memory that a process here may use: the machine's, or the limit of its container."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return None
    for path in _CGROUP_LIMITS:
        try:
            with open(path, encoding="ascii") as file:
                text = file.read().strip()
        except OSError:
            continue
        if text.isdigit():
            memory = min(memory, int(text))
    return memory
