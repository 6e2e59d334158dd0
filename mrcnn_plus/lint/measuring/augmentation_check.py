"""Whether an augmentation moves masks along with the image, found out by sending a known pattern through it.

A square is painted into a picture, and its mask is handed over with it, to `apply_augmentation`, which is what training
calls. The same random choices are made again without the square: where the two answers differ, there the square is now,
whatever became of its colours. If its mask is somewhere else, masks do not follow the image.

Images of the data set tell the rest: how many of their objects lose all pixels, and whether a picture is left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from mrcnn_plus.config_values import resize_settings
from mrcnn_plus.data.augmentation import apply_augmentation
from mrcnn_plus.data.ground_truth import load_checked_image, make_ground_truth
from mrcnn_plus.lint.measuring.random_states import RandomStates

logger = logging.getLogger(__name__)

# Centres of the squares, shares of height and width. No flip or quarter turn takes one of them to its own place.
_PLACES = ((0.13, 0.27), (0.30, 0.86), (0.86, 0.63), (0.70, 0.15))
_SIDE = 0.09  # of a square, share of the shorter side of the picture
_COLOR = (235, 220, 30)
_LARGEST_PATTERN = 256  # pixels; a pattern does not need the size of the network's images
_MISFIT = 0.15  # share of a square that is off its mask, and of the mask that is off its square
_FAINTEST = 12  # grey levels: a square that differs less from its surroundings is not looked for
_FEWEST_TRIES = 3
_SAME_AFTER = 6  # tries, before "always the same" is said


class Sample(NamedTuple):
    """An image at the size that the network takes, `[H, W, C]`, and its masks, bool `[H, W, N]`."""

    image: np.ndarray
    masks: np.ndarray


@dataclass
class AugmentationFacts:
    """What was seen of an augmentation.

    tries: how often the pattern was sent through. errors: what it raised, in words.
    compared: squares that could be found in the image and in their mask. astray: those whose mask is elsewhere.
    masks_stayed, image_stayed: of the squares astray, those whose mask, or whose picture, is where it was before.
    copies: squares that are in the image a second time, without a mask.
    does_nothing: no try changed anything. always_same: every try had the same answer.
    objects, emptied: objects of the samples in all tries, and those without a pixel afterwards.
    images, left_empty: images with objects in all tries, and those without one afterwards. blank: images in which
    nothing is to be seen any more.
    """

    tries: int = 0
    errors: list[str] = field(default_factory=list)
    compared: int = 0
    astray: int = 0
    masks_stayed: int = 0
    image_stayed: int = 0
    copies: int = 0
    does_nothing: bool = False
    always_same: bool = False
    objects: int = 0
    emptied: int = 0
    images: int = 0
    left_empty: int = 0
    blank: int = 0


def observe_augmentation(
    augmentation: Any,
    *,
    image_shape: Sequence[int] = (256, 256, 3),
    samples: Sequence[Sample] = (),
    tries: int = 12,
    seconds: float = 2.0,
) -> AugmentationFacts:
    """Send a pattern and sample images through an augmentation, and return what was seen, `AugmentationFacts`.

    image_shape: `[height, width, channels]` of the images that the network takes. samples: images of the data set with
    their masks; without any, squares all over the picture take their place.
    tries: passes of the pattern. seconds: time after which no more is tried, once there are a few.

    Random states that the program can see (NumPy's, Python's, those of the augmentation) are as before afterwards.
    """
    facts = AugmentationFacts()
    states = RandomStates(augmentation)
    started = states.save()
    try:
        shape = _working_shape(augmentation, image_shape, states, facts)
        if shape is not None:
            _try_pattern(augmentation, shape, states, facts, tries=tries, until=time.monotonic() + seconds / 2)
            samples = samples or [_scattered_squares(shape)]
            _try_samples(augmentation, samples, states, facts, until=time.monotonic() + seconds / 2)
    finally:
        states.restore(started)
    return facts


# ---- the pattern ----------------------------------------------------------------------------------------------------


def _working_shape(augmentation, image_shape, states, facts):
    """The shape of the pattern: small, unless the augmentation wants the network's size. None if it never works."""
    height, width, channels = (int(side) for side in image_shape)
    shrink = min(_LARGEST_PATTERN / max(height, width), 1)
    small = (round(height * shrink), round(width * shrink), channels)
    messages = []
    for shape in dict.fromkeys([small, (height, width, channels)]):
        message = _failure(augmentation, _scattered_squares(shape), states)
        if message is None:
            return shape
        messages.append(message)
    facts.tries, facts.errors = 1, messages[-1:]
    return None


