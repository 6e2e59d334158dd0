"""Annotation files in the encodings that editors and spreadsheets leave behind."""

import gc
import json

import pytest

from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.readers.text_files import read_json, read_text
from mrcnn_plus.errors import DatasetError

from .files import codes, listed, save_image, via, via_region

TEXT = json.dumps(via(via_region(attributes={"class": "Käfer"})), ensure_ascii=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "utf-16-le", "utf-16-be"])
def test_every_encoding_gives_the_same_data_set(tmp_path, encoding):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "via.json").write_bytes(TEXT.encode(encoding))
    dataset = open_dataset(tmp_path / "via.json")
    assert dataset.class_names == ["BG", "Käfer"]
    assert codes(dataset) == ([] if encoding.startswith("utf-8") else ["DAT039"])


def test_where_utf8_ends_is_said(tmp_path):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "via.json").write_bytes(TEXT.replace("{", "{\n").encode("latin-1"))
    found = listed(open_dataset(tmp_path / "via.json"), "DAT039")
    assert "line 6" in found.message and found.value == "cp1252" and not found.skipped


def test_text_read_in_a_wrong_encoding_and_stored_again_is_listed(tmp_path):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "via.json").write_text(TEXT.replace("Käfer", "Käfer".encode().decode("cp1252")), encoding="utf-8")
    assert "one encoding and read in another" in listed(open_dataset(tmp_path / "via.json"), "DAT036").message


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "is empty"),
        (b"\0\0\0\0", "is empty"),
        (b" \n ", "is empty"),
        (b"\xff\xfea", "damaged"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    ],
)
def test_files_without_text_say_what_they_are(tmp_path, content, words):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(DatasetError, match=words):
        read_text(tmp_path / "x.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match="'.*x.json' does not exist"):
        read_text(tmp_path / "x.json")


@pytest.mark.parametrize("length", [5, 20, 60, 100, 150])
def test_a_file_that_was_cut_off_anywhere_says_so(tmp_path, length):
    (tmp_path / "x.json").write_text(TEXT[:length])
    with pytest.raises(DatasetError, match="ends in the middle"):
        read_json(tmp_path / "x.json")


def test_deeply_nested_json_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("[" * 200_000)
    with pytest.raises(DatasetError, match="nested too deeply|ends in the middle"):
        read_json(tmp_path / "x.json")


def test_the_garbage_collector_runs_again_afterwards(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(DatasetError):
        read_json(tmp_path / "x.json")
    assert gc.isenabled()
