"""What an epoch looks like on the console: the table of losses and the lines below it."""

import io

import pytest
from rich.console import Console

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.training.epoch_table import duration, epoch_lines, epoch_table, number, one_line, short_name

LOGS = {
    "loss": 1.0,
    "val_loss": 1.5,
    "l2_loss": 0.0004,
    **{name: 0.1 * row for row, name in enumerate(LOSS_NAMES)},
    **{f"val_{name}": 0.2 * row for row, name in enumerate(LOSS_NAMES)},
    **{f"weight_{name}": 1.0 for name in LOSS_NAMES},
    **{f"share_{name}": 0.1 * row for row, name in enumerate(LOSS_NAMES)},
    "weight_mrcnn_mask_loss": 2.0,
}


def rendered(table, color=None):
    output = io.StringIO()
    Console(file=output, width=100, color_system=color, force_terminal=color is not None).print(table)
    return output.getvalue().splitlines()


def cells(lines, name):
    return next(line.split() for line in lines if line.startswith(name))


def test_every_loss_has_train_validation_change_weight_and_share():
    before = {"mrcnn_mask_loss": 0.5, "val_mrcnn_mask_loss": 0.4}
    lines = rendered(epoch_table(LOGS, before))
    assert lines[0].split() == ["loss", "train", "change", "val", "change", "weight", "share"]
    assert cells(lines, "mrcnn_mask_loss")[1:] == ["0.4000", "-20.0%", "0.8000", "+100.0%", "2", "40%"]
    assert cells(lines, "l2_loss")[1:] == ["4.00e-04"]
    assert cells(lines, "total")[1:] == ["1.0000", "1.5000"]
    assert len(lines) == 2 + len(LOSS_NAMES) + 2


def test_without_validation_the_table_has_no_columns_for_it():
    lines = rendered(epoch_table({name: value for name, value in LOGS.items() if not name.startswith("val_")}))
    assert lines[0].split() == ["loss", "train", "change", "weight", "share"]


def test_a_falling_loss_is_green_a_rising_one_red_and_the_same_one_neither():
    before = {"mrcnn_mask_loss": 0.5, "mrcnn_bbox_loss": 0.2, "mrcnn_class_loss": LOGS["mrcnn_class_loss"]}
    lines = {line.split()[0]: line for line in rendered(epoch_table(LOGS, before), "standard")}
    assert "\x1b[32m" in lines["mrcnn_mask_loss"] and "\x1b[31m" in lines["mrcnn_bbox_loss"]
    assert "\x1b[3" not in lines["mrcnn_class_loss"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, 1e-12, -3.0, 1e9])
def test_any_value_can_be_shown(value):
    logs = {**LOGS, "mrcnn_mask_loss": value}
    assert rendered(epoch_table(logs, logs)) and rendered(epoch_table(LOGS, logs)) and one_line(logs)
    assert number(value)


def test_the_lines_below_tell_precision_rates_norms_targets_and_speed():
    logs = {
        "val_box_AP": 0.5,
        "val_box_AP50": 0.75,
        "val_mask_AP": 0.4,
        "learning_rate": 0.01,
        "learning_rate_backbone": 0.001,
        "gradient_norm": 3.0,
        "gradient_norm_max": 12.0,
        "gradient_norm_rpn": 1.5,
        "positive_rois": 33.3,
        "mask_iou": 0.71,
        "seconds": 75.0,
        "images_per_second": 5.25,
        "data_wait": 0.031,
        "moved_rpn": 0.1,
    }
    assert epoch_lines(logs, {"val_box_AP": 0.45}) == [
        "box AP 0.500 (+0.050) [AP50 0.750]; mask AP 0.400",
        "learning rate 0.01 (backbone 0.001)",
        "gradient norm 3, largest 12 (rpn 1.5)",
        "33.3 positive ROIs per image; on these mask IoU 0.71",
        "75 s, 5.25 images/s, 3% of the time waiting for images",
    ]


def test_metrics_of_the_users_model_are_told_and_other_values_left_to_the_file():
    logs = {"loss": 1.0, "dice": 0.5, "val_dice": 0.25, "moved_rpn": 0.1}
    assert epoch_lines(logs, metrics=("loss", "dice", "gone")) == ["dice 0.5000, val_dice 0.2500"]


def test_an_epoch_in_one_line():
    logs = {"loss": 1.0, "val_loss": 1.25, "mrcnn_mask_loss": 0.5, "val_mask_AP": 0.123, "seconds": 3.2}
    assert one_line(logs) == "loss 1.0000 (1.2500), mask 0.5000, mask AP 0.123, 3 s"


def test_short_names_and_times():
    assert [short_name(name) for name in LOSS_NAMES] == ["rpn_class", "rpn_bbox", "class", "bbox", "mask"]
    assert [duration(s) for s in (0.4, 99, 125, 7500)] == ["0 s", "99 s", "2 min 05 s", "2 h 05 min"]
