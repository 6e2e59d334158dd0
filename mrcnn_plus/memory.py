"""Memory of this process: what it may still take, and giving back what it does not need."""

import contextlib
import ctypes
from pathlib import Path, PurePosixPath

_SYSTEM = Path("/")


def free_memory():
    """Bytes that the machine, and the container around this process, still have for it; None where nothing tells
    (other systems than Linux)."""
    free = [_free_of_machine(), *map(_free_of_group, _control_groups())]
    return min((number for number in free if number is not None), default=None)


def _free_of_machine():
    kilobytes = _table("proc/meminfo").get("MemAvailable:")
    return None if kilobytes is None else 1024 * kilobytes


def _control_groups():
    """The folders of the control groups around this process that count memory, of both versions."""
    for line in _read("proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "memory"):
            root = PurePosixPath("sys/fs/cgroup", controllers)
            group = root / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root))


def _free_of_group(folder):
    """What its limit leaves; None if it has none. Cached files do not count as used, for they can be dropped."""
    table = _table(folder / "memory.stat")
    limits = [_read(folder / name).strip() for name in ("memory.max", "memory.limit_in_bytes")]
    limits = [int(limit) for limit in limits if limit.isdigit()]
    used = [table[name] for name in ("anon", "shmem", "total_rss", "total_shmem") if name in table]
    return min(limits) - sum(used) if limits and used else None


def _table(file):
    """`{first word of a line: whole number behind it}`."""
    rows = (line.split() for line in _read(file).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def _read(file):
    try:
        return (_SYSTEM / file).read_text()
    except OSError:
        return ""


def give_back_memory():
    """Give the system what was freed and the C library (of Linux) holds back: a GB after a first detection."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
