"""What memory a process may still take: the machine's, or that of the container around it."""

import pytest

from mrcnn_plus import memory

MEMINFO = "MemTotal:       4000 kB\nMemAvailable:   3000 kB\nHugePages_Total:   0\n"


def group(folder, limit, *, version=2):
    """The files of a control group, of which one version has some and the other one others."""
    if version == 2:
        stat = "anon 300000\nfile 900000\nshmem 200000\n"
        return {f"sys/fs/cgroup/{folder}memory.max": f"{limit}\n", f"sys/fs/cgroup/{folder}memory.stat": stat}
    stat = "cache 900000\ntotal_cache 900000\ntotal_rss 300000\ntotal_shmem 200000\n"
    name = f"sys/fs/cgroup/memory/{folder}memory"
    return {f"{name}.limit_in_bytes": f"{limit}\n", f"{name}.stat": stat}


@pytest.fixture
def system(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_SYSTEM", tmp_path)

    def write(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return write


MACHINE = 3000 * 1024
NO_LIMIT = {2: "max", 1: "9223372036854771712"}


@pytest.mark.parametrize(("version", "line"), [(2, "0::/"), (1, "9:memory:/")])
def test_a_container_has_what_its_limit_leaves_and_files_in_its_cache_count_as_free(system, version, line):
    here = {"proc/meminfo": MEMINFO, "proc/self/cgroup": f"3:cpu,cpuacct:/\n{line}\n"}
    system(here | group("", 2_000_000, version=version))
    assert memory.free_memory() == 1_500_000
    system(group("", NO_LIMIT[version], version=version))
    assert memory.free_memory() == MACHINE


@pytest.mark.parametrize(("version", "line"), [(2, "0::/jobs/one"), (1, "9:memory:/jobs/one")])
@pytest.mark.parametrize("limited", ["jobs/", "jobs/one/"])
def test_every_group_around_the_process_counts(system, version, line, limited):
    system({"proc/meminfo": MEMINFO, "proc/self/cgroup": line})
    for folder in ("jobs/", "jobs/one/"):
        system(group(folder, 1_000_000 if folder == limited else NO_LIMIT[version], version=version))
    assert memory.free_memory() == 500_000


def test_a_system_that_tells_nothing_is_not_judged(system):
    assert memory.free_memory() is None


def test_this_machine_has_some():
    free = memory.free_memory()
    assert free is None or free > 1e6
