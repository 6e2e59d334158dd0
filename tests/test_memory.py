"""What memory a process may still take: the machine's, or that of the container around it."""

import pytest

from mrcnn_plus import memory

MEMINFO = "MemTotal:       4000 kB\nMemAvailable:   3000 kB\nHugePages_Total:   0\n"
V2 = {"sys/fs/cgroup/memory.max": "{limit}\n", "sys/fs/cgroup/memory.stat": "anon 500000\nfile 900000\n"}
V1 = {
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "{limit}\n",
    "sys/fs/cgroup/memory/memory.stat": "cache 900000\ntotal_rss 500000\n",
}


@pytest.fixture
def system(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_SYSTEM", tmp_path)

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


@pytest.mark.parametrize("group", [V1, V2])
@pytest.mark.parametrize(
    ("limit", "free"), [("2000000", 1_500_000), ("max", 3000 * 1024), ("9223372036854771712", 3000 * 1024)]
)
def test_a_container_has_what_its_limit_leaves_and_files_in_its_cache_count_as_free(system, group, limit, free):
    system({"proc/meminfo": MEMINFO} | {name: text.format(limit=limit) for name, text in group.items()})
    assert memory.free_memory() == free


def test_a_system_that_tells_nothing_is_not_judged(system):
    assert memory.free_memory() is None


def test_this_machine_has_some():
    free = memory.free_memory()
    assert free is None or free > 1e6
