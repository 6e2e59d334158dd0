"""In which order `fit` gets the images."""

import keras
import numpy as np
import pytest

from mrcnn_plus.training import fitting
from mrcnn_plus.training.input_pipeline import BatchSequence, FollowEpochs, default_workers, steps_to_cover

from ..support.tiny import Figures, TinyConfig


def sequence_of(images, *, shuffle=True, **options):
    builder = fitting.batch_builder(Figures([1] * images), TinyConfig(), shuffle=shuffle, use_negative_images=True)
    return BatchSequence(builder, **options)


def epoch_ids(sequence, epoch=None):
    """Image ids of an epoch, batch by batch; None takes the epoch that the sequence is at."""
    if epoch is not None:
        sequence.epoch = epoch
    return [sequence[step][0]["input_image_meta"][:, 0].astype(int).tolist() for step in range(len(sequence))]


def test_every_image_comes_once_before_any_comes_twice():
    """Seven images, three steps of two an epoch: passes and epochs do not coincide."""
    sequence = sequence_of(7, steps=3)
    ids = np.concatenate([np.concatenate(epoch_ids(sequence, epoch)) for epoch in range(7)])
    passes = ids.reshape(6, 7)
    assert all(sorted(images) == list(range(7)) for images in passes)
    assert len({tuple(images) for images in passes}) == 6, "another order each time"


def test_a_resumed_run_goes_on_where_it_stopped():
    whole = sequence_of(5, steps=2)
    epochs = [epoch_ids(whole, epoch) for epoch in range(3)]
    assert epoch_ids(sequence_of(5, steps=2, first_epoch=2)) == epochs[2] != epochs[0]


def test_validation_walks_all_images_in_order_every_epoch():
    sequence = sequence_of(5, shuffle=False, steps=steps_to_cover(5, 2), repeat=False, first_epoch=3)
    assert [epoch_ids(sequence) for _ in range(2)] == [[[0, 1], [2, 3], [4]]] * 2


class Watcher(keras.Model):
    """Learns nothing and notes which images it is shown."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.compile(run_eagerly=True)

    def train_step(self, data):
        self.seen.append(np.asarray(data[0]["input_image_meta"])[:, 0].astype(int).tolist())
        return {"loss": keras.ops.zeros(())}


@pytest.mark.parametrize("workers", [0, 3])
def test_fit_shows_the_network_the_images_in_that_order_with_any_number_of_threads(workers):
    expected = sequence_of(7, steps=3)
    sequence, watcher = sequence_of(7, steps=3, workers=workers), Watcher()
    watcher.fit(sequence, epochs=4, initial_epoch=1, shuffle=False, verbose=0, callbacks=[FollowEpochs(sequence)])
    assert watcher.seen == [ids for epoch in (1, 2, 3) for ids in epoch_ids(expected, epoch)]


def test_a_step_is_a_batch_of_inputs_only():
    (batch,) = sequence_of(3, steps=1)[0]
    assert {name: (array.shape, array.dtype.name) for name, array in batch.items()} == {
        "input_image": ((2, 64, 64, 3), "float32"),
        "input_image_meta": ((2, 15), "float32"),
        "input_gt_class_ids": ((2, 4), "int32"),
        "input_gt_boxes": ((2, 4, 4), "float32"),
        "input_gt_masks": ((2, 14, 14, 4), "bool"),
    }


@pytest.mark.parametrize(("asked", "threads"), [(0, 1), (3, 3), (None, default_workers())])
def test_workers_are_threads_and_0_is_the_main_thread(asked, threads):
    sequence = sequence_of(3, steps=1, workers=asked)
    assert sequence.workers == threads and not sequence.use_multiprocessing


@pytest.mark.parametrize(("images", "batch", "steps"), [(4, 2, 2), (5, 2, 3), (1, 8, 1)])
def test_steps_cover_every_image(images, batch, steps):
    assert steps_to_cover(images, batch) == steps
