"""The machine: packages, devices, processes, disk."""

import contextlib
import inspect
import os
import shutil
import sys
import tempfile

from mrcnn_plus.lint.estimates.memory import can_forecast, count_parameters, readable
from mrcnn_plus.lint.facts import PIXELS_DEPTH
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.measuring.environment_facts import imports_imgaug_itself, version_numbers
from mrcnn_plus.lint.registry import CONFIG, ENVIRONMENT, RUN, Violation, rule

_OPENCV = (
    *("opencv-python", "opencv-python-headless"),
    *("opencv-contrib-python", "opencv-contrib-python-headless"),
)


@rule(
    "ENV001",
    ERROR,
    needs=ENVIRONMENT,
    why="Older versions lack functions that are called here, or compute something else; the error then names neither "
    "the package nor the version.",
    example="keras 3.8 is installed, 3.13 is needed.",
    fix="Install the versions that are asked for: pip install --upgrade mrcnn-plus.",
)
def package_too_old(facts, *, lowest=None):
    """An installed package is older than this one asks for. `lowest`: other versions, {"numpy": "2.0"}."""
    environment = facts.environment
    for name, needed in {**environment.required, **(lowest or {})}.items():
        version = environment.packages.get(name)
        if version and version_numbers(version) < version_numbers(needed):
            yield Violation(
                f"{name} {version} is installed, {needed} or newer is needed.",
                where=name,
                value=version,
                fix=f"pip install --upgrade '{name}>={needed}'",
            )


@rule(
    "ENV002",
    WARNING,
    needs=ENVIRONMENT,
    why="Training on the processor takes ten to a hundred times as long, and nothing says so.",
    example="An NVIDIA GPU is there, and tensorflow-cpu is installed.",
    fix="Install the backend with its CUDA libraries.",
)
def gpu_not_used(facts):
    """The driver shows a CUDA device, and the installed backend has no CUDA libraries to use it with."""
    environment = facts.environment
    if not environment.gpus or environment.gpu_support is not False:
        return
    packages, backend = environment.packages, environment.backend
    command = {
        "tensorflow": "pip uninstall tensorflow-cpu; pip install 'tensorflow[and-cuda]'"
        if "tensorflow-cpu" in packages
        else "pip install 'tensorflow[and-cuda]'",
        "jax": "pip install 'jax[cuda12]'",
        "torch": "install PyTorch's build for CUDA (see pytorch.org)",
    }.get(backend, "see the backend's installation guide")
    if sys.platform == "win32" and backend == "tensorflow":
        command = "use WSL2: TensorFlow has no GPU build for Windows since 2.11"
    yield Violation(
        f"{environment.gpus[0]} is there, but the installed {backend} cannot use it: the processor will compute "
        "everything.",
        where=backend,
        value=environment.gpus[0],
        fix=f"{command[0].upper()}{command[1:]}." if not command.startswith("pip") else command,
    )


@rule(
    "ENV003",
    WARNING,
    needs=(CONFIG, ENVIRONMENT),
    why="imgaug 0.4.0 reads a name while it is imported that NumPy 2 has removed: `import imgaug` fails there. "
    "`mrcnn-plus run` supplies the name.",
    example="import imgaug  # AttributeError: `np.sctypes` was removed in the NumPy 2.0 release.",
    fix="Run the program by `mrcnn-plus run`. Or let `mrcnn-plus migrate` write in its place: "
    "`from mrcnn_plus.data.augmentation import import_imgaug; imgaug = import_imgaug()`.",
)
def imgaug_with_numpy_2(facts):
    """The program imports imgaug itself, which fails with the installed NumPy. Not if it was imported already."""
    packages = facts.environment.packages
    numpy, imgaug = packages.get("numpy", "1"), packages.get("imgaug")
    if imgaug is None or version_numbers(numpy)[0] < 2 or version_numbers(imgaug) > (0, 4, 0):
        return
    if "imgaug" in sys.modules and facts.run.environment is None:
        return  # it could be imported: something has put the name back
    path = _program_file(facts.config)
    line = imports_imgaug_itself(path)
    if line is not None:
        yield Violation(
            f"imgaug {imgaug} is imported with NumPy {numpy}: under plain `python` that fails, because it "
            "reads np.sctypes, which is gone.",
            where=f"{path}:{line}",
            value=numpy,
        )


