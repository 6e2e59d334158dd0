"""Batches at any position of the stream: content, padding, images without instances, too many instances, threads."""

import logging
import pickle
import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mrcnn_plus.data.annotation_cache import AnnotationCache
from mrcnn_plus.data.augmentation import import_imgaug
from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.data.ground_truth import load_ground_truth
from mrcnn_plus.data.notices import forget_notices
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.geometry.molding import parse_image_meta
from mrcnn_plus.geometry.resizing import ResizeSettings

from .data_sets import Answers, Rectangles

SQUARE = ResizeSettings(min_dim=64, max_dim=128, mode="square")
MEAN = np.array([123.7, 116.8, 103.9])


@pytest.fixture(autouse=True)
def fresh_notices():
    forget_notices()


def make_builder(dataset, **settings):
    defaults = dict(batch_size=2, num_classes=4, resize=SQUARE, mean_pixel=MEAN, max_gt_instances=6, seed=0)
    return BatchBuilder(dataset, **{**defaults, **settings})


def image_ids(batch):
    return batch["input_image_meta"][:, 0].astype(int).tolist()


@pytest.mark.parametrize("mini_mask_shape", [None, (28, 28)])
def test_a_batch_holds_the_ground_truth_of_its_images_and_zeros_behind_it(mini_mask_shape):
    dataset = Rectangles([3, 6])
    batch = make_builder(dataset, shuffle=False, mini_mask_shape=mini_mask_shape).build([0, 1])
    shapes = {name: (array.dtype.name, array.shape) for name, array in batch.items()}
    mask_size = (28, 28) if mini_mask_shape else (128, 128)
    assert shapes == {
        "input_image": ("float32", (2, 128, 128, 3)),
        "input_image_meta": ("float32", (2, 16)),
        "input_gt_class_ids": ("int32", (2, 6)),
        "input_gt_boxes": ("float32", (2, 6, 4)),
        "input_gt_masks": ("bool", (2, *mask_size, 6)),
    }
    for row, count in enumerate((3, 6)):
        truth = load_ground_truth(dataset, row, resize=SQUARE, mini_mask_shape=mini_mask_shape)
        np.testing.assert_allclose(batch["input_image"][row], truth.image - MEAN, atol=1e-4)
        np.testing.assert_allclose(batch["input_image_meta"][row], truth.meta, rtol=1e-6)
        assert batch["input_gt_class_ids"][row].tolist() == [*truth.class_ids, *[0] * (6 - count)]
        assert np.array_equal(batch["input_gt_boxes"][row, :count], truth.boxes_px)
        assert np.array_equal(batch["input_gt_masks"][row, ..., :count], truth.masks)
        assert not batch["input_gt_boxes"][row, count:].any() and not batch["input_gt_masks"][row, ..., count:].any()


@pytest.mark.parametrize("shuffle", [True, False])
def test_an_epoch_of_aligned_positions_has_every_image_once(shuffle):
    builder = make_builder(Rectangles([1] * 7), shuffle=shuffle)
    for epoch in range(3):
        visited = image_ids(builder.build(range(7 * epoch, 7 * epoch + 7)))
        assert sorted(visited) == list(range(7))
        assert shuffle or visited == list(range(7))


def test_steps_follow_each_other_through_the_stream():
    builder = make_builder(Rectangles([1] * 5), shuffle=False)
    assert [image_ids(builder.build_step(step)) for step in range(3)] == [[0, 1], [2, 3], [4, 0]]


def test_crowds_keep_their_negative_ids():
    batch = make_builder(Rectangles([3], class_ids=[2, -1, 3])).build([0])
    assert batch["input_gt_class_ids"][0].tolist() == [2, -1, 3, 0, 0, 0]


def test_images_without_an_object_are_replaced_and_said_once_each(caplog):
    dataset = Rectangles([1, 0, 2, 0, 1])
    builder = make_builder(dataset)
    for _ in range(2):
        batch = builder.build(range(10))
        assert set(image_ids(batch)) == {0, 2, 4}
        assert (batch["input_gt_class_ids"] > 0).any(axis=1).all()
    assert builder.incidents.without_instances.keys() == {1, 3}
    messages = sorted(record.getMessage() for record in caplog.records)
    assert len(messages) == 2
    assert "image 1 (source 'rectangles', id 'r1'" in messages[0] and "USE_NEGATIVE_IMAGES" in messages[0]
    assert "image 3" in messages[1]


def test_every_image_with_objects_still_comes_in_every_pass():
    builder = make_builder(Rectangles([1, 0, 2, 0, 1, 3]))
    for epoch in range(4):
        assert {0, 2, 4, 5} == set(image_ids(builder.build(range(6 * epoch, 6 * epoch + 6))))


