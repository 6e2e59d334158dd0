"""A bar on the terminal for what takes long."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

_SECONDS_BETWEEN_REFRESHES = 0.2


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
