"""Messages between processes through pipes: pickles whose arrays follow them, without a copy in memory.

A message is the sizes of its arrays, its pickle (each behind its number of bytes, 8 bytes little endian), and then the
arrays one after the other (`pickle`'s buffers out of band, protocol 5).
"""

import pickle
import struct

import numpy as np

_LENGTH = struct.Struct("<Q")


def send(stream, message):
    """Write a message to an unbuffered binary stream. Raises OSError if nobody reads it any more."""
    buffers = []
    content = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    sizes = pickle.dumps([array.nbytes for array in arrays])
    write(stream, b"".join([_LENGTH.pack(len(sizes)), sizes, _LENGTH.pack(len(content)), content]))
    for array in arrays:
        write(stream, array)


def receive(stream):
    """The next message of an unbuffered binary stream. Raises `EOFError` if the other side has ended."""
    sizes = pickle.loads(_read(stream, _read_length(stream)))
    content = _read(stream, _read_length(stream))
    return pickle.loads(content, buffers=[_read(stream, size) for size in sizes])


def write(stream, content):
    """Write all the bytes to an unbuffered binary stream."""
    view = memoryview(content)
    while len(view):
        view = view[stream.write(view) :]


def _read_length(stream):
    return _LENGTH.unpack(_read(stream, _LENGTH.size))[0]


def _read(stream, size):
    """So many bytes, as a writable memoryview: arrays that are made of it can be written to."""
    content = memoryview(np.empty(size, np.uint8))
    done = 0
    while done < size:
        count = stream.readinto(content[done:])
        if not count:
            raise EOFError("the other side has ended")
        done += count
    return content