def test_neighbours_without_an_object_are_not_replaced_by_the_same_image():
    counts = [0] * 50 + [1] * 50
    builder = make_builder(Rectangles(counts), mini_mask_shape=(8, 8))
    empty = [counts[int(builder.stream[position])] == 0 for position in range(100)]
    pairs = [position for position in range(99) if empty[position] and empty[position + 1]]
    same = sum(len(set(image_ids(builder.build([position, position + 1])))) == 1 for position in pairs)
    assert len(pairs) > 15 and same <= 0.1 * len(pairs)


def test_only_a_crowd_is_no_object_to_train_on():
    builder = make_builder(Rectangles([1, 1], class_ids=[-1]))
    with pytest.raises(DatasetError, match="none of its 2 images has an instance"):
        builder.build([0])


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_data_set_without_any_object_is_an_error_and_no_endless_loop(shuffle):
    builder = make_builder(Rectangles([0] * 9), shuffle=shuffle)
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"Rectangles: none of its 9 images.*load_mask.*USE_NEGATIVE_IMAGES"):
            builder.build([0, 1])


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_single_image_with_objects_is_found_among_many(shuffle):
    builder = make_builder(Rectangles([0] * 40 + [1] + [0] * 40), shuffle=shuffle)
    assert image_ids(builder.build([3, 77])) == [40, 40]


def test_negative_images_are_built_empty_if_they_are_wanted(caplog):
    builder = make_builder(Rectangles([0, 1]), use_negative_images=True, shuffle=False)
    batch = builder.build([0, 1])
    assert image_ids(batch) == [0, 1] and not caplog.records
    for name in ("input_gt_class_ids", "input_gt_boxes", "input_gt_masks"):
        assert not batch[name][0].any() and batch[name][1].any()


def test_an_augmentation_that_empties_every_image_is_an_error_not_a_loop():
    builder = make_builder(Rectangles([1, 2]), augmentation=lambda i, m: (i, np.zeros_like(m)))
    with pytest.raises(DatasetError, match="no image was found that has an instance left.*augmentation"):
        builder.build([0])
    assert not builder.incidents.without_instances


def test_of_too_many_instances_a_random_choice_is_kept_and_that_is_said_once(caplog):
    dataset = Rectangles([9])
    builder = make_builder(dataset)
    truth = load_ground_truth(dataset, 0, resize=SQUARE)
    every = {tuple(box): class_id for box, class_id in zip(truth.boxes_px, truth.class_ids, strict=True)}
    choices = set()
    for position in range(6):
        batch = builder.build([position])
        boxes = [tuple(box) for box in batch["input_gt_boxes"][0].astype(int)]
        assert len(set(boxes)) == 6
        assert [every[box] for box in boxes] == batch["input_gt_class_ids"][0].tolist()
        for slot, (y1, x1, y2, x2) in enumerate(boxes):
            mask = batch["input_gt_masks"][0, ..., slot]
            assert mask[y1:y2, x1:x2].sum() == mask.sum() > 0, "masks stay with their boxes"
        choices.add(tuple(sorted(boxes)))
    assert len(choices) > 1
    assert builder.incidents.over_limit == {0: 3}
    assert [all(word in r.getMessage() for word in ("image 0", "9 instances", "MAX_GT_INSTANCES = 6"))
            for r in caplog.records] == [True]  # fmt: skip


def test_lost_instances_are_counted():
    masks = np.zeros((20, 30, 2), bool)
    masks[5:9, 5:9, 1] = True
    builder = make_builder(Answers(masks=masks, class_ids=[1, 2]))
    batch = builder.build([0])
    assert builder.incidents.lost == {0: 1}
    assert batch["input_gt_class_ids"][0].tolist() == [2, 0, 0, 0, 0, 0]


class TwoSizes(Rectangles):
    def load_image(self, image_id):
        self.size = (60, 90) if image_id == 0 else (130, 40)
        return super().load_image(image_id)

    def load_mask(self, image_id):
        self.size = (60, 90) if image_id == 0 else (130, 40)
        return super().load_mask(image_id)


