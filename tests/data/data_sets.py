"""Small data sets in memory that several tests of this folder use."""

import numpy as np

from mrcnn_plus.data.dataset import Dataset


class Rectangles(Dataset):
    """Images of noise; masks are rectangles. `counts[i]` is the number of instances of image i."""

    def __init__(self, counts, size=(60, 90), channels=3, class_ids=None):
        super().__init__()
        self.size, self.channels, self.class_ids_of_image = size, channels, class_ids
        for class_id, name in enumerate(("box", "crate", "lid"), start=1):
            self.add_class("rectangles", class_id, name)
        for number, count in enumerate(counts):
            self.add_image("rectangles", f"r{number}", None, count=count)
        self.prepare()

    def load_image(self, image_id):
        rng = np.random.default_rng(int(image_id))
        return rng.integers(0, 256, (*self.size, self.channels), dtype=np.uint8)

    def load_mask(self, image_id):
        count = self.image_info[image_id]["count"]
        rng = np.random.default_rng(100 + int(image_id))
        masks = np.zeros((*self.size, count), bool)
        for n in range(count):
            y, x = rng.integers(0, self.size[0] - 12), rng.integers(0, self.size[1] - 12)
            height, width = rng.integers(6, 12, 2)
            masks[y : y + height, x : x + width, n] = True
        class_ids = 1 + np.arange(count) % 3 if self.class_ids_of_image is None else self.class_ids_of_image[:count]
        return masks, np.asarray(class_ids, np.int32)


class Answers(Rectangles):
    """One image whose `load_image` and `load_mask` answer what they were told."""

    def __init__(self, image=None, masks=None, class_ids=None, answer=None):
        super().__init__([0])
        self.image = np.zeros((20, 30, 3), np.uint8) if image is None else image
        self.answer = (masks, class_ids) if answer is None else answer

    def load_image(self, image_id):
        return self.image

    def load_mask(self, image_id):
        return self.answer
