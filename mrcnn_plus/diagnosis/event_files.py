"""Scalars in event files of TensorBoard, read without TensorBoard.

An event file is a sequence of records `length (8 bytes), checksum (4), data, checksum (4)`, little-endian (TensorFlow's
TFRecord); the data is a protocol buffer `Event`. Of that only step, tags and scalar values are decoded.
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/util/event.proto, .../framework/summary.proto
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_FLOAT, _DOUBLE = 1, 2  # DataType in framework/types.proto


def read_scalars(path) -> Iterator[tuple[int, str, float]]:
    """`(step, tag, value)` of every scalar, in the order of the file. A file that is cut off ends early."""
    with open(path, "rb") as file:
        while True:
            head = file.read(12)
            if len(head) < 12:
                return
            (length,) = struct.unpack("<Q", head[:8])
            data = file.read(length)
            if len(data) < length or len(file.read(4)) < 4:
                return
            try:
                yield from _scalars_of_event(data)
            except (IndexError, struct.error):  # a damaged record: the others can be read
                continue


def _scalars_of_event(data: bytes) -> Iterator[tuple[int, str, float]]:
    step, summaries = 0, []
    for number, value in _fields(data):
        if number == 2:
            step = value
        elif number == 5:
            summaries.append(value)
    for summary in summaries:
        for number, content in _fields(summary):
            if number == 1:
                tag, value = _tag_and_value(content)
                if value is not None:
                    yield step, tag, value


def _tag_and_value(data: bytes) -> tuple[str, float | None]:
    tag, value = "", None
    for number, content in _fields(data):
        if number == 1:
            tag = content.decode("utf-8", "replace")
        elif number == 2:
            (value,) = struct.unpack("<f", content)
        elif number == 8:
            value = _scalar_tensor(content)
    return tag, value


def _scalar_tensor(data: bytes) -> float | None:
    """The value of a `TensorProto` that holds one float; None for images, text and histograms."""
    kind, content, listed = None, b"", None
    for number, value in _fields(data):
        if number == 1:
            kind = value
        elif number == 4:
            content = value
        elif number in (5, 6) and isinstance(value, bytes):
            listed = value
    layout = {_FLOAT: "<f", _DOUBLE: "<d"}.get(kind)
    raw = content or listed
    if layout is None or raw is None or len(raw) != struct.calcsize(layout):
        return None
    return struct.unpack(layout, raw)[0]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """`(number, value)` of the fields of a protocol buffer: whole numbers decoded, everything else as bytes."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        kind = key & 7
        if kind == 0:
            value, position = _varint(data, position)
        else:
            if kind == 2:
                length, position = _varint(data, position)
            else:
                length = {1: 8, 5: 4}.get(kind)
                if length is None:
                    raise IndexError(f"wire type {kind}")
            value = data[position : position + length]
            if len(value) < length:
                raise IndexError("cut off")
            position += length
        yield key >> 3, value


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
