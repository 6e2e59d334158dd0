"""Curves and tables: what stands in them, on given axes and without, in a notebook and on a console."""

import sys
import types

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mrcnn_plus.drawing.charts import display_table, display_weight_stats, plot_overlaps, plot_precision_recall
from mrcnn_plus.errors import DatasetError

from .conftest import NAMES

OVERLAPS = np.array([[0.8, 0.0, 0.1], [0.6, 0.2, 0.0]])


def test_precision_is_plotted_over_recall(ax):
    plot_precision_recall(0.4567, [1, 0.5, 0], [0, 0.5, 1], ax=ax)
    assert ax.lines[0].get_xydata().tolist() == [[0, 1], [0.5, 0.5], [1, 0]]
    assert ax.get_title() == "Precision-Recall Curve. AP@50 = 0.457"
    assert plt.get_fignums() == []


def test_overlaps_say_match_or_wrong_above_the_threshold(ax):
    plot_overlaps(np.array([1, 2, 1]), np.array([1, 2]), np.array([0.9, 0.7]), OVERLAPS, NAMES, ax=ax)
    assert [text.get_text() for text in ax.texts] == [
        "0.800\nmatch", "0.000\n", "0.100\n", "0.600\nwrong", "0.200\n", "0.000\n",
    ]  # fmt: skip
    assert [text.get_position() for text in ax.texts] == [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1)]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["date (0.90)", "fig (0.70)"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["date", "fig", "date"]
    assert plt.get_fignums() == []


def test_padding_among_the_class_ids_is_left_out(ax):
    plot_overlaps(np.array([1, 2, 1, 0, 0]), np.array([1, 2, 0]), np.array([0.9, 0.7, 0]), OVERLAPS, NAMES, ax=ax)
    assert len(ax.get_xticklabels()) == 3 and len(ax.get_yticklabels()) == 2


@pytest.mark.parametrize("predictions, objects", [(0, 2), (2, 0), (0, 0)])
def test_overlaps_of_nothing_are_plotted_without_a_warning(ax, recwarn, predictions, objects):
    ids = np.array([1, 2])
    plot_overlaps(
        ids[:objects], ids[:predictions], np.ones(predictions), np.zeros((predictions, objects)), NAMES, ax=ax
    )
    assert len(ax.texts) == 0 and len(ax.get_xticklabels()) == objects
    assert len(recwarn) == 0


def test_overlaps_of_a_class_without_name_are_an_error(ax):
    with pytest.raises(DatasetError, match=r"plot_overlaps.*class_ids=\[5\]"):
        plot_overlaps(np.array([5]), np.array([1]), np.array([0.9]), np.zeros((1, 1)), NAMES, ax=ax)


def test_without_axes_figures_are_made_and_drawn_without_warning(shown, recwarn):
    plot_precision_recall(0.5, [1, 0], [0, 1])
    plot_overlaps(np.array([1, 2, 1]), np.array([1, 2]), np.array([0.9, 0.7]), OVERLAPS, NAMES)
    assert plt.get_fignums() == [1, 2] and shown == []
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    assert [str(warning.message) for warning in recwarn] == []


def test_a_table_on_the_console_has_columns_and_no_tags(capsys):
    display_table([["NAME", "SIZE"], ["conv1<b>!</b>", 12], ["a"]])
    assert capsys.readouterr().out == "NAME    SIZE\nconv1!  12\na\n"


def test_a_table_in_a_notebook_is_html(monkeypatch, capsys):
    displayed = []
    display_module = types.SimpleNamespace(HTML=lambda html: html, display=displayed.append)
    ipython = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace(kernel="a kernel"))
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display_module)
    display_table([["a", 1], ["<i>b</i>", 2]])
    (html,) = displayed
    assert html.startswith("<table><tr><td>a ") and html.count("<tr>") == 2 and "<i>b</i>" in html
    assert capsys.readouterr().out == ""


def test_a_terminal_ipython_gets_the_text(monkeypatch, capsys):
    ipython = types.SimpleNamespace(get_ipython=lambda: types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    display_table([["a"]])
    assert capsys.readouterr().out == "a\n"


class Conv2D:
    """Stands for a layer: `weights` with names, `get_weights` with values."""

    def __init__(self, **arrays):
        self.weights = [types.SimpleNamespace(name=name, path=f"layer/{name}") for name in arrays]
        self.values = list(arrays.values())

    def get_weights(self):
        return self.values


class Dense(Conv2D):
    pass


def test_weight_statistics_name_dead_and_overflowing_weights(capsys):
    layers = [
        Conv2D(kernel=np.array([[-1.0, 3.0]]), bias=np.zeros(4)),
        Dense(kernel=np.array([0.0, -2000.0]), bias=np.full(3, 0.25)),
    ]
    display_weight_stats(types.SimpleNamespace(get_trainable_layers=lambda: layers))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["WEIGHT", "NAME", "SHAPE", "MIN", "MAX", "STD"]
    assert lines[1].split() == ["layer/kernel", "(1,", "2)", "-1.0000", "+3.0000", "+2.0000"]
    # Biases of convolutions start at zero: no alarm. Those of other layers with one value for all are suspect.
    assert "dead" not in lines[2]
    assert "Overflow?" in lines[3] and "dead" not in lines[3]
    assert "dead?" in lines[4] and "span" not in lines[4]
