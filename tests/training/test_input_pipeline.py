"""What `fit` gets: which images in which order, from threads and processes, and what happens when something fails."""

import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import keras
import numpy as np
import pytest

from mrcnn_plus.data.loading.process import TracebackOfProcess
from mrcnn_plus.data.loading.threads import LoaderThreads
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.training import fitting
from mrcnn_plus.training.callbacks.data_flow import DataFlow
from mrcnn_plus.training.input_pipeline import BatchSequence, default_workers, feeding, input_of, steps_to_cover

from ..data.data_sets import Rectangles
from ..support.loading import Dice, FromFile, Moody, Slow, WhereFrom, failing, scribble, small
from ..support.processes import children_of, is_alive, wait_for
from ..support.tiny import TinyConfig

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
MAIN_THREAD, ONE_THREAD, THREADS, PROCESSES = {"workers": 0}, {"workers": 1}, {"workers": 3}, {"processes": True}
ALL_LOADERS = pytest.mark.parametrize("loaders", [MAIN_THREAD, ONE_THREAD, THREADS, {**PROCESSES, "workers": 2}])


def moody(mood, images=5, special=2, **attributes):
    return small(images, Moody, mood=mood, special=special, **attributes)


class Watcher(keras.Model):
    """Learns nothing and notes which images it is shown."""

    def __init__(self):
        super().__init__()
        self.seen = []
        self.compile(run_eagerly=True)

    def call(self, inputs):
        return inputs["input_image_meta"]

    def train_step(self, *arguments):
        data = arguments[-1]
        meta = keras.ops.convert_to_numpy(data[0]["input_image_meta"])
        self.seen.append(meta[:, 0].astype(int).tolist())
        logs = {"loss": keras.ops.zeros(())}
        return (logs, arguments[0]) if len(arguments) == 2 else logs

    test_step = train_step


def builder_of(dataset, *, shuffle=True, augmentation=None, **settings):
    config = type("Settings", (TinyConfig,), {"NUM_CLASSES": 4, **settings})()
    return fitting.batch_builder(dataset, config, shuffle=shuffle, use_negative_images=True, augmentation=augmentation)


@contextlib.contextmanager
def sequence_of(dataset, *, steps, shuffle=True, augmentation=None, settings=None, **options):
    """A `BatchSequence` that is closed at the end. dataset: may be a number of images."""
    dataset = small(dataset) if isinstance(dataset, int) else dataset
    builder = builder_of(dataset, shuffle=shuffle, augmentation=augmentation, **(settings or {}))
    sequence = BatchSequence(builder, steps=steps, **{"workers": 0, **options})
    with feeding(sequence):
        yield sequence


def ids_of(sequence, epoch=None):
    """Image ids of an epoch, batch by batch; None takes the epoch that the sequence is at."""
    epoch = sequence.epoch if epoch is None else epoch
    batches = [sequence.batch(epoch, step) for step in range(len(sequence))]
    return [batch["input_image_meta"][:, 0].astype(int).tolist() for batch in batches]


def fit(sequence, *, validation=None, epochs=1, first_epoch=0, callbacks=(), as_dataset=ON_TENSORFLOW):
    """`fit` of a `Watcher`, as training does it; returns the watcher."""
    watcher = Watcher()

    def feed(one):
        return input_like(one) if as_dataset and one is not None else one

    with feeding(sequence, validation):
        watcher.fit(
            feed(sequence),
            validation_data=feed(validation),
            epochs=epochs,
            initial_epoch=first_epoch,
            shuffle=False,
            verbose=0,
            callbacks=[DataFlow(sequence, validation), *callbacks],
        )
    return watcher


def input_like(sequence):
    """`input_of` for a model that has the inputs of these batches; their height and width are free."""
    shapes = {
        "input_image": ((None, None, 3), "float32"),
        "input_image_meta": ((16,), "float32"),
        "input_gt_class_ids": ((4,), "int32"),
        "input_gt_boxes": ((4, 4), "float32"),
        "input_gt_masks": ((14, 14, 4), "bool"),
    }
    inputs = [keras.Input(shape, dtype=dtype, name=name) for name, (shape, dtype) in shapes.items()]
    return input_of(sequence, keras.Model(inputs, inputs[0]))


