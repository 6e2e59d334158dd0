"""The page about a training run: what it shows of full, partial and broken runs, and that it needs nothing else."""

import csv
import html.parser
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mrcnn_plus.cli import main
from mrcnn_plus.diagnosis.report import report_at_the_end, write_report
from mrcnn_plus.diagnosis.report.charts import Series, line_chart, smoothed
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.lint.findings import Finding

LOSSES = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")
EVALUATION = {
    "epoch": 4,
    "images": 2,
    "objects": 9,
    "score": 0.5,
    "iou": 0.5,
    "kind": "segm",
    "boxes": {"ap": 0.41, "ap50": 0.7, "ap75": None, "ar": [0.1, 0.2, 0.55]},
    "masks": None,
    "classes": [{"name": "<b>cup</b>", "objects": 7, "precision": 0.625, "recall": None, "box_ap": 0.41}],
    "confusion": {"names": ["background", "<b>cup</b>"], "counts": [[0, 3], [2, 5]]},
    "above": [{"score": 0.05, "detections": 31, "per_image": 15.5, "images_without": 0}],
    "best": [{"name": "good.jpg", "correct": 4, "picture": "epoch_0004/best.jpg"}],
    "worst": [
        {"name": "bad.jpg", "missed": 2, "wrong_class": 1, "picture": "epoch_0004/gone.jpg"},
        {"name": "secret.jpg", "missed": 2, "picture": "../../secret.jpg"},
    ],
}
RUN = {
    "name": "cups",
    "settings": {"NAME": "cups", "LEARNING_RATE": 0.02, "STEPS_PER_EPOCH": 1000},
    "changed": {"LEARNING_RATE": 0.02},
    "data": {"train": {"name": "Cups", "images": 1234, "instances": {"cup": 70, "<i>": 7}, "sizes": [[640, 480, 9]]}},
    "stages": [
        {"layers": "heads", "first_epoch": 1, "last_epoch": 2},
        {"layers": "all", "first_epoch": 3, "last_epoch": 4},
    ],
    "lint": [Finding("CFG007", "warning", "The rate is high.", fix="Lower it.").to_dict()],
    "versions": {"keras": "3.15"},
}


@pytest.fixture
def run_folder(tmp_path):
    """A folder of a run of four epochs with everything."""
    folder = tmp_path / "a" / "run"
    (folder / "evaluation" / "epoch_0004").mkdir(parents=True)
    rows = []
    for epoch in range(4):
        row = {"epoch": epoch, "stage": "heads" if epoch < 2 else "all", "loss": 5.0 - epoch, "val_loss": 4.0 + epoch}
        row |= dict.fromkeys(LOSSES, 1.0 - epoch / 5) | {f"share_{name}": 0.2 for name in LOSSES}
        rows.append(row | {"gradient_norm": 2.0, "learning_rate": 0.01, "seconds": 3600, "val_mask_AP": 0.1 * epoch})
    write_csv(folder / "losses.csv", rows)
    (folder / "run.json").write_text(json.dumps(RUN))
    verdict = Finding("RUN999", "warning", "It over-fits.", evidence=("4.0, 7.0",), causes=("too few images",), epoch=3)
    (folder / "verdicts.json").write_text(json.dumps({"epoch": 4, "findings": [verdict.to_dict()]}))
    (folder / "evaluation" / "epoch_0004.json").write_text(json.dumps(EVALUATION))
    (folder / "evaluation" / "epoch_0004" / "best.jpg").write_bytes(b"picture of cups")
    (tmp_path / "secret.jpg").write_bytes(b"a picture elsewhere")
    (tmp_path / "a" / "secret.jpg").write_bytes(b"a picture elsewhere")
    return folder


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


