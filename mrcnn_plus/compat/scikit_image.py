"""scikit-image as it was until about 0.18: names that are gone, and functions that answer differently today."""

from __future__ import annotations

import functools

from mrcnn_plus.compat.shims import ModulePatch, Shim


def _member(module, name):
    """A function that returns a name of a module."""

    def make():
        import importlib

        return getattr(importlib.import_module(module), name)

    return make


def _circle():
    import skimage.draw

    def circle(r, c, radius, shape=None):
        return skimage.draw.disk((r, c), radius, shape=shape)

    return circle


def fill_polygon(rows, cols):
    """Pixels of a polygon by the even-odd rule, as scikit-image filled it: the right and the lower border stay out.

    rows, cols: `[N]` coordinates of the corners, pixels. So corners at y = height or x = width give no pixel outside,
    and none is negative. Returns two int arrays, rows and columns of the pixels.
    """
    import numpy as np

    rows, cols = np.asarray(rows, float).ravel(), np.asarray(cols, float).ravel()
    if rows.size == 0:
        return np.zeros(0, int), np.zeros(0, int)
    next_rows, next_cols = np.roll(rows, -1), np.roll(cols, -1)
    found_rows, found_cols = [], []
    for y in range(max(0, int(np.ceil(rows.min()))), int(np.ceil(rows.max())) + 1):
        crossed = (rows <= y) != (next_rows <= y)
        slope = (next_cols[crossed] - cols[crossed]) / (next_rows[crossed] - rows[crossed])
        ends = np.ceil(np.sort(cols[crossed] + (y - rows[crossed]) * slope)).astype(int)
        for left, right in zip(ends[::2], ends[1::2], strict=True):
            inside = np.arange(max(0, left), right)
            found_cols.append(inside)
            found_rows.append(np.full(len(inside), y))
    if not found_rows:
        return np.zeros(0, int), np.zeros(0, int)
    return np.concatenate(found_rows), np.concatenate(found_cols)


def _polygon(original, note):
    def polygon(r, c, shape=None):
        if shape is not None:
            return original(r, c, shape)
        note()
        return fill_polygon(r, c)

    return polygon


def _resize(original, note):
    def resize(image, output_shape, order=None, *args, **kwargs):
        import numpy as np

        if np.asarray(image).dtype == bool and order not in (None, 0):
            note()
            image = np.asarray(image, float)
        return original(image, output_shape, order, *args, **kwargs)

    return resize


def _channels_by_flag(original, note):
    """For functions whose `multichannel=True` has become `channel_axis=-1`."""

    @functools.wraps(original)
    def function(*args, multichannel=None, **kwargs):
        if multichannel is not None:
            note()
            kwargs.setdefault("channel_axis", -1 if multichannel else None)
        return original(*args, **kwargs)

    return function


def _rgb2gray(original, note):
    def rgb2gray(rgb, **kwargs):
        import numpy as np

        array = np.asarray(rgb)
        if array.ndim == 2:
            note()
            return array
        if array.ndim == 3 and array.shape[-1] == 4:
            note()
            array = array[..., :3]
        return original(array, **kwargs)

    return rgb2gray


def _gray2rgb(original, note):
    def gray2rgb(image, alpha=None, **kwargs):
        import numpy as np

        array = np.asarray(image)
        if array.ndim == 3 and array.shape[-1] in (3, 4):
            note()
            return array
        return original(array, **kwargs)

    return gray2rgb


def _imread(original, note):
    def imread(fname, as_gray=False, *args, as_grey=None, flatten=None, **kwargs):
        if as_grey is not None or flatten is not None:
            note()
            as_gray = bool(as_grey or flatten)
        return original(fname, as_gray, *args, **kwargs)

    return imread


