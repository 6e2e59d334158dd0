"""A look at the processes of this machine, on Linux."""

import time
from pathlib import Path


def children_of(pid):
    """Process ids of the children."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def is_alive(pid):
    """False if the process has ended, also where its parent has not noticed yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, seconds):
    """Wait until the function returns something true, or for so many seconds; returns its last answer."""
    deadline = time.perf_counter() + seconds
    while not (answer := condition()) and time.perf_counter() < deadline:
        time.sleep(0.05)
    return answer
