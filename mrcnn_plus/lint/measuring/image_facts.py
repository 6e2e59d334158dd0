"""The table of images, from what the data set registered and from the headers of the files."""

from __future__ import annotations

import functools
import os
from collections import Counter

import numpy as np

from mrcnn_plus.errors import DatasetError
from mrcnn_plus.lint.measuring.file_headers import FileHeader, read_file_header
from mrcnn_plus.lint.measuring.tables import ImageTable
from mrcnn_plus.lint.measuring.worker_pool import Died, map_items, progress_bar

_CHUNK = 1000


def read_image_table(split) -> ImageTable:
    """`ImageTable` of a split. Headers of all files are read; pixels only where nothing else tells the size.

    A data set with a `load_image` of its own may have no files at all, or files that only it understands. So files that
    are not there, or unknown, count as errors for it only if at least half of them are images.
    """
    infos = split.dataset.image_info
    headers = _read_headers(split, [info.get("path") for info in infos])
    if not loads_by_path(split.dataset) and 2 * sum(header.width is not None for header in headers) < len(headers):
        headers = [header._replace(error=None) for header in headers]
    table = ImageTable(
        names=image_names(infos),
        paths=[None if info.get("path") is None else str(info["path"]) for info in infos],
        declared=_sizes([(info.get("height"), info.get("width")) for info in infos]),
        stored=_sizes([(header.height, header.width) for header in headers]),
        orientation=np.array([header.orientation for header in headers], int),
        modes=[header.mode for header in headers],
        formats=[header.format for header in headers],
        errors=[header.error for header in headers],
        loaded=np.full([len(infos), 2], np.nan),
        file_sizes=np.array([-1 if header.bytes is None else header.bytes for header in headers], np.int64),
    )
    if keeps_annotations(split.dataset):
        _set_frames(table, split.dataset, headers)
    if not loads_by_path(split.dataset) or np.isnan(table.sizes).any():
        for facts in split.pixels:
            if facts.shape:
                table.loaded[facts.image_id] = facts.shape[:2]
    return table


def loads_by_path(dataset) -> bool:
    """True if images come from the files that were registered, by the package's own `load_image`."""
    return "load_image" not in vars(dataset) and type(dataset).load_image.__module__.startswith("mrcnn_plus.")


def keeps_annotations(dataset) -> bool:
    """True for the data sets that readers make: `data.annotations.AnnotatedDataset`."""
    # Not imported for the question: whoever has such a data set has loaded its module.
    return any(cls.__module__ == "mrcnn_plus.data.annotations" for cls in type(dataset).__mro__)


def draws_annotations(dataset) -> bool:
    """True if the masks are those of the annotations that the data set keeps, and `load_mask` is not overridden."""
    own = "load_mask" not in vars(dataset) and type(dataset).load_mask.__module__ == "mrcnn_plus.data.annotations"
    return own and keeps_annotations(dataset)


def image_names(infos) -> list[str]:
    """Words for each image: the file name, with as much of its folder as it takes to be unique; or source and id."""
    paths = [str(info["path"]) if info.get("path") else None for info in infos]
    names = [
        path.replace("\\", "/") if path else f"image {i} (id {infos[i].get('id')!r})" for i, path in enumerate(paths)
    ]
    short = [name.rpartition("/")[2] or name for name in names]
    counts = Counter(short)
    folder = os.path.commonpath([os.path.dirname(path) for path in names]) if _have_common(names) else ""
    start = len(folder) + 1 if folder else 0
    return [one if counts[one] == 1 else name[start:] for one, name in zip(short, names, strict=True)]


def _have_common(names):
    return len({name.startswith("/") for name in names}) == 1 and len({name[1:3] == ":/" for name in names}) == 1


def _read_headers(split, paths):
    """`FileHeader` of all files; thousands of them on all cores."""
    read = functools.partial(_headers_of, loads_by_path(split.dataset))
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    workers = split.workers if len(chunks) > 1 else 0
    with progress_bar(f"{split.name}: image files", len(paths), shown=split.progress) as advance:
        answers = map_items(read, chunks, workers=workers, advance=lambda chunks: advance(chunks * _CHUNK))
    return [
        header
        for chunk, answer in zip(chunks, answers, strict=True)
        for header in ([FileHeader(error=answer.reason) for _ in chunk] if isinstance(answer, Died) else answer)
    ]


def _headers_of(by_path, paths):
    return [FileHeader() if path is None and not by_path else read_file_header(path) for path in paths]


def _set_frames(table, dataset, headers):
    """Photos that a reader turns upright have the size after turning; images inside of json files have one at all."""
    for row, header in enumerate(headers):
        embedded = dataset.image_info[row].get("embedded_in")
        if not embedded and (header.width is None or header.error):
            continue
        try:
            frame = dataset.photo_frame(row, None if embedded else (header.width, header.height, header.orientation))
        except (DatasetError, OSError, ValueError) as error:
            table.errors[row] = str(error)
            continue
        if embedded:
            table.errors[row] = None
        if embedded or frame.orientation != 1:
            table.loaded[row] = frame.height, frame.width


def _sizes(pairs):
    """float `[N, 2]`, NaN for what is no positive number."""
    sizes = np.full([len(pairs), 2], np.nan)
    for row, pair in enumerate(pairs):
        if all(isinstance(side, int | float | np.number) and side > 0 for side in pair):
            sizes[row] = pair
    return sizes
