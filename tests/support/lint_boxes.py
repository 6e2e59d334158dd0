"""Data sets of boxes without pixels, and configurations in a line, for the tests of the rules about settings."""

import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.data.annotations import AnnotatedDataset, Annotation


def settings(**values):
    """An instance of a subclass of `Config` with these settings, and a name and two classes."""
    return type("CaseConfig", (Config,), {"NAME": "case", "NUM_CLASSES": 2, **values})()


def boxes_dataset(boxes_by_image, *, size=(512, 512), classes=("part",), class_id=1, crowd=False):
    """A prepared data set of images of one size that exist as numbers only.

    boxes_by_image: for each image a list of `(y, x, height, width)` in pixels. size: `(height, width)`, or one for each
    image.
    """
    dataset = AnnotatedDataset("boxes.json", "coco")
    for number, name in enumerate(classes, start=1):
        dataset.add_class("case", number, name)
    sizes = np.broadcast_to(size, (len(boxes_by_image), 2)).tolist()
    for number, (boxes, (height, width)) in enumerate(zip(boxes_by_image, sizes, strict=True)):
        annotations = [
            Annotation(class_id, f"annotations[{row}]", "rectangle", (x, y, w, h), (x, y, w, h), w * h, crowd)
            for row, (y, x, h, w) in enumerate(boxes)
        ]
        dataset.add_image(
            "case",
            f"{number:03}.png",
            None,
            width=width,
            height=height,
            annotations=annotations,
            place=f"images[{number}]",
        )
    dataset.prepare()
    return dataset


def similar_objects(count=20, *, height=100, width=100, images=None, size=(512, 512), **options):
    """`count` objects of one size, each in an image of its own, or spread over so many `images`."""
    images = images or count
    rng = np.random.default_rng(0)
    boxes = [[] for _ in range(images)]
    for number in range(count):
        y, x = rng.integers(0, size[0] - height + 1), rng.integers(0, size[1] - width + 1)
        boxes[number % images].append((int(y), int(x), height, width))
    return boxes_dataset(boxes, size=size, **options)