@pytest.mark.parametrize(("mode", "height", "width"), [("none", 192, 128), ("pad64", 192, 128)])
def test_images_of_different_sizes_are_padded_black_to_multiples_of_64(mode, height, width):
    dataset = TwoSizes([2, 2])
    resize = ResizeSettings(min_dim=None, mode=mode)
    batch = make_builder(dataset, resize=resize, shuffle=False).build([0, 1])
    assert batch["input_image"].shape == (2, height, width, 3)
    meta = parse_image_meta(batch["input_image_meta"])
    assert meta["image_shape"].tolist() == [[height, width, 3]] * 2
    for row in range(2):
        truth = load_ground_truth(dataset, row, resize=resize)
        h, w = truth.image.shape[:2]
        window = parse_image_meta(truth.meta[np.newaxis])["window"]
        assert np.array_equal(meta["window"][row], window[0])
        np.testing.assert_allclose(batch["input_image"][row, :h, :w], truth.image - MEAN, atol=1e-4)
        np.testing.assert_allclose(batch["input_image"][row, h:] + MEAN, 0, atol=1e-4)
        np.testing.assert_allclose(batch["input_image"][row, :, w:] + MEAN, 0, atol=1e-4)
        assert np.array_equal(batch["input_gt_masks"][row, :h, :w, :2], truth.masks)
        assert batch["input_gt_masks"][row].sum() == truth.masks.sum()


@pytest.mark.parametrize(("channels", "mean"), [(1, [50.0]), (5, [1, 2, 3, 4, 5]), (5, [7.0])])
def test_other_channel_counts_are_molded_with_their_mean(channels, mean):
    dataset = Rectangles([1], channels=channels)
    batch = make_builder(dataset, channels=channels, mean_pixel=mean, resize=ResizeSettings(mode="none")).build([0])
    np.testing.assert_allclose(batch["input_image"][0, :60, :90], dataset.load_image(0) - np.array(mean), atol=1e-4)


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_is_repeated_and_alpha_dropped_where_colour_is_expected(channels, caplog):
    dataset = Rectangles([1, 1], channels=channels)
    forget_notices()
    batch = make_builder(dataset, resize=ResizeSettings(mode="none"), use_negative_images=True).build([0, 1])
    ids = image_ids(batch)
    for row, image_id in enumerate(ids):
        image = dataset.load_image(image_id)
        expected = np.repeat(image, 3, axis=2) if channels == 1 else image[..., :3]
        np.testing.assert_allclose(batch["input_image"][row, :60, :90], expected - MEAN, atol=1e-4)
    notices = [record for record in caplog.records if "has 4 channels" in record.getMessage()]
    assert len(notices) == (channels == 4)


def test_wrong_channel_counts_name_the_image_and_the_setting():
    builder = make_builder(Rectangles([1]), channels=1, mean_pixel=[50.0])
    with pytest.raises(DatasetError, match=r"image 0 .*'r0'.*1 channels.*\(60, 90, 3\).*IMAGE_CHANNEL_COUNT = 3"):
        builder.build([0])


def test_settings_that_contradict_the_data_set_are_errors_before_any_image_is_read():
    with pytest.raises(ConfigError, match=r"4 \(BG, box, crate, lid\), received NUM_CLASSES=3"):
        make_builder(Rectangles([1]), num_classes=3)
    with pytest.raises(ConfigError, match=r"IMAGE_CHANNEL_COUNT = 5 .*MEAN_PIXEL=\["):
        make_builder(Rectangles([1]), channels=5)
    with pytest.raises(DatasetError, match="Rectangles has no images"):
        make_builder(Rectangles([]))


def test_a_batch_depends_on_seed_and_position_alone():
    iaa = import_imgaug().augmenters
    augmentation = iaa.Sequential([iaa.Affine(rotate=(-30, 30)), iaa.Fliplr(0.5)])
    crop = ResizeSettings(min_dim=64, mode="crop")
    settings = dict(augmentation=augmentation, resize=crop)
    dataset = Rectangles([2, 0, 9, 1, 1, 3])
    walked = make_builder(dataset, **settings)
    batches = [walked.build_step(step) for step in range(6)]
    fresh = make_builder(dataset, **settings)
    threads = pickle.loads(pickle.dumps(make_builder(dataset, **settings)))
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(threads.build_step, range(6)))
    for step in reversed(range(6)):
        again = fresh.build_step(step)
        for name, array in batches[step].items():
            assert np.array_equal(array, again[name]), name
            assert np.array_equal(array, at_once[step][name]), name
    other = make_builder(dataset, **settings, seed=1).build_step(0)
    assert not np.array_equal(other["input_image"], batches[0]["input_image"])


def test_an_augmentation_of_no_kind_is_refused_before_an_image_is_loaded():
    for wrong in (import_imgaug().augmenters.Fliplr, "Fliplr"):
        with pytest.raises(ConfigError, match="augmentation: expected an"):
            make_builder(Rectangles([2]), augmentation=wrong)


