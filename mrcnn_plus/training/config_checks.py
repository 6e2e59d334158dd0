"""What must hold before a network can be built from a configuration.

Only what would fail or mislead at once; whether settings make sense for the data is the linter's part.
"""

import numbers

import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.geometry.resizing import RESIZE_MODES
from mrcnn_plus.network.backbones.resnet import ARCHITECTURES
from mrcnn_plus.network.losses import LOSS_NAMES

AT_LEAST_ONE = (
    *("NUM_CLASSES", "GPU_COUNT", "IMAGES_PER_GPU", "STEPS_PER_EPOCH", "VALIDATION_STEPS", "IMAGE_CHANNEL_COUNT"),
    *(
        "BACKBONE_WIDTH",
        "TOP_DOWN_PYRAMID_SIZE",
        "RPN_CONV_CHANNELS",
        "MASK_CONV_CHANNELS",
        "FPN_CLASSIF_FC_LAYERS_SIZE",
    ),
    *("RPN_ANCHOR_STRIDE", "RPN_TRAIN_ANCHORS_PER_IMAGE", "PRE_NMS_LIMIT", "POST_NMS_ROIS_TRAINING"),
    *("POST_NMS_ROIS_INFERENCE", "TRAIN_ROIS_PER_IMAGE", "POOL_SIZE", "MASK_POOL_SIZE", "MAX_GT_INSTANCES"),
    "DETECTION_MAX_INSTANCES",
)
SHARES = ("RPN_NMS_THRESHOLD", "DETECTION_NMS_THRESHOLD", "ROI_POSITIVE_RATIO")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
RESNET_STRIDES = [4, 8, 16, 32, 64]


def check_config(config):
    """Raise ConfigError for a value or contradiction that would otherwise surface as an error deep in Keras."""
    if not isinstance(config, Config):
        raise ConfigError(f"config: expected an instance of a Config subclass, received: {type(config).__name__}.")
    if not isinstance(config.NAME, str) or not config.NAME:
        _fail(config, "NAME", "a short name for log folders and checkpoints")
    for name in AT_LEAST_ONE:
        value = getattr(config, name)
        if not isinstance(value, numbers.Integral) or value < 1:
            _fail(config, name, "a whole number of at least 1")
    for name in SHARES:
        value = getattr(config, name)
        if not isinstance(value, numbers.Real) or not 0 < value <= 1:
            _fail(config, name, "a number above 0 and up to 1")
    if not 0 <= (config.DETECTION_MIN_CONFIDENCE or 0) <= 1:
        _fail(config, "DETECTION_MIN_CONFIDENCE", "a number from 0 to 1")
    if config.PRECISION not in PRECISIONS:
        _fail(config, "PRECISION", f"one of {PRECISIONS}")
    for name in ("RPN_BBOX_STD_DEV", "BBOX_STD_DEV"):
        if np.shape(getattr(config, name)) != (4,) or not np.all(np.asarray(getattr(config, name)) > 0):
            _fail(config, name, "four numbers above 0")
    unknown = set(config.LOSS_WEIGHTS) - set(LOSS_NAMES) if isinstance(config.LOSS_WEIGHTS, dict) else {"?"}
    if unknown or not all(isinstance(weight, numbers.Real) for weight in config.LOSS_WEIGHTS.values()):
        _fail(config, "LOSS_WEIGHTS", f"a dict of numbers with keys out of {LOSS_NAMES}")
    _check_image_settings(config)
    _check_anchors(config)
    _check_masks(config)


def _check_image_settings(config):
    if config.IMAGE_RESIZE_MODE not in RESIZE_MODES:
        _fail(config, "IMAGE_RESIZE_MODE", f"one of {RESIZE_MODES}")
    if np.size(config.MEAN_PIXEL) not in (1, config.IMAGE_CHANNEL_COUNT):
        _fail(
            config, "MEAN_PIXEL", f"a value for each of the IMAGE_CHANNEL_COUNT={config.IMAGE_CHANNEL_COUNT} channels"
        )
    if config.IMAGE_RESIZE_MODE not in ("square", "crop"):
        return
    setting = "IMAGE_MIN_DIM" if config.IMAGE_RESIZE_MODE == "crop" else "IMAGE_MAX_DIM"
    size = getattr(config, setting)
    if not isinstance(size, numbers.Integral) or size < 64 or size % 64:
        lower = max(int(size) // 64 * 64, 64) if isinstance(size, numbers.Real) else 512
        expected = "a multiple of 64, because the pyramid halves the image six times"
        _fail(config, setting, expected, f"Use {lower} or {lower + 64}.")


def _check_anchors(config):
    strides, scales, ratios = config.BACKBONE_STRIDES, config.RPN_ANCHOR_SCALES, config.RPN_ANCHOR_RATIOS
    if not callable(config.BACKBONE) and config.BACKBONE in ARCHITECTURES and list(strides) != RESNET_STRIDES:
        _fail(config, "BACKBONE_STRIDES", f"{RESNET_STRIDES}, the strides of {config.BACKBONE}")
    if np.shape(scales) != (len(strides),) or not np.all(np.asarray(scales) > 0):
        expected = f"one scale above 0 for each of the {len(strides)} pyramid levels (BACKBONE_STRIDES={strides})"
        _fail(config, "RPN_ANCHOR_SCALES", expected)
    if np.ndim(ratios) != 1 or not np.size(ratios) or not np.all(np.asarray(ratios) > 0):
        _fail(config, "RPN_ANCHOR_RATIOS", "a list of numbers above 0, width / height")


def _check_masks(config):
    if np.shape(config.MINI_MASK_SHAPE) != (2,):
        _fail(config, "MINI_MASK_SHAPE", "(height, width)")
    size = 2 * config.MASK_POOL_SIZE
    if tuple(config.MASK_SHAPE) != (size, size):
        expected = f"[{size}, {size}], twice MASK_POOL_SIZE={config.MASK_POOL_SIZE}, which is what the mask head gives"
        _fail(config, "MASK_SHAPE", expected, "Change both together.")
    if int(config.TRAIN_ROIS_PER_IMAGE * config.ROI_POSITIVE_RATIO) < 1:
        expected = f"enough for one positive ROI at ROI_POSITIVE_RATIO={config.ROI_POSITIVE_RATIO}"
        _fail(config, "TRAIN_ROIS_PER_IMAGE", expected)


def _fail(config, name, expected, advice=""):
    value = getattr(config, name)
    advice = advice or f"Set it in {type(config).__name__}."
    raise ConfigError(f"{name}: expected {expected}, received: {name}={value!r}. {advice}")
