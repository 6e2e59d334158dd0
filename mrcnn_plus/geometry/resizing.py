"""Bring images to the size that the network takes: `resize_image`, and the plain `resize` below it."""

import random
from typing import NamedTuple

import numpy as np

from mrcnn_plus.constants import SIZE_STEP, round_up
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.geometry.interpolation import resize_bilinear

RESIZE_MODES = ("none", "square", "pad64", "crop")
_SCALED_BY_MAXIMUM = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
_NO_PADDING = ((0, 0), (0, 0), (0, 0))
_KEPT = (np.dtype(bool), np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))


class ResizeSettings(NamedTuple):
    """The four settings of `resize_image`, in its order: `resize_image(image, *settings)`. Sizes in pixels."""

    min_dim: int | None = None
    max_dim: int | None = None
    min_scale: float | None = None
    mode: str = "square"


def resize(
    image,
    output_shape,
    order=1,
    mode="constant",
    cval=0,
    clip=True,
    preserve_range=False,
    anti_aliasing=False,
    anti_aliasing_sigma=None,
):
    """`skimage.transform.resize` with Matterport's defaults, several times faster for them.

    image: `[H, W]` or `[H, W, C]`; output_shape: `(height, width)` in pixels. All arguments mean what scikit-image
    says, and other values than the defaults call it. A bool image is interpolated as 0 and 1.

    Returns float64 (float32 for float16 and float32 images): in the image's own range with `preserve_range`, else
    integers are scaled to 0..1 by the largest value of their dtype.
    Raises `DatasetError` when the image or the output would have no pixel.
    """
    image = np.asarray(image)
    output_shape = tuple(output_shape)
    defaults = order == 1 and mode == "constant" and cval == 0 and clip
    no_smoothing = anti_aliasing is not None and not anti_aliasing
    planar = image.ndim in (2, 3) and output_shape[2:] in ((), image.shape[2:])
    scaled = not preserve_range and image.dtype not in _KEPT
    if not (defaults and no_smoothing and planar) or (scaled and image.dtype not in _SCALED_BY_MAXIMUM):
        return _resize_with_skimage(
            image, output_shape, order, mode, cval, clip, preserve_range, anti_aliasing, anti_aliasing_sigma
        )
    if scaled:
        image = image * (1.0 / _SCALED_BY_MAXIMUM[image.dtype])
    resized = resize_bilinear(image, output_shape[:2])
    single = image.dtype in (np.float16, np.float32)
    return resized.astype(np.float32) if single else resized


def _resize_with_skimage(
    image, output_shape, order, mode, cval, clip, preserve_range, anti_aliasing, anti_aliasing_sigma
):
    """The general case; scikit-image is imported here because it costs half a second and is rarely needed."""
    import skimage.transform

    if image.dtype == bool and order != 0:
        image = image.astype(np.float64)  # scikit-image 0.19 and newer refuse to interpolate bool
    return skimage.transform.resize(
        image,
        output_shape,
        order=order,
        mode=mode,
        cval=cval,
        clip=clip,
        preserve_range=preserve_range,
        anti_aliasing=anti_aliasing,
        anti_aliasing_sigma=anti_aliasing_sigma,
    )


def resize_image(image, min_dim=None, max_dim=None, min_scale=None, mode="square", *, rng=None):
    """Scale an image without changing its proportions, then pad or crop it.

    image: `[H, W, C]`, any number of channels and any dtype, which the answer keeps.
    min_dim: the shorter side is enlarged to at least this many pixels; it is never made smaller for it.
    max_dim: the longer side is at most this many pixels (mode "square" only).
    min_scale: the image is enlarged at least by this factor, e.g. 2.
    mode: "none" returns the image as it is.
        "square" pads with zeros to `[max_dim, max_dim]`.
        "pad64" pads height and width with zeros to multiples of 64, because the pyramid halves them six times.
        "crop" takes a random window of `[min_dim, min_dim]`; for training only.
    rng: random numbers for "crop": a `numpy.random.Generator` or `RandomState`; None takes Python's `random`.

    Returns `(image, window, scale, padding, crop)`:
        window: `(y1, x1, y2, x2)` in pixels of the returned image, the part that is not padding.
        scale: the factor applied to the sides.
        padding: `[(top, bottom), (left, right), (0, 0)]` in pixels.
        crop: `(y, x, height, width)` in pixels of the scaled image, or None.
    Raises `ConfigError` for impossible settings and `DatasetError` for something that is not an image.
    """
    image = np.asarray(image)
    _check_image(image)
    settings = _checked(ResizeSettings(min_dim, max_dim, min_scale, mode))
    if mode == "none":
        return image, (0, 0, *image.shape[:2]), 1, list(_NO_PADDING), None
    scale = _choose_scale(*image.shape[:2], settings)
    scaled = image if scale == 1 else _scale_pixels(image, scale)
    if mode == "crop":
        window, crop = _crop_at_random(scaled, settings.min_dim, rng)
        return window, (0, 0, *window.shape[:2]), scale, list(_NO_PADDING), crop
    square = settings.max_dim, settings.max_dim
    target = square if mode == "square" else (round_up(scaled.shape[0]), round_up(scaled.shape[1]))
    padded, window, padding = _pad_around(scaled, target)
    return padded, window, scale, padding, None


