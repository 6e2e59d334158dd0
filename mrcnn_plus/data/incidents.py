"""What happened to which image while batches were built: counted for the whole run, said once for each image."""

import logging

from mrcnn_plus.data.dataset import describe_image
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

_IMAGES_NAMED = 20
_LARGEST_SHARE_BAD = 0.1


class Incidents:
    """Images that did not become what the data set says.

    dataset: a prepared `Dataset`; name: what messages call it. max_gt_instances: MAX_GT_INSTANCES.

    `without_instances` {image id: True}, no instance of a class; `over_limit` {image id: instances beyond
    max_gt_instances}; `lost` {image id: instances without a pixel left}; `bad` {image id: message}, could not be loaded
    and was skipped. The numbers are those of the last visit.

    forward: None, or a function that gets the arguments of `note` instead: a process that loads images tells its
    parent.
    """

    def __init__(self, dataset, name, max_gt_instances):
        self.dataset, self.name, self.max_gt_instances = dataset, name, max_gt_instances
        self.without_instances, self.over_limit, self.lost, self.bad = {}, {}, {}, {}
        self.forward = None

    def note(self, kind, image_id, value):
        """Write down one incident; kind is the name of one of the four dicts.

        Raises `DatasetError` if so many images are bad that something else must be wrong.
        """
        found = getattr(self, kind)
        is_new = image_id not in found
        found[image_id] = value
        if self.forward is not None:
            self.forward(kind, image_id, value)
        elif is_new and kind != "lost":
            getattr(self, f"_tell_{kind}")(image_id, value)

    def _tell_without_instances(self, image_id, _):
        logger.log(
            _level(self.without_instances),
            "%s has no instance of a class; another image is used in its place. Set USE_NEGATIVE_IMAGES = True to "
            "train on images without objects.",
            describe_image(self.dataset, image_id),
        )

    def _tell_over_limit(self, image_id, beyond):
        count = self.max_gt_instances + beyond
        logger.log(
            _level(self.over_limit),
            "%s has %d instances, MAX_GT_INSTANCES = %d: a random choice of that number is used at each visit, the "
            "others are background to the network. Raise MAX_GT_INSTANCES to %d.",
            *(describe_image(self.dataset, image_id), count, self.max_gt_instances, count),
        )

    def _tell_bad(self, _, message):
        images, bad = len(self.dataset.image_ids), len(self.bad)
        if bad > most_bad_images(images):
            raise DatasetError(
                f"{self.name}: {bad} of its {images} images could not be loaded so far. SKIP_BAD_IMAGES is for single "
                "damaged files, up to a tenth of the images; with more, look for a common cause: dataset.check(depth="
                f"'pixels'), or `mrcnn-plus check-data`, lists all of them. The last one: {message}"
            )
        logger.warning("SKIP_BAD_IMAGES: another image is used in the place of this one: %s", message)


def most_bad_images(images):
    """How many images of a data set with so many may be skipped; of more something else must be the cause."""
    return max(1, int(_LARGEST_SHARE_BAD * images))


def _level(noted):
    """A warning for the first images of a kind; later ones are left to those who log at DEBUG."""
    return logging.WARNING if len(noted) <= _IMAGES_NAMED else logging.DEBUG