def _imsave(original, note):
    def imsave(fname, arr, *args, **kwargs):
        import numpy as np

        array = np.asarray(arr)
        if array.dtype == bool or (array.dtype.kind == "f" and not str(fname).lower().endswith((".tif", ".tiff"))):
            note()
            array = np.clip(np.round(np.asarray(array, float) * 255), 0, 255).astype(np.uint8)
        elif array.dtype.kind in "iu" and array.itemsize > 2 and array.size and 0 <= array.min() <= array.max() <= 255:
            note()
            array = array.astype(np.uint8)
        return original(fname, array, *args, **kwargs)

    return imsave


def _label(original, note):
    def label(label_image, *args, neighbors=None, **kwargs):
        if neighbors is not None:
            note()
            kwargs["connectivity"] = 1 if neighbors == 4 else None
        return original(label_image, *args, **kwargs)

    return label


def _moved(old, new, name):
    today = f"{new}.{name}"
    return Shim(f"{old}.{name}", f"write {today}", _member(new, name), rewrite=today)


_POLYGON = "write skimage.draw.polygon(rows, cols, shape=mask.shape[:2]): it cuts the border off"
_MULTICHANNEL = "write channel_axis=-1 for multichannel=True"

PATCHES = (
    ModulePatch(
        "skimage.draw",
        missing={
            "circle": Shim(
                "skimage.draw.circle", "write skimage.draw.disk((row, col), radius, shape=mask.shape[:2])", _circle
            )
        },
        replaced={"polygon": Shim("skimage.draw.polygon", _POLYGON, _polygon)},
    ),
    ModulePatch(
        "skimage.transform",
        replaced={
            "resize": Shim(
                "skimage.transform.resize of a bool array", "write resize(mask.astype(float), ...) >= 0.5", _resize
            ),
            "rescale": Shim("skimage.transform.rescale(multichannel=)", _MULTICHANNEL, _channels_by_flag),
        },
    ),
    ModulePatch(
        "skimage.filters",
        replaced={"gaussian": Shim("skimage.filters.gaussian(multichannel=)", _MULTICHANNEL, _channels_by_flag)},
    ),
    ModulePatch(
        "skimage.color",
        replaced={
            "rgb2gray": Shim(
                "skimage.color.rgb2gray of a grey or RGBA image", "write rgb2gray(image[..., :3])", _rgb2gray
            ),
            "gray2rgb": Shim("skimage.color.gray2rgb of an RGB image", "leave it out for RGB images", _gray2rgb),
        },
    ),
    ModulePatch(
        "skimage.io",
        replaced={
            "imread": Shim("skimage.io.imread(as_grey=)", "write as_gray=True", _imread),
            "imsave": Shim(
                "skimage.io.imsave of bool, float or int64",
                "write skimage.io.imsave(path, (image * 255).astype(np.uint8)) for values from 0 to 1",
                _imsave,
            ),
        },
    ),
    ModulePatch(
        "skimage.measure",
        missing={
            "compare_ssim": Shim(
                "skimage.measure.compare_ssim",
                "write skimage.metrics.structural_similarity",
                _member("skimage.metrics", "structural_similarity"),
            ),
            "compare_mse": Shim(
                "skimage.measure.compare_mse",
                "write skimage.metrics.mean_squared_error",
                _member("skimage.metrics", "mean_squared_error"),
            ),
            "compare_psnr": Shim(
                "skimage.measure.compare_psnr",
                "write skimage.metrics.peak_signal_noise_ratio",
                _member("skimage.metrics", "peak_signal_noise_ratio"),
            ),
        },
        replaced={"label": Shim("skimage.measure.label(neighbors=)", "write connectivity=1 for neighbors=4", _label)},
    ),
    ModulePatch(
        "skimage.morphology", missing={"watershed": _moved("skimage.morphology", "skimage.segmentation", "watershed")}
    ),
    ModulePatch("skimage.util", missing={"pad": _moved("skimage.util", "numpy", "pad")}),
)

MOVED = {
    "skimage.filter": ("skimage.filters",),
    "skimage.external": (),
    "skimage.external.tifffile": ("tifffile",),
}
