"""Ground truth and batches with all targets made in NumPy, for programs that feed or look at them themselves.

`MaskRCNN.train` needs none of this: there the network makes its targets (`network/rpn_targets.py`,
`network/detection_targets.py`). The work is done in `data/`; here it meets a configuration, in Matterport's
signatures. B images, A anchors, R ROIs, G ground-truth slots, T `TRAIN_ROIS_PER_IMAGE`, C classes with background,
N instances of one image. All boxes are `(y1, x1, y2, x2)` in pixels of the molded image.
"""

import itertools
import warnings

import keras
import numpy as np

from mrcnn_plus.config_adapter import as_config
from mrcnn_plus.config_values import anchor_cache, resize_settings
from mrcnn_plus.data import numpy_targets
from mrcnn_plus.data.augmentation import apply_augmentation, flip_left_right_sometimes
from mrcnn_plus.data.ground_truth import load_ground_truth
from mrcnn_plus.training import fitting


def load_image_gt(dataset, config, image_id, augment=False, augmentation=None, use_mini_mask=False):
    """An image with its instances at the network's size.

    augmentation: see `data.augmentation.apply_augmentation`. augment: deprecated, mirrors left to right at random.
    use_mini_mask: cut masks to their boxes and shrink them; `USE_MINI_MASK` is not read here.

    Returns image `[H, W, channels]`, not yet molded, image_meta `[12 + C]`, class_ids int32 `[N]`, bbox int32 `[N, 4]`,
    mask bool `[H, W, N]` or `[*MINI_MASK_SHAPE, N]`. Raises `DatasetError` that names the image. compat: load_image_gt.
    """
    ground_truth = load_ground_truth(
        *(dataset, image_id),
        resize=resize_settings(config),
        channels=config.IMAGE_CHANNEL_COUNT,
        mini_mask_shape=config.MINI_MASK_SHAPE if use_mini_mask else None,
        augmentation=_with_flip(augment, augmentation),
    )
    return tuple(ground_truth)


def _with_flip(augment, augmentation):
    """The augmentation that `augment=True` and `augmentation=` together ask for."""
    if not augment:
        return augmentation
    message = "augment=True is deprecated. Use augmentation=imgaug.augmenters.Fliplr(0.5)."
    warnings.warn(message, DeprecationWarning, stacklevel=3)
    if augmentation is None:
        return flip_left_right_sometimes
    return lambda image, masks: apply_augmentation(augmentation, *flip_left_right_sometimes(image, masks))


def build_rpn_targets(image_shape, anchors, gt_class_ids, gt_boxes, config, *, rng=None):
    """rpn_match int32 `[A]` (1, -1, 0) and rpn_bbox `[RPN_TRAIN_ANCHORS_PER_IMAGE, 4]`; see `data.numpy_targets`."""
    return numpy_targets.build_rpn_targets(
        *(image_shape, anchors, gt_class_ids, gt_boxes),
        rpn_train_anchors_per_image=config.RPN_TRAIN_ANCHORS_PER_IMAGE,
        rpn_bbox_std_dev=config.RPN_BBOX_STD_DEV,
        rng=rng,
    )


def build_detection_targets(rpn_rois, gt_class_ids, gt_boxes, gt_masks, config, *, rng=None):
    """rois `[T, 4]`, class_ids `[T]`, deltas `[T, C, 4]`, masks `[T, *MASK_SHAPE, C]`; see `data.numpy_targets`."""
    return numpy_targets.build_detection_targets(
        *(rpn_rois, gt_class_ids, gt_boxes, gt_masks),
        train_rois_per_image=config.TRAIN_ROIS_PER_IMAGE,
        roi_positive_ratio=config.ROI_POSITIVE_RATIO,
        num_classes=config.NUM_CLASSES,
        bbox_std_dev=config.BBOX_STD_DEV,
        mask_shape=config.MASK_SHAPE,
        mini_masks=config.USE_MINI_MASK,
        rng=rng,
    )