# ---- Order ----------------------------------------------------------------------------------------------------------


def test_every_image_comes_once_before_any_comes_twice():
    """Seven images, three steps of two an epoch: passes and epochs do not coincide."""
    with sequence_of(7, steps=3) as sequence:
        ids = np.concatenate([np.concatenate(ids_of(sequence, epoch)) for epoch in range(7)])
    passes = ids.reshape(6, 7)
    assert all(sorted(images) == list(range(7)) for images in passes)
    assert len({tuple(images) for images in passes}) == 6, "another order each time"


def test_a_resumed_run_goes_on_where_it_stopped():
    with sequence_of(5, steps=2) as whole, sequence_of(5, steps=2, first_epoch=2) as resumed:
        epochs = [ids_of(whole, epoch) for epoch in range(3)]
        assert ids_of(resumed) == epochs[2] != epochs[0]


def test_validation_walks_all_images_in_order_every_epoch():
    with sequence_of(5, shuffle=False, steps=steps_to_cover(5, 2), repeat=False, first_epoch=3) as sequence:
        assert [ids_of(sequence, epoch) for epoch in (3, 4)] == [[[0, 1], [2, 3], [4]]] * 2


@ALL_LOADERS
def test_fit_shows_the_network_the_images_in_that_order_with_any_loaders(loaders):
    with sequence_of(7, steps=3) as expected, sequence_of(7, steps=3, first_epoch=1, **loaders) as sequence:
        watcher = fit(sequence, epochs=4, first_epoch=1)
        assert watcher.seen == [ids for epoch in (1, 2, 3) for ids in ids_of(expected, epoch)]


@ALL_LOADERS
def test_validation_between_the_epochs_is_whole_each_time(loaders):
    options = {"shuffle": False, "steps": 3, "repeat": False, **loaders}
    with sequence_of(4, steps=2, **loaders) as sequence, sequence_of(5, **options) as validation:
        watcher = fit(sequence, validation=validation, epochs=2)
    assert watcher.seen[2:5] == watcher.seen[7:10] == [[0, 1], [2, 3], [4]]


def test_keras_takes_the_sequence_itself_too():
    with sequence_of(7, steps=3) as expected, sequence_of(7, steps=3, workers=2) as sequence:
        watcher = fit(sequence, epochs=2, as_dataset=False)
        assert watcher.seen == [ids for epoch in (0, 1) for ids in ids_of(expected, epoch)]


def test_images_may_differ_in_size_from_batch_to_batch():
    """On TensorFlow, Keras takes the shapes of the first two batches for those of all."""
    free = {"IMAGE_RESIZE_MODE": "none", "IMAGE_MIN_DIM": 64, "IMAGE_MAX_DIM": 128}

    class Growing(Rectangles):
        def load_image(self, image_id):
            self.size = (64, 64) if image_id < 4 else (64, 128)
            return super().load_image(image_id)

    with sequence_of(small(8, Growing), steps=4, shuffle=False, settings=free, workers=1) as sequence:
        assert fit(sequence).seen == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_a_step_is_a_batch_of_inputs_only():
    with sequence_of(3, steps=1) as sequence:
        (batch,) = sequence[0]
    assert {name: (array.shape, array.dtype.name) for name, array in batch.items()} == {
        "input_image": ((2, 64, 64, 3), "float32"),
        "input_image_meta": ((2, 16), "float32"),
        "input_gt_class_ids": ((2, 4), "int32"),
        "input_gt_boxes": ((2, 4, 4), "float32"),
        "input_gt_masks": ((2, 14, 14, 4), "bool"),
    }


@pytest.mark.parametrize(("images", "batch", "steps"), [(4, 2, 2), (5, 2, 3), (1, 8, 1)])
def test_steps_cover_every_image(images, batch, steps):
    assert steps_to_cover(images, batch) == steps


