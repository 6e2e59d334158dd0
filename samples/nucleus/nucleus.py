"""Nuclei in microscopy images: the configuration and the data set.

The data is that of the 2018 Data Science Bowl, one folder per image:

    <folder>/<image id>/images/<image id>.png
    <folder>/<image id>/masks/*.png            one file per nucleus, white on black
"""

from pathlib import Path

import numpy as np
from PIL import Image

from mrcnn_plus.config import Config
from mrcnn_plus.utils import Dataset


class NucleusConfig(Config):
    """A small network that learns from random weights on a CPU within minutes.

    To start from COCO weights instead, leave out the settings of the light network and the optimizer: those weights
    need ResNet-101, batch normalization and the default channels.
    """

    NAME = "nucleus"
    NUM_CLASSES = 1 + 1  # background and nucleus

    # A light network, with normalization that does not depend on the batch, because it is trained from random weights.
    BACKBONE = "resnet18"
    BACKBONE_WIDTH = 32
    NORMALIZATION = "group"
    TOP_DOWN_PYRAMID_SIZE = 64
    RPN_CONV_CHANNELS = 64
    FPN_CLASSIF_FC_LAYERS_SIZE = 256
    MASK_CONV_CHANNELS = 64
    MEAN_PIXEL = [43.5, 40.0, 48.9]  # of these images

    OPTIMIZER = "AdamW"
    LEARNING_RATE = 1e-3
    IMAGES_PER_GPU = 2
    STEPS_PER_EPOCH = 100

    # Most images have 256 x 256 pixels, most nuclei between 8 and 60.
    IMAGE_MIN_DIM = 256
    IMAGE_MAX_DIM = 256
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    MAX_GT_INSTANCES = 100
    DETECTION_MAX_INSTANCES = 100
    DETECTION_MIN_CONFIDENCE = 0.05
    DETECTION_NMS_THRESHOLD = 0.4

    PRE_NMS_LIMIT = 2000
    POST_NMS_ROIS_TRAINING = 500
    POST_NMS_ROIS_INFERENCE = 400
    TRAIN_ROIS_PER_IMAGE = 64
    RPN_TRAIN_ANCHORS_PER_IMAGE = 256


class NucleusDataset(Dataset):
    """Images and masks in folders, as the competition gave them out."""

    def load_nuclei(self, folder):
        """Register every image below `folder`."""
        self.add_class("nucleus", 1, "nucleus")
        for path in sorted(Path(folder).glob("*/images/*.png")):
            self.add_image("nucleus", image_id=path.stem, path=str(path))

    def load_mask(self, image_id):
        """Masks bool `[H, W, N]` and class ids `[N]` of one image."""
        folder = Path(self.image_info[image_id]["path"]).parent.parent / "masks"
        masks = [np.array(Image.open(path)) > 0 for path in sorted(folder.glob("*.png"))]
        return np.stack(masks, axis=-1), np.ones(len(masks), np.int32)
