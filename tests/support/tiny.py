"""A network of the least size that has every part, and images to run it on: coloured squares and discs."""

import contextlib

import keras
import numpy as np
from keras import layers

from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.training import fitting


class TinyConfig(Config):
    """Two classes, 64 x 64 pixels, thin layers, few ROIs. Tests override what they are about."""

    NAME = "tiny"
    NUM_CLASSES = 1 + 2
    SEED = 0
    IMAGES_PER_GPU = 2
    STEPS_PER_EPOCH = 2
    WORKERS = 0

    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 64
    BACKBONE = "resnet18"
    BACKBONE_WIDTH = 8
    TOP_DOWN_PYRAMID_SIZE = 16
    RPN_ANCHOR_SCALES = (4, 8, 16, 32, 64)
    RPN_CONV_CHANNELS = 16
    PRE_NMS_LIMIT = 100
    POST_NMS_ROIS_TRAINING = POST_NMS_ROIS_INFERENCE = 30
    FPN_CLASSIF_FC_LAYERS_SIZE = 16
    MASK_CONV_CHANNELS = 8

    MAX_GT_INSTANCES = 4
    MINI_MASK_SHAPE = (14, 14)
    RPN_TRAIN_ANCHORS_PER_IMAGE = 16
    TRAIN_ROIS_PER_IMAGE = 8
    ROI_POSITIVE_RATIO = 0.5
    DETECTION_MAX_INSTANCES = 10
    DETECTION_MIN_CONFIDENCE = 0.0


def five_convolutions(image, stage5=True, train_bn=None):
    """A backbone as a user may write one: a convolution for each stage. The quickest to build and to trace."""
    features = []
    for stage in range(1, 6):
        image = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name=f"stage{stage}")(image)
        features.append(image)
    return features


class FiveConvolutions(TinyConfig):
    BACKBONE = five_convolutions


SQUARE, DISC, CROWD_OF_SQUARES = 1, 2, -1


class Figures(Dataset):
    """Grey noise with bright squares and discs.

    images: for each image a list of figures `(class_id, center_y, center_x, diameter)` in pixels, or a number: so many
    figures of both classes at random places. sizes: (height, width) of all images, or a list with those of each.
    """

    def __init__(self, images, sizes=(64, 64), channels=3):
        super().__init__()
        self.channels = channels
        self.add_class("figures", SQUARE, "square")
        self.add_class("figures", DISC, "disc")
        sizes = [sizes] * len(images) if isinstance(sizes, tuple) else sizes
        for number, (figures, size) in enumerate(zip(images, sizes, strict=True)):
            if isinstance(figures, int):
                figures = _random_figures(np.random.default_rng(number), figures, size)
            self.add_image("figures", f"{number}", None, figures=figures, size=size)
        self.prepare()

    def load_image(self, image_id):
        height, width = self.image_info[image_id]["size"]
        rng = np.random.default_rng(1000 + int(image_id))
        image = rng.integers(60, 100, (height, width, self.channels), dtype=np.uint8)
        masks, class_ids = self.load_mask(image_id)
        for number, class_id in enumerate(class_ids):
            image[masks[..., number]] = np.roll([220, 120, 40, 160, 10], class_id)[: self.channels]
        return image

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        ys, xs = np.ogrid[: info["size"][0], : info["size"][1]]
        masks = np.zeros((*info["size"], len(info["figures"])), bool)
        for number, (class_id, center_y, center_x, diameter) in enumerate(info["figures"]):
            dy, dx = np.abs(ys - center_y), np.abs(xs - center_x)
            distance = np.hypot(dy, dx) if class_id == DISC else np.maximum(dy, dx)
            masks[..., number] = distance < diameter / 2
        return masks, np.array([figure[0] for figure in info["figures"]], np.int32)


def _random_figures(rng, count, size):
    return [
        (1 + number % 2, *(rng.integers(10, side - 10) for side in size), rng.integers(12, 28))
        for number in range(count)
    ]


def batch_of(dataset, config):
    """One batch with all images of a data set, in their order; images without figures stay."""
    builder = fitting.batch_builder(dataset, config, shuffle=False, use_negative_images=True)
    return builder.build(range(len(dataset.image_ids)))


def weights_of(model):
    """Every weight of a Keras model by its path, as NumPy arrays; states of random generators are left out."""
    return {
        weight.path: keras.ops.convert_to_numpy(weight)
        for weight in model.weights
        if "seed_generator" not in weight.path
    }


@contextlib.contextmanager
def step_by_step():
    """Inside, TensorFlow runs models operation by operation: tracing a training step takes ten times as long as one.

    Other backends do as they always do.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
