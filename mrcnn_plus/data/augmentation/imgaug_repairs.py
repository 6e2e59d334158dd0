"""What imgaug 0.4.0, of 2020, trips over today, mended in its own modules. NumPy itself is left alone.

| augmenter | trouble | mended here |
|---|---|---|
| ElasticTransformation(alpha=50) | float64 maps by NumPy 2's promotion, refused by OpenCV | a Python number |
| Clouds, Fog, iap.Power | `np.complex` is gone | the name within `imgaug.parameters` |
| pillike.Autocontrast | an array where Pillow wants a number | a number |
| pillike.Affine, so RandAugment | refuses everything but images | moves label maps as well |
"""

import types

import numpy as np

_PARAMETERS_OF_WARP_AFFINE = (
    *("scale_x", "scale_y", "translate_x_px", "translate_y_px"),
    *("rotate_deg", "shear_x_deg", "shear_y_deg"),
)
_repaired = False


def repair():
    """Mend imgaug, once in a process; it has to be imported."""
    global _repaired
    if _repaired:
        return
    import imgaug.parameters
    from imgaug.augmenters import geometric, pillike

    if not hasattr(np, "complex"):
        imgaug.parameters.np = _NumpyWithComplex("numpy")
    _repair_elastic_transformation(geometric.ElasticTransformation)
    _repair_autocontrast(pillike)
    pillike.Affine._augment_batch_ = _affine_with_label_maps
    _repaired = True


class _NumpyWithComplex(types.ModuleType):
    """NumPy under the names that imgaug knows."""

    complex = complex

    def __getattr__(self, name):
        return getattr(np, name)


def _repair_elastic_transformation(augmenter_class):
    original = augmenter_class._generate_shift_maps.__func__

    def generate_shift_maps(cls, shape, alpha, sigma, random_state):
        # A Python number leaves arrays in float32; a NumPy integer makes them float64.
        return original(cls, shape, float(alpha), float(sigma), random_state)

    augmenter_class._generate_shift_maps = classmethod(generate_shift_maps)


def _repair_autocontrast(pillike):
    original = pillike._autocontrast_pil

    def autocontrast(image, cutoff, ignore):
        return original(image, float(np.ravel(cutoff)[0]), ignore)

    pillike._autocontrast_pil = autocontrast


def _affine_with_label_maps(self, batch, random_state, parents, hooks):
    """`_augment_batch_` of `pillike.Affine` that takes label maps beside images."""
    others = [name for name in batch.get_column_names() if name not in ("images", "segmentation_maps")]
    if others:
        raise ValueError(f"pillike.Affine moves images and segmentation maps, received: {', '.join(others)}.")
    samples = self._draw_samples(batch.nb_rows, random_state)
    if batch.images is not None:
        batch.images = self._augment_images_by_samples(batch.images, samples)
    for row, label_maps in enumerate(batch.segmentation_maps or ()):
        label_maps.arr = _warp_label_maps(label_maps.arr, samples, row)
    return batch


def _warp_label_maps(label_maps, samples, row):
    """int32 `[H, W, maps]` of up to 16 bits, moved by the samples of an image. Pillow takes a byte at a time."""
    from imgaug.augmenters import pillike

    shape = label_maps.shape[:2]
    drawn = samples.get_affine_parameters(row, arr_shape=shape, image_shape=shape)
    transform = {name: drawn[name] for name in _PARAMETERS_OF_WARP_AFFINE}
    center = (samples.center_x[row], samples.center_y[row])

    def warp(plane):
        return pillike.warp_affine(plane.astype(np.uint8), **transform, center=center, fillcolor=0)

    moved = np.empty_like(label_maps)
    for number in range(label_maps.shape[2]):
        plane = label_maps[..., number]
        moved[..., number] = warp(plane & 255) | (warp(plane >> 8).astype(np.int32) << 8)
    return moved
