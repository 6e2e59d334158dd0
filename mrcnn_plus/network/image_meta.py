"""Reading the image meta vector inside the network; `geometry.molding` writes it and documents its layout."""

from typing import Any, NamedTuple

from keras import ops

from mrcnn_plus.constants import META_FIELDS
from mrcnn_plus.network import box_ops


class ImageMeta(NamedTuple):
    """The parts of a batch of image meta vectors, as tensors."""

    image_id: Any  #: [B]
    original_image_shape: Any  #: [B, (height, width, channels)] of the file
    image_shape: Any  #: [B, (height, width, channels)] after resizing and padding, pixels
    window: Any  #: [B, (y1, x1, y2, x2)] of the image inside its padding, pixels
    scale: Any  #: [B] factor of the resizing
    active_class_ids: Any  #: [B, C] 1 for the classes that the image's source can hold


def parse(image_meta):
    """Split image metas `[B, 12 + C]`. compat: parse_image_meta_graph."""
    parts = {name: image_meta[:, field] for name, field in META_FIELDS.items()}
    return ImageMeta(**{**parts, "image_id": parts["image_id"][:, 0], "scale": parts["scale"][:, 0]})


def window_norm(image_meta):
    """The window of each image in normalized coordinates, `[B, 4]`."""
    meta = parse(image_meta)
    return box_ops.norm_boxes(ops.cast(meta.window, "float32"), meta.image_shape)
