"""The two pretrained files that Matterport's programs ask for: COCO weights of the whole network, ImageNet weights of
ResNet-50.

Mirrors: set the environment variables MRCNN_PLUS_COCO_URL and MRCNN_PLUS_IMAGENET_URL, or pass `url`.
"""

import os
import tempfile

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights.download import checksum, download
from mrcnn_plus.weights.file_format import detect_format

COCO_MODEL_URL = "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"
COCO_MODEL_MD5 = "e98aaff6f99e307b5e2a8a3ff741a518"
_IMAGENET_FILE = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_RESNET50_URL = f"https://github.com/fchollet/deep-learning-models/releases/download/v0.2/{_IMAGENET_FILE}"
IMAGENET_RESNET50_MD5 = "a268eb855778b3df3c7506639542a6af"


def download_trained_weights(coco_model_path, verbose=1, *, url=None):
    """Download Matterport's COCO weights (ResNet-101, 81 classes, 246 MB) to `coco_model_path`, over a file that is
    there.

    compat: utils.download_trained_weights. verbose: 0 shows no progress. url: another place to fetch it from; a file
    from there need not be Matterport's own, only a weights file. Returns the path. Raises WeightsError if it cannot be
    had.
    """
    url = url or os.environ.get("MRCNN_PLUS_COCO_URL") or COCO_MODEL_URL
    md5 = COCO_MODEL_MD5 if url == COCO_MODEL_URL else None
    return download(url, coco_model_path, md5=md5, check=_check_weights_file, verbose=verbose)


def get_imagenet_weights(*, url=None, verbose=1):
    """Path of the ImageNet weights of ResNet-50 without its classifier (94 MB), downloaded at the first call.

    compat: MaskRCNN.get_imagenet_weights. The file is kept where Keras keeps it, `~/.keras/models` or
    `$KERAS_HOME/models`. Raises WeightsError if it cannot be had.
    """
    url = url or os.environ.get("MRCNN_PLUS_IMAGENET_URL") or IMAGENET_RESNET50_URL
    path = os.path.join(_keras_home(), "models", _IMAGENET_FILE)
    if os.path.isfile(path) and checksum(path, "md5") == IMAGENET_RESNET50_MD5:
        return path
    return download(url, path, md5=IMAGENET_RESNET50_MD5, check=_check_weights_file, verbose=verbose)


def _keras_home():
    """The folder Keras caches in; as in Keras, one for temporary files if the home folder cannot be written."""
    if os.environ.get("KERAS_HOME"):
        return os.environ["KERAS_HOME"]
    home = os.path.expanduser("~")
    base = home if os.access(home, os.W_OK) else tempfile.gettempdir()
    return os.path.join(base, ".keras")


def _check_weights_file(path):
    if detect_format(path) != "matterport":
        raise WeightsError(f"{path!r} is not a file in Matterport's layout")
