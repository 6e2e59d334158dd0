"""Every image of a split, or a sample of them, loaded and measured on all cores."""

from __future__ import annotations

import functools

from mrcnn_plus.data.dataset import describe_image
from mrcnn_plus.lint.measuring.pixel_facts import PixelFacts, measure_image
from mrcnn_plus.lint.measuring.progress import progress_bar
from mrcnn_plus.lint.measuring.worker_pool import Died, map_items

_ASKED_TWICE = 4
_LOOKED_AT = 48


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
