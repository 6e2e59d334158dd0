"""Colours of classes: the same for a name in all images and runs, and apart from each other."""

import subprocess
import sys

import numpy as np
import pytest

from mrcnn_plus.drawing.colors import class_colors
from mrcnn_plus.drawing.overlay import draw_overlay

from .conftest import NAMES


def distances(colors):
    colors = np.array(colors)
    return np.abs(colors[:, None] - colors[None]).sum(axis=-1) + 9 * np.eye(len(colors))


def test_a_class_has_its_colour_whatever_the_others_are_called():
    assert class_colors(["cell"])[0] == class_colors(["BG", "spore", "cell"])[2]
    names = ["BG", "person", "car", "dog", "tree"]
    colors = dict(zip(names, class_colors(names), strict=True))
    assert colors == dict(zip(names[::-1], class_colors(names[::-1]), strict=True))


def test_the_colour_is_the_same_in_another_process():
    code = "from mrcnn_plus.drawing.colors import class_colors; print(class_colors(['BG', 'cell', 'spore']))"
    answers = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert answers == {f"{class_colors(['BG', 'cell', 'spore'])}\n"}


@pytest.mark.parametrize("count", [2, 12, 36])
def test_so_many_classes_have_colours_that_differ(count):
    colors = class_colors(["BG", *(f"class {n}" for n in range(count))])
    assert distances(colors).min() > 0.15
    assert (np.array(colors) @ [0.299, 0.587, 0.114]).min() > 0.4, "seen on black"


def test_any_number_of_classes_and_names_that_stand_twice_are_coloured():
    colors = class_colors([f"class {n}" for n in range(300)] + ["class 7"])
    assert len(colors) == 301 and colors[7] == colors[300]
    assert class_colors([]) == []


def test_an_overlay_takes_the_colours_of_the_classes(scene):
    image, boxes, masks, class_ids = scene
    picture = draw_overlay(image, boxes, masks, class_ids, NAMES, colors="class", show_labels=False)
    first, second, third = (picture[y, x].tolist() for y, x in ((5, 5), (30, 10), (40, 60)))
    assert first == third == [round(255 * c) for c in class_colors(NAMES)[1]]
    assert second == [round(255 * c) for c in class_colors(NAMES)[2]]
    reverse = draw_overlay(image, boxes[::-1], masks[..., ::-1], class_ids[::-1], NAMES, colors="class")
    assert reverse[5, 5].tolist() == first
