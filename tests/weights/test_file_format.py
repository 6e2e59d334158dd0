import gzip
import os
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights.file_format import detect_format
from mrcnn_plus.weights.matterport_h5 import read_layout, write_tensors


@pytest.fixture
def good_file(tmp_path):
    path = tmp_path / "mask_rcnn_coco.h5"
    write_tensors(path, [("conv1", [("conv1/kernel:0", np.ones(5000, "f"))])])
    return path


def refusal(path):
    """The message of detect_format, which reading the layout must repeat."""
    with pytest.raises(WeightsError) as refused:
        detect_format(path)
    with pytest.raises(WeightsError) as again:
        read_layout(path)
    assert str(again.value).split("(")[0] == str(refused.value).split("(")[0]
    assert os.path.basename(path) in str(refused.value)
    return str(refused.value)


def test_matterport_file_is_recognised(good_file):
    assert detect_format(str(good_file)) == detect_format(good_file) == "matterport"


def test_keras_3_files_are_recognised(tmp_path):
    import keras

    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    keras.saving.save_model(model, tmp_path / "whole.h5")
    assert detect_format(tmp_path / "model.keras") == "keras3"
    assert detect_format(tmp_path / "model.weights.h5") == "keras3"
    assert detect_format(tmp_path / "whole.h5") == "matterport"


def test_name_does_not_decide_the_format(good_file):
    renamed = good_file.rename(good_file.with_name("mine.weights.h5"))
    assert detect_format(renamed) == "matterport"


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_truncated_file_is_called_truncated_with_both_sizes(good_file, share):
    size = good_file.stat().st_size
    os.truncate(good_file, int(size * share))
    message = refusal(good_file)
    assert "truncated" in message and f"{int(size * share):,}" in message
    if share > 0.02:
        assert f"{int(size * share):,} of {size:,} bytes" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"<!DOCTYPE html>\n<html><title>Sign in</title>", "HTML or XML page ('<!DOCTYPE html>')"),
        (b"\n  <html>", "HTML or XML page"),
        (b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>AccessDenied", "HTML or XML page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 257557808\n",
            "a file of 257,557,808 bytes. Run `git lfs pull`",
        ),
        (b'{"message": "Not Found"}', "a text file"),
        (b"\0" * 5000, "full of zeros"),
        (gzip.compress(b"x" * 99, mtime=0), "compressed archive"),
        (b"\x80\x02}q\x00(X\x05\x00", "PyTorch"),
        (b"PK\x03\x04 cut", "zip archive. It is damaged"),
        (b"\x01\x02\x03\x04\x05\x06\x07\x08\x09", "unknown format (first bytes 01 02 03 04 05 06 07 08)"),
    ],
)
def test_file_that_is_no_hdf5_is_called_what_it_is(content, words, tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(content)
    message = refusal(path)
    assert words in message
    assert message.count(". ") >= 1  # what is wrong, then what to do


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("model/data.pkl", "PyTorch"),
        ("conv1.npy", "NumPy"),
        ("logs/best.h5", "load 'logs/best.h5'"),
        ("readme", "no .h5"),
    ],
)
def test_zip_archive_is_looked_into(inside, words, tmp_path):
    with zipfile.ZipFile(tmp_path / "weights.h5", "w") as archive:
        archive.writestr(inside, "x")
    assert words in refusal(tmp_path / "weights.h5")


@pytest.mark.parametrize("name", ["model.ckpt", "model.ckpt.index", "model.ckpt.data-00000-of-00001"])
def test_tensorflow_checkpoint_is_called_so(name, tmp_path):
    for suffix in (".index", ".data-00000-of-00001", ".meta"):
        (tmp_path / f"model.ckpt{suffix}").write_bytes(b"\x00\x00\x01\x07binary")
    assert "TensorFlow 1 checkpoint" in refusal(tmp_path / name)


def test_empty_hdf5_file_is_called_so(tmp_path):
    h5py.File(tmp_path / "weights.h5", "w").close()
    with pytest.raises(WeightsError, match="HDF5 file without any content"):
        detect_format(tmp_path / "weights.h5")


def test_hdf5_of_something_else_is_called_so_with_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file["images"] = np.ones(3)
        file["labels"] = np.ones(3)
    with pytest.raises(WeightsError, match="no Keras layers.*'images', 'labels'"):
        detect_format(tmp_path / "weights.h5")
    with pytest.raises(WeightsError, match="layer_names"):
        read_layout(tmp_path / "weights.h5")


def test_missing_file_names_similar_ones(good_file):
    message = refusal(good_file.with_name("mask_rcnn_cocoo.h5"))
    assert "does not exist" in message and "'mask_rcnn_coco.h5'" in message and os.getcwd() in message


def test_missing_file_names_other_weights_of_the_folder(good_file):
    assert "'mask_rcnn_coco.h5'" in refusal(good_file.with_name("zzz"))


def test_missing_folder_is_named(tmp_path):
    assert "nor does its folder" in refusal(tmp_path / "nowhere" / "weights.h5")


def test_folder_is_refused_with_the_weights_it_holds(good_file):
    message = refusal(good_file.parent)
    assert "is a folder" in message and "'mask_rcnn_coco.h5'" in message


def test_saved_model_folder_is_called_so(tmp_path):
    (tmp_path / "saved_model.pb").touch()
    assert "SavedModel" in refusal(tmp_path)


WRITER = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"


def test_file_that_another_program_writes_is_called_so(good_file):
    command = [sys.executable, "-c", WRITER, str(good_file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"open\n"
        assert "in use by another program" in refusal(good_file)
        writer.stdin.close()


def test_unreadable_file_says_why(good_file, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert "cannot be read: Permission denied" in refusal(good_file)
