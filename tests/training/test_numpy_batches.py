"""Ground truth and batches with targets in NumPy: recorded answers, slow compositions, order of the images."""

import itertools

import keras
import numpy as np
import pytest

from mrcnn_plus import model as modellib
from mrcnn_plus import utils
from mrcnn_plus.config import Config
from mrcnn_plus.data import numpy_targets
from mrcnn_plus.errors import DatasetError

from ..data.data_sets import Rectangles

CLOSE = {"rtol": 1e-4, "atol": 1e-6}


class SmallConfig(Config):
    NAME = "rectangles"
    NUM_CLASSES = 4
    IMAGES_PER_GPU = 2
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 64
    RPN_ANCHOR_SCALES = (4, 8, 16, 32, 64)
    RPN_TRAIN_ANCHORS_PER_IMAGE = 4000  # so many that nothing is sampled away
    MINI_MASK_SHAPE = (14, 14)
    MAX_GT_INSTANCES = 6
    TRAIN_ROIS_PER_IMAGE = 20


def full_size(dataset, config, image_id):
    """Image, masks and class ids at the network's size, step by step with the functions of `utils`."""
    image, _, scale, padding, crop = utils.resize_image(
        dataset.load_image(image_id), config.IMAGE_MIN_DIM, config.IMAGE_MAX_DIM, mode=config.IMAGE_RESIZE_MODE
    )
    masks, class_ids = dataset.load_mask(image_id)
    return image, utils.resize_mask(masks, scale, padding, crop), class_ids


def test_load_image_gt_is_resizing_followed_by_boxes():
    dataset, config = Rectangles([2, 3], size=(30, 45)), SmallConfig()
    image, meta, class_ids, boxes, masks = modellib.load_image_gt(dataset, config, 1)
    expected_image, expected_masks, expected_ids = full_size(dataset, config, 1)
    np.testing.assert_array_equal(image, expected_image)
    np.testing.assert_array_equal(masks, expected_masks)
    np.testing.assert_array_equal(class_ids, expected_ids)
    np.testing.assert_array_equal(boxes, utils.extract_bboxes(expected_masks))
    parsed = modellib.parse_image_meta(meta[None])
    assert parsed["image_id"][0] == 1
    np.testing.assert_array_equal(parsed["original_image_shape"][0], [30, 45, 3])
    np.testing.assert_array_equal(parsed["image_shape"][0], image.shape)
    np.testing.assert_array_equal(parsed["active_class_ids"][0], [1, 1, 1, 1])


def test_load_image_gt_makes_mini_masks_when_asked():
    dataset, config = Rectangles([2]), SmallConfig()
    *_, boxes, masks = modellib.load_image_gt(dataset, config, 0, use_mini_mask=False)
    *_, mini_masks = modellib.load_image_gt(dataset, config, 0, use_mini_mask=True)
    assert masks.shape == (64, 64, 2)
    np.testing.assert_array_equal(mini_masks, utils.minimize_mask(boxes, masks, config.MINI_MASK_SHAPE))


def test_load_image_gt_augments_image_and_masks():
    def upside_down(image, masks):
        return image[::-1], masks[::-1]

    dataset, config = Rectangles([2]), SmallConfig()
    plain = modellib.load_image_gt(dataset, config, 0)
    image, _, _, boxes, masks = modellib.load_image_gt(dataset, config, 0, augmentation=upside_down)
    np.testing.assert_array_equal(image, plain[0][::-1])
    np.testing.assert_array_equal(masks, plain[4][::-1])
    np.testing.assert_array_equal(boxes, utils.extract_bboxes(plain[4][::-1]))


def turned(image, original):
    """Which of the four mirror images of `original` an image is."""
    variants = {(up, left): original[:: -1 if up else 1, :: -1 if left else 1] for up in (0, 1) for left in (0, 1)}
    return next(key for key, variant in variants.items() if np.array_equal(image, variant))


@pytest.mark.parametrize(("augmentation", "up"), [(None, 0), (lambda image, masks: (image[::-1], masks[::-1]), 1)])
def test_load_image_gt_still_knows_augment_and_says_that_it_is_deprecated(augmentation, up):
    dataset, config = Rectangles([2]), SmallConfig()
    original = modellib.load_image_gt(dataset, config, 0)
    seen = set()
    for _ in range(30):
        with pytest.warns(DeprecationWarning, match="Fliplr") as caught:
            image, _, _, _, masks = modellib.load_image_gt(dataset, config, 0, augment=True, augmentation=augmentation)
        assert caught[0].filename == __file__
        seen.add(turned(image, original[0]))
        assert turned(masks, original[4]) == turned(image, original[0])
    assert seen == {(up, 0), (up, 1)}


