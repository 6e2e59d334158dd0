"""The facade: Matterport's names and signatures, and an import that chooses no backend and loads no framework."""

import inspect
import json
import os
import subprocess
import sys

import cv2
import matplotlib.pyplot as plt
import numpy as np
import pytest

from mrcnn_plus import visualize

from .conftest import NAMES


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


@pytest.mark.parametrize("name", ["draw_boxes", "draw_rois"])
def test_boxes_are_saved_at_the_size_of_the_image(name, scene, tmp_path, shown):
    image, boxes, _, class_ids = scene
    arguments = {
        "draw_boxes": (image, boxes),
        "draw_rois": (image, boxes, boxes, np.ones((3, 28, 28)), class_ids, NAMES),
    }
    getattr(visualize, name)(*arguments[name], save_path=tmp_path / "a.png")
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape == image.shape and (picture[..., ::-1] != image).any()
    assert shown == [] and plt.get_fignums() == []


@pytest.mark.parametrize("name", ["display_images", "display_top_masks", "plot_precision_recall", "plot_overlaps"])
def test_grids_and_charts_are_saved_without_a_window(name, scene, tmp_path, shown):
    image, _, masks, class_ids = scene
    arguments = {
        "display_images": ([image, image[..., 0]],),
        "display_top_masks": (image, masks, class_ids, NAMES),
        "plot_precision_recall": (0.5, [1, 0.5, 0], [0, 0.5, 1]),
        "plot_overlaps": ([1, 2], [1, 1], [0.9, 0.8], np.eye(2), NAMES),
    }
    getattr(visualize, name)(*arguments[name], save_path=str(tmp_path / "a.png"))
    assert cv2.imread(str(tmp_path / "a.png")).std() > 5, "something is drawn"
    assert shown == [] and plt.get_fignums() == []


def test_instances_are_shown_in_the_colours_of_their_classes(scene, ax):
    image, boxes, masks, class_ids = scene
    visualize.display_instances(image, boxes, masks, class_ids, NAMES, ax=ax, colors="class")
    edges = [patch.get_edgecolor()[:3] for patch in ax.patches if type(patch).__name__ == "Rectangle"]
    assert edges[0] == edges[2] != edges[1]
