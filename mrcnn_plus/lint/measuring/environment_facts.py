"""The machine: installed packages, devices, processes. Read without importing Keras or a backend."""

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

from mrcnn_plus.lint.measuring.worker_pool import can_fork

_SECONDS_FOR_DEVICES = 5
_CUDA_OF_BACKENDS = {
    "tensorflow": ("nvidia-cudnn-cu12", "nvidia-cudnn-cu13", "nvidia-cudnn-cu11"),
    "jax": ("jax-cuda12-plugin", "jax-cuda13-plugin", "jax-cuda11-plugin"),
}


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
        gpus=_visible_gpus(),
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


@functools.lru_cache(maxsize=1)
def _visible_gpus() -> tuple[str, ...]:
    """CUDA devices by the driver's own tool; none if the user has hidden them."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return ()
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        answer = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=_SECONDS_FOR_DEVICES, check=False)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(re.findall(r"GPU \d+: (.+?) \(", answer.stdout)) if answer.returncode == 0 else ()


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
