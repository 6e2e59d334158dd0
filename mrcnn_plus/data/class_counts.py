"""Which classes stand in which image, counted once for each data set.

A data set that keeps annotations (every reader of `mrcnn_plus.data` makes such a one) is counted in a moment. Of any
other, `load_mask` is called for every image, which takes as long as loading the masks of one epoch.
"""

import logging

import numpy as np

from mrcnn_plus.data.dataset import check_prepared, describe_dataset, describe_image
from mrcnn_plus.data.ground_truth import ask_for_mask
from mrcnn_plus.data.instance_checks import check_class_ids
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

_CACHE = "_class_ids_by_image"


def class_ids_by_image(dataset, *, skip_bad_images=False):
    """The class ids of the instances of each image, crowds left out: a list of int arrays in the order of `image_ids`.

    skip_bad_images: SKIP_BAD_IMAGES, images whose masks cannot be loaded have no instance then, with a warning.

    The answer is kept in the data set until images are added. Raises `DatasetError` that names the image where its
    masks cannot be loaded or a class does not exist.
    """
    check_prepared(dataset)
    image_ids = list(dataset.image_ids)
    known = vars(dataset).get(_CACHE)
    if known is None or len(known) != len(image_ids):
        if not all(_annotations(dataset, image_id) for image_id in image_ids):
            logger.info("Counting the instances of %d images of %s", len(image_ids), describe_dataset(dataset))
        known = [_class_ids_unless_bad(dataset, image_id, skip_bad_images) for image_id in image_ids]
        vars(dataset)[_CACHE] = known
    elif not skip_bad_images:  # counted before for somebody who skips them: now they are errors
        for row, image_id in enumerate(image_ids):
            known[row] = _class_ids(dataset, image_id) if known[row] is None else known[row]
    return [np.zeros(0, int) if class_ids is None else class_ids for class_ids in known]


def count_instances(dataset, *, skip_bad_images=False):
    """int `[C]`: instances of each class in all images, crowds left out; 0 for the background."""
    per_image = [np.zeros(0, int), *class_ids_by_image(dataset, skip_bad_images=skip_bad_images)]
    return np.bincount(np.concatenate(per_image), minlength=dataset.num_classes)


def _class_ids_unless_bad(dataset, image_id, skip_bad_images):
    """The class ids of an image, or None for a bad one that is skipped."""
    try:
        return _class_ids(dataset, image_id)
    except DatasetError as error:
        if not skip_bad_images:
            raise
        logger.warning("SKIP_BAD_IMAGES: the instances of this image are not counted: %s", error)
        return None


def _class_ids(dataset, image_id):
    place = describe_image(dataset, image_id)
    annotations = _annotations(dataset, image_id)
    if annotations:
        class_ids = np.array([one.class_id for one in annotations if not one.crowd], int)
    else:
        class_ids = check_class_ids(ask_for_mask(dataset, image_id)[1], place).astype(int)
    if (class_ids >= dataset.num_classes).any():
        raise DatasetError(
            f"{place}: expected class ids below {dataset.num_classes}, the number of classes with background, received "
            f"class_ids={np.unique(class_ids).tolist()}. Register the class with add_class before prepare()."
        )
    return class_ids[class_ids > 0]


def _annotations(dataset, image_id):
    """The `data.annotations.Annotation` of an image, or None; programs keep other things under that name, too."""
    annotations = dataset.image_info[image_id].get("annotations")
    if isinstance(annotations, list) and all(hasattr(one, "class_id") and hasattr(one, "crowd") for one in annotations):
        return annotations
    return None
