"""What a process that loads images does: takes over the data set, then builds batches until its parent is gone.

Messages between both go through pipes: pickles whose arrays follow them, without a copy in memory. A message is the
sizes of its arrays, its pickle (each behind its number of bytes, 8 bytes little endian), and then the arrays one after
the other (`pickle`'s buffers out of band, protocol 5).
"""

import contextlib
import logging
import multiprocessing.spawn
import os
import pickle
import queue
import struct
import sys
import threading
import traceback

import numpy as np

from mrcnn_plus.data.augmentation import import_imgaug
from mrcnn_plus.errors import ConfigError, DatasetError

_inside = False
_LENGTH = struct.Struct("<Q")


def refuse_to_train_in_loader():
    """Raise `ConfigError` in a process that loads images, where a program may be imported and must not train again."""
    if _inside:
        raise ConfigError(
            "USE_MULTIPROCESSING = True: the processes that load images import your program, and it trains while it is "
            "imported. Put everything that builds and trains the model under  if __name__ == '__main__':  or set "
            "USE_MULTIPROCESSING = False."
        )


def serve():
    """Answer the messages of a `LoaderProcess` on standard input: first what `pack` made, then positions of batches."""
    global _inside
    _inside = True
    stdin, stdout = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what the user's code prints must not get among the messages
    messages = queue.SimpleQueue()
    first = receive(stdin)
    threading.Thread(target=_listen, args=(stdin, messages), daemon=True).start()
    records, incidents = [], []
    logging.basicConfig(handlers=[_Collecting(records)], level=first["level"], force=True)
    try:
        multiprocessing.spawn.prepare(first["preparation"])
        if b"imgaug" in first["builder"]:
            import_imgaug()  # a pickle would import it without what it misses in NumPy 2
        builder = pickle.loads(first["builder"])
    except BaseException as error:
        send(stdout, {"error": _start_error(error), "traceback": traceback.format_exc()})
        return
    builder.incidents.forward = lambda *incident: incidents.append(incident)
    builder.seeds_global_states = True
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)  # other cores have processes of their own
    send(stdout, {})
    while True:
        answer = _build(builder, messages.get())
        send(stdout, {**answer, "log": records, "incidents": incidents})
        records.clear()
        incidents.clear()


def _listen(stdin, messages):
    """Hand messages on. If the parent is gone, end at once, whatever is being loaded."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            messages.put(receive(stdin))
    os._exit(0)


def _start_error(error):
    if isinstance(error, ConfigError):
        return error
    return ConfigError(
        "USE_MULTIPROCESSING = True: a process that loads images could not take over the data set: "
        f"{type(error).__name__}: {error}. Classes and functions must be importable: at the top level of a module, or "
        "of a program that trains under  if __name__ == '__main__':  only. Mend that, or set USE_MULTIPROCESSING = "
        "False to load in threads."
    )


def _build(builder, positions):
    try:
        return {"batch": builder.build(positions)}
    except BaseException as error:
        text = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = DatasetError(f"{builder.name}: {type(error).__name__}: {error}")
        return {"error": error, "traceback": text}


class _Collecting(logging.Handler):
    """Collects what is logged, for the log of the parent."""

    def __init__(self, records):
        super().__init__()
        self.records = records

    def emit(self, record):
        self.records.append((record.name, record.levelno, record.getMessage()))


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
