"""Training on the console: in a terminal, in a pipe, silent, and with warnings in between."""

import io
import logging
import sys

import keras
import pytest

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.training.callbacks import console as module
from mrcnn_plus.training.callbacks.console import Console

LOGS = {"loss": 1.5, **dict.fromkeys(LOSS_NAMES, 0.3)}


class Output(io.StringIO):
    """Standard output, of a terminal or not."""

    encoding = "utf-8"

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.fixture
def shown(monkeypatch):
    """Runs two epochs of three steps on the given kind of output; returns what was written."""

    def run(verbose=1, *, terminal=False, columns=100, between=None):
        output = Output(terminal)
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(module, "_SECONDS", 0.0)
        callback = Console(verbose, epochs=2, steps=3, batch_size=2, validation_steps=1)
        with callback:
            for epoch in range(2):
                callback.on_epoch_begin(epoch)
                for step in range(3):
                    callback.on_train_batch_end(step, LOGS)
                    if between is not None and step == 1:
                        between()
                callback.on_test_batch_end(0, {})
                callback.on_epoch_end(epoch, {**LOGS, "val_loss": 1.0 + epoch})
        return output.getvalue()

    return run


def test_in_a_terminal_one_line_is_overwritten_and_gone_before_the_table(shown):
    text = shown(terminal=True)
    assert "\rEpoch 1/2  step 1/3  loss 1.5  " in text and "\rEpoch 2/2  validation, step 1/1" in text
    lines = text.split("\n")
    assert not any("step" in line.split("\r")[-1] for line in lines), "no state of the line is left"
    assert sum(line.startswith("mrcnn_mask_loss") for line in lines) == 2
    assert "+100.0%" in text


def test_the_line_is_never_wider_than_the_terminal(shown):
    for columns in (30, 60, 140):
        states = [state for line in shown(terminal=True, columns=columns).split("\n") for state in line.split("\r")]
        states = [state.rstrip() for state in states if "step" in state]
        assert states and max(map(len, states)) < columns
        assert any("mask 0.3" in state for state in states) == (columns == 140)


def test_a_narrow_terminal_gets_a_line_in_place_of_the_table(shown):
    text = shown(terminal=True, columns=60)
    assert "mrcnn_mask_loss" not in text and "mask 0.3000" in text


def test_in_a_pipe_there_are_no_control_characters_and_no_line_for_short_epochs(shown):
    text = shown()
    assert not {"\r", "\x1b", "\b"} & set(text)
    assert "step 1/3" not in text and text.count("mrcnn_mask_loss") == 2


def test_in_a_pipe_a_long_epoch_gets_lines_now_and_then(shown, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_IN_FILES", 0.0)
    text = shown()
    assert "Epoch 1/2  step 2/3  loss 1.5" in text and "\r" not in text


def test_one_line_for_each_epoch(shown):
    lines = shown(verbose=2, terminal=True).splitlines()
    assert [line[:32] for line in lines] == ["Epoch 1/2: loss 1.5000 (1.0000),", "Epoch 2/2: loss 1.5000 (2.0000),"]


def test_nothing_is_printed_where_that_is_wanted(shown):
    assert shown(verbose=0, terminal=True) == ""
    keras.config.disable_interactive_logging()
    try:
        assert shown(terminal=True) == ""
    finally:
        keras.config.enable_interactive_logging()


def test_a_warning_does_not_stand_in_the_line_and_is_printed_once(shown, capsys, monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(written))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    text = shown(terminal=True, between=lambda: logging.getLogger("mrcnn_plus.x").warning("the loss jumped"))
    assert written.getvalue() == "the loss jumped\n" * 2
    assert "step 2/3" in next(line for line in text.split("\n") if line.startswith("\r")), "the line was ended"
    assert not logging.getLogger("mrcnn_plus").handlers


def test_a_program_with_logging_of_its_own_writes_a_warning_once(shown, monkeypatch):
    fallback, own = io.StringIO(), io.StringIO()
    monkeypatch.setattr(logging, "lastResort", logging.StreamHandler(fallback))
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(own)])
    shown(between=lambda: logging.getLogger("mrcnn_plus.x").warning("the loss jumped"))
    assert own.getvalue() == "the loss jumped\n" * 2 and fallback.getvalue() == ""


def test_an_interrupted_epoch_ends_its_line(monkeypatch):
    output = Output(True)
    monkeypatch.setattr(sys, "stdout", output)
    callback = Console(1, epochs=2, steps=3, batch_size=2)
    with pytest.raises(KeyboardInterrupt), callback:
        callback.on_epoch_begin(0)
        callback.on_train_batch_end(0, LOGS)
        raise KeyboardInterrupt
    assert output.getvalue().endswith("\n") and "step 1/3" in output.getvalue()


def test_a_resumed_run_is_compared_with_its_last_epoch(tmp_path, monkeypatch):
    (tmp_path / "losses.csv").write_text("epoch,stage,loss\n0,heads,4.0\n1,heads,3.0\n")
    output = Output(False)
    monkeypatch.setattr(sys, "stdout", output)
    callback = Console(1, epochs=3, steps=3, batch_size=2, log_dir=str(tmp_path))
    callback.on_epoch_begin(2)
    callback.on_epoch_end(2, LOGS)
    assert "-50.0%" in output.getvalue()
