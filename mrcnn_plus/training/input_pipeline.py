"""Feeds `fit`: batches of a data set in the order of an image stream, loaded while the network computes.

Threads or processes build batches ahead (`BatchSequence`), Keras takes them one after the other in its own thread. They
are not those of Keras' `PyDataset`: its processes are forks of one in which TensorFlow or JAX runs, which can hang; if
one of them is killed, `fit` waits for ever; its threads outlive an interrupted `fit`; and what it waits for images
cannot be told. On TensorFlow an error that is raised while loading also reaches the user as an `InvalidArgumentError`
with two pages of traceback; here it is raised as it is (`feeding`).
"""

import contextlib
import os
import threading
import time
from concurrent.futures import Future
from typing import Any, NamedTuple

import keras

from mrcnn_plus.constants import META_FIELDS
from mrcnn_plus.data.loading.process import LoaderProcess, pack
from mrcnn_plus.data.loading.threads import LoaderThreads, abandon, answer
from mrcnn_plus.training.devices import Devices

# Batches kept behind the step that training is at.
_KEPT_BEHIND = 3
_BATCHES_AHEAD_OF_A_WORKER = 2


class ImageOfBatch(NamedTuple):
    """Which image stands in a row of a batch."""

    image_id: int  # number in the data set
    source: str
    id: Any  # its id within the source
    path: Any  # as given to add_image, None where load_image makes the picture


class BatchSequence(keras.utils.PyDataset):
    """Steps of a data set for `keras.Model.fit` and `evaluate`.

    builder: a `data.batches.BatchBuilder`. steps: batches per epoch. first_epoch: epochs already trained; the callback
    `DataFlow` moves it on. first_position: where in the stream of images that epoch begins, so that a resumed run goes
    on where it stopped; None for epochs that all had so many steps. repeat: False starts every epoch at the first image
    again (validation) and does not go beyond the last one.
    workers: WORKERS, how many batches are built at once; 0 builds each when it is asked for; None for
    `default_workers()`. processes: USE_MULTIPROCESSING, in processes instead of threads.

    `seconds_waited`: how long the thread that trains has waited for batches in this epoch. `failure`: None, or the last
    exception that asking for a batch raised, and its cause.

    `devices`: the `Devices` that share a step; set before training.

    What is in a batch depends on the builder, epoch and step alone. Raises `ConfigError` if processes are asked for and
    the data set cannot travel to them.
    """

    def __init__(
        self, builder, *, steps, first_epoch=0, first_position=None, repeat=True, workers=None, processes=False
    ):
        super().__init__(workers=1, use_multiprocessing=False)  # for Keras: it calls in one thread
        self.builder = builder
        self.devices = Devices()
        self.steps = steps
        self.epoch = self.first_epoch = first_epoch
        whole_epochs = first_epoch * steps * builder.batch_size if repeat else 0
        self.first_position = whole_epochs if first_position is None else first_position
        self.repeat = repeat
        self.loaders = default_workers() if workers is None else workers
        self.seconds_waited = 0.0
        self.failure = None
        self.closings = 0
        self.uses_processes = bool(processes and self.loaders)
        self._payload = pack(builder) if self.uses_processes else None
        self._processes, self._threads = [], None
        self._batches = {}  # (epoch, step): Future, built ahead or handed out
        self._lock = threading.RLock()
        self._trainer = threading.get_ident()
        self._step_of_training = None  # none yet that anybody would have told

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        return (self.batch(self.epoch, step),)

    def batch(self, epoch, step):
        """The batch of a step, a dict of arrays; the following ones are begun. Waits until it is there."""
        begin = time.perf_counter()
        try:
            return self._filled(self._ask_for(epoch, step).result(), epoch, step)
        except Exception as error:
            self.failure = error, error.__cause__
            raise
        finally:
            if threading.get_ident() == self._trainer:
                self.seconds_waited += time.perf_counter() - begin

    def batch_of(self, epoch, step):
        """The batch of a step: the very one that was trained on, or built again if it is gone.

        epoch, step: as Keras' callbacks get them, from 0. A batch is kept until `finish` was called for its step or a
        later one, and not longer than for a few steps.
        """
        with self._lock:
            future = self._batches.get((epoch, step))
        return self.builder.build(self._positions(epoch, step)) if future is None else future.result()

    def images_of(self, epoch, step):
        """Which images are in the batch of a step: a list of `ImageOfBatch`, in the order of its rows."""
        ids = self.batch_of(epoch, step)["input_image_meta"][:, 0].astype(int).tolist()
        infos = [self.builder.dataset.image_info[image_id] for image_id in ids]
        return [
            ImageOfBatch(image_id, info["source"], info["id"], info.get("path"))
            for image_id, info in zip(ids, infos, strict=True)
        ]

    def count_skipped(self, epoch, step):
        """How many images of a step stand in for one that could not be loaded."""
        bad, stream = self.builder.incidents.bad, self.builder.stream
        if not bad:
            return 0
        wanted = [int(stream[position]) for position in self._positions(epoch, step)]
        used = self.batch_of(epoch, step)["input_image_meta"][:, 0].astype(int)
        return sum(want in bad and want != use for want, use in zip(wanted, used, strict=True))

    def finish(self, epoch, step):
        """Forget the batches up to this step: nobody will ask for them."""
        self._forget(lambda key: key <= (epoch, step))

    def begin_epoch(self, epoch):
        """Go to an epoch. Waiting is counted for the thread that calls this."""
        self.epoch = epoch
        self.seconds_waited = 0.0
        self._trainer = threading.get_ident()
        self._step_of_training = 0

    def close(self):
        """End threads and processes at once and forget all batches. Asked for another batch, it begins anew."""
        with self._lock:
            for future in self._batches.values():
                abandon(future)
            for process in self._processes:
                process.close()
            if self._threads is not None:
                self._threads.close()
            self._batches, self._processes, self._threads = {}, [], None
            self.closings += 1

    def _ask_for(self, epoch, step):
        """The `Future` of a batch."""
        last = min(step + _BATCHES_AHEAD_OF_A_WORKER * self.loaders, self.steps - 1)
        with self._lock:
            if threading.get_ident() == self._trainer:
                self._step_of_training = step
            for number in range(step, max(step, last) + 1):
                if (epoch, number) not in self._batches:
                    self._batches[epoch, number] = self._submit(self._positions(epoch, number))
            # TensorFlow asks in a thread of its own, for several devices many steps ahead of the one that they compute:
            # what it has asked for is kept until training has come there.
            reached = step if self._step_of_training is None else min(step, self._step_of_training)
            self._forget(lambda key: key[0] != epoch or key[1] < reached - _KEPT_BEHIND)
            return self._batches[epoch, step]

    def _forget(self, is_gone):
        with self._lock:
            for key in [key for key in self._batches if is_gone(key)]:
                self._batches.pop(key).cancel()

    def _submit(self, positions):
        if not self.loaders:
            future = Future()
            answer(future, positions, self.builder.build)
            return future
        if self._threads is None:
            functions = [self.builder.build] * self.loaders
            if self.uses_processes:
                self._processes = [LoaderProcess(self.builder, self._payload) for _ in functions]
                functions = [process.build for process in self._processes]
            self._threads = LoaderThreads(functions)
        return self._threads.submit(positions)

    def _positions(self, epoch, step):
        """Positions in the stream of images that make a batch: those of this host."""
        whole = self._whole_step(epoch, step)
        rows = self.devices.rows_of(len(whole))
        return whole[rows.start : rows.stop] or whole[-1:]  # a host without an image takes the size of the last one

    def _whole_step(self, epoch, step):
        """Positions of all images of a step."""
        first = self.position_of(epoch if self.repeat else self.first_epoch) + step * self.builder.batch_size
        last = first + self.builder.batch_size
        return range(first, last if self.repeat else min(last, len(self.builder.stream)))

    def position_of(self, epoch):
        """Where in the stream of images an epoch begins."""
        return self.first_position + (epoch - self.first_epoch) * self.steps * self.builder.batch_size

    def _filled(self, batch, epoch, step):
        """The batch with as many rows for every device."""
        images = len(self._whole_step(epoch, step))
        rows = self.devices.rows_of(images)
        return fill_rows(batch, images=max(0, min(rows.stop, images) - rows.start), rows=len(rows))


