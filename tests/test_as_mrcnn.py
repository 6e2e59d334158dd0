"""`import mrcnn_plus.as_mrcnn`: `mrcnn` means mrcnn_plus, and nothing loads before it is used."""

import os
import subprocess
import sys

import pytest

BACKENDS = "{'keras', 'tensorflow', 'torch', 'jax'}"


def run(code, folder):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment())
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def environment():

    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_modules_are_aliases_and_load_no_backend(tmp_path):
    code = f"""
import sys, mrcnn_plus, mrcnn_plus.as_mrcnn
import mrcnn.model as modellib, mrcnn.parallel_model, mrcnn
from mrcnn import utils, visualize
from mrcnn.config import Config
print(Config is mrcnn_plus.Config, utils.Dataset is mrcnn_plus.Dataset)
print(utils.compute_iou.__module__, mrcnn.visualize is visualize)
print(not ({BACKENDS} & set(sys.modules)))
"""
    assert run(code, tmp_path) == ["True", "True", "mrcnn_plus.geometry.boxes", "True", "True"]


def test_what_is_set_on_an_alias_is_set_on_the_module(tmp_path):
    code = """
import mrcnn_plus.as_mrcnn, mrcnn_plus.utils
from mrcnn import utils
utils.resize_mask = 5
print(mrcnn_plus.utils.resize_mask)
"""
    assert run(code, tmp_path) == ["5"]


def test_star_imports_bring_the_public_names(tmp_path):
    code = """
import mrcnn_plus.as_mrcnn
from mrcnn.utils import *
from mrcnn.config import *
print(Dataset.__name__, Config.__name__)
"""
    assert run(code, tmp_path) == ["Dataset", "Config"]


def test_what_the_old_modules_had_imported_is_found_in_them(tmp_path):
    code = f"""
import sys, mrcnn_plus.as_mrcnn
from mrcnn.visualize import find_contours, plt
from mrcnn.utils import *
import mrcnn.config
print(find_contours.__module__.startswith("skimage"), plt.__name__, np.zeros(1).shape, mrcnn.config.np.__name__)
print(not ({BACKENDS} & set(sys.modules)))
"""
    assert run(code, tmp_path) == ["True", "matplotlib.pyplot", "(1,)", "numpy", "True"]


def test_objects_of_aliased_classes_can_be_pickled_and_modules_reloaded(tmp_path):
    code = """
import importlib, pickle
import mrcnn_plus.as_mrcnn
import mrcnn.config
from mrcnn import utils
copy = pickle.loads(pickle.dumps(mrcnn.config.Config()))
print(type(copy) is mrcnn.config.Config, type(copy).__module__)
print(importlib.reload(utils) is utils, utils.Dataset.__name__)
"""
    assert run(code, tmp_path) == ["True", "mrcnn_plus.config", "True", "Dataset"]


def test_a_copy_of_the_old_package_beside_the_program_is_not_used(tmp_path):
    (tmp_path / "mrcnn").mkdir()
    (tmp_path / "mrcnn" / "__init__.py").write_text("")
    (tmp_path / "mrcnn" / "config.py").write_text("raise ImportError('old')")
    assert run("import mrcnn_plus.as_mrcnn\nfrom mrcnn.config import Config\nprint(Config.__module__)", tmp_path) == [
        "mrcnn_plus.config"
    ]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("class Dataset: pass", "config"),
        ("class Dataset:\n  pass\ndef resize_mask(): pass", "mrcnn_plus.data.dataset"),
        (None, "mrcnn_plus.data.dataset"),
    ],
)
def test_flat_names_are_aliases_unless_the_user_has_a_module_of_that_name(tmp_path, text, expected):
    if text is not None:
        (tmp_path / "utils.py").write_text(text)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from mrcnn_plus import as_mrcnn
as_mrcnn.install(flat=True)
import utils
print(utils.Dataset.__module__)
"""
    assert run(code, tmp_path) == ["utils" if expected == "config" else expected]


def test_flat_names_are_not_taken_by_the_import_alone(tmp_path):
    (tmp_path / "model.py").write_text("x = 'mine'")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport mrcnn_plus.as_mrcnn, model\nprint(model.x)"
    assert run(code, tmp_path) == ["mine"]


def test_an_unknown_module_of_mrcnn_is_the_usual_error(tmp_path):
    code = """
import mrcnn_plus.as_mrcnn
try:
    import mrcnn.nothing
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert run(code, tmp_path) == ["mrcnn.nothing"]
