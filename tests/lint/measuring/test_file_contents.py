"""Files of the same content are found without reading all of each."""

import numpy as np
import pytest

from mrcnn_plus.lint.measuring import file_contents
from mrcnn_plus.lint.measuring.file_contents import same_files
from mrcnn_plus.lint.measuring.tables import ImageTable


def table(folder, contents):
    """An `ImageTable` of files with these bytes; None for a file that is not there."""
    paths = []
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
        paths.append(str(folder / f"{number}.bin"))
        if content is not None:
            (folder / f"{number}.bin").write_bytes(content)
    count = len(paths)
    unknown = np.full([count, 2], np.nan)
    sizes = np.array([-1 if content is None else len(content) for content in contents])
    nothing = [None] * count
    return ImageTable(paths, paths, unknown, unknown, np.ones(count, int), nothing, nothing, nothing, unknown, sizes)


LARGE = np.random.default_rng(0).bytes(100_000)
CHANGED = LARGE[:30_000] + b"x" + LARGE[30_001:]


def test_equal_files_are_found_and_files_of_equal_size_are_not(tmp_path):
    images = table(tmp_path, [LARGE, b"small", CHANGED, LARGE, b"large", b"small", None, None, b""])
    assert same_files({"train": images}) == [(("train", 0), ("train", 3)), (("train", 1), ("train", 5))]


def test_a_file_that_occurs_three_times_gives_two_pairs(tmp_path):
    assert len(same_files({"train": table(tmp_path, [LARGE] * 3)})) == 2


def test_across_two_tables_only_their_common_files_count(tmp_path):
    train = table(tmp_path / "train", [b"one", b"two", b"two"])
    val = table(tmp_path / "val", [b"six", b"six", b"two", b"one"])
    pairs = same_files({"train": train, "val": val}, across=True)
    assert sorted(pairs) == [(("train", 0), ("val", 3)), (("train", 1), ("val", 2))]


def test_files_that_differ_in_their_first_bytes_are_not_read_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(file_contents, "_content", lambda *_: pytest.fail("read as a whole"))
    assert same_files({"train": table(tmp_path, [LARGE, b"y" + LARGE[1:]])}) == []


def test_a_file_that_cannot_be_opened_is_left_out(tmp_path):
    images = table(tmp_path, [LARGE, LARGE, LARGE])
    (tmp_path / "1.bin").unlink()
    assert same_files({"train": images}) == [(("train", 0), ("train", 2))]
