"""`BatchBuilder`: from a data set to the arrays of a training batch, at any position of the stream of images.

A batch is a dict, with B images, G ground-truth slots (`MAX_GT_INSTANCES`), C classes with background:

| name | dtype and shape | content |
|---|---|---|
| input_image | float32 `[B, H, W, channels]` | molded: resized, padded, mean pixel subtracted |
| input_image_meta | float32 `[B, 12 + C]` | see geometry/molding.py |
| input_gt_class_ids | int32 `[B, G]` | 0 in empty slots, negative for crowds |
| input_gt_boxes | float32 `[B, G, (y1, x1, y2, x2)]` | pixels of the molded image, 0 in empty slots |
| input_gt_masks | bool `[B, h, w, G]` | mini masks, or full size |

What stands at a position depends on the seed and the data set alone, not on what was built before; several threads may
build at once.
"""

import math
import random

import numpy as np

from mrcnn_plus.constants import META_FIELDS, META_SIZE_WITHOUT_CLASSES, round_up
from mrcnn_plus.data.annotation_cache import AnnotationCache
from mrcnn_plus.data.augmentation import check_augmentation
from mrcnn_plus.data.dataset import check_prepared, describe_dataset, describe_image
from mrcnn_plus.data.ground_truth import load_checked_image, make_ground_truth
from mrcnn_plus.data.incidents import Incidents
from mrcnn_plus.data.sampling import ImageStream
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.geometry.molding import mold_image

_LARGEST_INDEX = 2**31 - 1
_PASSES_SEARCHED = 8