def _failure(augmentation, sample, states):
    """What the augmentation raises for an image, in words, or None."""
    try:
        _augment(augmentation, sample, 0, states, states.save())
    except Exception as error:  # whatever a user's function may raise
        return describe_error(error)
    return None


def describe_error(error: Exception) -> str:
    """The words of an exception; with its type where they may mean little alone."""
    return str(error) if str(error).startswith("augmentation: ") else f"{type(error).__name__}: {error}"


def _try_pattern(augmentation, shape, states, facts, *, tries, until):
    """Send squares through the augmentation, two in each try, and compare where image and mask put them."""
    ground, squares = _pattern(shape)
    repeats = _repeats(augmentation, Sample(ground, squares), states)
    answers = set()
    unchanged = True
    for number in range(tries):
        if number >= _FEWEST_TRIES and time.monotonic() > until:
            break
        before = states.save()
        try:
            empty = _augment(augmentation, Sample(ground, squares), number, states, before)
            answers.add(empty.image.tobytes() + empty.masks.tobytes())
            unchanged &= np.array_equal(empty.image, ground) and np.array_equal(empty.masks, squares)
            for index in (number % len(_PLACES), (number + 1) % len(_PLACES)):
                painted = Sample(_paint(ground, squares[..., index]), squares)
                image, masks = _augment(augmentation, painted, number, states, before)
                # Without the same choices a second time, the square is what differs from most of the picture.
                surroundings = empty.image if repeats else np.median(image, axis=(0, 1), keepdims=True)
                place = squares[..., index], masks[..., index]
                _compare(facts, *place, image, surroundings, faint=4 if repeats else 60)
        except Exception as error:  # one image in many is enough to stop training
            facts.errors.append(describe_error(error))
        facts.tries += 1
    facts.does_nothing = unchanged and not facts.errors
    facts.always_same = len(answers) == 1 and not unchanged and facts.tries >= _SAME_AFTER


def _repeats(augmentation, sample, states):
    """True if the augmentation makes the same random choices again when the random states are put back."""
    before = states.save()
    try:
        first, second = (_augment(augmentation, sample, 0, states, before) for _ in range(2))
    except Exception:  # reported where it is tried in earnest
        return True
    return np.array_equal(first.image, second.image) and np.array_equal(first.masks, second.masks)


def _augment(augmentation, sample, seed, states, before) -> Sample:
    """One pass, with the random choices that belong to `seed` and to the random states `before`."""
    states.restore(before)
    states.seed(seed)
    image, masks = apply_augmentation(augmentation, sample.image, sample.masks, rng=np.random.default_rng(seed))
    return Sample(image, masks)


def _pattern(shape):
    """A picture with soft stripes, uint8 `[H, W, C]`, and the masks of four squares, bool `[H, W, 4]`."""
    height, width, channels = shape
    rows, columns = np.mgrid[:height, :width]
    stripes = 95 + 20 * np.sin(rows * 40 / height) + 15 * np.cos(columns * 25 / width)
    side = max(round(_SIDE * min(height, width)), 3)
    masks = np.zeros((height, width, len(_PLACES)), bool)
    for index, (row, column) in enumerate(_PLACES):
        top, left = round(row * height - side / 2), round(column * width - side / 2)
        masks[max(top, 0) : top + side, max(left, 0) : left + side, index] = True
    tint = np.resize((0, 25, -20), channels)
    return (stripes[..., None] + tint).astype(np.uint8), masks


def _paint(image, mask):
    image = image.copy()
    image[mask] = np.resize(_COLOR, image.shape[2])
    return image


