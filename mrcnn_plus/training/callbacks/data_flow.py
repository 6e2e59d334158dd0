"""Follows the batches through training: which epoch they are of, how long training waits for them, what was skipped."""

import logging
import os
import time

import keras

logger = logging.getLogger(__name__)

# Below these, waiting is not worth a word.
_SHARE, _SECONDS = 0.3, 1.0


class DataFlow(keras.callbacks.Callback):
    """Tells a `BatchSequence` which epoch begins, asks it for each batch before its step, and logs what it costs.

    Waiting happens here, in the thread that trains and before the step, on every backend: so it can be measured, an
    error in the data is raised as it is, and Ctrl-C works while an image is being loaded.

    Logs `data_wait`, the share of the time of an epoch (without validation, 0 to 1) in which training waited for a
    batch; and `skipped_images`, how many places in the batches of an epoch went to another image because theirs could
    not be loaded, where SKIP_BAD_IMAGES is on. It has to stand before callbacks that write logs.

    sequence: the `BatchSequence` of training. validation: that of validation, or None.
    """

    def __init__(self, sequence, validation=None):
        super().__init__()
        self.sequence = sequence
        self.validation = validation
        self.told = False
        self.first_epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        # Not the `on_epoch_end` of the sequence: Keras calls that once more before the first epoch, and a part of the
        # images would never be seen in the first pass.
        self.epoch = epoch
        self.first_epoch = epoch if self.first_epoch is None else self.first_epoch
        self.skipped = 0
        self.end = None
        self.begin = time.perf_counter()
        self.sequence.begin_epoch(epoch)

    def on_train_batch_begin(self, batch, logs=None):
        self.sequence.batch(self.epoch, batch)
        self.skipped += self.sequence.count_skipped(self.epoch, batch)

    def on_test_begin(self, logs=None):
        self._end_of_steps()
        if self.validation is not None:
            self.validation.begin_epoch(self.epoch)

    def on_test_batch_begin(self, batch, logs=None):
        if self.validation is not None:
            self.validation.batch(self.epoch, batch)

    def on_test_end(self, logs=None):
        if self.validation is not None:
            self.validation.finish(self.epoch, len(self.validation))

    def on_epoch_end(self, epoch, logs=None):
        self._end_of_steps()
        waited, seconds = self.sequence.seconds_waited, self.end - self.begin
        processes_start = self.sequence.uses_processes and epoch == self.first_epoch
        if waited > max(_SHARE * seconds, _SECONDS) and not self.told and not processes_start:
            self.told = True
            logger.warning(
                "Epoch %d: training waited for images in %.0f%% of its time (data_wait in losses.csv). %s",
                *(epoch + 1, 100 * waited / seconds, self._advice()),
            )
        if logs is not None:
            logs["data_wait"] = min(1.0, waited / seconds)
            if self.sequence.builder.skip_bad_images:
                logs["skipped_images"] = self.skipped

    def on_train_end(self, logs=None):
        for sequence in filter(None, (self.sequence, self.validation)):
            bad = sequence.builder.incidents.bad
            if bad:
                logger.warning(
                    "%s: %d of its %d images could not be loaded, and others took their places: %s",
                    *(sequence.builder.name, len(bad), len(sequence.builder.dataset.image_ids), sorted(bad)),
                )

    def _end_of_steps(self):
        if self.end is None:
            self.end = time.perf_counter()

    def _advice(self):
        workers, cores = self.sequence.loaders, os.cpu_count() or 1
        remedies = []
        if workers < cores:
            remedies.append(f"WORKERS={workers} load images on {cores} cores: set WORKERS = {cores}")
        if not self.sequence.uses_processes:
            remedies.append("set USE_MULTIPROCESSING = True if load_mask or the augmentation is Python code")
        if self.sequence.builder.mini_mask_shape is None:
            remedies.append("set USE_MINI_MASK = True")
        remedies.append("store the images at the size that the network takes, and the masks in fewer files")
        return "To train faster: " + "; ".join(remedies) + "."