# ---- Who loads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loaders", "own_process", "main_thread"),
    [(MAIN_THREAD, True, True), (ONE_THREAD, True, False), ({**PROCESSES, "workers": 1}, False, True)],
)
def test_images_are_loaded_where_the_settings_say(loaders, own_process, main_thread):
    """In processes the builder's own main thread does the work."""
    with sequence_of(small(4, WhereFrom), steps=2, **loaders) as sequence:
        pixels = []

        def look(epoch, step):
            pixels.append(sequence.batch_of(epoch, step)["input_image"][0, 0, :2, 0] + TinyConfig().MEAN_PIXEL[0])

        fit(sequence, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: look(0, step))])
    for process, thread in np.round(pixels).astype(int):
        assert (process == os.getpid() % 251) == own_process
        assert thread == main_thread


def test_so_many_batches_are_built_at_once():
    present, most, lock = [0], [0], threading.Lock()

    class Counting(Rectangles):
        def load_image(self, image_id):
            with lock:
                present[0] += 1
                most[0] = max(most[0], present[0])
            time.sleep(0.02)
            with lock:
                present[0] -= 1
            return super().load_image(image_id)

    with sequence_of(small(20, Counting), steps=10, workers=3) as sequence:
        ids_of(sequence)
    assert most == [3]


def test_without_a_setting_there_is_a_worker_for_each_core_but_one():
    with sequence_of(3, steps=1, workers=None) as sequence:
        assert sequence.loaders == default_workers() in (2, 3, 4) and not sequence.uses_processes


def test_memory_is_bounded():
    with sequence_of(9, steps=50, workers=2) as sequence:
        for step in range(50):
            sequence.batch(0, step)
            assert len(sequence._batches) <= 3 + 1 + 4


def test_what_tensorflow_asks_for_far_ahead_is_built_once(monkeypatch):
    """Its iterator over several devices is many steps ahead of the step that they compute."""
    with sequence_of(40, steps=20, workers=1) as sequence:
        built, build = [], sequence.builder.build
        monkeypatch.setattr(sequence.builder, "build", lambda positions: built.append(positions) or build(positions))
        sequence.begin_epoch(0)
        ahead = threading.Thread(target=lambda: [sequence.batch(0, step) for step in range(12)])
        ahead.start()
        ahead.join()
        for step in range(20):
            sequence.batch(0, step)
            sequence.finish(0, step)
            assert len(sequence._batches) <= 14
    assert [positions.start for positions in built] == list(range(0, 40, 2))


def test_a_stage_with_other_steps_goes_on_in_the_row_of_images():
    with sequence_of(12, steps=3) as whole, sequence_of(12, steps=1, first_epoch=2, first_position=8) as later:
        images = [image for epoch in range(2) for batch in ids_of(whole, epoch) for image in batch]
        assert [ids_of(later, epoch)[0] for epoch in (2, 3)] == [images[8:10], images[10:12]]


# ---- The same with any loaders --------------------------------------------------------------------------------------


def all_batches(dataset, augmentation, settings, **loaders):
    options = {"augmentation": augmentation, "settings": settings}
    with sequence_of(dataset, steps=3, **options, **loaders) as sequence:
        return [sequence.batch(epoch, step) for epoch in range(2) for step in range(3)]


def assert_equal(some, others):
    for batch, other in zip(some, others, strict=True):
        for name, array in batch.items():
            assert np.array_equal(array, other[name]), name


@pytest.mark.parametrize("augmentation", [None, scribble])
def test_batches_are_the_same_with_any_loaders(augmentation):
    dataset, settings = Rectangles([3] * 7), {"IMAGE_RESIZE_MODE": "crop", "MAX_GT_INSTANCES": 2}
    before = np.random.get_state()[1].tolist(), random.getstate()
    expected = all_batches(dataset, augmentation, settings, workers=0)
    assert_equal(all_batches(dataset, augmentation, settings, workers=4), expected)
    assert_equal(all_batches(dataset, augmentation, settings, workers=2, processes=True), expected)
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before, "the program's random numbers go on"
    another_seed = all_batches(dataset, augmentation, {**settings, "SEED": 1}, workers=0)
    assert not np.array_equal(another_seed[0]["input_image"], expected[0]["input_image"])