def _compare(facts, mask_before, mask_after, image_with, surroundings, *, faint):
    """Add to the facts whether a square in the image, and its mask, are at the same place.

    faint: grey levels; a pixel of the mask that differs less from the surroundings shows nothing of the square.
    """
    import cv2

    by_channel = np.abs(image_with.astype(np.float32) - surroundings)
    difference = np.maximum.reduce(np.moveaxis(by_channel, 2, 0))  # much faster than max(axis=2)
    peak = float(difference.max())
    seen = difference > 0.5 * peak
    area, visible = int(mask_before.sum()), int(seen.sum())
    hidden = peak < _FAINTEST or visible < 0.2 * area
    smeared = visible > 3 * max(area, int(mask_after.sum()))
    repainted = (difference >= faint).sum() > 20 * visible  # the square has an effect on the whole picture
    if hidden or smeared or repainted:
        return
    if mask_after.sum() < 0.2 * area:
        facts.copies += visible > 0.6 * area
        return
    facts.compared += 1
    around = cv2.dilate(mask_after.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    # Of several pieces those count that touch the mask; the others are copies, as a mirrored border makes them.
    _, pieces = cv2.connectedComponents(seen.astype(np.uint8))
    touching = np.isin(pieces, np.unique(pieces[around & seen])) & seen
    facts.copies += bool(touching.any()) and visible - int(touching.sum()) > 0.6 * area
    # Both are needed: a blur spreads the square beyond its mask, a dropped patch leaves some of the mask without it.
    outside = np.mean(~around[touching]) if touching.any() else 1.0
    uncovered = np.mean(difference[mask_after] < faint)
    if min(outside, uncovered) > _MISFIT:
        facts.astray += 1
        facts.masks_stayed += np.array_equal(mask_after, mask_before)
        facts.image_stayed += int((seen & mask_before).sum()) > 0.7 * visible


# ---- images with objects --------------------------------------------------------------------------------------------


def _scattered_squares(shape) -> Sample:
    """A picture with 25 squares spread over it."""
    height, width, _ = shape
    masks = np.zeros((height, width, 25), bool)
    side = max(min(height, width) // 12, 2)
    for index, (row, column) in enumerate(np.ndindex(5, 5)):
        top, left = round((row + 0.5) * height / 5 - side / 2), round((column + 0.5) * width / 5 - side / 2)
        masks[top : top + side, left : left + side, index] = True
    return Sample(_paint(_pattern(shape)[0], masks.any(axis=2)), masks)


def _try_samples(augmentation, samples, states, facts, *, until):
    """Count the objects that lose all their pixels, over several passes of every sample."""
    for number in range(4):
        for sample in samples:
            if facts.images and time.monotonic() > until:
                return
            try:
                image, masks = _augment(augmentation, sample, 1000 + number, states, states.save())
            except Exception as error:
                facts.errors.append(describe_error(error))
                continue
            count, left = sample.masks.shape[2], int(masks.any(axis=(0, 1)).sum())
            facts.objects += count
            facts.emptied += count - left
            facts.images += count > 0
            facts.left_empty += count > 0 and left == 0
            facts.blank += float(image.std()) < min(2.0, 0.1 * float(sample.image.std()))


def observe_run(facts) -> AugmentationFacts | None:
    """What was seen of the augmentation of a run, tried on its training images; None without augmentation.

    facts: `lint.facts.Facts`.
    """
    if facts.run.augmentation is None:
        return None
    samples = list(_load_samples(facts)) if facts.train is not None and facts.config is not None else []
    shape = samples[0].image.shape if samples else _shape_of_network(facts.config)
    return observe_augmentation(facts.run.augmentation, image_shape=shape, samples=samples)


def _load_samples(facts, *, count: int = 4, seconds: float = 1.0) -> Iterator[Sample]:
    """Images with objects as training sees them before augmentation: a few, spread over the training set."""
    dataset, started = facts.train.dataset, time.monotonic()
    for image_id in np.unique(np.linspace(0, facts.train.num_images - 1, count).astype(int)):
        if time.monotonic() - started > seconds:
            return
        try:
            loaded = load_checked_image(dataset, image_id, channels=facts.config.IMAGE_CHANNEL_COUNT)
            truth = make_ground_truth(
                *(dataset, image_id, loaded), resize=resize_settings(facts.config), rng=np.random.default_rng(0)
            )
        except Exception:  # other rules say what is wrong with this image
            logger.debug("image %d cannot be used to try the augmentation", image_id, exc_info=True)
            continue
        if truth.masks.shape[2]:
            yield Sample(truth.image, truth.masks)


def _shape_of_network(config) -> tuple[int, int, int]:
    """`(height, width, channels)`; not square where the network's images need not be."""
    try:
        height, width, channels = (int(side) for side in config.IMAGE_SHAPE)
        if config.IMAGE_RESIZE_MODE in ("none", "pad64"):
            width += width // 2
        return height, width, channels
    except (AttributeError, TypeError, ValueError):  # no configuration, or one whose sizes other rules complain of
        return _LARGEST_PATTERN, _LARGEST_PATTERN, 3
