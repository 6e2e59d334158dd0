"""Memory of this process: what it may still take, and giving back what it does not need."""

import contextlib
import ctypes
from pathlib import Path

_SYSTEM = Path("/")


def free_memory():
    """Bytes that the machine, and the container around this process, still have for it; None where nothing tells
    (other systems than Linux)."""
    free = [_free_of_machine(), *map(_free_of_group, _CONTROL_GROUPS)]
    return min((number for number in free if number is not None), default=None)


#: Of a container, by the version of control groups: its limit, and what is used and cannot be dropped as cached files.
_CONTROL_GROUPS = (
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.stat", "anon"),
    ("sys/fs/cgroup/memory/memory.limit_in_bytes", "sys/fs/cgroup/memory/memory.stat", "total_rss"),
)


def _free_of_machine():
    kilobytes = _table("proc/meminfo").get("MemAvailable:")
    return None if kilobytes is None else 1024 * kilobytes


def _free_of_group(files):
    limit_file, table_file, used = files
    limit, table = _read(limit_file).strip(), _table(table_file)
    return int(limit) - table[used] if limit.isdigit() and used in table else None


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
