"""What is measured on images: `load_image` and `load_mask` are called as training does, and their answers counted.

The answers are judged by the functions of `data.instance_checks` that guard training, so that the linter cannot find
something right that training refuses, or the other way round.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mrcnn_plus.data.dataset import describe_image
from mrcnn_plus.data.instance_checks import check_answer, check_image
from mrcnn_plus.data.loader_errors import explain_loader_error
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.boxes import extract_bboxes
from mrcnn_plus.lint.measuring.picture_fit import measure_fit, structure
from mrcnn_plus.lint.measuring.worker_pool import Died, map_items, progress_bar

logger = logging.getLogger(__name__)

_FAILED = object()  # in the place of an answer; None is one that a user's method may give
_MOST_VALUES = 12
_PART_SHARE = 0.02
_TWIN_IOU = 0.9
_NEAR = 0.5  # corners of twins differ by less than this share of the longer side
_ASKED_TWICE = 4
_LOOKED_AT = 48


@dataclass
class PixelFacts:
    """One image that was read; a few hundred bytes, because it travels between processes.

    problems: `(code, message)` of what training would refuse, by the codes of the rules that report it.
    listed: `data.annotations.Problem`s that the data set added while it was asked.

    Of the array that `load_image` returned, None if it failed: shape, dtype, low, high (least and largest value),
    digest (equal for equal pixels).

    Of the array of masks: mask_shape, mask_dtype. mask_values: distinct values, if at most 12, else None;
    num_mask_values: how many; they are counted unless the array is bool.

    measured: True if masks and class ids fit the image; then there are, for N instances:
    class_ids: int `[N]`, negative for crowds. boxes: int `[N, (y1, x1, y2, x2)]`. areas: int `[N]`, pixels.
    components: int `[N]`, connected parts; parts: int `[N]`, those of at least 2% of the mask; dust: int `[N]`, pixels
    in the smaller ones. ragged: float `[N]`, share of neighbouring pixels in the box that differ: near 0 for outlines,
    0.5 for noise. corners: int `[N]`, how many of the four corners of the image are inside.
    mask_digest: equal for equal boxes, areas and class ids. twins: `(i, j, IoU)` of instances with nearly the same
    pixels.

    Of some of the images: fits, float `[M, 8]`, of `picture_fit.measure_fit`; structure, of `picture_fit.structure`;
    repeats: whether a second call gave the same answer, None if it was not tried; changed: what did not, words.
    """

    image_id: int
    problems: list[tuple[str, str]] = field(default_factory=list)
    listed: list[Any] = field(default_factory=list)
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    low: float | None = None
    high: float | None = None
    digest: str | None = None
    mask_shape: tuple[int, ...] | None = None
    mask_dtype: str | None = None
    mask_values: tuple[float, ...] | None = None
    num_mask_values: int = 0
    mask_digest: str | None = None
    measured: bool = False
    class_ids: np.ndarray = field(default_factory=lambda: np.zeros([0], np.int32))
    boxes: np.ndarray = field(default_factory=lambda: np.zeros([0, 4], np.int32))
    areas: np.ndarray = field(default_factory=lambda: np.zeros([0], np.int64))
    components: np.ndarray = field(default_factory=lambda: np.zeros([0], np.int32))
    parts: np.ndarray = field(default_factory=lambda: np.zeros([0], np.int32))
    corners: np.ndarray = field(default_factory=lambda: np.zeros([0], np.int8))
    dust: np.ndarray = field(default_factory=lambda: np.zeros([0], np.int64))
    ragged: np.ndarray = field(default_factory=lambda: np.zeros([0], np.float32))
    twins: list[tuple[int, int, float]] = field(default_factory=list)
    fits: np.ndarray = field(default_factory=lambda: np.zeros([0, 8], np.float32))
    structure: float = 0.0
    repeats: bool | None = None
    changed: str = ""

    @property
    def image_area(self) -> int:
        """Pixels of the image, 0 if it could not be loaded."""
        return self.shape[0] * self.shape[1] if self.shape else 0


def scan_pixels(split) -> list[PixelFacts]:
    """`PixelFacts` of `split.sampled_image_ids`, in that order.

    A few of the images are asked for twice, to see whether the data set answers the same again; for some more it is
    measured whether the masks lie on what is to be seen. Nothing is read of a
    data set that was not prepared.
    """
    if not hasattr(split.dataset, "num_classes"):
        return []
    image_ids = split.sampled_image_ids
    repeated, looked_at = (_spread(image_ids, count) for count in (_ASKED_TWICE, _LOOKED_AT))
    measure = functools.partial(_measure, split.dataset, repeated, looked_at)
    with progress_bar(f"{split.name}: images and masks", len(image_ids), shown=split.progress) as advance:
        answers = map_items(measure, image_ids, workers=split.workers, advance=advance)
    return [
        _died(split.dataset, image_id, answer) if isinstance(answer, Died) else answer
        for image_id, answer in zip(image_ids, answers, strict=True)
    ]


def _measure(dataset, repeated, looked_at, image_id):
    return measure_image(dataset, image_id, repeat=image_id in repeated, fit=image_id in looked_at)


def _spread(image_ids, count):
    """So many of the images, or all, spread evenly."""
    return set(image_ids[:: max(1, -(-len(image_ids) // count))])


def _died(dataset, image_id, died):
    reason = f"reading {describe_image(dataset, image_id)} failed: {died.reason}"
    return PixelFacts(image_id, problems=[("DAT040", reason)])


def measure_image(dataset, image_id, *, repeat: bool = False, fit: bool = False) -> PixelFacts:
    """`PixelFacts` of an image; nothing that the data set does raises, short of Ctrl-C.

    repeat: ask for image and masks a second time and compare. fit: measure whether masks lie on what is to be seen.
    """
    facts = PixelFacts(int(image_id))
    known = len(getattr(dataset, "problems", ()))
    image = _load(facts, dataset, "load_image")
    if image is not _FAILED:
        facts.shape, facts.dtype = image.shape, str(image.dtype)
        facts.low, facts.high = float(image.min()), float(image.max())
        facts.digest = digest(image)
    answer = _load(facts, dataset, "load_mask")
    if image is _FAILED and answer is _FAILED:
        del facts.problems[1:]  # the file that the one cannot read is usually the one that the other cannot read
    if answer is not _FAILED:
        _measure_answer(facts, dataset, image, answer, fit=fit)
    if repeat and image is not _FAILED and answer is not _FAILED:
        facts.changed = _what_changed(facts, dataset, image, answer)
        facts.repeats = not facts.changed
    facts.listed = list(getattr(dataset, "problems", ()))[known:]
    return facts


def digest(array) -> str:
    """A short text that is equal for equal arrays, and else differs."""
    content = hashlib.blake2b(repr((array.shape, array.dtype.str)).encode(), digest_size=16)
    content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()


def _load(facts, dataset, method):
    """The answer of `load_image` (checked) or `load_mask` (as it is), or `_FAILED` with the failure noted."""
    name = describe_image(dataset, facts.image_id)
    try:
        answer = getattr(dataset, method)(facts.image_id)
        return check_image(answer, name) if method == "load_image" else answer
    except DatasetError as error:
        # An image file that cannot be read is named by the rule about files, whoever found it.
        unread = "DAT017" if method == "load_image" and error.rule is None else "DAT040"
        facts.problems.append((error.rule or unread, _without(name, str(error))))
    except (Exception, SystemExit) as error:  # code of users may raise anything
        logger.debug("%s of image %d failed", method, facts.image_id, exc_info=True)
        facts.problems.append(("DAT040", f"{method} raised {explain_loader_error(error)}"))
    return _FAILED


def _measure_answer(facts, dataset, image, answer, *, fit):
    name = describe_image(dataset, facts.image_id)
    masks = answer[0] if isinstance(answer, tuple | list) and len(answer) == 2 else None
    if isinstance(masks, np.ndarray):
        facts.mask_shape, facts.mask_dtype = masks.shape, str(masks.dtype)
        _count_values(facts, masks)
    shape = image.shape if image is not _FAILED else (facts.mask_shape or (0, 0))[:2]
    try:
        masks, class_ids = check_answer(answer, shape, len(dataset.class_info), name)
    except DatasetError as error:
        facts.problems.append((error.rule or "DAT040", _without(name, str(error))))
        return
    except Exception as error:  # lists that are no arrays, objects that only look like some
        facts.problems.append(("DAT008", f"load_mask returned no usable arrays: {type(error).__name__}: {error}"))
        return
    facts.measured = True
    facts.class_ids = class_ids
    facts.boxes = extract_bboxes(masks)
    facts.corners = masks[[0, 0, -1, -1], [0, -1, 0, -1]].sum(axis=0).astype(np.int8)
    _measure_masks(facts, masks)
    if fit and image is not _FAILED:
        facts.fits = measure_fit(image, masks, facts.boxes, facts.areas)
        facts.structure = structure(image)


def _measure_masks(facts, masks):
    import cv2

    count = masks.shape[2]
    facts.areas, facts.dust = np.zeros([count], np.int64), np.zeros([count], np.int64)
    facts.components, facts.parts = np.zeros([count], np.int32), np.zeros([count], np.int32)
    facts.ragged = np.zeros([count], np.float32)
    crops = []
    for number, (y1, x1, y2, x2) in enumerate(facts.boxes):
        crop = np.ascontiguousarray(masks[y1:y2, x1:x2, number])
        crops.append(crop)
        if not crop.size:
            continue
        _, _, stats, _ = cv2.connectedComponentsWithStats(crop.view(np.uint8), connectivity=8)
        sizes = stats[1:, cv2.CC_STAT_AREA]  # entry 0 is the background
        facts.areas[number] = sizes.sum()
        large = sizes >= _PART_SHARE * sizes.sum()
        facts.components[number], facts.parts[number] = len(sizes), large.sum()
        facts.dust[number] = sizes[~large].sum()
        facts.ragged[number] = _raggedness(crop)
    facts.twins = list(_twins(facts.boxes, facts.areas, crops))
    facts.mask_digest = digest(np.column_stack([facts.boxes, facts.areas, facts.class_ids]))


def _raggedness(crop):
    """Share of the pairs of neighbours in a mask `[h, w]` that differ."""
    pairs = crop[:, 1:].size + crop[1:].size
    differ = np.count_nonzero(crop[:, 1:] != crop[:, :-1]) + np.count_nonzero(crop[1:] != crop[:-1])
    return differ / max(pairs, 1)


def _twins(boxes, areas, crops):
    """Pairs of instances with nearly the same pixels. Boxes are compared first, because they are few numbers."""
    order = np.argsort(areas, kind="stable")
    order = order[areas[order] > 0]
    for position, i in enumerate(order[:-1]):
        others = order[position + 1 :]
        others = others[areas[others] * _TWIN_IOU <= areas[i]]
        near = (np.abs(boxes[others] - boxes[i]) <= _NEAR * np.ptp(boxes[i].reshape(2, 2), axis=0).max()).all(axis=1)
        for j in others[near]:
            iou = _mask_iou((boxes[i], crops[i]), (boxes[j], crops[j]), areas[i] + areas[j])
            if iou > _TWIN_IOU:
                yield int(min(i, j)), int(max(i, j)), float(iou)


def _mask_iou(one, other, sum_of_areas):
    """IoU of two masks that are given as `(box, pixels inside the box)`."""
    top_left = np.maximum(one[0][:2], other[0][:2])
    bottom_right = np.minimum(one[0][2:], other[0][2:])
    if (bottom_right <= top_left).any():
        return 0.0
    (y1, x1), (y2, x2) = top_left, bottom_right
    shared = np.count_nonzero(
        np.logical_and(*(crop[y1 - box[0] : y2 - box[0], x1 - box[1] : x2 - box[1]] for box, crop in (one, other)))
    )
    return shared / (sum_of_areas - shared)


def _count_values(facts, masks):
    """Which values an array of masks has; bool needs no look."""
    if masks.dtype == bool or masks.dtype.kind not in "uif" or not masks.size:
        return
    small = masks.dtype == np.uint8
    values = np.flatnonzero(np.bincount(masks.ravel(), minlength=256)) if small else np.unique(masks)
    facts.num_mask_values = len(values)
    if len(values) <= _MOST_VALUES:
        facts.mask_values = tuple(float(value) for value in values)


def _what_changed(facts, dataset, image, answer):
    """What a second call answered otherwise: words, or nothing."""
    changed = []
    try:
        again = np.asarray(dataset.load_image(facts.image_id))
        second = dataset.load_mask(facts.image_id)
        if not np.array_equal(again.reshape(image.shape) if again.size == image.size else again, image):
            changed.append("load_image")
        pairs = zip(answer, second) if isinstance(answer, tuple | list) and len(answer) == 2 else ()
        if not all(np.array_equal(np.asarray(one), np.asarray(two)) for one, two in pairs):
            changed.append("load_mask")
    except (Exception, SystemExit) as error:
        return f"a second call (it raised {type(error).__name__}: {_line(error)})"
    return " and ".join(changed)


def _without(name, message):
    return message.removeprefix(f"{name}: ")


def _line(error, limit=300):
    text = " ".join(str(error).split())
    return text if len(text) <= limit else text[:limit] + "..."
