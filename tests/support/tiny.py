"""A network of the least size that has every part, and images that it can be run on: coloured squares and discs."""

import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset


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
