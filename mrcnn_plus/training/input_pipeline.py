"""Feeds `fit`: batches of a data set in the order of an image stream, loaded by threads while the network computes."""

import os

import keras


class BatchSequence(keras.utils.PyDataset):
    """Steps of a data set for `keras.Model.fit` and `evaluate`.

    builder: a `data.batches.BatchBuilder`. steps: batches per epoch. first_epoch: epochs already trained, so that a
    resumed run goes on in the stream where it stopped; `FollowEpochs` moves it on. repeat: False starts every epoch at
    the first image again (validation) and does not go beyond the last one.
    """

    def __init__(self, builder, *, steps, first_epoch=0, repeat=True, workers=None):
        super().__init__(workers=default_workers() if workers is None else max(1, workers), use_multiprocessing=False)
        self.builder = builder
        self.steps = steps
        self.epoch = first_epoch if repeat else 0
        self.repeat = repeat

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        first = (self.epoch * self.steps + step) * self.builder.batch_size
        last = first + self.builder.batch_size
        if not self.repeat:
            last = min(last, len(self.builder.stream))
        return (self.builder.build(range(first, last)),)


class FollowEpochs(keras.callbacks.Callback):
    """Tells a `BatchSequence` which epoch begins.

    Not its own `on_epoch_end`: Keras calls that once more before the first epoch, and a part of the images would never
    be seen in the first pass.
    """

    def __init__(self, sequence):
        super().__init__()
        self.sequence = sequence

    def on_epoch_begin(self, epoch, logs=None):
        self.sequence.epoch = epoch


def with_free_image_size(sequence, model):
    """A `BatchSequence` whose batches may differ in height and width, for `model.fit`.

    On TensorFlow, Keras takes the shapes of the first two batches for those of all; other backends have no such limit.
    Keras offers no public way to say otherwise, so the signature of its adapter is filled in from the model's inputs.
    """
    if keras.backend.backend() != "tensorflow":
        return sequence
    import tensorflow as tf
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    adapter = PyDatasetAdapter(sequence)
    inputs = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in model.inputs}
    adapter._output_signature = (inputs,)
    return adapter


def default_workers():
    """Threads that load images: one per core but for one, between 2 and 4; with 1, Keras loads in the main thread."""
    return max(2, min(4, (os.cpu_count() or 2) - 1))


def steps_to_cover(images, batch_size):
    """Batches that hold every image once, the last one perhaps not full."""
    return -(-images // batch_size)