def test_masks_that_32_bits_cannot_address_are_refused():
    builder = make_builder(Rectangles([1]), max_gt_instances=2**31 // 128**2)
    with pytest.raises(ConfigError, match="1 images x 128 x 128 pixels x MAX_GT_INSTANCES=131072. Set USE_MINI_MASK"):
        builder.build([0])


def test_an_image_is_augmented_differently_at_each_visit():
    iaa = import_imgaug().augmenters
    builder = make_builder(Rectangles([2]), augmentation=iaa.Affine(rotate=(-90, 90)))
    assert len({builder.build([position])["input_image"].tobytes() for position in range(4)}) == 4


@pytest.mark.parametrize("sources", [["rectangles"], "rectangles", ("other", "rectangles")])
def test_sources_can_be_left_out_of_augmentation(sources):
    dataset = Rectangles([2])
    black = dict(augmentation=lambda image, masks: (image * 0, masks), resize=ResizeSettings(mode="none"))
    assert (make_builder(dataset, **black).build([0])["input_image"] + MEAN).max() < 1e-3
    spared = make_builder(dataset, **black, no_augmentation_sources=sources).build([0])
    np.testing.assert_allclose(spared["input_image"][0, :60, :90], dataset.load_image(0) - MEAN, atol=1e-4)


def test_an_error_in_the_users_own_code_names_the_image_and_keeps_its_traceback():
    class Buggy(Rectangles):
        def load_mask(self, image_id):
            raise KeyError("regions")

    with pytest.raises(DatasetError, match=r"image 0 \(source 'rectangles', id 'r0'.*KeyError: 'regions'") as caught:
        make_builder(Buggy([1])).build([0])
    assert isinstance(caught.value.__cause__, KeyError)


def test_memory_that_runs_out_is_no_bad_image():
    class Huge(Rectangles):
        def load_mask(self, image_id):
            raise MemoryError

    with pytest.raises(MemoryError):
        make_builder(Huge([1] * 3), skip_bad_images=True).build([0])


@pytest.mark.parametrize("shuffle", [True, False])
def test_bad_images_are_replaced_by_the_same_ones_in_every_run_if_that_is_asked_for(shuffle, caplog):
    class SomeBad(Rectangles):
        def load_image(self, image_id):
            if image_id in (3, 7):
                raise OSError("damaged")
            return super().load_image(image_id)

    runs = [make_builder(SomeBad([1] * 20), skip_bad_images=True, shuffle=shuffle) for _ in range(2)]
    ids = [[image_ids(builder.build([position]))[0] for position in range(40)] for builder in runs]
    assert ids[0] == ids[1] and set(ids[0]) == set(range(20)) - {3, 7}
    assert runs[0].incidents.bad.keys() == {3, 7}
    assert sum("image 3 " in record.getMessage() for record in caplog.records) == 2, "once in each run"


def test_a_function_that_draws_from_global_states_gives_the_same_in_any_thread():
    def noise(image, masks):
        time.sleep(random.random() / 100)
        return image ^ np.random.randint(0, 9, image.shape, dtype=image.dtype), masks

    dataset = Rectangles([2] * 6)
    expected = [make_builder(dataset, augmentation=noise).build_step(step) for step in range(6)]
    with ThreadPoolExecutor(4) as pool:
        at_once = list(pool.map(make_builder(dataset, augmentation=noise).build_step, range(6)))
    for batch, other in zip(expected, at_once, strict=True):
        assert np.array_equal(batch["input_image"], other["input_image"])
    assert len({batch["input_image"].tobytes() for batch in expected}) == 6


def test_after_many_images_without_objects_the_log_stays_short(caplog):
    caplog.set_level(logging.WARNING)
    make_builder(Rectangles([0] * 200 + [1])).build(range(201))
    assert 15 < len(caplog.records) < 25


def test_annotations_are_asked_for_once_and_stay_the_same():
    class Counting(Rectangles):
        asked = 0

        def load_mask(self, image_id):
            self.asked += 1
            return super().load_mask(image_id)

    cached = make_builder(Counting([3, 6]), cache_annotations=True)
    asking = make_builder(Counting([3, 6]))
    for step in range(4):
        ours, theirs = cached.build_step(step), asking.build_step(step)
        for name, array in theirs.items():
            np.testing.assert_array_equal(ours[name], array)
    assert (cached.dataset.asked, asking.dataset.asked) == (2, 8)


def test_annotations_of_an_image_that_has_another_size_now_are_asked_for_again():
    kept = AnnotationCache()
    masks = np.zeros((9, 13, 2), bool)
    masks[2:5, 3:11, 0] = masks[8, 12, 1] = True
    kept.keep(np.int64(4), masks, np.array([1, -2], np.int32))
    found, class_ids = kept.find(4, (9, 13))
    np.testing.assert_array_equal(found, masks)
    assert class_ids.tolist() == [1, -2]
    assert kept.find(4, (13, 9)) is None and kept.find(5, (9, 13)) is None
    kept.keep(6, np.zeros((9, 13, 0), bool), np.zeros(0, np.int32))
    assert kept.find(6, (9, 13))[0].shape == (9, 13, 0)
