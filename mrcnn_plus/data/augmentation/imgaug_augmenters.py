"""imgaug's augmenters.

Image and masks go through the augmenter in one call, the masks as label maps, which imgaug moves by nearest neighbour.
So every augmenter draws its random numbers once for both, whatever it is made of: `Sequential`, `Sometimes`,
`BlendAlpha` and the like pass on what they decide. What changes colors alone leaves the masks as they are; that goes
for `Cutout` and `CoarseDropout` too: an object behind a patch keeps its outline. `TotalDropout` takes the masks away.
"""

import threading

import numpy as np

from mrcnn_plus.data.augmentation.imgaug_repairs import repair
from mrcnn_plus.data.augmentation.label_maps import pack_masks, unpack_masks
from mrcnn_plus.errors import ConfigError

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


def import_imgaug():
    """The module `imgaug`, with `imgaug.augmenters`, on any NumPy.

    imgaug 0.4.0 reads `np.sctypes` while it is imported; NumPy 2 has removed that name. It is put back for the moment
    of the import. What imgaug trips over later is mended in its own modules (`imgaug_repairs.py`). A program that wants
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
