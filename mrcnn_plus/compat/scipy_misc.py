"""`scipy.misc`: pictures read, written and resized by SciPy, until 1.2. By Pillow, as SciPy did it."""

from __future__ import annotations

from mrcnn_plus.compat.shims import ModulePatch, Shim

# Names of the ways to interpolate, as `imresize` took them, and those of Pillow.
_RESAMPLING = {
    "nearest": "NEAREST",
    "lanczos": "LANCZOS",
    "bilinear": "BILINEAR",
    "bicubic": "BICUBIC",
    "cubic": "BICUBIC",
}


def _bytescale(array, low=0, high=255, cmin=None, cmax=None):
    """An array as uint8: unchanged if it is, otherwise stretched from its smallest and largest value to 0 .. 255."""
    import numpy as np

    array = np.asarray(array)
    if array.dtype == np.uint8:
        return array
    cmin = array.min() if cmin is None else cmin
    cmax = array.max() if cmax is None else cmax
    span = float(cmax - cmin) or 1.0
    scaled = (array.astype(np.float64) - cmin) * (high - low) / span + low
    return (np.clip(scaled, low, high) + 0.5).astype(np.uint8)


def _toimage(array, mode=None, **limits):
    """An array `[H, W]`, `[H, W, 3]` or `[H, W, 4]` as a Pillow image."""
    import numpy as np
    from PIL import Image

    if mode == "F":
        return Image.fromarray(np.asarray(array, np.float32))
    image = Image.fromarray(_bytescale(array, **limits))
    return image.convert(mode) if mode else image


def _imread(name, flatten=False, mode=None):
    """The pixels of a file. flatten: as one grey layer of float32. mode: one of Pillow's, as "RGB"."""
    import numpy as np
    from PIL import Image

    with Image.open(name) as image:
        if mode is not None:
            image = image.convert(mode)
        elif image.mode == "P":
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        elif image.mode == "1":
            image = image.convert("L")
        return np.array(image.convert("F") if flatten else image)


def _imsave(name, arr, format=None):
    _toimage(arr).save(name, format)


def _imresize(arr, size, interp="bilinear", mode=None):
    """size: a percentage (int), a factor (float) or `(height, width)`. Values are stretched to uint8 first."""
    import numpy as np
    from PIL import Image

    image = _toimage(arr, mode=mode)
    if isinstance(size, int | np.integer):
        size = np.array(image.size) * size / 100.0
    elif isinstance(size, float | np.floating):
        size = np.array(image.size) * size
    else:
        size = (size[1], size[0])
    resampling = getattr(Image.Resampling, _RESAMPLING[interp])
    return np.array(image.resize(tuple(int(side) for side in size), resample=resampling))


def _imrotate(arr, angle, interp="bilinear"):
    import numpy as np
    from PIL import Image

    return np.array(_toimage(arr).rotate(angle, resample=getattr(Image.Resampling, _RESAMPLING[interp])))


NAMES = {
    "imread": Shim("scipy.misc.imread", "write skimage.io.imread(path)", lambda: _imread, "skimage.io.imread"),
    "imsave": Shim("scipy.misc.imsave", "write skimage.io.imsave(path, image)", lambda: _imsave, "skimage.io.imsave"),
    "imresize": Shim(
        "scipy.misc.imresize",
        "write np.asarray(PIL.Image.fromarray(image).resize((width, height)))",
        lambda: _imresize,
    ),
    "imrotate": Shim(
        "scipy.misc.imrotate", "write np.asarray(PIL.Image.fromarray(image).rotate(angle))", lambda: _imrotate
    ),
    "toimage": Shim("scipy.misc.toimage", "write PIL.Image.fromarray(image)", lambda: _toimage),
    "fromimage": Shim("scipy.misc.fromimage", "write np.asarray(image)", lambda: _fromimage),
    "bytescale": Shim(
        "scipy.misc.bytescale", "write skimage.exposure.rescale_intensity(image, out_range='uint8')", lambda: _bytescale
    ),
}


def _fromimage(image, flatten=False, mode=None):
    import numpy as np

    return np.array(image.convert("F" if flatten else mode or image.mode))


PATCHES = (ModulePatch("scipy.misc", missing=NAMES, deprecated=True),)

# SciPy 2 will not have the module any more.
MOVED = {"scipy.misc": ()}
