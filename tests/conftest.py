"""Set before any test module is imported: quiet TensorFlow, one backend, no window for matplotlib, fixed seeds."""

import os
import random
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest

from mrcnn_plus.data.augmentation import import_imgaug

GOLDEN_DIR = Path(__file__).parent / "golden"


def pytest_configure(config):
    """Where tests run in processes of pytest-xdist, the first process imports the modules of all warnings by itself."""
    if not hasattr(config, "workerinput"):
        import_imgaug()


def pytest_collection_modifyitems(items):
    """Where processes share the tests, a file stays with one of them, and so do the tests of the costliest fixture:
    what they have in common is then built once."""
    for item in items:
        group = "two_stages" if "two_stages" in item.fixturenames else item.path.stem
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def golden_dir():
    """Folder of the recorded answers of the original code."""
    return GOLDEN_DIR


@pytest.fixture(scope="session")
def golden():
    """Recorded answers of the functions of `utils` and `model`: `golden["iou/out"]`, inputs beside outputs."""
    with np.load(GOLDEN_DIR / "functions.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Start every test from the same state of Python's and NumPy's global generators."""
    random.seed(0)
    np.random.seed(0)
