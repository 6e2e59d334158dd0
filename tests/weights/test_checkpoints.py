import datetime
import errno

import pytest

from mrcnn_plus.weights.checkpoints import checkpoint_template, find_last, new_log_dir, parse_checkpoint_path

NOON = datetime.datetime(2017, 10, 29, 23, 15, 59)


def test_log_dir_is_the_lower_case_name_and_the_minute(tmp_path):
    assert new_log_dir(tmp_path, "Coco", now=NOON) == str(tmp_path / "coco20171029T2315")


def test_log_dir_of_now_has_todays_date(tmp_path):
    assert (
        parse_checkpoint_path(checkpoint_template(new_log_dir(tmp_path, "a"), "a").format(epoch=1)).started.year >= 2024
    )


def test_template_names_epochs_with_four_digits(tmp_path):
    template = checkpoint_template(tmp_path / "coco20171029T2315", "COCO")
    assert template.format(epoch=7) == str(tmp_path / "coco20171029T2315" / "mask_rcnn_coco_0007.h5")


def test_braces_in_the_folder_survive_formatting():
    assert checkpoint_template("/logs/{a}", "x").format(epoch=1) == "/logs/{a}/mask_rcnn_x_0001.h5"


@pytest.mark.parametrize(
    ("path", "log_dir", "epoch"),
    [
        ("/path/to/logs/coco20171029T2315/mask_rcnn_coco_0001.h5", "/path/to/logs/coco20171029T2315", 1),
        ("C:\\logs\\coco20171029T2315\\mask_rcnn_coco_0123.h5", "C:\\logs\\coco20171029T2315", 123),
        ("coco20171029T2315/mask_rcnn_coco_0001.h5", "coco20171029T2315", 1),
        ("logs/my run.v220171029T2315/mask_rcnn_my run.v2_0040.h5", "logs/my run.v220171029T2315", 40),
        ("logs/a20171029T2315/mask_rcnn_b_12345.h5", "logs/a20171029T2315", 12345),
        ("logs/a20171029T2315/mask_rcnn_a_2020_0003.h5", "logs/a20171029T2315", 3),
    ],
)
def test_checkpoint_path_tells_folder_epoch_and_start(path, log_dir, epoch):
    point = parse_checkpoint_path(path)
    assert (point.log_dir, point.epoch, point.started) == (log_dir, epoch, NOON.replace(second=0))


@pytest.mark.parametrize(
    "path",
    [
        "/data/mask_rcnn_coco.h5",
        "/data/mask_rcnn_coco_0001.h5",
        "/logs/coco20171029T2315/weights.h5",
        "/logs/coco20171029T2315/mask_rcnn_coco_0001.h5.part",
        "/logs/coco20171029T2315/mask_rcnn_coco_001.h5",
        "/logs/coco20171399T2315/mask_rcnn_coco_0001.h5",
        "/logs/coco20171029T2315/old/mask_rcnn_coco_0001.h5",
        "/logs/20171029T2315/mask_rcnn_coco_0001.h5",
    ],
)
def test_other_paths_are_no_checkpoints_of_a_run(path):
    assert parse_checkpoint_path(path) is None


def make_run(model_dir, run, *files):
    (model_dir / run).mkdir()
    for name in files:
        (model_dir / run / name).touch()


def test_last_checkpoint_is_the_highest_epoch_of_the_newest_run(tmp_path):
    make_run(tmp_path, "coco20180101T0000", "mask_rcnn_coco_0099.h5")
    make_run(tmp_path, "coco20180102T0000", "mask_rcnn_coco_9999.h5", "mask_rcnn_coco_10000.h5", "mask_rcnn_coco.h5",
             ".mask_rcnn_coco_99999.h5.1.tmp", "events.out", "mask_rcnn_notes.txt")  # fmt: skip
    assert find_last(tmp_path, "COCO") == str(tmp_path / "coco20180102T0000" / "mask_rcnn_coco_10000.h5")


def test_file_without_an_epoch_counts_if_there_is_no_other(tmp_path):
    make_run(tmp_path, "coco20180102T0000", "mask_rcnn_coco.h5")
    assert find_last(tmp_path, "coco").endswith("mask_rcnn_coco.h5")


def test_run_of_a_longer_name_is_not_taken(tmp_path):
    make_run(tmp_path, "coco20180101T0000", "mask_rcnn_coco_0001.h5")
    make_run(tmp_path, "coco_balloon20190101T0000", "mask_rcnn_coco_balloon_0001.h5")
    make_run(tmp_path, "coco220190101T0000", "mask_rcnn_coco2_0001.h5")
    assert "coco20180101T0000" in find_last(tmp_path, "coco")


def assert_not_found(model_dir, name, *words):
    with pytest.raises(FileNotFoundError) as error:
        find_last(model_dir, name)
    assert error.value.errno == errno.ENOENT
    for word in words:
        assert word in str(error.value)


def test_missing_model_dir_is_named(tmp_path):
    assert_not_found(tmp_path / "logs", "coco", str(tmp_path / "logs"), "does not exist")


def test_missing_run_names_the_runs_there_are(tmp_path):
    make_run(tmp_path, "balloon20180101T0000")
    assert_not_found(tmp_path, "Coco", "no run named 'coco'", "'balloon'")
    assert_not_found(tmp_path / "balloon20180101T0000", "coco", "no runs at all")


def test_newest_run_without_checkpoints_is_an_error_that_names_an_older_one(tmp_path):
    make_run(tmp_path, "coco20180101T0000", "mask_rcnn_coco_0001.h5")
    make_run(tmp_path, "coco20180102T0000")
    assert_not_found(tmp_path, "coco", "coco20180102T0000", "newest run with checkpoints is 'coco20180101T0000'")


def test_only_run_without_checkpoints_is_an_error(tmp_path):
    make_run(tmp_path, "coco20180102T0000", "events.out")
    assert_not_found(tmp_path, "coco", "coco20180102T0000", "no other run")