def test_in_processes_load_image_draws_the_same_whoever_loads():
    runs = [all_batches(small(7, Dice), None, {}, workers=workers, processes=True) for workers in (1, 3)]
    assert_equal(*runs)
    assert not np.array_equal(runs[0][0]["input_image"][0], runs[0][0]["input_image"][1])


# ---- What was in a step ---------------------------------------------------------------------------------------------


@ALL_LOADERS
def test_the_very_batch_of_a_step_can_be_asked_for_until_it_is_finished(loaders):
    with sequence_of(7, steps=3, **loaders) as sequence:
        handed_out = sequence.batch(1, 1)
        assert sequence.batch_of(1, 1) is handed_out
        sequence.finish(1, 1)
        again = sequence.batch_of(1, 1)
        assert again is not handed_out
        assert_equal([again], [handed_out])


def test_the_images_of_a_step_are_known_by_id_and_path():
    dataset = small(3)
    dataset.image_info[1]["path"] = "photos/1.jpg"
    with sequence_of(dataset, steps=1, shuffle=False) as sequence:
        first, second = sequence.images_of(0, 0)
    assert (first.image_id, first.source, first.id, first.path) == (0, "rectangles", "r0", None)
    assert (second.image_id, second.path) == (1, "photos/1.jpg")


@pytest.mark.backend
@pytest.mark.parametrize("as_dataset", {ON_TENSORFLOW, False})
def test_in_fit_the_batch_of_the_step_is_still_there_when_the_step_ends(as_dataset):
    with sequence_of(20, steps=10, workers=3) as sequence:
        watcher_ids, kept = [], []

        def look(step, logs):
            kept.append((0, step) in sequence._batches)
            watcher_ids.append([image.image_id for image in sequence.images_of(0, step)])

        watcher = fit(
            sequence, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=look)], as_dataset=as_dataset
        )
    assert watcher_ids == watcher.seen
    assert all(kept)


# ---- Errors ---------------------------------------------------------------------------------------------------------


@ALL_LOADERS
@pytest.mark.parametrize("in_validation", [False, True])
@pytest.mark.parametrize("special", [0, 2])
def test_an_error_in_the_users_code_ends_fit_at_once_and_names_the_image(loaders, in_validation, special):
    bad, good = moody("raise", special=special), small(5)
    options = {"shuffle": False, "steps": 3, "repeat": False, **loaders}
    train, val = (good, bad) if in_validation else (bad, good)
    begin = time.perf_counter()
    with (
        sequence_of(train, **options) as sequence,
        sequence_of(val, **options) as validation,
        pytest.raises(
            DatasetError, match=rf"image {special} \(source.* id 'r{special}'.*KeyError: 'regions'"
        ) as caught,
    ):
        fit(sequence, validation=validation, epochs=3)
    assert time.perf_counter() - begin < 60
    assert isinstance(caught.value.__cause__, TracebackOfProcess if "processes" in loaders else KeyError)
    assert "misbehave" in str(caught.value.__cause__) or "processes" not in loaders
    assert "SKIP_BAD_IMAGES" in str(caught.value)


@pytest.mark.backend
def test_what_tensorflow_makes_of_an_error_is_replaced_by_the_error_itself():
    """Without the callback nobody asks for a batch before TensorFlow does."""
    with (
        pytest.raises(DatasetError, match="image 2 .*regions") as caught,
        sequence_of(moody("raise"), steps=3, shuffle=False) as sequence,
    ):
        Watcher().fit(input_like(sequence), shuffle=False, verbose=0)
    assert caught.value.__suppress_context__


