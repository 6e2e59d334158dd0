"""Weights files that have names and shapes and take no room: what the linter reads of them."""

import json
from pathlib import Path

import h5py
import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"
COCO_LIKE, RESNET50_FIVE_CLASSES = "layout_resnet101_81classes", "layout_resnet50_5classes"


def write_shapes(path, layout, *, layers=lambda name: True):
    """Write a recorded layout as a file whose tensors hold no values. layers: which layers to write. Returns the path.

    layout: name of a file in `tests/golden`, or a list `[layer, [[weight, shape], ...]]`.
    """
    if isinstance(layout, str):
        layout = json.loads((GOLDEN / f"{layout}.json").read_text())
    chosen = [(name, weights) for name, weights in layout if layers(name)]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([name.encode() for name, _ in chosen])
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.4"
        for name, weights in chosen:
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([weight.encode() for weight, _ in weights])
            for weight, shape in weights:
                group.create_dataset(weight, shape, np.float32)
    return str(path)
