"""Threads that build batches ahead of time."""

import contextlib
import queue
import threading
from concurrent.futures import CancelledError, Future, InvalidStateError


class LoaderThreads:
    """Threads that call functions for submitted arguments, first come, first served.

    Unlike those of `concurrent.futures`, they do not keep a program from ending: after Ctrl-C nobody wants to wait for
    an image that is still being loaded.

    functions: one for each thread, so that each can stand for a process of its own; all give the same answers.
    """

    def __init__(self, functions):
        self._todo = queue.SimpleQueue()
        self._count = len(functions)
        for number, function in enumerate(functions):
            threading.Thread(target=self._work, args=(function,), name=f"load images {number}", daemon=True).start()

    def submit(self, argument):
        """A `Future` with the answer to this argument."""
        future = Future()
        self._todo.put((future, argument))
        return future

    def close(self):
        """Let the threads end, after what they are at; what has not begun stays undone."""
        for _ in range(self._count):
            self._todo.put(None)

    def _work(self, function):
        while (task := self._todo.get()) is not None:
            answer(*task, function)
            del task  # else a waiting thread would hold on to its last batch


def answer(future, argument, function):
    """Give a `Future` the answer of a function, or what it raises; nothing if it was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    with contextlib.suppress(InvalidStateError):  # abandoned while the function ran
        try:
            future.set_result(function(argument))
        except BaseException as error:  # also SystemExit of a user's function: it belongs to whoever asked
            future.set_exception(error)


def abandon(future):
    """Cancel a `Future`, also one that is being computed: whoever waits for it gets a `CancelledError` now."""
    if not future.cancel():
        with contextlib.suppress(InvalidStateError):
            future.set_exception(CancelledError())
