"""Examples for `lint/rules/instances.py`."""

import numpy as np

from mrcnn_plus.data.readers.opening import open_dataset
from tests.support.lint_cases import Case
from tests.support.lint_data import Told, coco_content, write_coco


def masks_of(*masks, count=1):
    """Data set of `count` images that all have these masks, class 1."""
    answer = np.stack(masks, axis=-1), np.ones(len(masks), np.int32)
    return {"train": Told(count, answers=[answer] * count, size=masks[0].shape)}


def block(y1, x1, y2, x2, size=(40, 60)):
    mask = np.zeros(size, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def crumbs():
    mask = np.zeros((40, 60), bool)
    mask[::4, ::4] = True
    return mask


def ellipse():
    return Told(1).rectangles(0)[0][..., 0]


def in_two_parts():
    return Told(1).rectangles(0)[0].any(axis=-1)


def tiny(path):
    content = coco_content()
    for annotation in content["annotations"]:
        x, y = annotation["bbox"][:2]
        annotation["segmentation"] = [[x, y, x + 3, y, x + 3, y + 3, x, y + 3]]
    return {"train": open_dataset(write_coco(path, content))}


def clean(_):
    return {"train": Told()}


def many_rectangles(_):
    blocks = [block(y, x, y + 8, x + 8) for y in (2, 14, 26) for x in (2, 16, 30, 44)]
    return masks_of(*blocks)


def at_the_border(_):
    return masks_of(block(0, 5, 20, 20), block(10, 40, 30, 60))


CASES = {
    "DAT013": Case(lambda _: masks_of(ellipse(), np.zeros((40, 60), bool)), clean),
    "DAT027": Case(lambda _: masks_of(ellipse(), ellipse()), clean),
    "DAT044": Case(tiny, clean),
    "DAT045": Case(lambda _: masks_of(in_two_parts(), ellipse()), clean),
    "DAT046": Case(at_the_border, clean),
    "DAT053": Case(lambda _: masks_of(crumbs()), clean),
    "DAT054": Case(lambda _: masks_of(np.ones((40, 60), bool)), clean),
    "DAT055": Case(many_rectangles, clean),
}
