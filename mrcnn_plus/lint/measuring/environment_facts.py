"""The machine: installed packages, devices and their memory, processes. Read without importing Keras or a backend."""

from __future__ import annotations

import ast
import ctypes.util
import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mrcnn_plus.lint.measuring.worker_pool import can_fork

_SECONDS_FOR_DEVICES = 5
_CUDA_OF_BACKENDS = {
    "tensorflow": ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13", "nvidia-cudnn-cu11"),
    "jax": ("jax-cuda12-plugin", "jax-cuda13-plugin", "jax-cuda11-plugin"),
}
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True)
class Environment:
    """What is known of a machine.

    packages: versions by distribution, in lower case with "-", e.g. {"opencv-python": "4.10.0.84"}.
    required: `{distribution: lowest version}` that the package asks for.
    backend: of Keras: "tensorflow", "jax" or "torch". gpus: names of the CUDA devices that the driver shows.
    gpu_support: whether the backend can use them; None if that is not known.
    forks: whether checks can run in processes of their own.
    """

    packages: Mapping[str, str] = field(default_factory=dict)
    required: Mapping[str, str] = field(default_factory=dict)
    backend: str = "tensorflow"
    gpus: tuple[str, ...] = ()
    gpu_support: bool | None = None
    forks: bool = True


def read_environment() -> Environment:
    """The `Environment` of this machine and process; what takes long is read once."""
    packages = _installed_packages()
    backend = keras_backend()
    return Environment(
        packages=packages,
        required=_required_versions(),
        backend=backend,
        gpus=tuple(gpu.name for gpu in visible_gpus()),
        gpu_support=_gpu_support(backend, packages),
        forks=can_fork(),
    )


def keras_backend() -> str:
    """The backend that Keras will take, or has taken."""
    if "keras" in sys.modules:
        return sys.modules["keras"].backend.backend()
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: (2, 18, 0) for "2.18.0rc1"."""
    return tuple(int(number) for number in re.match(r"[\d.]*", version)[0].split(".") if number)


def imports_imgaug_itself(path: str | None) -> int | None:
    """The line of a Python file in which it imports imgaug by a plain `import`, or None.

    A program that asks `import_imgaug` of this package for it does not count.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        tree = ast.parse(text)
    except (OSError, SyntaxError, TypeError, ValueError):
        return None
    if "import_imgaug" in text or "sctypes" in text:
        return None
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] == "imgaug" for name in names):
            return node.lineno
    return None


@functools.lru_cache(maxsize=1)
def _installed_packages() -> dict[str, str]:
    found = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:  # a folder left behind by a removal has none
            found.setdefault(name.lower().replace("_", "-"), distribution.version)
    return found


def _required_versions() -> dict[str, str]:
    """Lowest versions in this package's own metadata; empty where it runs from a folder without being installed."""
    try:
        lines = importlib.metadata.requires("mrcnn-plus") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found = {}
    for line in lines:
        match = re.match(r"([\w.-]+)\s*>=\s*([\d.]+)\s*(;.*)?$", line)
        if match and "extra" not in (match[3] or "") and _applies(match[3] or ""):
            found[match[1].lower().replace("_", "-")] = match[2]
    return found


def _applies(marker: str) -> bool:
    """Whether a marker such as `; python_version >= "3.11"` is met; one of another kind is taken to be."""
    match = re.search(r"python_version\s*(>=|<)\s*[\"']([\d.]+)", marker)
    if match is None:
        return True
    least = sys.version_info[:2] >= version_numbers(match[2])
    return least if match[1] == ">=" else not least


def _gpu_support(backend: str, packages: Mapping[str, str]) -> bool | None:
    """Whether the installed backend can use a CUDA device."""
    if backend == "torch":
        version = packages.get("torch", "")
        return not version.endswith("+cpu") if "+" in version else None
    if backend == "tensorflow":
        if "tensorflow-cpu" in packages or sys.platform == "win32":  # since 2.11 there is no GPU build for Windows
            return False
        if "tensorflow" not in packages:
            return None
    libraries = _CUDA_OF_BACKENDS.get(backend, ())
    return any(name in packages for name in libraries) or bool(ctypes.util.find_library("cudnn"))


class Device(NamedTuple):
    """What training computes on. memory: bytes in all, None if the driver does not say."""

    name: str  # "NVIDIA A100" or "this machine"
    memory: int | None
    is_gpu: bool = True

    @property
    def words(self) -> str:
        """For messages: `GPU NVIDIA A100`."""
        return f"GPU {self.name}" if self.is_gpu else self.name


def find_device(*, use_gpu: bool = True) -> Device | None:
    """The first visible NVIDIA GPU, or else the machine itself; None if its memory is not known."""
    gpus = [gpu for gpu in visible_gpus() if gpu.memory] if use_gpu else []
    if gpus:
        return gpus[0]
    memory = machine_memory()
    return Device("this machine", memory, is_gpu=False) if memory else None


@functools.cache
def visible_gpus() -> tuple[Device, ...]:
    """The NVIDIA GPUs that `nvidia-smi` lists and CUDA_VISIBLE_DEVICES does not hide."""
    program, visible = shutil.which("nvidia-smi"), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not program or (visible is not None and visible.strip() in ("", "-1")):
        return ()
    query = [program, "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=_SECONDS_FOR_DEVICES, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return parse_gpus(listed, visible)


def parse_gpus(listed: str, visible: str | None = None) -> tuple[Device, ...]:
    """Devices of `nvidia-smi`'s lines "name, megabytes". visible: as CUDA_VISIBLE_DEVICES, e.g. "0,2"."""
    devices = []
    for line in listed.splitlines():
        name, comma, megabytes = line.rpartition(",")
        if comma:  # GPUs that share the machine's memory have "[N/A]"
            memory = int(megabytes) * 2**20 if megabytes.strip().isdigit() else None
            devices.append(Device(name.strip(), memory))
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
