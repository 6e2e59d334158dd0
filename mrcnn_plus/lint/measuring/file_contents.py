"""Which image files hold the same bytes, without reading all of them."""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mrcnn_plus.lint.measuring.tables import ImageTable

_PIECE = 4096
_BLOCK = 1 << 20
_THREADS = 8
_FEW = 100

Place = tuple[str, int]  # name of a table and row in it


def same_files(tables: Mapping[str, ImageTable], *, across: bool = False) -> list[tuple[Place, Place]]:
    """Pairs of images whose files have the same content: the first of them, and each further one.

    tables: `{name: table}`. across: compare each file of the last table with those of the others, not with its own.

    Files of the same size are compared by their first bytes, then by some from the middle and the end, and only if
    those agree as a whole.
    """
    places = [(name, row) for name, table in tables.items() for row in range(len(table)) if table.file_sizes[row] > 0]
    groups = [places]
    executor = ThreadPoolExecutor(_THREADS)  # reading waits for the disk
    try:
        for key in (_size, _beginning, _middle_and_end, _content):
            groups = [part for group in groups for part in _split(group, functools.partial(key, tables), executor)]
            if across:
                groups = [group for group in groups if len({name for name, _ in group}) > 1]
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    if not across:
        return [(group[0], place) for group in groups for place in group[1:]]
    last = list(tables)[-1]
    pairs = []
    for group in groups:
        original = next(place for place in group if place[0] != last)
        pairs += [(original, place) for place in group if place[0] == last]
    return pairs


def _split(group: list[Place], key: Callable[[Place], Any], executor) -> list[list[Place]]:
    """The parts of a group with equal keys, at least two places each; places with the key None are left out."""
    parts = defaultdict(list)
    in_threads = len(group) > _FEW and key.func is not _size
    for place, value in zip(group, executor.map(key, group) if in_threads else map(key, group), strict=True):
        parts[value].append(place)
    return [part for value, part in parts.items() if value is not None and len(part) > 1]


def _size(tables, place):
    return int(tables[place[0]].file_sizes[place[1]])


def _beginning(tables, place):
    return _hash(tables, place, [(0, _PIECE)])


def _middle_and_end(tables, place):
    size = _size(tables, place)
    if size <= _PIECE:
        return 0  # the beginning was the whole file
    return _hash(tables, place, [(size // 2, _PIECE), (size - _PIECE, _PIECE)])


def _content(tables, place):
    size = _size(tables, place)
    if size <= _PIECE:
        return 0
    return _hash(tables, place, [(start, _BLOCK) for start in range(0, size, _BLOCK)])


def _hash(tables, place, pieces):
    content = hashlib.blake2b(digest_size=16)
    try:
        with open(tables[place[0]].paths[place[1]], "rb", buffering=0) as stream:
            for start, length in pieces:
                stream.seek(start)
                content.update(stream.read(length))
    except OSError:
        return None
    return content.digest()
