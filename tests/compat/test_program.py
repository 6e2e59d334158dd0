"""A program that is run by `mrcnn-plus run` finds everything as with `python program.py`, and the aliases besides."""

import json

import pytest

from ..support.running import python, run

ENVIRONMENT = """
import os, sys
import helper
print(__name__, __file__, sys.argv, sys.path[0], os.getcwd(), helper.PLACE)
print(sys.modules["__main__"].__dict__ is globals())
"""


def test_names_paths_arguments_and_helpers_are_those_of_python(tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "program.py").write_text(ENVIRONMENT)
    (inner / "helper.py").write_text("import os\nPLACE = os.path.dirname(os.path.abspath(__file__))\n")
    arguments = ("inner/program.py", "train", "--dataset=x", "--", "-v")
    expected = python(tmp_path, *arguments)
    assert expected.returncode == 0, expected.stderr
    assert run(tmp_path, *arguments).stdout == expected.stdout


@pytest.mark.parametrize(
    "ending",
    [
        "pass",
        "sys.exit()",
        "sys.exit(3)",
        "sys.exit('no data')",
        "raise ValueError('no data')",
        "raise SystemExit(True)",
    ],
)
def test_exit_status_and_errors_are_those_of_python(tmp_path, ending):
    text = f"import sys\n\n\ndef last():\n    {ending}\n\n\nlast()\n"
    found = run(tmp_path, text)
    expected = python(tmp_path, "program.py")
    assert (found.returncode, found.stderr) == (expected.returncode, expected.stderr)


@pytest.mark.parametrize(
    "text, words",
    [
        ("x = 1\nprint 'done'\n", ["program.py:2: Missing parentheses", "That is Python 2", "print 'done'"]),
        ("def f(:\n    pass\n", ["program.py:1: ", "def f(:"]),
    ],
)
def test_what_is_not_python_3_is_named_with_its_place(tmp_path, text, words):
    found = run(tmp_path, text)
    assert found.returncode == 2
    assert all(word in found.stderr for word in words), found.stderr


def test_a_program_that_is_not_there_is_named(tmp_path):
    found = run(tmp_path, "nothing.py")
    assert found.returncode == 2 and "nothing.py: there is no such file" in found.stderr


def test_the_package_wins_over_an_old_copy_and_the_users_own_modules_stay(tmp_path):
    old = tmp_path / "mrcnn"
    old.mkdir()
    (old / "__init__.py").write_text("")
    (old / "model.py").write_text("class MaskRCNN: pass\n\ndef build_rpn_targets(): pass\n\ndef my_metric(): pass\n")
    (old / "config.py").write_text("class Config:\n    RPN_ANCHOR_SCALES = (1, 2)\n    VALIDATION_STEPS = 10\n")
    (old / "extra.py").write_text("from mrcnn import config\nWHERE = config.Config.__module__\n")
    (tmp_path / "utils.py").write_text("mine = True\n")
    found = run(
        tmp_path,
        """
        import os, sys
        sys.path.append(os.path.abspath("."))
        import mrcnn.model, mrcnn.config
        import mrcnn.extra
        import utils
        from config import Config as Flat
        print(mrcnn.config.Config.__module__, mrcnn.extra.WHERE, utils.mine, Flat is mrcnn.config.Config)
        """,
    )
    assert found.stdout.split() == ["mrcnn_plus.config", "mrcnn_plus.config", "True", "True"], found.stderr
    assert "mrcnn/model.py was not used" in found.stderr and "my_metric" in found.stderr
    assert "VALIDATION_STEPS = 10" in found.stderr


def test_a_copy_is_compared_without_loading_keras_for_it(tmp_path):
    copy = tmp_path / "mrcnn"
    copy.mkdir()
    (copy / "__init__.py").write_text("")
    (copy / "model.py").write_text(
        "def build_rpn_targets(): pass\n\n\ndef log(): pass\n\n\ndef my_metric(): pass\n\n\n"
        "class MaskRCNN:\n    def train(self): pass\n\n    def find_last(self): pass\n\n    def prune(self): pass\n\n\n"
        "class BatchNorm:\n    def call(self): pass\n\n    def get_config(self): pass\n\n\n"
        "class ProposalLayer:\n    def compute_output_shape(self): pass\n"
    )
    found = run(
        tmp_path,
        """
        import atexit, sys
        import mrcnn.model, mrcnn.parallel_model
        atexit.register(lambda: print({"keras", "tensorflow", "jax", "torch", "mrcnn_plus.model"} & set(sys.modules)))
        """,
    )
    assert found.stdout == "set()\n", found.stderr
    assert "mrcnn_plus has not: my_metric, MaskRCNN.prune. If" in found.stderr