@pytest.mark.parametrize("kind", ["plain", "crowd"])
def test_rpn_targets_are_the_recorded_ones(golden, kind):
    class ForTargets(Config):
        RPN_ANCHOR_SCALES = (16, 32, 64, 128, 256)
        RPN_TRAIN_ANCHORS_PER_IMAGE = 100_000

    config = ForTargets()
    anchors = utils.generate_pyramid_anchors(
        *(config.RPN_ANCHOR_SCALES, config.RPN_ANCHOR_RATIOS),
        modellib.compute_backbone_shapes(config, (256, 256, 3)),
        *(config.BACKBONE_STRIDES, config.RPN_ANCHOR_STRIDE),
    )
    class_ids = golden["rpn_targets/gt_class_ids" if kind == "plain" else "rpn_targets/crowd_class_ids"]
    match, deltas = modellib.build_rpn_targets(
        (256, 256, 3), anchors, class_ids, golden["rpn_targets/gt_boxes"], config
    )
    np.testing.assert_array_equal(match, golden[f"rpn_targets/{kind}/match"])
    np.testing.assert_allclose(deltas[: (match == 1).sum()], golden[f"rpn_targets/{kind}/bbox"], **CLOSE)


def test_detection_targets_take_their_settings_from_the_config():
    class Unlike(SmallConfig):
        NUM_CLASSES = 5
        BBOX_STD_DEV = np.array([0.2, 0.3, 0.4, 0.5])
        ROI_POSITIVE_RATIO = 0.5
        MASK_SHAPE = [20, 24]
        USE_MINI_MASK = False

    masks = np.zeros((64, 64, 2), bool)
    masks[10:30, 10:30, 0] = masks[40:60, 5:25, 1] = True
    boxes, class_ids = utils.extract_bboxes(masks), np.array([3, 1])
    rois = modellib.generate_random_rois((64, 64, 3), 60, class_ids, boxes)
    found = modellib.build_detection_targets(rois, class_ids, boxes, masks, Unlike(), rng=np.random.default_rng(1))
    expected = numpy_targets.build_detection_targets(
        *(rois, class_ids, boxes, masks),
        train_rois_per_image=20,
        roi_positive_ratio=0.5,
        num_classes=5,
        bbox_std_dev=[0.2, 0.3, 0.4, 0.5],
        mask_shape=[20, 24],
        mini_masks=False,
        rng=np.random.default_rng(1),
    )
    assert found[1].any()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def slow_batch(dataset, config, image_ids):
    """What Matterport's generator gives for these images, put together image by image."""
    anchors = utils.generate_pyramid_anchors(
        *(config.RPN_ANCHOR_SCALES, config.RPN_ANCHOR_RATIOS),
        modellib.compute_backbone_shapes(config, (64, 64, 3)),
        *(config.BACKBONE_STRIDES, config.RPN_ANCHOR_STRIDE),
    )
    columns = [[] for _ in range(7)]
    for image_id in image_ids:
        image, meta, class_ids, boxes, masks = modellib.load_image_gt(dataset, config, image_id, use_mini_mask=True)
        match, deltas = modellib.build_rpn_targets(image.shape, anchors, class_ids, boxes, config)
        slots = config.MAX_GT_INSTANCES
        all_ids, all_boxes = np.zeros(slots, np.int32), np.zeros((slots, 4), np.int32)
        all_masks = np.zeros((*config.MINI_MASK_SHAPE, slots), bool)
        count = len(class_ids)
        all_ids[:count], all_boxes[:count], all_masks[..., :count] = class_ids, boxes, masks
        molded = image.astype("float32") - config.MEAN_PIXEL.astype("float32")
        parts = (molded, meta, match[:, None], deltas, all_ids, all_boxes, all_masks)
        for column, part in zip(columns, parts, strict=True):
            column.append(part)
    return [np.stack(column) for column in columns]


def ids_of(batch):
    """The image ids of a batch `(inputs, outputs)`."""
    return batch[0][1][:, 0].astype(int).tolist()