def _program_file(config):
    """The file of the user's configuration class, None for those of this package."""
    for _, (file, _) in getattr(config, "_setting_places", {}).items():
        return file
    cls = type(config)
    if cls.__module__.startswith("mrcnn_plus."):
        return None
    with contextlib.suppress(OSError, TypeError):
        return inspect.getsourcefile(cls)
    return None


@rule(
    "ENV004",
    INFO,
    needs=ENVIRONMENT,
    why="Images are checked in threads then: that is slower, and a load_mask that crashes in a C library ends the "
    "whole program instead of being reported.",
    example="TensorFlow is loaded, or the system is Windows or macOS; depth='pixels'.",
    fix="On Linux, check before Keras is imported, or with `mrcnn-plus check-data`.",
)
def checks_run_in_threads(facts):
    """Every image is to be read, and processes cannot be forked for that."""
    environment = facts.environment
    if environment.forks or not any(split.depth == PIXELS_DEPTH and split.workers != 0 for split in facts.splits):
        return
    reason = "Keras' backend is loaded" if sys.platform.startswith("linux") else f"the system is {sys.platform}"
    yield Violation(f"images are read in threads, not in processes, because {reason}.", where="this process")


@rule(
    "ENV005",
    WARNING,
    needs=ENVIRONMENT,
    why="They write the same files: which of them is imported depends on the order of installation, and removing one "
    "breaks the other.",
    example="opencv-python and opencv-python-headless are both installed.",
    fix="Uninstall all of them, then install one.",
)
def several_opencvs(facts):
    """More than one of the packages that bring `cv2` is installed."""
    found = [name for name in _OPENCV if name in facts.environment.packages]
    if len(found) > 1:
        versions = {name: facts.environment.packages[name] for name in found}
        different = len(set(versions.values())) > 1
        yield Violation(
            f"{' and '.join(f'{name} {version}' for name, version in versions.items())} are both installed; they "
            "bring the same module cv2.",
            where="cv2",
            value=list(versions),
            fix=f"pip uninstall {' '.join(found)}; pip install {found[0]}",
            severity=WARNING if different else INFO,
        )


@rule(
    "ENV006",
    ERROR,
    needs=(RUN, ENVIRONMENT),
    why="Checkpoints and losses are written after each epoch; if that fails, the epoch was for nothing.",
    example="model_dir is on a disk with 20 MB left.",
    fix="Free space, or give another model_dir.",
)
def no_room_for_a_checkpoint(facts, *, bytes_free=None):
    """The disk of `model_dir` has less room than one checkpoint takes, or it cannot be written to.

    `bytes_free`: taken in place of what the disk has.
    """
    folder = existing_folder(facts.run.model_dir)
    if folder is None or facts.run.mode == "inference":
        return
    if not _writable(folder):
        yield Violation(
            f"model_dir={str(facts.run.model_dir)!r} cannot be written to: no file can be made in {folder!r}.",
            where="model_dir",
            value=str(facts.run.model_dir),
            fix="Give a folder that you may write to.",
        )
        return
    free = free_bytes(folder) if bytes_free is None else bytes_free
    size = checkpoint_bytes(facts)
    if size and free < size:
        yield Violation(
            f"{readable(free)} are free for model_dir={str(facts.run.model_dir)!r}, and one checkpoint takes "
            f"{readable(size)}.",
            where="model_dir",
            value=free,
        )


def existing_folder(path) -> str | None:
    """The folder, or the nearest one above it that is there; None if that cannot be told."""
    if not isinstance(path, str | os.PathLike):
        return None
    folder = os.path.abspath(path)
    while not os.path.isdir(folder):
        above = os.path.dirname(folder)
        if above == folder or os.path.exists(folder):
            return None
        folder = above
    return folder


def free_bytes(folder: str) -> int:
    """Room on the disk of a folder."""
    return shutil.disk_usage(folder).free


def checkpoint_bytes(facts) -> int | None:
    """Size of one checkpoint: of the model if there is one, else by the settings; None if that is not known."""
    keras_model = getattr(facts.run.model, "keras_model", None)
    if keras_model is not None:
        return 4 * sum(int(_size(weight.shape)) for weight in keras_model.weights)
    if facts.config is not None and can_forecast(facts.config):
        return 4 * count_parameters(facts.config)[0]
    return None


def _size(shape):
    size = 1
    for side in shape:
        size *= side
    return size


def _writable(folder):
    """Tried, because permissions alone do not tell it of a network disk or of one mounted read-only."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        return error.errno == 28  # no room; that is the other finding
