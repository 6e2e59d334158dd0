"""What `load_mask` answered, kept in little room, so that later epochs need not ask again (`CACHE_ANNOTATIONS`)."""

from typing import NamedTuple

import numpy as np

from mrcnn_plus.geometry.masks import crop_to_boxes


class _Kept(NamedTuple):
    """The instances of an image: what lies in their boxes, eight pixels in a byte."""

    shape: tuple  # (H, W)
    boxes_px: np.ndarray  # int32 [N, (y1, x1, y2, x2)]
    bits: list  # N arrays uint8
    class_ids: np.ndarray  # int32 [N]


class AnnotationCache:
    """Masks and class ids by image id, after they were checked. Several threads may use it; a process has its own.

    An image of 1000 x 700 with 20 objects of 100 x 100 takes 25 KB, where its masks take 14 MB.
    """

    def __init__(self):
        self._kept = {}

    def find(self, image_id, shape):
        """`(masks bool [H, W, N], class_ids int32 [N])` of an image of this height and width; None if it has none.

        The arrays are new ones, which may be changed.
        """
        kept = self._kept.get(int(image_id))
        if kept is None or kept.shape != tuple(shape):
            return None
        masks = np.zeros((len(kept.bits), *kept.shape), bool)
        for mask, (y1, x1, y2, x2), bits in zip(masks, kept.boxes_px, kept.bits, strict=True):
            size = int(y2 - y1) * int(x2 - x1)
            mask[y1:y2, x1:x2] = np.unpackbits(bits, count=size).reshape(y2 - y1, x2 - x1)
        return np.moveaxis(masks, 0, -1), kept.class_ids.copy()

    def keep(self, image_id, masks, class_ids):
        """masks: bool `[H, W, N]`."""
        boxes_px, crops, _ = crop_to_boxes(masks)
        bits = [np.packbits(crop) for crop in crops]
        self._kept[int(image_id)] = _Kept(masks.shape[:2], boxes_px, bits, np.array(class_ids))
