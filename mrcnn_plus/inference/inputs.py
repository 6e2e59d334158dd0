"""Images to what the network takes: molded images, image metas, windows, anchors."""

import logging

import numpy as np

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry import anchors as anchor_geometry
from mrcnn_plus.geometry import molding, resizing

logger = logging.getLogger(__name__)

SIZE_STEP = 64  # the pyramid halves an image six times


def as_color_image(image, channels, *, place):
    """The image as `[H, W, channels]`; grey ones are repeated and alpha is dropped where RGB is expected."""
    image = np.asarray(image)
    _check_pixels(image, place)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim == 3 and channels == 3 and image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.ndim == 3 and channels == 3 and image.shape[2] == 4:
        return image[..., :3]
    if image.ndim != 3 or image.shape[2] != channels or 0 in image.shape:
        raise DatasetError(
            f"{place}: expected an array [height, width, {channels}], received: shape={image.shape}, "
            f"dtype={image.dtype}. Give images one by one in a list, with the channels last (IMAGE_CHANNEL_COUNT)."
        )
    return image


def as_list_of_images(images):
    """The images of a call of `detect`; a single image, a path or None is an error that says what to write."""
    if isinstance(images, (str, bytes)) or not hasattr(images, "__iter__") or getattr(images, "ndim", 4) < 4:
        received = f"one array of shape {images.shape}" if hasattr(images, "shape") else repr(images)
        raise DatasetError(
            f"detect: expected a list of images, arrays [height, width, channels], received: {received}. Write "
            "detect([image]), with the image read by skimage.io.imread(path) or dataset.load_image(image_id)."
        )
    return list(images)


def _check_pixels(image, place):
    """Numbers, all finite. Ranges other than 0 to 255 are only warned of: MEAN_PIXEL may have been chosen for them."""
    if image.dtype.kind not in "uif":
        raise DatasetError(f"{place}: expected numbers (uint8), received: dtype={image.dtype}. Convert it first.")
    if image.size == 0 or image.dtype == np.uint8:
        return
    low, high = float(image.min()), float(image.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DatasetError(f"{place}: expected finite numbers, received: values {low} to {high}. Repair the image.")
    if high > 255 or (image.dtype.kind == "f" and 0 < high <= 1):
        logger.warning("%s: values up to %g; the default MEAN_PIXEL is made for grey levels of 0 to 255.", place, high)


def mold_images(images, *, resize, mean_pixel, num_classes):
    """Resize, pad and shift images for detection. compat: MaskRCNN.mold_inputs.

    images: list of `[H, W, channels]`, any sizes. resize: a `geometry.resizing.ResizeSettings`.
    Returns lists of molded images float32 `[h, w, channels]` (sides are multiples of 64), image metas `[12 + C]` and
    windows `(y1, x1, y2, x2)` in pixels of the molded image.
    """
    molded_images, metas, windows = [], [], []
    for image in images:
        molded, window, scale, _, _ = resizing.resize_image(
            image, min_dim=resize.min_dim, max_dim=resize.max_dim, min_scale=resize.min_scale, mode=resize.mode
        )
        molded = molding.mold_image(pad_to_step(molded), mean_pixel)
        active = np.zeros(num_classes, np.int32)  # detection reads no active classes
        metas.append(molding.compose_image_meta(0, image.shape, molded.shape, window, scale, active))
        molded_images.append(molded)
        windows.append(window)
    return molded_images, metas, windows


def pad_to_step(image):
    """Zeros at the bottom and right until both sides are multiples of 64 (only mode 'none' can need it)."""
    missing = [-size % SIZE_STEP for size in image.shape[:2]]
    return np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0))) if any(missing) else image


class AnchorCache:
    """Anchors of images by shape, made once each.

    scales, ratios, anchor_stride: as `RPN_ANCHOR_...`; strides: `BACKBONE_STRIDES`; feature_shapes: a function
    `image_shape -> [levels, (h, w)]` for backbones of other geometry (`COMPUTE_BACKBONE_SHAPE`), or None.
    """

    def __init__(self, scales, ratios, strides, anchor_stride, *, feature_shapes=None):
        self._settings = scales, ratios
        self._strides = strides
        self._anchor_stride = anchor_stride
        self._feature_shapes = feature_shapes or (lambda shape: anchor_geometry.feature_shapes(shape, strides))
        self._pixels, self._normalized = {}, {}

    def pixels(self, image_shape):
        """`[A, (y1, x1, y2, x2)]` in pixels of an image `(height, width, ...)`."""
        key = tuple(int(size) for size in image_shape[:2])
        if key not in self._pixels:
            self._pixels[key] = anchor_geometry.generate_pyramid_anchors(
                *self._settings, self._feature_shapes(tuple(image_shape)), self._strides, self._anchor_stride
            )
        return self._pixels[key]

    def normalized(self, image_shape):
        """The same, normalized, float32."""
        key = tuple(int(size) for size in image_shape[:2])
        if key not in self._normalized:
            from mrcnn_plus.geometry.boxes import norm_boxes

            self._normalized[key] = norm_boxes(self.pixels(image_shape), key).astype(np.float32)
        return self._normalized[key]