def test_a_copy_within_another_package_is_replaced_too(tmp_path):
    inside = tmp_path / "Mask_RCNN" / "mrcnn"
    inside.mkdir(parents=True)
    (inside / "config.py").write_text("class Config:\n    RPN_ANCHOR_SCALES = (1, 2)\n")
    found = run(tmp_path, "from Mask_RCNN.mrcnn.config import Config\nprint(Config.__module__)\n")
    assert found.stdout.split() == ["mrcnn_plus.config"], found.stderr


def test_a_copy_of_pycocotools_that_is_not_built_gives_way_to_the_installed_one(tmp_path):
    copy = tmp_path / "pycocotools"
    copy.mkdir()
    (copy / "__init__.py").write_text("")
    (copy / "mask.py").write_text("import pycocotools._mask\n")
    found = run(tmp_path, "from pycocotools import mask\nprint(mask.__file__)\n")
    assert found.returncode == 0 and not found.stdout.startswith(str(tmp_path)), found.stderr
    assert "remove the folder" in found.stderr


def test_old_flat_modules_are_the_package(tmp_path):
    found = run(tmp_path, "import utils, visualize\nfrom config import Config\nprint(utils.Dataset, Config)\n")
    assert found.stdout.count("mrcnn_plus") == 2, found.stderr


def test_threads_that_go_on_keep_their_shims_and_are_listed(tmp_path):
    found = run(
        tmp_path,
        """
        import threading, time
        import numpy as np

        def late():
            time.sleep(0.3)
            print(np.int)

        threading.Thread(target=late).start()
        """,
    )
    assert found.returncode == 0 and "<class 'int'>" in found.stdout, found.stderr
    assert "program.py:7" in found.stderr


@pytest.mark.parametrize("way", ["spawn", "fork"])
def test_processes_of_the_program_have_what_it_has(tmp_path, way):
    found = run(
        tmp_path,
        f"""
        import multiprocessing
        import numpy as np
        from mrcnn.config import Config


        class PartsConfig(Config):
            NAME = "parts"


        def work(config):
            return config.NAME, str(np.int(3))


        if __name__ == "__main__":
            with multiprocessing.get_context({way!r}).Pool(1) as pool:
                print(pool.map(work, [PartsConfig()]))
        """,
    )
    assert found.stdout.strip() == "[('parts', '3')]", found.stderr


def notebook(path, *cells):
    content = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": cell} for cell in cells]
    path.write_text(json.dumps({"cells": content, "metadata": {}, "nbformat": 4, "nbformat_minor": 2}))


def test_servers_find_the_place_of_the_program_and_how_to_start_it_anew(tmp_path):
    """As Flask and its server ask: for the module of `__name__`, and for the command when a file has changed."""
    (tmp_path / "werkzeug").mkdir()
    (tmp_path / "werkzeug" / "__init__.py").write_text("")
    (tmp_path / "werkzeug" / "_reloader.py").write_text("def _get_args_for_reloading():\n    return None\n")
    found = run(
        tmp_path,
        """
        import importlib.util, os, sys
        from werkzeug import _reloader
        print(os.path.basename(importlib.util.find_spec(__name__).origin))
        print(_reloader._get_args_for_reloading() == [sys.executable, "-m", "mrcnn_plus", "run", "--quiet", *sys.argv])
        """,
        "--port=1",
    )
    assert found.stdout.split() == ["program.py", "True"], found.stderr


