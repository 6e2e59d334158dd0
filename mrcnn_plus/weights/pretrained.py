"""The two pretrained files that Matterport's programs ask for: COCO weights of the whole network, ImageNet weights of
ResNet-50. `find_weights` finds the file for what users call "coco", "imagenet" or "last".

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
    path = os.path.join(keras_home(), "models", _IMAGENET_FILE)
    if os.path.isfile(path) and checksum(path, "md5") == IMAGENET_RESNET50_MD5:
        return path
    return download(url, path, md5=IMAGENET_RESNET50_MD5, check=_check_weights_file, verbose=verbose)


def find_weights(choice, model):
    """Path of the weights file that a command line names, as `--weights` of Matterport's samples does.

    choice: "coco" (Matterport's COCO weights: `mask_rcnn_coco.h5` of the current folder, else where Keras keeps its
    files, downloaded at the first call), "imagenet" (ResNet-50 of Keras), "last" (the newest checkpoint of the model's
    name in its `model_dir`), or a path. model: a `MaskRCNN`. Raises WeightsError if there is no such file.
    """
    if choice.lower() == "coco":
        here, kept = "mask_rcnn_coco.h5", os.path.join(keras_home(), "models", "mask_rcnn_coco.h5")
        existing = next((path for path in (here, kept) if os.path.isfile(path)), None)
        return existing or download_trained_weights(kept)
    if choice.lower() == "imagenet":
        return model.get_imagenet_weights()
    if choice.lower() == "last":
        return model.find_last()
    if not os.path.isfile(choice):
        raise WeightsError(
            f"weights: expected coco, imagenet, last or the path of a file, received {choice!r}, which does not exist "
            f"(current folder: {os.getcwd()!r})."
        )
    return choice


def keras_home():
    """The folder Keras caches in; as in Keras, one for temporary files if the home folder cannot be written."""
    if os.environ.get("KERAS_HOME"):
        return os.environ["KERAS_HOME"]
    home = os.path.expanduser("~")
    base = home if os.access(home, os.W_OK) else tempfile.gettempdir()
    return os.path.join(base, ".keras")


def _check_weights_file(path):
    if detect_format(path) != "matterport":
        raise WeightsError(f"{path!r} is not a file in Matterport's layout")
