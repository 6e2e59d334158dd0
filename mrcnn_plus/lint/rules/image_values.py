"""Channels of the images, their mean, and the values of the pixels that `load_image` returns."""

import numpy as np

from mrcnn_plus.data.instance_checks import fit_channels
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.grouping import by_kind, counted, refused_answers
from mrcnn_plus.lint.measuring.image_facts import loads_by_path
from mrcnn_plus.lint.registry import CONFIG, DATA, PIXELS, RUN, Violation, rule
from mrcnn_plus.lint.rules.backbone import published_weights
from mrcnn_plus.lint.setting_types import fits, received

RGB = 3
_USUAL_MEAN = 123.0
_WHITE = 255


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


@rule(
    "DAT030",
    ERROR,
    needs=PIXELS,
    why="The mean pixel, about 120, is subtracted from values that should lie between 0 and 255. Other values reach "
    "the network far from what its weights were trained on.",
    example="uint16 values up to 40000, float values from 0 to 1",
    fix="Return uint8 from load_image, scaled by one rule for all images, e.g. (image * 255).astype(np.uint8).",
)
def image_values_out_of_range(facts, *, dark_below=16):
    """Images are no arrays of numbers, or their values do not lie between 0 and 255.

    Files of 16 bits that become nearly black, all values under `dark_below`, are a warning.
    """
    mean = _largest_mean(facts.config)
    for split in facts.splits:
        for message, pairs in by_kind(refused_answers(split, "DAT030")):
            yield Violation(message, value=message, places=[place for place, _ in pairs])
        yield from _ranges(split, mean, dark_below)
        if facts.config is not None and not loads_by_path(split.dataset):
            yield from _channels(split, facts.config.IMAGE_CHANNEL_COUNT)


def _largest_mean(config):
    """The largest value of `MEAN_PIXEL`; that of the default where it is not usable, which is another rule's."""
    try:
        return float(np.max(np.abs(np.asarray(config.MEAN_PIXEL, float))))
    except (AttributeError, TypeError, ValueError):
        return _USUAL_MEAN


def _ranges(split, mean, dark_below):
    loaded = [scanned for scanned in split.pixels if scanned.shape]
    shown = [scanned for scanned in loaded if scanned.low < scanned.high]
    if not shown:
        return
    lowest, highest = min(item.low for item in shown), max(item.high for item in shown)
    values = f"{shown[0].dtype} values from {lowest:g} to {highest:g}"
    if not 2 < mean <= 255:
        return
    if highest > 255 or lowest < 0:
        wrong = [item for item in shown if item.high > 255 or item.low < 0]
        message = f"load_image returns {values}; MEAN_PIXEL is about {mean:.0f}."
        yield Violation(message, value=(lowest, highest), places=split.places(wrong))
    elif highest <= 1:
        message = f"load_image returns {values}; after MEAN_PIXEL (about {mean:.0f}) is subtracted nothing is left."
        yield Violation(message, value=(lowest, highest), places=split.places(shown))
    elif highest < dark_below and not all(map(_is_8_bit, split.images.modes)):
        yield Violation(
            f"the brightest value of all {len(shown)} images read is {highest:g} of 255: files of more than 8 bits are "
            "divided by 257, and these use only their lowest bits.",
            value=highest,
            severity=WARNING,
            places=split.places(shown),
        )


def _is_8_bit(mode):
    return mode is not None and not mode.endswith(";16") and mode not in ("I", "F", "I;16", "I;16B")


def _channels(split, channels):
    """Images that cannot be brought to `IMAGE_CHANNEL_COUNT`, by the rule that training has."""
    wrong = [item for item in split.pixels if item.shape and not _fits(item.shape[2], channels)]
    if wrong:
        yield Violation(
            f"load_image returns {wrong[0].shape[2]} channels, IMAGE_CHANNEL_COUNT={channels}.",
            value=wrong[0].shape,
            fix=f"Return {channels} channels, or set IMAGE_CHANNEL_COUNT = {wrong[0].shape[2]} and a MEAN_PIXEL of "
            "that length.",
            places=split.places(wrong),
        )


def _fits(given, channels):
    if given == channels or (given == 4 and channels == 3):  # for alpha that is dropped `fit_channels` gives a notice
        return True
    return fit_channels(np.empty((1, 1, given), np.uint8), channels, "") is not None


@rule(
    "DAT050",
    WARNING,
    needs=PIXELS,
    why="There is nothing to see in it, and its objects teach the network to guess.",
    example="a photo that came out black, an export that failed",
    fix="Restore the image, or leave it out.",
)
def image_of_one_color(facts):
    """All pixels of an image are black, or white (warning), or have another value (info)."""
    for split in facts.splits:
        blank = [item for item in split.pixels if item.shape and item.low == item.high]
        lost = [item for item in blank if item.low == 0 or item.low == _WHITE]
        for items, severity in ((lost, WARNING), ([item for item in blank if 0 < item.low != _WHITE], INFO)):
            if items:
                yield Violation(
                    f"{len(items):,} of {counted(len(split.pixels), 'image')} read hold nothing but the value "
                    f"{items[0].low:g}.",
                    value=items[0].low,
                    severity=severity,
                    places=split.places(items),
                )