def test_functions_that_were_added_to_a_copy_are_taken_from_it(tmp_path):
    copy = tmp_path / "mrcnn"
    copy.mkdir()
    (copy / "__init__.py").write_text("")
    (copy / "visualize.py").write_text(
        "from os import getpid\nfrom mrcnn.config import Config\n\nFACTOR = 2\n\n\ndef display_instances(): pass\n\n\n"
        "def random_colors(n):\n    return [FACTOR] * n\n\n\n"
        "def save_images():\n    return random_colors(2), Config.__module__\n"
    )
    (copy / "utils.py").write_text("class Dataset: pass\n\ndef resize_mask(): pass\n\nbroken = no_such_name\n")
    found = run(
        tmp_path,
        """
        from mrcnn import utils, visualize
        from mrcnn.visualize import save_images
        print(save_images(), visualize.display_instances.__module__.split(".")[0], hasattr(visualize, "getpid"))
        print(hasattr(visualize, "nothing"))
        utils.broken
        """,
    )
    assert found.stdout.splitlines() == ["([2, 2], 'mrcnn_plus.config') mrcnn_plus False", "False"], found.stderr
    assert "but for save_images: move that into a file of your own" in found.stderr
    assert "mrcnn/utils.py defines it, but fails when it is loaded (NameError" in found.stderr


def test_a_notebook_runs_cell_by_cell_in_its_own_folder(tmp_path):
    inner = tmp_path / "notebooks"
    inner.mkdir()
    notebook(
        inner / "a.ipynb",
        ["%matplotlib inline\n", "import os\n", "from mrcnn.config import Config\n", "n = 3"],
        ["%%time\n", "%time n = n + 1\n", "n"],
        ["!pip install imgaug\n", "files = !ls\n", "os.path.basename(os.getcwd())"],
        ["Config;"],
        ["%%bash\n", "rm -rf /nothing"],
        ["Config.NAME?\n", "get_ipython().magic('x')\n", "display(n)\n", "1 / 0"],
    )
    found = run(tmp_path, "notebooks/a.ipynb")
    assert found.stdout.split() == ["4", "'notebooks'", "4"]
    assert 'File "notebooks/a.ipynb, cell 6", line 4' in found.stderr and "1 / 0" in found.stderr
    assert "cell 3, line 1: !pip install imgaug" in found.stderr and "cell 5, line 1: %%bash" in found.stderr
    assert found.returncode == 1


def test_nothing_is_left_behind_for_programs_that_are_run_normally(tmp_path):
    found = python(
        tmp_path,
        "-c",
        """
import collections, sys
import numpy as np
import skimage.draw
from mrcnn_plus.compat.libraries import installed
before = (list(sys.meta_path), skimage.draw.polygon, dict(vars(np)), set(sys.modules))
with installed() as log:
    pass
print(list(sys.meta_path) == before[0], skimage.draw.polygon is before[1], dict(vars(np)) == before[2])
print(hasattr(np, "int"), hasattr(collections, "Iterable"), log.uses())
""",
    )
    assert found.stdout.split() == ["True", "True", "True", "False", "False", "[]"], found.stderr


def test_quiet_lists_nothing(tmp_path):
    (tmp_path / "program.py").write_text("import numpy as np\nnp.float(1)\n")
    found = python(tmp_path, "-m", "mrcnn_plus", "run", "--quiet", "program.py")
    assert (found.returncode, found.stderr) == (0, "")


def test_what_the_linter_finds_does_not_stop_an_old_program_unless_that_is_asked_for(tmp_path, monkeypatch):
    text = "import os\nprint(os.environ.get('MRCNN_PLUS_LINT'))\n"
    monkeypatch.delenv("MRCNN_PLUS_LINT", raising=False)
    assert run(tmp_path, text).stdout == "warn\n"
    monkeypatch.setenv("MRCNN_PLUS_LINT", "error")
    assert run(tmp_path, text).stdout == "error\n"


def test_a_copy_that_imports_ipython_loads_without_it_and_one_that_cannot_be_loaded_says_why(tmp_path):
    copy = tmp_path / "mrcnn"
    copy.mkdir()
    (copy / "__init__.py").write_text("")
    (copy / "visualize.py").write_text(
        "import IPython.display\n\n\ndef random_colors(n): pass\n\n\n"
        "def save_images():\n    return IPython.display.display\n"
    )
    (copy / "utils.py").write_text("import no_such_module\n\n\ndef resize_mask(): pass\n\n\ndef measure(): pass\n")
    found = run(
        tmp_path,
        """
        from mrcnn.visualize import save_images
        print(callable(save_images()))
        from mrcnn.utils import measure
        """,
    )
    assert found.stdout == "True\n", found.stderr
    assert "cannot import name 'measure'" in found.stderr
    assert "(ModuleNotFoundError: No module named 'no_such_module')" in found.stderr
