"""The facade: Matterport's names and signatures, and an import that chooses no backend and loads no framework."""

import inspect
import json
import os
import subprocess
import sys

import pytest

from mrcnn_plus import visualize


@pytest.fixture(scope="module")
def api(golden_dir):
    return json.loads((golden_dir / "api.json").read_text())["visualize"]


def test_every_name_is_there_and_exported(api):
    assert sorted(visualize.__all__) == sorted(api)
    assert all(hasattr(visualize, name) for name in api)
    assert os.path.abspath("../") == visualize.ROOT_DIR


def test_signatures_are_matterports_and_what_is_new_is_keyword_only_with_a_default(api):
    for name, expected in api.items():
        if name == "ROOT_DIR":
            continue
        signature = inspect.signature(getattr(visualize, name))
        old = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        new = [p for p in signature.parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
        assert str(signature.replace(parameters=old)) == expected, name
        assert all(p.default is None for p in new), name


@pytest.mark.parametrize("module", ["visualize", "drawing.overlay", "evaluation"])
def test_importing_loads_neither_a_framework_nor_pyplot(module):
    program = (
        f"import sys, mrcnn_plus.{module}\n"
        "unwanted = ('keras', 'tensorflow', 'jax', 'torch', 'matplotlib.pyplot', 'IPython')\n"
        "print([name for name in unwanted if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
