"""What importing the geometry modules brings in."""

import subprocess
import sys

import pytest

MODULES = ["boxes", "anchors", "masks", "interpolation", "resizing", "molding"]


@pytest.mark.parametrize("module", MODULES)
def test_geometry_imports_no_network_library_and_no_scikit_image(module):
    program = (
        f"import sys, mrcnn_plus.geometry.{module}\n"
        "print([name for name in ('keras', 'tensorflow', 'jax', 'torch', 'skimage', 'scipy') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
