"""Images and their description as the network takes them: mean-subtracted pixels and the image meta vector.

The meta of one image is one row of numbers, in this order (positions in `constants.META_FIELDS`):

| field | numbers | meaning |
|---|---|---|
| image_id | 1 | the id in the data set |
| original_image_shape | 3 | height, width, channels before resizing |
| image_shape | 3 | height, width, channels after resizing and padding |
| window | 4 | `(y1, x1, y2, x2)` in pixels of the resized image: the part that is not padding |
| scale | 1 | factor applied to the original sides |
| active_class_ids | C | 1 for every class that the image's data set knows, else 0 |
"""

import numpy as np

from mrcnn_plus.constants import META_FIELDS
from mrcnn_plus.errors import ConfigError, DatasetError


def mold_image(image, mean_pixel):
    """Subtract the mean color.

    image: `[..., H, W, C]` in RGB order, any numeric dtype; mean_pixel: C numbers (`MEAN_PIXEL`), or one for all.

    Returns float32 of the image's shape. Raises `ConfigError` when the numbers of channels differ, `DatasetError` when
    the image has fewer than three dimensions.
    """
    image, mean_pixel = np.asarray(image), _matching_mean("mold_image", image, mean_pixel)
    # Subtracted in float64, a row at a time, because NumPy is slow along an axis as short as that of the channels.
    rows = image.reshape(-1, image.shape[-2] * image.shape[-1])
    molded = np.empty(rows.shape, np.float32)
    np.subtract(rows, np.tile(mean_pixel, image.shape[-2]), out=molded, casting="same_kind")
    return molded.reshape(image.shape)


def unmold_image(image, mean_pixel):
    """Add the mean color again: the inverse of `mold_image` for uint8 images.

    image: `[..., H, W, C]`, molded; mean_pixel: C numbers, or one for all.

    Returns uint8 of the image's shape, rounded (Matterport cut the fraction off, which can darken a pixel by one).
    Raises as `mold_image` does.
    """
    image, mean_pixel = np.asarray(image), _matching_mean("unmold_image", image, mean_pixel)
    return np.clip(np.rint(image + mean_pixel), 0, 255).astype(np.uint8)


def _matching_mean(place, image, mean_pixel):
    """The mean color as float64 `[C]`, checked against the image."""
    if np.ndim(image) < 3:
        raise DatasetError(
            f"{place}: expected an image [height, width, channels] or a batch of them, received "
            f"shape={np.shape(image)}. For a grey image pass image[..., np.newaxis]."
        )
    mean_pixel = np.asarray(mean_pixel, np.float64).ravel()
    channels = np.shape(image)[-1]
    if len(mean_pixel) not in (1, channels):
        raise ConfigError(
            f"{place}: expected one mean value for each of the image's {channels} channels, received "
            f"MEAN_PIXEL={mean_pixel.tolist()} for an image of shape={np.shape(image)}. "
            "Set MEAN_PIXEL and IMAGE_CHANNEL_COUNT to the number of channels that load_image returns."
        )
    return np.broadcast_to(mean_pixel, (channels,))


def compose_image_meta(image_id, original_image_shape, image_shape, window, scale, active_class_ids):
    """The meta of one image as one row of numbers; the table at the head of this file explains them.

    Returns float64 `[12 + C]`. Raises `DatasetError` when a part has another length, which would shift all that follow.
    """
    parts = {
        "image_id": [image_id],
        "original_image_shape": original_image_shape,
        "image_shape": image_shape,
        "window": window,
        "scale": [scale],
        "active_class_ids": active_class_ids,
    }
    for name, field in META_FIELDS.items():
        if field.stop is not None and len(parts[name]) != field.stop - field.start:
            raise DatasetError(
                f"compose_image_meta: expected {field.stop - field.start} numbers, received "
                f"{name}={tuple(parts[name])}. Shapes are (height, width, channels), windows (y1, x1, y2, x2)."
            )
    return np.concatenate([np.asarray(part, np.float64) for part in parts.values()])


def parse_image_meta(meta):
    """Take image metas apart again.

    meta: `[B, 12 + C]`, one row per image.

    Returns a dict of arrays with the names of `META_FIELDS`: `image_id` int32 `[B]`, `scale` float32 `[B]`, the others
    int32 `[B, ...]`. Raises `DatasetError` when `meta` has not two dimensions.
    """
    meta = np.asarray(meta)
    if meta.ndim != 2:
        raise DatasetError(
            f"parse_image_meta: expected metas [images, numbers], received shape={meta.shape}. "
            "For a single image pass meta[np.newaxis]."
        )
    parsed = {}
    for name, field in META_FIELDS.items():
        values = meta[:, field].astype(np.float32 if name == "scale" else np.int32)
        parsed[name] = values[:, 0] if name in ("image_id", "scale") else values
    return parsed
