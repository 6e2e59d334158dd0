"""`History`: folders of our runs, CSV files, event files of TensorBoard; names of other programs become ours."""

import json
import math
import struct

import numpy as np
import pytest

from mrcnn_plus.diagnosis.event_files import read_scalars
from mrcnn_plus.diagnosis.history import LOSSES, History
from mrcnn_plus.errors import ConfigError

MATTERPORT = """epoch,loss,rpn_class_loss,val_loss
0,1.5,0.2,1.7
1,1.1,0.1,nan
"""


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_a_csv_logger_counts_epochs_from_0_and_a_history_from_1(tmp_path):
    history = History.read(write(tmp_path / "log.csv", MATTERPORT))
    assert history.epochs == (1, 2)
    assert history.values("rpn_class_loss").tolist() == [0.2, 0.1]
    assert history.last("loss") == 1.1
    assert math.isnan(history.values("val_loss")[1]) and math.isnan(history.last("no_such_value"))
    assert history.has("loss", "val_loss") and not history.has("loss", "mrcnn_mask_loss")


def test_the_folder_of_a_run_has_losses_what_it_is_and_evaluations(tmp_path):
    write(tmp_path / "losses.csv", "epoch,stage,loss,val_mask_AP\n0,heads,1.5,\n1,heads,1.2,0.2\n2,all,1.3,\n")
    write(tmp_path / "class_weights.csv", "class,weight\nsquare,1.0\n")
    write(tmp_path / "run.json", json.dumps({"settings": {"NUM_CLASSES": 3}, "stages": [{"first_epoch": 1}]}))
    write(tmp_path / "evaluation" / "epoch_0002.json", '{"mask": {"AP": 0.2}}')
    history = History.read(tmp_path)
    assert history.layers == ("heads", "heads", "all") and history.stage_starts == [0, 2]
    assert history.settings["NUM_CLASSES"] == 3
    assert history.evaluations == {2: {"mask": {"AP": 0.2}}}
    assert np.isnan(history.values("val_mask_AP")).tolist() == [True, False, True]
    assert history.until(2).epochs == (1, 2) and history.until(2).stage_starts == [0]
    assert history.until(1).evaluations == {}


def test_an_epoch_that_was_trained_again_counts_as_it_was_the_last_time(tmp_path):
    text = "epoch,loss\n0,3.0\n1,2.0\n2,9.0\n1,1.9\n2,1.8\n"
    assert History.read(write(tmp_path / "losses.csv", text)).values("loss").tolist() == [3.0, 1.9, 1.8]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters_and_a_byte_order_mark(tmp_path, delimiter):
    text = "\ufeff" + MATTERPORT.replace(",", delimiter)
    assert History.read(write(tmp_path / "x.csv", text)).values("loss").tolist() == [1.5, 1.1]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("loss_objectness", "rpn_class_loss"),
        ("loss_rpn_box_reg", "rpn_bbox_loss"),
        ("loss_classifier", "mrcnn_class_loss"),
        ("loss_box_reg", "mrcnn_bbox_loss"),
        ("loss_mask", "mrcnn_mask_loss"),
        ("loss/train_objectness", "rpn_class_loss"),
        ("loss/val_mask", "val_mrcnn_mask_loss"),
        ("loss/train_total", "loss"),
        ("loss/val_total", "val_loss"),
        ("loss/val", "val_loss"),
        ("train/loss_mask", "mrcnn_mask_loss"),
        ("epoch_loss", "loss"),
        ("epoch_val_rpn_bbox_loss", "val_rpn_bbox_loss"),
        ("val_mrcnn_mask_loss", "val_mrcnn_mask_loss"),
        ("mAP/segm_AP", "val_mask_AP"),
        ("loss_rpn_cls", "rpn_class_loss"),
        ("lr", "learning_rate"),
    ],
)
def test_names_of_other_programs(theirs, ours):
    assert History.of_logs([{theirs: 0.5}]).names == [ours]


def test_thousands_of_steps_become_means(tmp_path):
    lines = [f"{step},{2.0 - step / 1000}" for step in range(1000)]
    history = History.read(write(tmp_path / "x.csv", "\n".join(["iteration,total_loss", *lines])))
    assert len(history) == 100
    assert history.values("loss")[0] == pytest.approx(2.0 - 4.5 / 1000)


@pytest.mark.parametrize("content", [None, "a,b\n1,2\n", ""])
def test_what_holds_no_losses_is_an_error_that_says_what_does(tmp_path, content):
    if content is not None:
        write(tmp_path / "x.csv", content)
    with pytest.raises(ConfigError, match=r"losses\.csv.*received"):
        History.read(tmp_path)


def test_a_path_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="not there"):
        History.read(tmp_path / "no_such_run")


def test_a_run_that_failed_in_its_first_epoch_has_no_row_and_can_be_read(tmp_path):
    write(tmp_path / "run.json", json.dumps({"failure": {"epoch": 1, "step": 3}}))
    assert len(History.read(tmp_path)) == 0


# ---- event files -----------------------------------------------------------------------------------------------------


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def block(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def record(step, *values):
    event = varint(1 << 3 | 1) + struct.pack("<d", 1e9) + varint(2 << 3) + varint(step) + block(5, b"".join(values))
    return struct.pack("<Q", len(event)) + b"\0" * 4 + event + b"\0" * 4


def simple(tag, value):
    """As TensorFlow 1 writes a scalar."""
    return block(1, block(1, tag.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value))


def tensor(tag, value):
    """As TensorFlow 2 writes one: a tensor of type float without dimensions."""
    content = varint(1 << 3) + varint(1) + block(2, b"") + block(4, struct.pack("<f", value))
    return block(1, block(1, tag.encode()) + block(8, content))


def image(tag):
    return block(1, block(1, tag.encode()) + block(8, varint(1 << 3) + varint(7) + block(8, b"png")))


def test_scalars_of_both_generations_and_nothing_else(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(record(300, simple("loss", 1.5), image("picture"), tensor("epoch_lr", 0.25)))
    assert list(read_scalars(path)) == [(300, "loss", 1.5), (300, "epoch_lr", 0.25)]


def test_a_file_that_is_cut_off_gives_what_it_has(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(record(1, simple("loss", 1.5)) + record(2, simple("loss", 1.25))[:-9])
    assert list(read_scalars(path)) == [(1, "loss", 1.5)]


def test_logs_of_matterport_s_callback(tmp_path):
    """Matterport's TensorBoard callback wrote all values of an epoch at its number, in one file."""
    losses = [simple(f"val_{name}", 0.5) for name in LOSSES] + [simple(name, 0.25) for name in LOSSES]
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(b"".join(record(epoch, simple("loss", 1.25), *losses) for epoch in range(3)))
    history = History.read(tmp_path)
    assert history.epochs == (1, 2, 3)
    assert history.last("val_mrcnn_mask_loss") == 0.5 and history.last("mrcnn_mask_loss") == 0.25


def test_folders_of_training_and_validation(tmp_path):
    for folder, value in (("train", 1.0), ("validation", 2.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "events.out.tfevents.1.v2").write_bytes(
            b"".join(record(epoch, tensor("epoch_loss", value + epoch)) for epoch in range(2))
        )
    history = History.read(tmp_path)
    assert history.values("loss").tolist() == [1.0, 2.0] and history.values("val_loss").tolist() == [2.0, 3.0]
