"""Examples for `lint/rules/load_mask.py`."""

import numpy as np

from tests.support.lint_cases import Case
from tests.support.lint_data import Told

MASKS, IDS = Told(1).rectangles(0)


class Shaky(Told):
    """Masks that are drawn at random."""

    def load_mask(self, image_id):
        masks, class_ids = self.rectangles(image_id)
        return np.roll(masks, np.random.randint(1, 9), axis=1), class_ids


def answers(*told):
    """A data set whose images all give this answer."""
    return {"train": Told(answers=[told if len(told) > 1 else told[0]] * 3)}


def clean(_):
    return {"train": Told()}


def in_parts(image_id):
    """Two separate ellipses in one mask."""
    masks, _ = Told(1).rectangles(image_id)
    return masks.any(axis=2, keepdims=True), np.array([1], np.int32)


CASES = {
    "DAT008": Case(lambda _: answers(MASKS.swapaxes(0, 1), IDS), clean),
    "DAT009": Case(lambda _: answers(MASKS[..., :1], IDS), clean),
    "DAT010": Case(lambda _: answers(MASKS, ["box", "lid"]), lambda _: answers(MASKS, [1, 2])),
    "DAT011": Case(lambda _: answers(MASKS, IDS + 6), lambda _: answers(MASKS, -IDS)),
    "DAT012": Case(
        lambda _: answers(MASKS * np.array([100, 200], np.uint8), IDS), lambda _: answers(MASKS.astype(np.uint8), IDS)
    ),
    "DAT026": Case(lambda _: {"train": Told(5, answers=[in_parts(number) for number in range(5)])}, clean),
    "DAT040": Case(lambda _: answers(KeyError("polygons")), clean),
    "DAT052": Case(lambda _: {"train": Shaky()}, clean),
    "DAT056": Case(lambda _: {"train": Told(6, answers=[(MASKS, IDS)] * 6)}, lambda _: {"train": Told(6)}),
}
