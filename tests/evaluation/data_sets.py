"""A data set in memory and detections for it, for the tests of this folder."""

import numpy as np

from mrcnn_plus.data.dataset import Dataset


class Discs(Dataset):
    """Black images with the masks they were given: `images` is a list of (masks [H, W, N], class_ids [N])."""

    def __init__(self, images, names=("disc", "ring", "dot")):
        super().__init__()
        self.images = images
        for class_id, name in enumerate(names, start=1):
            self.add_class("discs", class_id, name)
        for number in range(len(images)):
            self.add_image("discs", f"d{number}", f"folder/d{number}.png")
        self.prepare()

    def load_image(self, image_id):
        return np.zeros((*self.images[image_id][0].shape[:2], 3), np.uint8)

    def load_mask(self, image_id):
        return self.images[image_id]


def discs(count, *, size=(120, 160), largest=25, seed=0):
    """`count` discs of random radius and place, which may overlap: bool [H, W, count]."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    masks = np.zeros((*size, count), bool)
    for n in range(count):
        y, x, radius = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(3, largest)
        masks[..., n] = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    return masks


def boxes_of(masks):
    """Boxes [N, (y1, x1, y2, x2)] found pixel by pixel, the slow and obvious way."""
    boxes = np.zeros((masks.shape[-1], 4), int)
    for n in range(masks.shape[-1]):
        ys, xs = np.nonzero(masks[..., n])
        if len(ys):
            boxes[n] = ys.min(), xs.min(), ys.max() + 1, xs.max() + 1
    return boxes


def detection(masks, class_ids, scores=None):
    """A result as `MaskRCNN.detect` returns it for one image."""
    scores = np.ones(masks.shape[-1]) if scores is None else scores
    return {"rois": boxes_of(masks), "class_ids": np.asarray(class_ids), "scores": np.asarray(scores), "masks": masks}
