"""Augmentations that travel to the processes which load images (USE_MULTIPROCESSING)."""

import albumentations as A
import numpy as np
import pytest

from mrcnn_plus.data.augmentation import import_imgaug
from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.data.loading.process import LoaderProcess, pack
from mrcnn_plus.geometry.resizing import ResizeSettings
from tests.data.data_sets import Rectangles

iaa = import_imgaug().augmenters


def keras_pipeline():
    import keras

    return keras.layers.Pipeline([keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1, fill_mode="constant")])


AUGMENTATIONS = {
    "imgaug": lambda: iaa.Sequential([iaa.Affine(rotate=(-30, 30)), iaa.Fliplr(0.5)]),
    "Albumentations": lambda: A.Compose([A.Affine(rotate=(-30, 30), p=1), A.HorizontalFlip()]),
    "Keras": keras_pipeline,
}


@pytest.mark.parametrize("name", ["imgaug", "Albumentations", pytest.param("Keras", marks=pytest.mark.slow)])
def test_a_process_augments_an_image_as_a_thread_does(name):
    builder = BatchBuilder(
        Rectangles([3, 4], size=(64, 64)),
        batch_size=2,
        num_classes=4,
        resize=ResizeSettings(64, 64, 0, "square"),
        mean_pixel=[0, 0, 0],
        augmentation=AUGMENTATIONS[name](),
        seed=0,
    )
    process = LoaderProcess(builder, pack(builder))
    try:
        there = process.build([0, 1])
    finally:
        process.close()
    here = builder.build([0, 1])
    assert np.array_equal(there["input_image"], here["input_image"])
    assert np.array_equal(there["input_gt_masks"], here["input_gt_masks"])
