"""A picture with instances, axes that belong to no pyplot figure, and pyplot left as it was found."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

NAMES = ["BG", "date", "fig"]


@pytest.fixture
def ax():
    """Axes outside pyplot: a drawing that touches pyplot's current figure does not reach them."""
    return Figure().add_subplot()


@pytest.fixture
def scene():
    """Image, boxes, masks and class ids of three instances; the last one reaches over the border."""
    image = np.random.default_rng(0).integers(0, 200, (60, 80, 3), dtype=np.uint8)
    boxes = np.array([[5, 5, 25, 30], [30, 10, 50, 40], [40, 60, 60, 80]])
    masks = np.zeros((60, 80, 3), bool)
    for n, (y1, x1, y2, x2) in enumerate(boxes):
        masks[y1:y2, x1:x2, n] = True
    return image, boxes, masks, np.array([1, 2, 1])


@pytest.fixture(autouse=True)
def shown(monkeypatch):
    """Counts the calls of plt.show(), and closes the figures of the test."""
    calls = []
    monkeypatch.setattr(plt, "show", lambda *_, **__: calls.append(len(plt.get_fignums())))
    plt.close("all")
    yield calls
    plt.close("all")
