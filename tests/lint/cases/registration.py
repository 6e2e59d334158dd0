"""Examples for `lint/rules/registration.py`."""

from mrcnn_plus.data.dataset import Dataset
from tests.support.lint_boxes import settings, similar_objects
from tests.support.lint_cases import Case
from tests.support.lint_data import Told


class NotPrepared(Told):
    def prepare(self, class_map=None):
        pass


class WrongName(Dataset):
    """As a user may write it: a letter too many, so the base class answers."""

    def __init__(self):
        super().__init__()
        self.add_class("parts", 1, "bolt")
        self.add_image("parts", 0, "bolt.png")
        self.prepare()

    def load_masks(self, image_id):
        return Told(1).load_mask(image_id)


def registered(*classes, image_source="parts"):
    """A prepared data set with classes `(source, id, name)` and one image."""
    dataset = Told(0, classes=())
    for source, class_id, name in classes:
        dataset.add_class(source, class_id, name)
    dataset.add_image(image_source, 0, None)
    dataset.prepare()
    return dataset


def clean(_):
    return {"train": Told()}


def two_classes(**values):
    return {"config": settings(**values), "train": similar_objects(classes=("crop", "weed"))}


BOLT = ("parts", 1, "bolt")

CASES = {
    "CFG020": Case(lambda _: {"config": settings(NUM_CLASSES=1)}, lambda _: {"config": settings(NUM_CLASSES=2)}),
    "CFG021": Case(lambda _: two_classes(NUM_CLASSES=2), lambda _: two_classes(NUM_CLASSES=1 + 2)),
    "DAT001": Case(lambda _: {"train": NotPrepared()}, clean),
    "DAT002": Case(lambda _: {"train": Told(0)}, clean),
    "DAT003": Case(lambda _: {"train": registered(("parts", 0, "bolt"))}, lambda _: {"train": registered(BOLT)}),
    "DAT004": Case(
        lambda _: {"train": registered(BOLT, ("parts", 2, "bolt"))},
        lambda _: {"train": registered(BOLT, ("parts", 2, "nut"))},
    ),
    "DAT005": Case(lambda _: {"train": registered(BOLT, image_source="part")}, lambda _: {"train": registered(BOLT)}),
    "DAT006": Case(lambda _: {"train": registered(BOLT, image_source="parts.2024")}, clean),
    "DAT007": Case(lambda _: {"train": WrongName()}, clean),
    "DAT036": Case(
        lambda _: {"train": registered(BOLT, ("parts", 2, "Bolt "))},
        lambda _: {"train": registered(BOLT, ("parts", 2, "bolts"))},
    ),
}
