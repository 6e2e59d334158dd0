"""A function applied to many items on all cores, where a process that dies is an answer and not the end; and a bar.

Code of users runs in it: a `load_mask` may crash in a C library, or take all memory. Where processes can be forked,
such a crash is a `Died` in the place of the answer, and a new process goes on with the next item. Where they cannot
(TensorFlow is loaded: its threads do not survive a fork; other systems than Linux), threads do the work.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import multiprocessing
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import numpy as np

from mrcnn_plus.data.loading.process import describe_exit

logger = logging.getLogger(__name__)

_FORK_HOSTILE = ("tensorflow", "jax", "torch")
_MOST_DEATHS = 20
_SECONDS_TO_START = 20
_SECONDS_UNTIL_A_NOTICE = 120
_SECONDS_BETWEEN_REFRESHES = 0.2


class Died(NamedTuple):
    """In the place of an answer: the process ended while it worked on the item. reason: words."""

    reason: str


def map_items(
    function: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Any]:
    """`[function(item) for item in items]` on several cores, in this order.

    workers: processes or threads; None for one on each core, 0 for none: the calls are made here, one by one.
    advance: called with 1 after each answer. Exceptions of the function are not caught for it.
    """
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(workers, len(items))
    if workers <= 0:
        return [_counted(function(item), advance) for item in items]
    if can_fork():
        with _Pool(function, items) as pool:
            if pool.start(workers):
                return pool.run(advance)
    return _map_in_threads(function, items, workers, advance)


def can_fork() -> bool:
    """True where a forked copy of this process can be trusted to work."""
    return sys.platform.startswith("linux") and not any(name in sys.modules for name in _FORK_HOSTILE)


def _counted(answer, advance):
    advance(1)
    return answer


def _map_in_threads(function, items, workers, advance):
    executor = ThreadPoolExecutor(workers)
    try:
        return [_counted(answer, advance) for answer in executor.map(function, items)]
    finally:
        executor.shutdown(wait=False, cancel_futures=True)  # after Ctrl-C nobody wants to wait for the rest


class _Worker(NamedTuple):
    process: multiprocessing.Process
    connection: Any


class _Pool:
    """Forked processes that hand answers back by pipes. Items reach them by the fork, only numbers are sent."""

    def __init__(self, function, items):
        self.function, self.items = function, items
        self.context = multiprocessing.get_context("fork")
        self.workers: list[_Worker] = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.process.kill()
            worker.connection.close()
        for worker in self.workers:
            worker.process.join()

    def start(self, count) -> bool:
        """Start processes; False if one of them does not even say that it has begun."""
        for _ in range(count):
            self.workers.append(self._fork())
        return all(_has_begun(worker) for worker in self.workers)

    def run(self, advance) -> list[Any]:
        """All answers, `Died` for the items that ended their process."""
        answers: list[Any] = [None] * len(self.items)
        todo = iter(range(len(self.items)))
        at_work: dict[Any, tuple[_Worker, int]] = {}
        deaths = 0
        for worker in self.workers:
            self._hand_out(worker, todo, at_work)
        while at_work:
            ready = wait(list(at_work), timeout=_SECONDS_UNTIL_A_NOTICE)
            if not ready:
                slow = [self.items[number] for _, number in at_work.values()]
                logger.warning("Still waiting for %s after %d s.", slow, _SECONDS_UNTIL_A_NOTICE)
            for connection in ready:
                worker, number = at_work.pop(connection)
                try:
                    answers[number] = connection.recv()
                except (EOFError, OSError):
                    worker.process.join()
                    answers[number] = Died(describe_exit(worker.process.exitcode))
                    deaths += 1
                    worker = self._replace(worker)
                advance(1)
                if deaths < _MOST_DEATHS:
                    self._hand_out(worker, todo, at_work)
        for number in todo:
            answers[number] = Died(f"not tried after {deaths} others had ended their process")
        return answers

    def _hand_out(self, worker, todo, at_work):
        number = next(todo, None)
        if number is not None:
            at_work[worker.connection] = (worker, number)
            with contextlib.suppress(OSError):  # it has died: receiving will say so
                worker.connection.send(number)

    def _replace(self, worker) -> _Worker:
        worker.connection.close()
        new = self._fork()
        self.workers[self.workers.index(worker)] = new
        _has_begun(new)
        return new

    def _fork(self) -> _Worker:
        ours, theirs = self.context.Pipe()
        inherited = [ours, *(worker.connection for worker in self.workers if not worker.connection.closed)]
        process = self.context.Process(target=_serve, args=(self.function, self.items, theirs, inherited))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: other threads exist; see _has_begun
            process.start()
        theirs.close()
        return _Worker(process, ours)


def _serve(function, items, connection, inherited):
    """What a process does: answer numbers of items until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends its children
    for other in inherited:  # else a dead parent would not close the pipe
        other.close()
    faulthandler.disable()  # a crash becomes an answer
    logging.disable(logging.CRITICAL)  # every process would repeat the notices that are given once
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(0)  # its threads were not forked along
    random.seed()  # else all processes would draw the same numbers, and random images would look like copies
    np.random.seed()
    connection.send("begun")
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(function(items[connection.recv()]))


def _has_begun(worker) -> bool:
    """A lock that another thread held during the fork stays locked for ever: such a process never answers."""
    try:
        return worker.connection.poll(_SECONDS_TO_START) and worker.connection.recv() == "begun"
    except (EOFError, OSError):
        return False


@contextlib.contextmanager
def progress_bar(title: str, total: int, *, shown: bool) -> Iterator[Callable[[int], None]]:
    """`with progress_bar("train: masks", 100, shown=True) as advance: advance(1)`; silent unless `shown`.

    It is redrawn by `advance` itself and not by a thread, because processes are forked while it stands there.
    """
    if not shown:
        yield lambda steps=1: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task(title, total=total)
        last = time.monotonic()

        def advance(steps: int = 1) -> None:
            nonlocal last
            bar.advance(task, steps)
            if time.monotonic() - last > _SECONDS_BETWEEN_REFRESHES:
                bar.refresh()
                last = time.monotonic()

        bar.refresh()
        yield advance
