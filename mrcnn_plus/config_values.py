"""What several parts need from a `Config`, as the plain values that functions further in take.

Each function has one place where settings become arguments; `network/assembly.py` does the same for the layers.
"""

from mrcnn_plus.geometry import anchors
from mrcnn_plus.geometry.resizing import ResizeSettings


def resize_settings(config):
    """How images are resized for training."""
    return ResizeSettings(config.IMAGE_MIN_DIM, config.IMAGE_MAX_DIM, config.IMAGE_MIN_SCALE, config.IMAGE_RESIZE_MODE)


def detection_resize_settings(config):
    """How images are resized for detection: as in training, but never cut to a random window."""
    resize = resize_settings(config)
    return resize._replace(mode="pad64") if resize.mode == "crop" else resize


def mini_mask_shape(config):
    """`(height, width)` of mini masks, or None for masks of the whole image."""
    return tuple(config.MINI_MASK_SHAPE) if config.USE_MINI_MASK else None


def feature_shapes(config, image_shape):
    """Heights and widths of P2 to P6, `[levels, 2]`, for a molded image `(height, width, ...)`."""
    if callable(config.BACKBONE) and config.COMPUTE_BACKBONE_SHAPE is not None:
        return config.COMPUTE_BACKBONE_SHAPE(image_shape)
    return anchors.feature_shapes(image_shape, config.BACKBONE_STRIDES)


def anchor_cache(config):
    """An `AnchorCache` for the settings of this moment; later changes do not reach it."""
    return anchors.AnchorCache(
        tuple(config.RPN_ANCHOR_SCALES),
        tuple(config.RPN_ANCHOR_RATIOS),
        tuple(config.BACKBONE_STRIDES),
        config.RPN_ANCHOR_STRIDE,
        feature_shapes=config.COMPUTE_BACKBONE_SHAPE if callable(config.BACKBONE) else None,
    )