@ALL_LOADERS
def test_an_unreadable_file_is_an_error_that_names_it(loaders, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")

    dataset = small(3, FromFile)
    dataset.image_info[1]["path"] = str(tmp_path / "cut.jpg")
    with (
        sequence_of(dataset, steps=2, shuffle=False, **loaders) as sequence,
        pytest.raises(DatasetError, match=r"image 1 \(source 'rectangles', id 'r1'.*cut\.jpg"),
    ):
        fit(sequence)


@ALL_LOADERS
def test_an_augmentation_that_fails_is_an_error_that_names_the_image(loaders):
    with (
        sequence_of(3, steps=1, shuffle=False, augmentation=failing, **loaders) as sequence,
        pytest.raises(ConfigError, match=r"image 0 \(source.*augmentation raised ZeroDivisionError: no reason"),
    ):
        fit(sequence)


# ---- Bad images that are skipped ------------------------------------------------------------------------------------

SKIP = {"SKIP_BAD_IMAGES": True}


class EpochLogs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(dict(logs))


@ALL_LOADERS
def test_if_asked_a_bad_image_is_replaced_named_once_and_counted(loaders, caplog):
    logs = EpochLogs()
    with sequence_of(moody("raise", images=12, special=5), steps=6, settings=SKIP, **loaders) as sequence:
        watcher = fit(sequence, epochs=3, callbacks=[logs])
    for epoch in range(3):
        seen = np.concatenate(watcher.seen[6 * epoch : 6 * epoch + 6]).tolist()
        assert set(range(12)) - set(seen) == {5} and len(seen) == 12
    assert [epoch["skipped_images"] for epoch in logs.epochs] == [1, 1, 1]
    named, summary = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert "image 5 (source 'rectangles', id 'r5'" in named and "KeyError: 'regions'" in named
    assert "1 of its 12 images could not be loaded" in summary and "[5]" in summary


@ALL_LOADERS
def test_more_than_a_tenth_of_the_images_bad_is_an_error_all_the_same(loaders):
    dataset = moody("raise", images=20, every=4)
    with (
        sequence_of(dataset, steps=10, settings=SKIP, **loaders) as sequence,
        pytest.raises(DatasetError, match=r"[3-9] of its 20 images could not be loaded.*check-data"),
    ):
        fit(sequence)


@pytest.mark.parametrize("images", [1, 2])
def test_if_no_image_can_be_loaded_that_is_an_error(images):
    with (
        sequence_of(moody("raise", images=images, every=1), steps=1, settings=SKIP) as sequence,
        pytest.raises(DatasetError, match="KeyError: 'regions'"),
    ):
        sequence.batch(0, 0)


def test_an_augmentation_that_fails_is_no_bad_image():
    with (
        sequence_of(12, steps=1, settings=SKIP, augmentation=failing) as sequence,
        pytest.raises(ConfigError, match="ZeroDivisionError"),
    ):
        sequence.batch(0, 0)


def test_nothing_is_logged_about_skipping_unless_asked_for():
    logs = EpochLogs()
    with sequence_of(3, steps=1) as sequence:
        fit(sequence, callbacks=[logs])
    assert "skipped_images" not in logs.epochs[0]


# ---- Ctrl-C ---------------------------------------------------------------------------------------------------------

PROGRAM = """
from tests.support.loading import Moody, small

if __name__ == "__main__":
    from tests.training.test_input_pipeline import BatchSequence, builder_of, fit

    builder = builder_of(small(5, Moody, mood="sleep", special=2, folder="."), shuffle=False)
    sequence = BatchSequence(builder, steps=3, workers=2, processes={processes})
    fit(sequence)
"""
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("processes", [False, True])
def test_ctrl_c_ends_fit_at_once_while_an_image_is_loading_and_leaves_no_process(tmp_path, processes):
    (tmp_path / "program.py").write_text(PROGRAM.format(processes=processes))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    program = subprocess.Popen([sys.executable, "program.py"], env=environment, cwd=tmp_path, **pipes)
    assert wait_for((tmp_path / "asleep").exists, 200)
    children = children_of(program.pid)
    assert len(children) == 2 * processes
    begin = time.perf_counter()
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=50)
    assert time.perf_counter() - begin < 10
    assert "KeyboardInterrupt" in err.strip().splitlines()[-1]
    assert wait_for(lambda: not any(is_alive(child) for child in children), 5)


# ---- Waiting --------------------------------------------------------------------------------------------------------