class BatchBuilder:
    """Builds batches from a data set. All settings are plain values; the names in capitals are those of `Config`.

    dataset: a prepared `Dataset`.
    batch_size: images in the batches of `build_step`.
    num_classes: NUM_CLASSES, with background; must be what the data set has.
    resize: `ResizeSettings`. mean_pixel: MEAN_PIXEL. channels: IMAGE_CHANNEL_COUNT, see `fit_channels`.
    max_gt_instances: MAX_GT_INSTANCES; of more instances in an image so many are chosen at random.
    mini_mask_shape: MINI_MASK_SHAPE `(h, w)`, or None for masks of full size.
    augmentation: see `apply_augmentation`; not applied to images of the sources in no_augmentation_sources.
    use_negative_images: USE_NEGATIVE_IMAGES. False: an image without an instance of a class is replaced by another one
        (compat: data_generator). True: it is built as it is, with all slots empty; validation wants this, so that the
        whole set is walked.
    skip_bad_images: SKIP_BAD_IMAGES. False: an image that cannot be loaded is an error that names it. True: another one
        takes its place, and the image is named in a warning; more than a tenth of the images bad is an error still.
    cache_annotations: CACHE_ANNOTATIONS. True: `load_mask` is asked once for each image, see `AnnotationCache`.
    stream: an `ImageStream`, or another object with its methods, `seed` and `shuffle`; None makes one of all images
        from the arguments `seed` and `shuffle`.
    role: what messages call the data set beside its class, such as "val_dataset".

    What happened to which image stands in `incidents`.

    Raises `ConfigError` if settings contradict each other or the data set, `DatasetError` if that is not ready.
    """

    def __init__(
        self,
        dataset,
        *,
        batch_size,
        num_classes,
        resize,
        mean_pixel,
        channels=3,
        max_gt_instances=100,
        mini_mask_shape=None,
        augmentation=None,
        no_augmentation_sources=(),
        use_negative_images=False,
        skip_bad_images=False,
        cache_annotations=False,
        seed=None,
        shuffle=True,
        stream=None,
        role="",
    ):
        check_prepared(dataset, role)
        _check_settings(describe_dataset(dataset, role), dataset, num_classes, mean_pixel, channels)
        check_augmentation(augmentation)
        self.name = describe_dataset(dataset, role)
        self.dataset = dataset
        self.batch_size = batch_size
        self.num_classes = num_classes
        self.resize = resize
        self.mean_pixel = np.asarray(mean_pixel, np.float32)
        self.channels = channels
        self.max_gt_instances = max_gt_instances
        self.mini_mask_shape = mini_mask_shape
        self.augmentation = augmentation
        sources = no_augmentation_sources or ()
        self.no_augmentation_sources = (sources,) if isinstance(sources, str) else tuple(sources)
        self.use_negative_images = use_negative_images
        self.skip_bad_images = skip_bad_images
        self.stream = ImageStream(dataset.image_ids, seed, shuffle) if stream is None else stream
        self.incidents = Incidents(dataset, self.name, max_gt_instances)
        self.seeds_global_states = False
        self._annotations = AnnotationCache() if cache_annotations else None

    def build_step(self, step):
        """The batch of step number `step`: positions `step * batch_size` and following."""
        return self.build(range(step * self.batch_size, (step + 1) * self.batch_size))

    def build(self, positions):
        """The batch for these positions of the stream, as the dict at the head of this file.

        Images of different sizes (modes "none" and "pad64") are padded at the bottom and on the right, with black as
        all padding, to the largest height and width, in multiples of 64; windows stay where they were.
        """
        samples = [self._sample_at(int(position)) for position in positions]
        height, width = _common_size([sample.image.shape for sample in samples])
        batch = self._empty_batch(len(samples), height, width)
        for row, sample in enumerate(samples):
            self._fill(batch, row, sample)
        return batch

    def _sample_at(self, position):
        """The `GroundTruth` at a position, or that of the image which stands in for one that cannot be used."""
        for attempt, candidate in enumerate(self._candidates(position)):
            image_id = int(self.stream[candidate])
            if image_id in self.incidents.without_instances and not self.use_negative_images:
                continue
            # The last number keeps these apart from the random numbers of the stream.
            entropy = [self.stream.seed, position, attempt + 1]
            if self.seeds_global_states:
                _seed_global_states([*entropy, 1])
            sample = self._load(image_id, np.random.default_rng(entropy))
            if sample is not None:
                return sample
        raise DatasetError(self._explain_nothing_found())

    def _candidates(self, position):
        """The position itself, then those whose image may stand in for it.

        First the same place in later passes: every place has another image there, so neighbours in a batch do not get
        the same one. Then all that follow, in order, so that no image is left untried.
        """
        yield position
        length = len(self.stream)
        if self.stream.shuffle:
            yield from (position + k * length for k in range(1, _PASSES_SEARCHED + 1))
        start = position + 1 if not self.stream.shuffle else (position // length + 1) * length
        yield from range(start, start + getattr(self.stream, "positions_of_all", length))

    def _load(self, image_id, rng):
        """The `GroundTruth` of an image, or None if another one has to take its place."""
        image_name = describe_image(self.dataset, image_id)
        try:
            loaded = load_checked_image(self.dataset, image_id, channels=self.channels, annotations=self._annotations)
        except DatasetError as error:
            if not self.skip_bad_images:
                raise
            self.incidents.note("bad", image_id, str(error))
            return None
        if not self.use_negative_images and not (loaded.class_ids > 0).any():
            self.incidents.note("without_instances", image_id, True)
            return None
        sample = self._prepare(image_id, image_name, loaded, rng)
        lost = len(loaded.class_ids) - len(sample.class_ids)
        if lost:
            self.incidents.note("lost", image_id, lost)
        if not self.use_negative_images and not (sample.class_ids > 0).any():
            return None
        return self._limit_instances(sample, image_id, rng)

    def _prepare(self, image_id, image_name, loaded, rng):
        """The `GroundTruth` of a `LoadedImage`; errors of the augmentation get the name of the image."""
        source = self.dataset.image_info[image_id]["source"]
        try:
            return make_ground_truth(
                *(self.dataset, image_id, loaded),
                resize=self.resize,
                mini_mask_shape=self.mini_mask_shape,
                augmentation=None if source in self.no_augmentation_sources else self.augmentation,
                rng=rng,
            )
        except (ConfigError, DatasetError) as error:
            if str(error).startswith(image_name):
                raise
            raise type(error)(f"{image_name}: {error}") from error
        except MemoryError:
            raise
        except Exception as error:
            raise ConfigError(
                f"{image_name}: the augmentation raised {_short(error)}. Correct it for images like this one, or list "
                f"the source {source!r} in no_augmentation_sources."
            ) from error

    def _limit_instances(self, sample, image_id, rng):
        """At most `max_gt_instances` of the instances, chosen at random (compat: data_generator)."""
        count = len(sample.class_ids)
        if count <= self.max_gt_instances:
            return sample
        self.incidents.note("over_limit", image_id, count - self.max_gt_instances)
        chosen = rng.choice(count, self.max_gt_instances, replace=False)
        return sample._replace(
            class_ids=sample.class_ids[chosen], boxes_px=sample.boxes_px[chosen], masks=sample.masks[..., chosen]
        )

    def _explain_nothing_found(self):
        name, negative, bad = self.name, len(self.incidents.without_instances), self.incidents.bad
        if bad:
            return (
                f"{name}: no image was found that can be trained on: of {len(self.dataset.image_ids)} images, "
                f"{len(bad)} could not be loaded and {negative} have no instance. One of them: "
                f"{next(iter(bad.values()))}"
            )
        if negative >= len(self.stream):
            return (
                f"{name}: none of its {len(self.stream)} images has an instance of a class, received only empty "
                "answers from load_mask. Check that load_mask is overridden, compares with the source that add_image "
                "was given, and finds its mask files. To train on images without objects all the same, set "
                "USE_NEGATIVE_IMAGES = True."
            )
        return (
            f"{name}: no image was found that has an instance left after resizing, cropping and augmentation, among "
            f"{len(self.stream)} of which {negative} have none to begin with. Make the augmentation milder or the "
            "sizes (IMAGE_MIN_DIM, IMAGE_MAX_DIM) larger."
        )

    def _empty_batch(self, count, height, width):
        mask_shape = (height, width) if self.mini_mask_shape is None else tuple(self.mini_mask_shape)
        slots = self.max_gt_instances
        if count * math.prod(mask_shape) * slots > _LARGEST_INDEX:
            raise ConfigError(
                f"USE_MINI_MASK: expected masks of at most {_LARGEST_INDEX:,} pixels in a batch, because the network "
                f"addresses them by 32-bit numbers, received: {count} images x {height} x {width} pixels x "
                f"MAX_GT_INSTANCES={slots}. Set USE_MINI_MASK = True, or lower MAX_GT_INSTANCES or IMAGES_PER_GPU."
            )
        return {
            "input_image": np.empty((count, height, width, self.channels), np.float32),
            "input_image_meta": np.zeros((count, META_SIZE_WITHOUT_CLASSES + self.num_classes), np.float32),
            "input_gt_class_ids": np.zeros((count, slots), np.int32),
            "input_gt_boxes": np.zeros((count, slots, 4), np.float32),
            "input_gt_masks": np.zeros((count, *mask_shape, slots), bool),
        }

    def _fill(self, batch, row, sample):
        """Write a `GroundTruth` into a row of the batch."""
        height, width = sample.image.shape[:2]
        count = len(sample.class_ids)
        if (height, width) != batch["input_image"].shape[1:3]:
            batch["input_image"][row] = -self.mean_pixel  # black, as resize_image pads
        batch["input_image"][row, :height, :width] = mold_image(sample.image, self.mean_pixel)
        batch["input_image_meta"][row] = sample.meta
        batch["input_image_meta"][row, META_FIELDS["image_shape"]] = batch["input_image"].shape[1:]
        batch["input_gt_class_ids"][row, :count] = sample.class_ids
        batch["input_gt_boxes"][row, :count] = sample.boxes_px
        mask_height, mask_width = sample.masks.shape[:2]
        batch["input_gt_masks"][row, :mask_height, :mask_width, :count] = sample.masks


def _seed_global_states(entropy):
    """Seed what user functions draw from; only in a process of our own, where nobody else's numbers change."""
    numpy_seed, python_seed = np.random.SeedSequence(entropy).generate_state(2).tolist()
    np.random.seed(numpy_seed)
    random.seed(python_seed)


def _short(error):
    return f"{type(error).__name__}: {error}"


def _common_size(shapes):
    """Height and width that hold all images, in multiples of 64."""
    height, width = max(shape[0] for shape in shapes), max(shape[1] for shape in shapes)
    return round_up(height), round_up(width)


def _check_settings(name, dataset, num_classes, mean_pixel, channels):
    """Raise `ConfigError` where settings and data set contradict each other before any image is read."""
    if dataset.num_classes != num_classes:
        names = [str(name) for name in dataset.class_names]
        shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise ConfigError(
            f"NUM_CLASSES: expected the classes of {name} with background, {dataset.num_classes} "
            f"({shown}), received NUM_CLASSES={num_classes}. Set NUM_CLASSES = 1 + {dataset.num_classes - 1}; training "
            "and validation data sets must register the same classes in the same order."
        )
    if np.size(mean_pixel) not in (1, channels):
        raise ConfigError(
            f"MEAN_PIXEL: expected one number for each of IMAGE_CHANNEL_COUNT = {channels} channels, received "
            f"MEAN_PIXEL={np.ravel(mean_pixel).tolist()}. Give the mean of the training images in each channel."
        )