class DataGenerator(keras.utils.PyDataset):
    """Batches `(inputs, outputs)` of `BATCH_SIZE` images by index, from 0 to `len(generator) - 1`.

    inputs, a list:
        images float32 `[B, H, W, channels]`, molded; image metas float32 `[B, 12 + C]`;
        rpn_match int32 `[B, A, 1]`, 1 positive, -1 negative, 0 neutral;
        rpn_bbox `[B, RPN_TRAIN_ANCHORS_PER_IMAGE, 4]`, of which row i belongs to the i-th positive anchor;
        class ids int32 `[B, G]`; boxes int32 `[B, G, 4]`; masks bool `[B, h, w, G]`, mini masks with `USE_MINI_MASK`;
        with random_rois (how many per image) also ROIs int32 `[B, R, 4]`, and with detection_targets then the sampled
        ones `[B, T, 4]`.
    outputs, a list: with random_rois and detection_targets class ids int32 `[B, T, 1]`, deltas float32 `[B, T, C, 4]`,
        masks float32 `[B, T, *MASK_SHAPE, C]`; else empty.

    An epoch visits every image; after `on_epoch_end` the next one begins, in another order if shuffle is true. An image
    without instances is replaced by another one unless `USE_NEGATIVE_IMAGES` is set.

    compat: DataGenerator of the TF2 forks, which ignores its index: an epoch shows some images twice, others never.
    """

    def __init__(
        self,
        dataset,
        config,
        shuffle=True,
        augmentation=None,
        random_rois=0,
        detection_targets=False,
        *,
        no_augmentation_sources=None,
        batch_size=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        config = as_config(config)
        self.dataset, self.config, self.shuffle = dataset, config, shuffle
        self.random_rois, self.detection_targets = random_rois, detection_targets
        self.batch_size = batch_size or config.BATCH_SIZE
        self.image_ids = np.copy(dataset.image_ids)
        self.epoch = 0
        self._builder = fitting.batch_builder(
            *(dataset, config),
            shuffle=shuffle,
            augmentation=augmentation,
            no_augmentation_sources=no_augmentation_sources,
            use_negative_images=config.USE_NEGATIVE_IMAGES,
        )
        self._anchors = anchor_cache(config)

    def __len__(self):
        return -(-len(self.image_ids) // self.batch_size)

    def __getitem__(self, index):
        if not 0 <= index < len(self):
            raise IndexError(f"DataGenerator: expected an index from 0 to {len(self) - 1}, received: index={index}.")
        first = self.epoch * len(self.image_ids) + index * self.batch_size
        return self._with_targets(self._builder.build(range(first, first + self.batch_size)), first)

    def on_epoch_end(self):
        if self.shuffle:
            self.epoch += 1

    def endless(self):
        """All batches one after the other without end. An image without instances is left out, not replaced."""
        positions, rows = [], []
        for position in itertools.count():
            image_id = self._builder.stream[position]
            if image_id in self._builder.incidents.without_instances:
                continue
            row = self._builder.build([position])
            if row["input_image_meta"][0, 0] != image_id:  # a replacement, which has a turn of its own
                continue
            positions.append(position)
            rows.append(row)
            if len(rows) == self.batch_size:
                yield self._with_targets(self._join(rows, positions), position)
                positions, rows = [], []

    def _join(self, rows, positions):
        """One batch from batches of one image; images of different sizes are built again, padded to one size."""
        if len({row["input_image"].shape for row in rows}) > 1:
            return self._builder.build(positions)
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def _with_targets(self, batch, position):
        """`(inputs, outputs)` from the arrays of a `BatchBuilder`."""
        rng = np.random.default_rng([self._builder.stream.seed, position, 2**16])  # apart from those of the builder
        images, metas, ids, boxes, masks = batch.values()
        boxes = boxes.astype(np.int32)
        instances = [(ids[b, :n], boxes[b, :n], masks[b, ..., :n]) for b, n in enumerate(np.count_nonzero(ids, axis=1))]
        shape = images.shape[1:]
        anchors = self._anchors.pixels(shape)
        targets = [build_rpn_targets(shape, anchors, *some[:2], self.config, rng=rng) for some in instances]
        rpn_match, rpn_bbox = _stacked(targets)
        inputs = [images, metas, rpn_match[..., None], rpn_bbox, ids, boxes, masks]
        if not self.random_rois:
            return inputs, []
        rois = [numpy_targets.generate_random_rois(shape, self.random_rois, *some[:2], rng=rng) for some in instances]
        inputs.append(np.stack(rois))
        if not self.detection_targets:
            return inputs, []
        targets = [
            build_detection_targets(proposals, *some, self.config, rng=rng)
            for proposals, some in zip(rois, instances, strict=True)
        ]
        sampled_rois, class_ids, deltas, roi_masks = _stacked(targets)
        return [*inputs, sampled_rois], [class_ids[..., None], deltas, roi_masks]


def _stacked(targets_of_images):
    """From a list with a tuple of arrays for each image to one array `[B, ...]` for each place of the tuples."""
    return [np.stack(arrays) for arrays in zip(*targets_of_images, strict=True)]


def data_generator(
    dataset,
    config,
    shuffle=True,
    augment=False,
    augmentation=None,
    random_rois=0,
    batch_size=1,
    detection_targets=False,
    no_augmentation_sources=None,
):
    """An endless generator of batches `(inputs, outputs)` as `DataGenerator` describes them.

    Every image comes once before any comes twice, in another order each time if shuffle is true. An image that cannot
    be used raises at once. compat: data_generator, which swallows five such errors.
    """
    generator = DataGenerator(
        *(dataset, config, shuffle, _with_flip(augment, augmentation), random_rois, detection_targets),
        no_augmentation_sources=no_augmentation_sources,
        batch_size=batch_size,
    )
    return generator.endless()