def test_data_generator_gives_what_the_parts_give():
    dataset, config = Rectangles([2, 1, 3]), SmallConfig()
    batches = modellib.data_generator(dataset, config, shuffle=False, batch_size=2)
    for image_ids in ([0, 1], [2, 0], [1, 2]):
        inputs, outputs = next(batches)
        assert outputs == []
        expected = slow_batch(dataset, config, image_ids)
        assert len(inputs) == len(expected) == 7
        for found, wanted in zip(inputs, expected):
            np.testing.assert_allclose(found, wanted, **CLOSE)
    assert [str(array.dtype) for array in inputs] == [
        "float32",
        "float32",
        "int32",
        "float64",
        "int32",
        "int32",
        "bool",
    ]


def test_data_generator_shows_every_image_once_before_any_twice():
    dataset = Rectangles([1] * 7)
    batches = modellib.data_generator(dataset, SmallConfig(), batch_size=2)
    seen = [image_id for batch in itertools.islice(batches, 14) for image_id in ids_of(batch)]
    passes = [seen[start : start + 7] for start in range(0, 28, 7)]
    assert all(sorted(one) == list(range(7)) for one in passes)
    assert len({tuple(one) for one in passes}) > 1


@pytest.mark.parametrize("shuffle", [False, True])
def test_data_generator_leaves_out_images_without_instances(shuffle):
    dataset = Rectangles([0, 1, 0, 2, 1])
    batches = modellib.data_generator(dataset, SmallConfig(), shuffle=shuffle)
    seen = [ids_of(batch)[0] for batch in itertools.islice(batches, 9)]
    assert [sorted(seen[start : start + 3]) for start in (0, 3, 6)] == [[1, 3, 4]] * 3
    assert shuffle or seen[:3] == [1, 3, 4]


def test_data_generator_without_any_instance_is_an_error():
    batches = modellib.data_generator(Rectangles([0, 0]), SmallConfig())
    with pytest.raises(DatasetError, match="none of its 2 images has an instance"):
        next(batches)


def test_data_generator_stops_at_the_first_bad_image():
    class Broken(Rectangles):
        def load_mask(self, image_id):
            masks, class_ids = super().load_mask(image_id)
            return masks, class_ids[:1] if image_id == 1 else class_ids

    batches = modellib.data_generator(Broken([2, 2]), SmallConfig(), shuffle=False)
    assert ids_of(next(batches)) == [0]
    with pytest.raises(DatasetError, match="r1"):
        next(batches)


def test_data_generator_pads_images_of_different_sizes_and_fits_the_anchors():
    class Padded(SmallConfig):
        IMAGE_RESIZE_MODE = "pad64"
        IMAGE_MAX_DIM = None
        IMAGE_MIN_DIM = 0
        USE_MINI_MASK = False

    class TwoSizes(Rectangles):
        def load_image(self, image_id):
            return super().load_image(image_id)[: 70 if image_id else 60]

        def load_mask(self, image_id):
            masks, class_ids = super().load_mask(image_id)
            return masks[: 70 if image_id else 60], class_ids

    config = Padded()
    batches = modellib.data_generator(TwoSizes([2, 2], size=(70, 130)), config, shuffle=False, batch_size=2)
    images, metas, match, _, _, _, masks = next(batches)[0]
    assert images.shape == (2, 128, 192, 3) and masks.shape == (2, 128, 192, 6)
    assert match.shape[1] == 3 * sum(h * w for h, w in modellib.compute_backbone_shapes(config, (128, 192, 3)))
    np.testing.assert_array_equal(modellib.parse_image_meta(metas)["image_shape"], [[128, 192, 3]] * 2)


@pytest.mark.parametrize("mini_masks", [True, False])
def test_data_generator_makes_random_rois_and_their_targets(mini_masks):
    class WithMasks(SmallConfig):
        USE_MINI_MASK = mini_masks

    dataset, config = Rectangles([2, 3]), WithMasks()
    inputs, outputs = next(modellib.data_generator(dataset, config, random_rois=200, batch_size=2))
    assert len(inputs) == 8 and outputs == []
    assert inputs[7].shape == (2, 200, 4) and inputs[7].dtype == np.int32

    batches = modellib.data_generator(dataset, config, random_rois=200, batch_size=2, detection_targets=True)
    inputs, (class_ids, deltas, masks) = next(batches)
    assert len(inputs) == 9
    rois = inputs[8]
    assert (rois.shape, class_ids.shape) == ((2, 20, 4), (2, 20, 1))
    assert (deltas.shape, masks.shape) == ((2, 20, 4, 4), (2, 20, 28, 28, 4))
    for row, image_id in enumerate(ids_of((inputs, None))):
        _, full_masks, gt_class_ids = full_size(dataset, config, image_id)
        check_targets_of_rois(
            rois[row], class_ids[row, :, 0], deltas[row], masks[row], full_masks, gt_class_ids, mini_masks
        )
    assert (class_ids > 0).any() and (class_ids == 0).any()