class Page(html.parser.HTMLParser):
    """Text, tags and attributes of a page; fails where a tag is not closed."""

    VOID = {"meta", "img", "br", "link"}
    EMPTY_IN_SVG = {"path", "circle"}

    def __init__(self, text):
        super().__init__()
        self.source, self.open, self.text, self.attributes, self.tags = text, [], [], [], []
        self.feed(text)
        assert self.open == []
        self.words = re.sub(r"\s+", " ", " ".join(self.text))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def page_of(path):
    return Page(Path(write_report(path)).read_text(encoding="utf-8"))


# ---- a whole run ----


def test_a_full_run_is_shown_with_everything(run_folder):
    page = page_of(run_folder)
    for words in (
        "cups: training report",
        "It over-fits.",  # the headline
        "4.0, 7.0",
        "too few images",
        "The validation loss went from 4.000 to 7.000; it was lowest after epoch 1",
        "Best mask AP 0.300 (epoch 4)",
        "4 h 00 min",
        "mrcnn_mask_loss (mask)",
        "LEARNING_RATE 0.02 0.001",  # value and default
        "1,234",
        "Evaluation after epoch 4",
        "0.410 0.700 -",
        "<b>cup</b>",
        "The rate is high.",
        "heads 1 to 2",
        "good.jpg",
    ):
        assert words in page.words, words
    assert "Not in this report" not in page.words
    assert page.tags.count("svg") >= 7


def test_the_page_needs_no_other_file_and_no_script(run_folder):
    page = page_of(run_folder)
    assert not {"script", "link", "iframe"} & set(page.tags)
    links = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset")]
    assert links and all(value.startswith(("data:image/", "#")) for value in links)
    assert "http" not in page.source and "@import" not in page.source and "url(" not in page.source
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids)) and {value[1:] for value in links if value.startswith("#")} <= set(ids)


def test_pictures_are_in_the_page_and_none_from_outside_of_the_run(run_folder):
    page = page_of(run_folder)
    sources = [value for name, value in page.attributes if name == "src"]
    assert sources == ["data:image/jpeg;base64,cGljdHVyZSBvZiBjdXBz"]
    assert "bad.jpg" not in page.words, "its picture is gone"


def test_a_long_path_is_shown_by_its_file_name(run_folder):
    file = run_folder / "evaluation" / "epoch_0004.json"
    path = f"/data/{'0' * 64}/images/{'a' * 30}_{'b' * 30}.png"
    file.write_text(json.dumps({**EVALUATION, "best": [{**EVALUATION["best"][0], "name": path}]}))
    page = page_of(run_folder)
    assert "/data/" not in page.words and "aaa…bbb" in page.words
    assert ("title", path) in page.attributes


def test_scores_of_an_evaluation_are_told_where_the_table_of_the_epochs_has_none(run_folder):
    rows = [{"epoch": epoch, "loss": 5.0 - epoch} for epoch in range(4)]
    write_csv(run_folder / "losses.csv", rows)
    assert "AP of boxes 0.410 after epoch 4." in page_of(run_folder).words


def test_names_of_classes_cannot_break_the_page(run_folder):
    page = page_of(run_folder)
    assert "&lt;b&gt;cup&lt;/b&gt;" in page.source and "<b>cup</b>" not in page.source and "<i></td>" not in page.source


def test_borders_of_stages_stand_in_every_chart(run_folder):
    page = page_of(run_folder)
    assert page.source.count('class="border"') == page.tags.count("svg")
    assert page.words.count("heads") >= page.tags.count("svg")


def test_old_verdicts_are_made_anew(run_folder):
    stored = json.loads((run_folder / "verdicts.json").read_text())
    (run_folder / "verdicts.json").write_text(json.dumps({**stored, "epoch": 3}))
    assert "It over-fits." not in page_of(run_folder).words


def test_a_run_that_was_stopped_says_so_first(run_folder):
    failure = {"kind": "NonFiniteError", "message": "the loss is nan"}
    (run_folder / "run.json").write_text(json.dumps({**RUN, "failure": failure}))
    page = page_of(run_folder)
    assert "Training was stopped by NonFiniteError: the loss is nan" in page.words
    assert 'class="headline error"' in page.source


