"""Channels of the image and their mean."""

import numpy as np

from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.measuring.image_facts import loads_by_path
from mrcnn_plus.lint.registry import CONFIG, DATA, RUN, Violation, rule
from mrcnn_plus.lint.rules.backbone import published_weights
from mrcnn_plus.lint.setting_types import fits, received

RGB = 3


@rule(
    "CFG070",
    ERROR,
    needs=CONFIG,
    why="The mean of each channel is subtracted from every image; with another number of means than channels that is "
    "impossible.",
    example="IMAGE_CHANNEL_COUNT = 1 with the default MEAN_PIXEL of three values",
    fix="Give MEAN_PIXEL one value for each channel: the mean of the training images.",
)
def mean_pixel_does_not_fit_channels(facts):
    """`MEAN_PIXEL` has another length than `IMAGE_CHANNEL_COUNT`, or does not hold numbers."""
    config = facts.config
    if not fits(config, "MEAN_PIXEL"):
        yield Violation(
            f"expected one number for each channel, received {received(config, 'MEAN_PIXEL')}.", setting="MEAN_PIXEL"
        )
    elif fits(config, "IMAGE_CHANNEL_COUNT") and np.size(config.MEAN_PIXEL) not in (1, config.IMAGE_CHANNEL_COUNT):
        yield Violation(
            f"{np.size(config.MEAN_PIXEL)} means for IMAGE_CHANNEL_COUNT={config.IMAGE_CHANNEL_COUNT} channels.",
            setting="MEAN_PIXEL",
        )


@rule(
    "CFG071",
    ERROR,
    needs=(CONFIG, DATA),
    why="load_image of the package returns RGB, three channels, whatever the file holds.",
    example="IMAGE_CHANNEL_COUNT = 4 with a Dataset that does not override load_image",
    fix="Override load_image in the Dataset to return that many channels, or set IMAGE_CHANNEL_COUNT = 3.",
)
def channels_without_own_load_image(facts):
    """`IMAGE_CHANNEL_COUNT` is not 3, and the data set uses the package's `load_image`."""
    config = facts.config
    if not fits(config, "IMAGE_CHANNEL_COUNT") or config.IMAGE_CHANNEL_COUNT == RGB:
        return
    for split in facts.splits:
        if loads_by_path(split.dataset):
            yield Violation(
                f"IMAGE_CHANNEL_COUNT={config.IMAGE_CHANNEL_COUNT}, but {type(split.dataset).__name__} ({split.name}) "
                "has no load_image of its own, and the package's returns 3 channels.",
                setting="IMAGE_CHANNEL_COUNT",
            )


@rule(
    "CFG072",
    WARNING,
    needs=(CONFIG, RUN),
    why="The first convolution of published weights takes RGB. Its weights cannot be used with another number of "
    "channels; that layer starts from random values, and the others get features that they do not know.",
    example='IMAGE_CHANNEL_COUNT = 4 with weights "coco"',
    fix='Exclude "conv1" in load_weights, and let it train: layers="all", not "heads".',
)
def pretrained_first_layer_with_other_channels(facts):
    """`IMAGE_CHANNEL_COUNT` is not 3 and published weights are loaded."""
    config = facts.config
    if not fits(config, "IMAGE_CHANNEL_COUNT") or config.IMAGE_CHANNEL_COUNT == RGB:
        return
    if published_weights(facts.run):
        yield Violation(
            f"the first convolution of {facts.run.weights} takes 3 channels, the images have "
            f"{config.IMAGE_CHANNEL_COUNT}.",
            setting="IMAGE_CHANNEL_COUNT",
        )


@rule(
    "CFG073",
    WARNING,
    needs=CONFIG,
    why="Images hold grey levels of 0 to 255. Means of a scale of 0 to 1, as other systems use, subtract next to "
    "nothing, so pretrained weights see images that are far too bright.",
    example="MEAN_PIXEL = [0.485, 0.456, 0.406]",
    fix="Give the means as grey levels of 0 to 255: multiply by 255.",
)
def mean_pixel_of_another_scale(facts):
    """`MEAN_PIXEL` holds values of a scale of 0 to 1, or values outside 0 to 255."""
    config = facts.config
    if not fits(config, "MEAN_PIXEL"):
        return
    mean = np.ravel(np.asarray(config.MEAN_PIXEL, float))
    shown = f"MEAN_PIXEL={mean.tolist()}"
    if 0 < mean.max() <= 1 and mean.min() >= 0:
        scaled = np.round(mean * 255, 1).tolist()
        yield Violation(
            f"{shown} looks like means on a scale of 0 to 1.",
            setting="MEAN_PIXEL",
            fix=f"Set MEAN_PIXEL = {scaled} if images have grey levels of 0 to 255.",
            changes={"MEAN_PIXEL": scaled},
        )
    elif mean.min() < 0 or mean.max() > 255:
        yield Violation(f"{shown} has values outside the grey levels of 0 to 255.", setting="MEAN_PIXEL")