class SlowStep(Watcher):
    seconds = 0.0

    def train_step(self, *arguments):
        time.sleep(self.seconds)
        return super().train_step(*arguments)


@pytest.mark.slow  # it measures time
@pytest.mark.backend
@pytest.mark.parametrize("loaders", [MAIN_THREAD, ONE_THREAD, {**PROCESSES, "workers": 1}])
@pytest.mark.parametrize(("load", "compute", "least", "most"), [(0.3, 0.0, 0.6, 1), (0.0, 0.3, 0, 0.25)])
def test_the_share_of_time_spent_waiting_is_logged(loaders, load, compute, least, most, monkeypatch):
    """Batches of one image, 4 an epoch; all in all about 2 seconds, of which a busy machine may add some."""
    logs = epochs_of(load, compute, loaders, monkeypatch)
    assert least < logs[1]["data_wait"] <= most


@pytest.mark.slow  # it measures time
@pytest.mark.backend
def test_waiting_and_computing_add_up_in_the_main_thread_and_overlap_in_others(monkeypatch):
    in_turn = epochs_of(0.3, 0.3, MAIN_THREAD, monkeypatch)[1]["data_wait"]
    beside = epochs_of(0.3, 0.3, ONE_THREAD, monkeypatch)[1]["data_wait"]
    assert 0.3 < in_turn < 0.6
    assert 0 < beside < in_turn - 0.1, "only the first batch of the epoch is waited for"


def epochs_of(load, compute, loaders, monkeypatch):
    monkeypatch.setattr(SlowStep, "seconds", compute)
    monkeypatch.setitem(globals(), "Watcher", SlowStep)
    logs = EpochLogs()
    settings = {"IMAGES_PER_GPU": 1}
    with sequence_of(small(4, Slow, seconds=load), steps=4, settings=settings, **loaders) as sequence:
        fit(sequence, epochs=2, callbacks=[logs])
    return logs.epochs


def test_long_waiting_is_said_once_with_what_to_do(caplog):
    dataset = small(4, Slow, seconds=0.3)
    with sequence_of(dataset, steps=2, workers=1) as sequence:
        fit(sequence, epochs=2)
    (message,) = [record.getMessage() for record in caplog.records if "waited for images" in record.getMessage()]
    assert "data_wait" in message and "USE_MULTIPROCESSING = True" in message


def test_short_waiting_is_not_worth_a_word(caplog):
    with sequence_of(4, steps=2, workers=1) as sequence:
        fit(sequence, epochs=2)
    assert "waited" not in caplog.text


def test_the_start_of_processes_is_not_worth_a_word(caplog):
    dataset = small(4, Slow, seconds=1.2)
    with sequence_of(dataset, steps=1, workers=1, processes=True) as sequence:
        fit(sequence)
        assert "waited" not in caplog.text
        fit(sequence, epochs=2)
        assert "waited" in caplog.text


# ---- Ends -----------------------------------------------------------------------------------------------------------


def test_after_fit_no_thread_or_process_is_left():
    before = loader_threads()
    with sequence_of(20, steps=10, workers=3) as sequence:
        fit(sequence)
        assert not sequence._batches
    assert wait_for(lambda: loader_threads() <= before, 30)


def loader_threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("load images")}


def test_whoever_waits_for_a_batch_is_woken_when_the_sequence_is_closed():
    dataset = small(4, Slow, seconds=30)
    with sequence_of(dataset, steps=2, workers=1) as sequence:
        threading.Timer(0.3, sequence.close).start()
        begin = time.perf_counter()
        with pytest.raises(CancelledError):
            sequence.batch(0, 0)
        assert time.perf_counter() - begin < 5


def test_a_closed_sequence_can_be_asked_again():
    with sequence_of(4, steps=2, workers=2) as sequence:
        expected = ids_of(sequence)
        sequence.close()
        assert ids_of(sequence) == expected


def test_loader_threads_answer_in_the_order_of_their_questions():
    threads = LoaderThreads([lambda number: number * number] * 3)
    futures = [threads.submit(number) for number in range(30)]
    assert [future.result(5) for future in futures] == [number * number for number in range(30)]
    threads.close()