# ---- parts of a run ----


def test_a_csv_file_alone_gives_curves_and_says_what_is_missing(tmp_path):
    write_csv(tmp_path / "losses.csv", [{"epoch": e, "loss": 3.0 - e, "val_loss": 3.0} for e in range(3)])
    page = page_of(tmp_path)
    assert page.tags.count("svg") == 1
    for words in ("run.json", "The five losses", "EVALUATE_EVERY", "Gradient norms"):
        assert words in page.words.split("Not in this report")[1]


def test_one_epoch_is_enough(tmp_path):
    write_csv(tmp_path / "losses.csv", [{"epoch": 0, "loss": 3.0, **dict.fromkeys(LOSSES, 0.5)}])
    page = page_of(tmp_path)
    assert "1 epoch" in page.words and "circle" in page.tags


def test_losses_that_are_not_finite_are_named(tmp_path):
    rows = [{"epoch": e, "loss": v, "mrcnn_mask_loss": v} for e, v in enumerate([1.0, math.inf, math.nan])]
    write_csv(tmp_path / "losses.csv", rows)
    page = page_of(tmp_path)
    assert "In epoch 2, loss was not finite." in page.words
    assert "NaN" not in page.source and "nan" not in re.sub(r"<title>.*?</title>", "", page.source).replace("nano", "")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"epoch": 4, "findings": 7}', '{"settings": null, "data": null}'])
@pytest.mark.parametrize("name", ["run.json", "verdicts.json", "evaluation/epoch_0004.json"])
def test_a_damaged_file_costs_its_part_alone(run_folder, name, content):
    (run_folder / name).write_text(content)
    path = report_at_the_end(run_folder)
    assert path is not None
    assert "Total loss" in Page(Path(path).read_text(encoding="utf-8")).words


def test_event_files_of_tensorboard_are_read(tmp_path):
    from mrcnn_plus.training.callbacks.tensorboard import TensorBoardFile

    board = TensorBoardFile(str(tmp_path))
    for epoch in range(3):
        board.on_epoch_end(epoch, {"loss": 2.0 - epoch / 2, "val_mrcnn_mask_loss": 0.5, "mrcnn_mask_loss": 0.25})
    board.on_train_end()
    page = page_of(tmp_path)
    assert "The loss went from 2.000 to 1.000" in page.words and "Mask loss" in page.words


# ---- command line, end of training ----


