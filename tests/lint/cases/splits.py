"""Examples for `lint/rules/splits.py`."""

import numpy as np

from tests.support.lint_cases import Case
from tests.support.lint_data import Told

NOTHING = np.zeros((40, 60, 0), bool), np.zeros([0], np.int32)


class Numbered(Told):
    """Images that no other data set has."""

    def load_image(self, image_id):
        return super().load_image(image_id + 1000)


def clean(_):
    return {"train": Told(), "val": Numbered()}


CASES = {
    "DAT018": Case(lambda _: {"train": Told(answers=[NOTHING] * 3)}, clean),
    "DAT020": Case(lambda _: {"train": Told(), "val": Numbered(classes=("lid", "box"))}, clean),
    "DAT021": Case(lambda _: {"train": Told(), "val": Told()}, clean),
    "DAT022": Case(
        lambda _: {"train": Told(classes=("box", "lid", "strap"))}, lambda _: {"train": Told(12), "val": Numbered()}
    ),
    "DAT058": Case(lambda _: {"train": Told(3)}, lambda _: {"train": Told(24)}),
}
