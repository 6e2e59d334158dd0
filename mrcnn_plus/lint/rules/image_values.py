"""The values of the pixels that `load_image` returns."""

import numpy as np

from mrcnn_plus.data.instance_checks import fit_channels
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.grouping import by_kind, counted
from mrcnn_plus.lint.measuring.image_facts import loads_by_path
from mrcnn_plus.lint.registry import PIXELS, Violation, rule

_USUAL_MEAN = 123.0
_WHITE = 255


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
        refused = [
            (_place(split, scanned), message)
            for scanned in split.pixels
            for code, message in scanned.problems
            if code == "DAT030"
        ]
        for message, pairs in by_kind(refused):
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
        yield Violation(message, value=(lowest, highest), places=[_place(split, item) for item in wrong])
    elif highest <= 1:
        message = f"load_image returns {values}; after MEAN_PIXEL (about {mean:.0f}) is subtracted nothing is left."
        yield Violation(message, value=(lowest, highest), places=[_place(split, item) for item in shown])
    elif highest < dark_below and not all(map(_is_8_bit, split.images.modes)):
        yield Violation(
            f"the brightest value of all {len(shown)} images read is {highest:g} of 255: files of more than 8 bits are "
            "divided by 257, and these use only their lowest bits.",
            value=highest,
            severity=WARNING,
            places=[_place(split, item) for item in shown],
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
            places=[_place(split, item) for item in wrong],
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
                    places=[_place(split, item) for item in items],
                )


def _place(split, item):
    return f"{split.name}: {split.images.names[item.image_id]}"
