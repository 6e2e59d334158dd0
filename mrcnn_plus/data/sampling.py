"""In which order images are visited: all equally often, or images with rare classes more often.

The streams are addressed by position. What stands at a position depends on the seed alone, so workers can read at once,
and a run goes on from any position as if it had never stopped.
"""

import numpy as np

from mrcnn_plus.errors import ConfigError, DatasetError

_KEPT_ORDERS = 16

SAMPLERS = ("shuffle", "class_balanced", "repeat_factor")


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

    @property
    def positions_of_all(self):
        """From the beginning of a pass on, so many positions hold every image."""
        return len(self)

    def __len__(self):
        return len(self.image_ids)

    def __getitem__(self, position):
        pass_number, place = divmod(_checked(position), len(self))
        return self.image_ids[self._order(pass_number)[place]] if self.shuffle else self.image_ids[place]

    def _order(self, pass_number):
        """Indices into `image_ids` of a pass; the last few are kept, because neighbouring positions share them."""
        order = self._orders.get(pass_number)
        if order is None:
            order = self._make_order(np.random.default_rng([self.seed, pass_number]))
            # A new dict, so that threads that look into the old one are not disturbed.
            kept = list(self._orders.items())[1 - _KEPT_ORDERS :]
            self._orders = dict([*kept, (pass_number, order)])
        return order

    def _make_order(self, rng):
        return rng.permutation(len(self.image_ids))


class RepeatFactorStream(ImageStream):
    """As `ImageStream`, but images with rare classes come several times in a pass (LVIS, arXiv 1908.03195).

    f is the share of the images that hold a class. Its repeat factor is max(1, sqrt(threshold / f)), and that of an
    image the largest of its classes. An image with factor 2.3 comes twice in a pass, and a third time in 3 passes of
    10. Every image comes at least once in a pass; images without a class have factor 1.

    class_ids: for each image the ids of its classes, see `class_counts.class_ids_by_image`. threshold:
    REPEAT_THRESHOLD. `repeat_factors` float `[num_images]`.
    """

    def __init__(self, image_ids, class_ids, seed=None, *, threshold=0.001):
        super().__init__(image_ids, seed)
        factors = repeat_factors(class_ids, threshold)
        # A pass has a whole number of positions; the factors are stretched by less than one position in all.
        self._length = int(np.ceil(round(factors.sum(), 6)))
        self.repeat_factors = factors * (self._length / factors.sum())

    def __len__(self):
        return self._length

    def _make_order(self, rng):
        """Systematic sampling: rounds each factor up or down so that they add up to the length, right on average."""
        images = rng.permutation(len(self.image_ids))
        ends = np.cumsum(self.repeat_factors[images])
        ends[-1] = self._length
        times = np.diff(np.floor(ends + rng.random()), prepend=0).astype(int)
        return rng.permutation(np.repeat(images, times))


def repeat_factors(class_ids, threshold):
    """The repeat factor of each image, float `[num_images]`, from the class ids of each; see `RepeatFactorStream`."""
    classes = [np.unique(ids) for ids in class_ids]
    share = np.bincount(np.concatenate([np.zeros(0, int), *classes]).astype(int)) / max(len(classes), 1)
    of_class = np.sqrt(threshold / np.maximum(share, 1e-12))
    return np.array([max(1.0, *of_class[ids]) if len(ids) else 1.0 for ids in classes])


class ClassBalancedStream:
    """An endless row of image ids in which every class has the same number of turns, addressed by position.

    Classes take turns, in another order in each round; a turn gives an image that holds the class. For each class its
    images come in the order of an `ImageStream`, each once before any twice. An image with several classes is visited
    in the turns of each of them. With K classes and n images of the rarest, each of those comes every K * n positions.

    class_ids: for each image the ids of its classes, see `class_counts.class_ids_by_image`. with_empty: images without
    a class take turns as a class of their own; otherwise they do not come at all. `len()` is the number of images
    that come. Raises `DatasetError` if there is none.
    """

    shuffle = True

    def __init__(self, image_ids, class_ids, seed=None, *, with_empty=False):
        image_ids = np.array(image_ids)
        members = {}
        for image_id, ids in zip(image_ids, class_ids, strict=True):
            for class_id in np.unique(ids) if len(ids) else [0] * with_empty:
                members.setdefault(int(class_id), []).append(image_id)
        if not members:
            raise DatasetError(
                "ClassBalancedStream: expected images that hold instances of a class, received none. Check what "
                "load_mask returns, or use the sampler 'shuffle'."
            )
        self.seed = int(np.random.randint(2**31)) if seed is None else seed
        self.image_ids = np.unique(np.concatenate(list(members.values())))
        self.class_ids = sorted(members)
        self._turns = ImageStream(self.class_ids, self.seed)
        self._images = {class_id: ImageStream(members[class_id], self._seed_of(class_id)) for class_id in members}

    @property
    def positions_of_all(self):
        """From any position on, so many hold every image: two passes over those of the commonest class."""
        return 2 * len(self.class_ids) * max(len(images) for images in self._images.values())

    def _seed_of(self, class_id):
        return int(np.random.SeedSequence(self.seed, spawn_key=(class_id,)).generate_state(1)[0])

    def __len__(self):
        return len(self.image_ids)

    def __getitem__(self, position):
        class_id = int(self._turns[_checked(position)])
        return self._images[class_id][position // len(self.class_ids)]


def make_stream(sampler, image_ids, class_ids, seed=None, *, threshold=0.001, with_empty=False):
    """The stream of a `SAMPLER`; class_ids is a function that counts, called only where the sampler needs it."""
    if sampler == "shuffle":
        return ImageStream(image_ids, seed)
    if sampler == "class_balanced":
        return ClassBalancedStream(image_ids, class_ids(), seed, with_empty=with_empty)
    if sampler == "repeat_factor":
        return RepeatFactorStream(image_ids, class_ids(), seed, threshold=threshold)
    raise ConfigError(f"SAMPLER: expected one of {SAMPLERS}, received: SAMPLER={sampler!r}.")


def _checked(position):
    if position < 0:
        raise IndexError(f"ImageStream: expected a position from 0, received position={position}.")
    return int(position)