def fill_rows(batch, *, images, rows):
    """The first `images` rows of a batch and, up to the number of `rows`, rows that count in no loss.

    Those have the last image again, without objects and without a class that its source can hold
    (`network.replicas.without_filling`).
    """
    if images == rows:
        return batch
    order = [min(row, max(images - 1, 0)) for row in range(rows)]
    filled = {name: array[order] for name, array in batch.items()}
    filled["input_image_meta"][images:, META_FIELDS["active_class_ids"]] = 0
    filled["input_gt_class_ids"][images:] = 0
    return filled


def input_of(sequence, model):
    """What `model.fit` gets for a `BatchSequence`.

    On TensorFlow a `tf.data.Dataset`: Keras would take the shapes of the first two batches for those of all, and images
    may differ in height and width; the shapes of the model's inputs say it right, and no batch is built only to see
    its shape. Other backends take the sequence as it is.
    """
    if sequence is None or keras.backend.backend() != "tensorflow":
        return sequence
    import tensorflow as tf

    def batches():
        epoch, closings = sequence.epoch, sequence.closings
        for step in range(len(sequence)):
            if sequence.closings > closings:  # this thread may live longer than `fit`
                return
            yield (sequence.batch(epoch, step),)

    signature = ({tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs},)
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(sequence)))
    options = tf.data.Options()
    options.autotune.enabled = False  # it would ask for more ahead, in another thread
    dataset = dataset.with_options(options)
    return dataset.prefetch(1) if sequence.loaders else dataset  # copies into tensors while a step runs


@contextlib.contextmanager
def feeding(*sequences):
    """Around `model.fit`: whatever ends it, ends the threads and processes of the sequences (or None) too.

    What was raised while a batch was built is raised as it was: TensorFlow makes an error of its own of it, and Keras
    takes the cause away, which shows the place in the user's code.
    """
    sequences = [sequence for sequence in sequences if sequence is not None]
    try:
        yield sequences
    except Exception as error:
        for failure, cause in [sequence.failure for sequence in sequences if sequence.failure is not None]:
            if failure is error or type(error).__module__.startswith("tensorflow"):
                raise failure from cause
        raise
    finally:
        for sequence in sequences:
            sequence.close()


def default_workers():
    """How many batches are built at once: one on each core but one, and between 2 and 4."""
    return max(2, min(4, (os.cpu_count() or 2) - 1))


def steps_to_cover(images, batch_size):
    """Batches that hold every image once, the last one perhaps not full."""
    return -(-images // batch_size)
