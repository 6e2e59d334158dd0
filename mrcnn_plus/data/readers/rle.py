"""Run-length encoded masks: lengths of runs, column by column, that begin with the pixels outside.

COCO stores them as a list of numbers ("uncompressed") or as a short text ("compressed"), Kaggle's tables as pairs of
start and length. All become one array of run lengths here. pycocotools is not asked: it trusts the numbers, and runs
that are longer than the image write beyond its memory.
"""

import numpy as np

from mrcnn_plus.errors import DatasetError

_LARGEST_RUN = 2**40


def run_lengths(counts):
    """Runs of an RLE as int64 `[R]`: outside, inside, outside, ...

    counts: list or array of whole numbers, or COCO's compressed text (str or bytes).
    Raises `DatasetError` with the reason if it is neither.
    """
    if isinstance(counts, str | bytes):
        return _decompress(counts)
    if isinstance(counts, np.ndarray) and counts.dtype.kind in "iu" and counts.ndim == 1:
        if counts.size and counts.min() < 0:
            raise DatasetError(f"expected whole numbers from 0 as run lengths, received {counts.min()}")
        return counts.astype(np.int64)
    try:
        runs = np.asarray(counts, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DatasetError(f"expected counts as a text or a list of numbers, received {_short(counts)}") from None
    if runs.ndim != 1 or not np.isfinite(runs).all() or (runs < 0).any() or (runs != np.floor(runs)).any():
        raise DatasetError(f"expected whole numbers from 0 as run lengths, received counts={_short(counts)}")
    if runs.size and runs.max() > _LARGEST_RUN:
        raise DatasetError(f"a run of {runs.max():.0f} pixels is longer than any image")
    return runs.astype(np.int64)


def _decompress(text):
    """COCO's text: 5 bits of a number in each character, lowest first, bit 6 says that more follow.

    From the fourth run on a number is the difference from the run two places before.
    """
    raw = text.encode("ascii", "replace") if isinstance(text, str) else text
    values = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if values.size == 0:
        return np.zeros([0], np.int64)
    if (values < 0).any() or (values > 63).any() or values[-1] & 32:
        raise DatasetError(f"the compressed counts are damaged or cut off: {_short(text)}")
    last = np.flatnonzero((values & 32) == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    if (last - first).max() > 7:
        raise DatasetError(f"the compressed counts hold a number that is too large: {_short(text)}")
    place = np.arange(values.size) - np.repeat(first, last - first + 1)
    numbers = np.add.reduceat((values & 31) << (5 * place), first)
    negative = (values[last] & 16) != 0
    numbers = np.where(negative, numbers - (np.int64(1) << (5 * (last - first + 1))), numbers)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    if (numbers < 0).any() or numbers.max() > _LARGEST_RUN:
        raise DatasetError(f"the compressed counts give runs of negative or absurd length: {_short(text)}")
    return numbers


def runs_from_starts(pairs):
    """Kaggle's "start length start length ..." (starts count from 1, down the columns) as run lengths int64 `[R]`.

    pairs: str, or array of whole numbers. Overlapping or unordered runs are united. The run after the last object pixel
    is left out, since the table need not say how large the image is.
    """
    try:
        numbers = np.array(pairs.split() if isinstance(pairs, str) else pairs, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DatasetError(f"expected pairs of start and length, received {_short(pairs)}") from None
    if numbers.size % 2:
        raise DatasetError(f"expected pairs of start and length, received {numbers.size} numbers: {_short(pairs)}")
    if not np.isfinite(numbers).all() or (numbers != np.floor(numbers)).any() or (numbers < 0).any():
        raise DatasetError(f"expected whole numbers as starts and lengths, received {_short(pairs)}")
    if numbers.size and numbers.max() > _LARGEST_RUN:
        raise DatasetError(f"a start or length of {numbers.max():.0f} is beyond any image")
    starts, lengths = numbers[0::2].astype(np.int64) - 1, numbers[1::2].astype(np.int64)
    if (starts < 0).any():
        raise DatasetError(f"starts count from 1, received a start of 0: {_short(pairs)}")
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate((starts + lengths)[order]) if starts.size else starts
    if starts.size == 0:
        return np.zeros([0], np.int64)
    fresh = np.concatenate([[True], starts[1:] > ends[:-1]])
    starts, ends = starts[fresh], ends[np.concatenate([np.flatnonzero(fresh)[1:] - 1, [len(ends) - 1]])]
    edges = np.stack([starts, ends], axis=1).ravel()
    return np.diff(edges, prepend=0)


def draw_runs(runs, height, width, *, open_end=False):
    """Runs as bool `[H, W]`. Raises `DatasetError` unless they fill the image exactly.

    open_end: the run after the last object pixel may be missing.
    """
    total = int(runs.sum())
    if total > height * width or (total < height * width and not open_end):
        raise DatasetError(
            f"the runs hold {total} pixels, an image of {width} x {height} (width x height) has {height * width}"
        )
    inside = np.zeros(height * width, bool)
    ends = np.cumsum(runs)
    for start, end in zip(ends[0::2], ends[1::2]):
        inside[start:end] = True
    return inside.reshape(width, height).T


def encode_mask(mask):
    """Runs of a bool mask `[H, W]`, int64 `[R]`: the inverse of `draw_runs`."""
    flat = mask.T.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    begin = [0, 0] if flat.size and flat[0] else [0]
    return np.diff(np.concatenate([begin, edges, [flat.size]]))


def runs_box(runs, height):
    """The box around the object pixels, (x1, y1, x2, y2) with exclusive ends, or None if there are none."""
    ends = np.cumsum(runs)
    starts, stops = ends[0::2][: len(runs) // 2], ends[1::2]
    filled = stops > starts
    if not filled.any() or height <= 0:
        return None
    starts, last = starts[filled], stops[filled] - 1
    across = starts // height != last // height  # a run that turns into the next column touches top and bottom
    y1 = 0 if across.any() else int((starts % height).min())
    y2 = height if across.any() else int((last % height).max()) + 1
    return float(starts[0] // height), float(y1), float(last[-1] // height + 1), float(y2)


def _short(value, limit=60):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."
