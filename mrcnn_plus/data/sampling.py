"""In which order images are visited."""

import numpy as np

from mrcnn_plus.errors import DatasetError

_KEPT_ORDERS = 16


class ImageStream:
    """An endless row of image ids, addressed by position.

    Positions `0 .. len-1` are the first pass over the images, the next `len` the second, and so on. A pass visits every
    image once, each pass in another order; without `shuffle` always in the order given. What stands at a position
    depends on nothing but the seed, so several workers can read at once and training can go on from any position.

        stream = ImageStream(dataset.image_ids, seed=0)
        stream[17]    # the image id at position 17
        len(stream)   # images in a pass

    image_ids: `[num_images]`; seed: whole number from 0, or None for one drawn from NumPy's global random state.
    Raises `DatasetError` if there is no image.
    """

    def __init__(self, image_ids, seed=None, shuffle=True):
        self.image_ids = np.array(image_ids)
        if self.image_ids.ndim != 1 or len(self.image_ids) == 0:
            raise DatasetError(
                f"ImageStream: expected the ids of at least one image, received image_ids={image_ids!r}. Add images to "
                "the data set and call prepare()."
            )
        # From the global state, so that a program which calls np.random.seed() gets the same order every time.
        self.seed = int(np.random.randint(2**31)) if seed is None else seed
        self.shuffle = shuffle
        self._orders = {}

    def __len__(self):
        return len(self.image_ids)

    def __getitem__(self, position):
        if position < 0:
            raise IndexError(f"ImageStream: expected a position from 0, received position={position}.")
        pass_number, place = divmod(int(position), len(self.image_ids))
        return self.image_ids[self._order(pass_number)[place]] if self.shuffle else self.image_ids[place]

    def _order(self, pass_number):
        """The permutation of a pass; the last few are kept, because neighbouring positions share them."""
        order = self._orders.get(pass_number)
        if order is None:
            order = np.random.default_rng([self.seed, pass_number]).permutation(len(self.image_ids))
            # A new dict, so that threads that look into the old one are not disturbed.
            kept = list(self._orders.items())[1 - _KEPT_ORDERS :]
            self._orders = dict([*kept, (pass_number, order)])
        return order