def check_targets_of_rois(rois, class_ids, deltas, masks, full_masks, gt_class_ids, mini_masks):
    """Class, deltas and mask of every ROI, from its overlap with the objects."""
    boxes = utils.extract_bboxes(full_masks)
    for index, overlap in enumerate(utils.compute_overlaps(rois, boxes)):
        best = overlap.argmax()
        expected = gt_class_ids[best] if overlap[best] >= 0.5 else 0
        assert class_ids[index] == expected
        if not expected:
            assert not deltas[index].any() and not masks[index].any()
            continue
        refinement = utils.box_refinement(rois[index : index + 1], boxes[best : best + 1])[0] / Config.BBOX_STD_DEV
        np.testing.assert_allclose(deltas[index, expected], refinement, rtol=1e-5)
        y1, x1, y2, x2 = rois[index]
        found, wanted = masks[index, ..., expected], utils.resize(full_masks[y1:y2, x1:x2, best], (28, 28))
        if mini_masks:  # these went through a smaller size
            assert abs(found.mean() - wanted.mean()) < 0.1
        else:
            np.testing.assert_allclose(found, wanted, **CLOSE)
        others = np.arange(masks.shape[-1]) != expected
        assert not masks[index][..., others].any() and not deltas[index][others].any()


def test_data_generator_leaves_sources_unaugmented():
    def blackened(image, masks):
        return np.zeros_like(image), masks

    options = {"shuffle": False, "augmentation": blackened}
    dataset, config = Rectangles([1]), SmallConfig()
    plain = next(modellib.data_generator(dataset, config, shuffle=False))[0][0]
    spared = modellib.data_generator(dataset, config, no_augmentation_sources=["rectangles"], **options)
    np.testing.assert_array_equal(next(spared)[0][0], plain)
    np.testing.assert_allclose(
        next(modellib.data_generator(dataset, config, **options))[0][0][0, 0, 0], -config.MEAN_PIXEL, rtol=1e-5
    )


def test_data_generator_still_knows_augment():
    with pytest.warns(DeprecationWarning, match="Fliplr") as caught:
        batches = modellib.data_generator(Rectangles([1]), SmallConfig(), augment=True)
    assert caught[0].filename == __file__
    images = [next(batches)[0][0] for _ in range(20)]
    assert any(not np.array_equal(image, images[0]) for image in images)


def test_the_class_data_generator_honours_its_index():
    dataset, config = Rectangles([1, 2, 1, 2, 1]), SmallConfig()
    generator = modellib.DataGenerator(dataset, config, shuffle=False)
    assert isinstance(generator, keras.utils.PyDataset)
    assert len(generator) == 3
    assert [ids_of(generator[index]) for index in (2, 0, 1, 0)] == [[4, 0], [0, 1], [2, 3], [0, 1]]
    for found, expected in zip(generator[1][0], slow_batch(dataset, config, [2, 3]), strict=True):
        np.testing.assert_allclose(found, expected, **CLOSE)
    generator.on_epoch_end()
    assert ids_of(generator[0]) == [0, 1]
    assert len(list(generator)) == 3
    with pytest.raises(IndexError, match="index=3"):
        generator[3]


def test_an_epoch_of_the_class_data_generator_shows_every_image():
    generator = modellib.DataGenerator(Rectangles([1] * 8), SmallConfig(), random_rois=5)
    epochs = []
    for _ in range(3):
        batches = list(generator)
        assert all(len(inputs) == 8 for inputs, _ in batches)
        epochs.append([image_id for batch in batches for image_id in ids_of(batch)])
        generator.on_epoch_end()
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_same_index_gives_the_same_random_targets():
    generator = modellib.DataGenerator(Rectangles([2, 2]), SmallConfig(), random_rois=50, detection_targets=True)
    (first, first_out), (second, second_out) = generator[0], generator[0]
    for one, other in zip([*first, *first_out], [*second, *second_out], strict=True):
        np.testing.assert_array_equal(one, other)
