"""What must hold before a network can be built from a configuration.

Only what would fail or mislead at once; whether settings make sense for the data is the linter's part.
"""

import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.geometry.resizing import RESIZE_MODES


def check_config(config):
    """Raise ConfigError for a contradiction that would otherwise surface as an error deep in Keras."""
    if not isinstance(config, Config):
        raise ConfigError(f"config: expected an instance of a Config subclass, received: {type(config).__name__}.")
    if not config.NAME:
        raise ConfigError(
            f"NAME: expected a short name for log folders and checkpoints, received: NAME={config.NAME!r}. Set it in "
            f"{type(config).__name__}."
        )
    if config.IMAGE_RESIZE_MODE not in RESIZE_MODES:
        raise ConfigError(
            f"IMAGE_RESIZE_MODE: expected one of {RESIZE_MODES}, received: "
            f"IMAGE_RESIZE_MODE={config.IMAGE_RESIZE_MODE!r}."
        )
    if len(config.RPN_ANCHOR_SCALES) != len(config.BACKBONE_STRIDES):
        raise ConfigError(
            f"RPN_ANCHOR_SCALES: expected one scale for each pyramid level, {len(config.BACKBONE_STRIDES)} in all "
            f"(BACKBONE_STRIDES={config.BACKBONE_STRIDES}), received: RPN_ANCHOR_SCALES={config.RPN_ANCHOR_SCALES}."
        )
    if np.size(config.MEAN_PIXEL) not in (1, config.IMAGE_CHANNEL_COUNT):
        raise ConfigError(
            f"MEAN_PIXEL: expected a value for each of the IMAGE_CHANNEL_COUNT={config.IMAGE_CHANNEL_COUNT} channels, "
            f"received: MEAN_PIXEL={list(config.MEAN_PIXEL)}."
        )
    mask_size = 2 * config.MASK_POOL_SIZE
    if tuple(config.MASK_SHAPE) != (mask_size, mask_size):
        raise ConfigError(
            f"MASK_SHAPE: expected twice MASK_POOL_SIZE={config.MASK_POOL_SIZE}, [{mask_size}, {mask_size}], the size "
            f"that the mask head gives, received: MASK_SHAPE={config.MASK_SHAPE}. Change both together."
        )
    if int(config.TRAIN_ROIS_PER_IMAGE * config.ROI_POSITIVE_RATIO) < 1:
        raise ConfigError(
            "TRAIN_ROIS_PER_IMAGE * ROI_POSITIVE_RATIO: expected room for at least one positive ROI, received: "
            f"TRAIN_ROIS_PER_IMAGE={config.TRAIN_ROIS_PER_IMAGE}, ROI_POSITIVE_RATIO={config.ROI_POSITIVE_RATIO}."
        )
    height, width = (int(size) for size in config.IMAGE_SHAPE[:2])
    if config.IMAGE_RESIZE_MODE in ("square", "crop") and (height % 64 or width % 64):
        setting = "IMAGE_MIN_DIM" if config.IMAGE_RESIZE_MODE == "crop" else "IMAGE_MAX_DIM"
        lower = max(height // 64 * 64, 64)
        raise ConfigError(
            f"{setting}: expected a multiple of 64, because the pyramid halves the image six times, received: "
            f"{setting}={height}. Use {lower} or {lower + 64}."
        )