def scaled_length(length, scale):
    """A side after scaling, in whole pixels, at least one. `resize_image` and `resize_mask` agree through it."""
    return max(1, round(length * scale))


def _choose_scale(height, width, settings):
    """The factor for both sides, from `min_dim`, then `min_scale`, then (mode "square") `max_dim`."""
    scale = 1
    if settings.min_dim:
        scale = max(1, settings.min_dim / min(height, width))
    if settings.min_scale and scale < settings.min_scale:
        scale = settings.min_scale
    longer = max(height, width)
    if settings.mode == "square" and round(longer * scale) > settings.max_dim:
        scale = settings.max_dim / longer
    return scale


def _scale_pixels(image, scale):
    """The image with both sides times `scale`, of the same dtype."""
    size = scaled_length(image.shape[0], scale), scaled_length(image.shape[1], scale)
    # compat: resize_image. Storing into an integer image cuts the fraction off, it does not round.
    exact = np.issubdtype(image.dtype, np.integer)
    return resize_bilinear(image, size, exact_near_integers=exact).astype(image.dtype)


def _crop_at_random(image, side, rng):
    """A random window of `[side, side]`, copied, and where it is: `(y, x, height, width)`."""
    y, x = (_random_offset(length - side, rng) for length in image.shape[:2])
    return image[y : y + side, x : x + side].copy(), (y, x, side, side)


def _pad_around(image, target):
    """The image in the middle of zeros of the size `target`, its window there, and the padding."""
    height, width = image.shape[:2]
    top, left = (target[0] - height) // 2, (target[1] - width) // 2
    padding = [(top, target[0] - height - top), (left, target[1] - width - left), (0, 0)]
    padded = np.zeros(target + image.shape[2:], image.dtype)
    padded[top : top + height, left : left + width] = image
    return padded, (top, left, top + height, left + width), padding


def _random_offset(largest, rng):
    """A whole number from 0 to `largest`, both included."""
    if rng is None:
        return random.randint(0, largest)
    draw = rng.integers if hasattr(rng, "integers") else rng.randint
    return int(draw(0, largest + 1))


def _check_image(image):
    if image.ndim != 3 or image.size == 0:
        raise DatasetError(
            f"resize_image: expected an image [height, width, channels] with at least one pixel, received "
            f"shape={image.shape}. A grey image needs a last axis of length 1 or 3: image[..., np.newaxis]."
        )


def _checked(settings):
    """The settings with sizes as int; `ConfigError` for an unknown mode and for sizes that the mode cannot take."""
    min_dim, max_dim, min_scale, mode = settings
    if mode not in RESIZE_MODES:
        raise ConfigError(
            f"resize_image: expected a mode of {', '.join(RESIZE_MODES)}, received mode={mode!r}. "
            "Set IMAGE_RESIZE_MODE (argument mode) to one of them."
        )
    min_dim, max_dim = _whole_pixels("IMAGE_MIN_DIM", min_dim), _whole_pixels("IMAGE_MAX_DIM", max_dim)
    if min_scale is not None and min_scale < 0:
        raise ConfigError(
            f"resize_image: expected a factor above 0 or None, received IMAGE_MIN_SCALE={min_scale!r}. "
            "Give a factor such as 2, or 0 for none."
        )
    if mode == "square" and not max_dim:
        raise ConfigError(
            f"resize_image: mode 'square' expected the side of the square in pixels, received IMAGE_MAX_DIM={max_dim}. "
            "Set IMAGE_MAX_DIM (argument max_dim), for example to 1024, or use the mode 'pad64'."
        )
    if mode == "pad64" and min_dim and min_dim % SIZE_STEP != 0:
        raise ConfigError(
            f"resize_image: mode 'pad64' expected a multiple of 64 pixels, received IMAGE_MIN_DIM={min_dim}. "
            f"Set IMAGE_MIN_DIM (argument min_dim) to {round_up(min_dim)}."
        )
    if mode == "crop" and not min_dim:
        raise ConfigError(
            f"resize_image: mode 'crop' expected the side of the window in pixels, received IMAGE_MIN_DIM={min_dim}. "
            "Set IMAGE_MIN_DIM (argument min_dim), for example to 512."
        )
    return ResizeSettings(min_dim, max_dim, min_scale, mode)


def _whole_pixels(name, value):
    """A size as int, or None."""
    if value is None:
        return None
    if value < 0 or value != int(value):
        raise ConfigError(
            f"resize_image: expected a whole number of pixels or None, received {name}={value!r}. "
            "Give a size such as 512 or 1024."
        )
    return int(value)