def test_the_command_writes_the_page_where_it_is_told(run_folder, capsys, tmp_path):
    assert main(["report", str(run_folder)]) == 0
    assert capsys.readouterr().out.strip() == str(run_folder / "report.html")
    assert main(["report", str(run_folder / "losses.csv"), "--output", str(tmp_path / "page.html")]) == 0
    assert "Total loss" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert main(["report", str(run_folder), "--output", str(tmp_path / "no" / "folder.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_folder_without_losses_is_an_error_for_the_command_and_none_for_training(tmp_path, caplog):
    with pytest.raises(ConfigError, match="losses.csv"):
        write_report(tmp_path)
    assert report_at_the_end(tmp_path) is None and not caplog.records


def test_a_report_that_fails_does_not_fail_training(run_folder, caplog):
    (run_folder / "report.html").mkdir()
    assert report_at_the_end(run_folder) is None
    assert "could not be written" in caplog.text


def test_a_report_needs_no_keras(run_folder):
    code = (
        "import sys; from mrcnn_plus.cli import main; assert main(['report', sys.argv[1]]) == 0; "
        "assert not {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(run_folder)], check=True)


# ---- charts ----


def series(values, **options):
    return Series("a", np.array(values, float), 1, **options)


def places(chart, kind="line"):
    """The points `(x, y)` of the first line of a chart."""
    path = re.search(rf'class="{kind} [^"]*" d="([^"]*)"', chart)[1]
    return [tuple(map(float, point.split())) for point in re.split("[ML]", path) if point]


def test_a_line_rises_with_its_values_and_runs_from_left_to_right():
    points = places(line_chart("t", [1, 2, 3], [series([1, 2, 4])]))
    (x1, y1), (x2, y2), (x3, y3) = points
    assert x1 < x2 < x3 and y1 > y2 > y3 and (y1 - y2) * 2 == pytest.approx(y2 - y3, abs=0.2)


def test_values_of_several_magnitudes_get_a_logarithmic_axis():
    (_, y1), (_, y2), (_, y3) = places(line_chart("t", [1, 2, 3], [series([1, 10, 100])]))
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2)
    (_, y1), (_, y2), (_, y3) = places(line_chart("t", [1, 2, 3], [series([1, 10, 100])], log=False))
    assert y1 - y2 < (y2 - y3) / 5


def test_a_gap_interrupts_a_line_unless_values_are_rare():
    values = [1, 2, math.nan, 4, 5]
    lines = [re.search(r'class="line [^"]*" d="([^"]*)"', line_chart("t", range(1, 6), [series(values, dots=dots)]))[1]
             for dots in (False, True)]  # fmt: skip
    assert [path.count("M") for path in lines] == [2, 1]


@pytest.mark.parametrize(
    "values", [[0, 0, 0], [5, 5, 5], [-1, 0, 1], [1e-9, 1e9, 1], [1e300, 1, 2], [math.nan, 3, math.inf], [-7, -7, -7]]
)
@pytest.mark.parametrize("log", [None, True, False])
def test_any_values_stay_inside_the_chart(values, log):
    chart = line_chart("t", [4, 5, 9], [series(values, smoothing=0.5)], log=log)
    assert all(0 <= x <= 480 and 0 <= y <= 270 for x, y in places(chart, "line"))


def tick_labels(chart):
    return re.findall(r'text-anchor="end">([^<]*)<', chart)


@pytest.mark.parametrize("values", [[0.001, 0.001], [0.001, 0.0010000000474974513]])
def test_a_constant_is_drawn_in_the_middle_of_an_axis_from_zero(values):
    chart = line_chart("t", [1, 2], [series(values)])
    assert tick_labels(chart) == ["0", "0.5e-3", "1e-3", "1.5e-3", "2e-3"]
    assert {y for _, y in places(chart)} == {(22 + 270 - 36) / 2}


@pytest.mark.parametrize("values", [[0.7, 0.7005, 0.701], [20_000, 50_000], [-0.3, 0.8], [3e-4, 1e-3], [1e-5, 1e-3]])
def test_the_labels_of_an_axis_differ_and_are_in_order(values):
    labels = tick_labels(line_chart("t", range(len(values)), [series(values)]))
    numbers = [float(label) for label in labels]
    assert len(numbers) >= 3 and numbers == sorted(set(numbers))
    assert len({"e" in label for label in labels if label != "0"}) == 1


def test_nothing_to_show_is_no_chart():
    assert line_chart("t", [1, 2], [series([math.nan, math.inf])]) == line_chart("t", [], []) == ""


def test_each_epoch_has_a_tooltip_and_long_runs_have_some():
    chart = line_chart("t", [1, 2], [series([0.25, 0.5])], percent=True)
    assert "<title>epoch 2&#10;a 50%</title>" in chart
    assert line_chart("t", range(1, 1001), [series(np.arange(1000))]).count("<title>") <= 150


def test_smoothing_follows_the_values_without_a_pull_to_zero():
    assert smoothed(np.full(5, 3.0), 0.9) == pytest.approx([3.0] * 5)
    rough = np.array([0.0, 1.0, math.nan, 0.0, 1.0])
    smooth = smoothed(rough, 0.6)
    assert np.isnan(smooth[2]) and smooth[1] == pytest.approx(1 / 1.6)
    assert np.ptp(smooth[[0, 1, 3, 4]]) < 1
