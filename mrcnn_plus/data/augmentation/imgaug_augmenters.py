"""imgaug's augmenters.

Image and masks go through the augmenter in one call, the masks as label maps, which imgaug moves by nearest neighbour.
So every augmenter draws its random numbers once for both, whatever it is made of: `Sequential`, `Sometimes`,
`BlendAlpha` and the like pass on what they decide. What changes colors alone leaves the masks as they are; that goes
for `Cutout` and `CoarseDropout` too: an object behind a patch keeps its outline. `TotalDropout` takes the masks away.
"""

import threading
import types

import numpy as np

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.geometry.masks import pack_masks, unpack_masks

# imgaug's label maps are safe up to 16 bits.
_MASKS_IN_A_LABEL_MAP = 15
# They ask for the classes or the boxes of objects, which an augmentation is not told.
_NEED_CLASSES = {"BlendAlphaSegMapClassIds", "BlendAlphaBoundingBoxes", "SegMapClassIdsMaskGen", "BoundingBoxesMaskGen"}
_REMEDIES = {
    "Jigsaw": "Give Jigsaw allow_pad=False, or numbers of rows and columns that divide the sides of the image.",
    "Affine": "Leave out fit_output=True.",
    "PerspectiveTransform": "Use keep_size=True.",
}
_importing = threading.Lock()
_PARAMETERS_OF_WARP_AFFINE = (
    *("scale_x", "scale_y", "translate_x_px", "translate_y_px"),
    *("rotate_deg", "shear_x_deg", "shear_y_deg"),
)
_repaired = False


def import_imgaug():
    """The module `imgaug`, with `imgaug.augmenters`, on any NumPy.

    imgaug 0.4.0 reads `np.sctypes` while it is imported; NumPy 2 has removed that name. It is put back for the moment
    of the import. What imgaug trips over later is mended in its own modules (`repair`). A program that wants
    imgaug itself calls this instead of `import imgaug`.
    """
    with _importing:
        missing = not hasattr(np, "sctypes")
        if missing:
            np.sctypes = {
                "int": [np.int8, np.int16, np.int32, np.int64],
                "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
                "float": [np.float16, np.float32, np.float64],
                "complex": [np.complex64, np.complex128],
                "others": [bool, object, bytes, str, np.void],
            }
        try:
            import imgaug
            import imgaug.augmenters
        finally:
            if missing:
                del np.sctypes
        repair()
    return imgaug


def recognizes(augmentation):
    """Judged by the names of its classes, so that imgaug is not imported for other kinds."""
    return any(base.__module__.split(".")[0] == "imgaug" for base in type(augmentation).__mro__)


def check(augmenter):
    """Raise `ConfigError` for augmenters that cannot work on instances."""
    for part in [augmenter, *augmenter.get_all_children(flat=True)]:
        inside = type(getattr(part, "mask_generator", None)).__name__
        if {type(part).__name__, inside} & _NEED_CLASSES:
            raise ConfigError(
                f"augmentation: imgaug's {type(part).__name__} chooses by class ids or boxes, which an augmentation is "
                "not told, received it as part of augmentation. Use a function (image, masks) -> (image, masks)."
            )


def parts(augmenter):
    """The augmenters that it is made of, in order; none for a single one."""
    return [part for children in augmenter.get_children_lists() for part in children]


def remedy_for_size(augmenter):
    """What to do about an augmenter that changes the size of the image."""
    name = type(augmenter).__name__
    return _REMEDIES.get(name, f"Use keep_size=True if {name} has it, or put it into KeepSizeByResize([...]).")


def apply(augmenter, image, masks, rng):
    """One pass over an image `[H, W, C]` and its masks bool `[H, W, N]`; returns both.

    compat: load_image_gt, but every geometric augmenter moves the masks, where Matterport had a list of nine that it
    trusted.
    """
    import_imgaug()
    from imgaug.augmentables.segmaps import SegmentationMapsOnImage

    count = masks.shape[2]
    try:
        # A copy for this call alone: threads share the augmenter.
        if rng is None:
            augmenter = augmenter.to_deterministic()
        else:
            augmenter = augmenter.deepcopy()
            augmenter.seed_(int(rng.integers(2**31)))
        if count == 0:
            return augmenter(image=image), masks
        label_maps = pack_masks(masks, bits=_MASKS_IN_A_LABEL_MAP)
        label_maps = SegmentationMapsOnImage(label_maps, shape=image.shape)
        image, label_maps = augmenter(image=image, segmentation_maps=label_maps)
    except Exception as error:
        raise ConfigError(
            f"augmentation: imgaug's {type(augmenter).__name__} failed on an image of shape={image.shape}, "
            f"dtype={image.dtype} with {count} masks: {type(error).__name__}: {error}. Try its parts one by one, and "
            "leave that one out."
        ) from error
    return image, unpack_masks(label_maps.arr, count, bits=_MASKS_IN_A_LABEL_MAP)


def repair():
    """Mend what imgaug 0.4.0, of 2020, trips over today, in its own modules and once; it has to be imported.

    NumPy itself is left alone.

    | augmenter | trouble | mended here |
    |---|---|---|
    | ElasticTransformation(alpha=50) | float64 maps by NumPy 2's promotion, refused by OpenCV | a Python number |
    | Clouds, Fog, iap.Power | `np.complex` is gone | the name within `imgaug.parameters` |
    | pillike.Autocontrast | an array where Pillow wants a number | a number |
    | pillike.Affine, so RandAugment | refuses everything but images | moves label maps as well |
    """
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
