"""Training on the console: a line that follows the steps, and a table after each epoch."""

import contextlib
import logging
import os
import shutil
import sys
import time

import keras

from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.drawing.charts import in_notebook
from mrcnn_plus.training.callbacks.logs import LOSSES_FILE, read_losses
from mrcnn_plus.training.epoch_table import duration, epoch_lines, epoch_table, one_line, short_name

#: Values of the setting VERBOSE.
SILENT, TABLE, ONE_LINE = 0, 1, 2
# Seconds between two states of the line: where it is overwritten, and where each one is a new line in a file.
_SECONDS, _SECONDS_IN_FILES = 0.1, 60.0
_WIDTH_OF_FILES = 100
_NARROWEST_TABLE = 72


class Console(keras.callbacks.Callback):
    """Tells how training goes. In a terminal or notebook a line is overwritten from step to step; anywhere else, as in
    a pipe or a log of CI, no control characters are written, and a long epoch gets a line every minute.

    Comes last of all callbacks that add to the logs. Used as a context manager around `fit`, it ends its line when
    training is interrupted, and keeps warnings from being written into it.

    verbose: 0 nothing, 1 line and table, 2 one line per epoch. epochs: number of the last one. steps, validation_steps:
    of an epoch. batch_size: images in a step. log_dir: folder of the run, for the epoch before the first.
    """

    def __init__(self, verbose, *, epochs, steps, batch_size, validation_steps=0, log_dir=None):
        super().__init__()
        self.verbose = verbose if keras.config.is_interactive_logging_enabled() else SILENT
        self.epochs, self.steps, self.validation_steps = epochs, steps, validation_steps
        self.batch_size = batch_size
        self.before = _last_epoch(log_dir)
        self.metrics = ()
        self.line = _Line()

    def __enter__(self):
        self._handler = _LineEnder(self.line)
        logging.getLogger("mrcnn_plus").addHandler(self._handler)
        return self

    def __exit__(self, *_):
        logging.getLogger("mrcnn_plus").removeHandler(self._handler)
        self.line.end()

    def on_epoch_begin(self, epoch, logs=None):
        self.title = f"Epoch {epoch + 1}/{self.epochs}"
        self.begin = time.perf_counter()
        self.line.wait()

    def on_train_batch_end(self, batch, logs=None):
        self.metrics = tuple(logs or ())
        if self.verbose == TABLE and self.line.is_due():
            self.line.write(self._progress(batch + 1, logs or {}))

    def on_test_batch_end(self, batch, logs=None):
        if self.verbose == TABLE and self.line.is_due():
            of = f"/{self.validation_steps}" if self.validation_steps else ""
            self.line.write([self.title, f"validation, step {batch + 1}{of}"])

    def on_epoch_end(self, epoch, logs=None):
        logs = dict(logs or {})
        self.line.clear()
        if self.verbose == ONE_LINE:
            print(f"{self.title}: {one_line(logs)}", flush=True)
        elif self.verbose == TABLE:
            _print_table(self.title, logs, self.before, self.metrics)
        self.before = logs

    def _progress(self, step, logs):
        """The parts of the line; those at the end go first where there is no room."""
        seconds = time.perf_counter() - self.begin
        told = [self.title, f"step {step}/{self.steps}"]
        if "loss" in logs:
            told.append(f"loss {logs['loss']:.4g}")
        told.append(f"{duration(seconds / step * max(self.steps - step, 0))} left")
        told.append(f"{self.batch_size * step / max(seconds, 1e-9):.3g} images/s")
        return told + [f"{short_name(name)} {logs[name]:.3g}" for name in LOSS_NAMES if name in logs]


class _Line:
    """A line of output that is overwritten, or written anew now and then where that is not possible."""

    def __init__(self):
        self.overwrites = in_notebook() or (sys.stdout.isatty() and os.environ.get("TERM") != "dumb")
        self.length = 0  # of the text that stands there now
        self.wait()

    def wait(self):
        self.due = time.perf_counter() + (0 if self.overwrites else _SECONDS_IN_FILES)

    def is_due(self):
        return time.perf_counter() >= self.due

    def write(self, parts):
        width = shutil.get_terminal_size((_WIDTH_OF_FILES, 24)).columns - 1
        text = parts[0]
        for part in parts[1:]:
            if len(text) + 2 + len(part) > width:
                break
            text += "  " + part
        if not self.overwrites:
            print(text, flush=True)
            self.due = time.perf_counter() + _SECONDS_IN_FILES
            return
        sys.stdout.write("\r" + text + " " * (self.length - len(text)))
        sys.stdout.flush()
        self.length = len(text)
        self.due = time.perf_counter() + _SECONDS

    def clear(self):
        """Leave an empty line."""
        if self.length:
            sys.stdout.write("\r" + " " * self.length + "\r")
            sys.stdout.flush()
            self.length = 0

    def end(self):
        """Leave what stands there, and go on below."""
        if self.length:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self.length = 0


class _LineEnder(logging.Handler):
    """Ends the line before a message of the package is written by whichever handler the program has."""

    def __init__(self, line):
        super().__init__()
        self.line = line

    def emit(self, record):
        self.line.end()
        # Where nobody has set up logging, Python prints warnings itself; it no longer does so beside this handler.
        if not logging.getLogger().handlers and record.levelno >= logging.WARNING:
            logging.lastResort.handle(record)


def _print_table(title, logs, before, metrics):
    from rich.console import Console as RichConsole

    width = None if sys.stdout.isatty() else _WIDTH_OF_FILES
    console = RichConsole(file=sys.stdout, width=width, highlight=False, markup=False, emoji=False)
    console.print(title, style="bold")
    if console.width < _NARROWEST_TABLE:
        console.print(one_line(logs), soft_wrap=True)
    else:
        console.print(epoch_table(logs, before))
    for line in epoch_lines(logs, before, metrics=metrics):
        console.print(line, soft_wrap=True)
    console.print()


def _last_epoch(log_dir):
    """The logs of the newest epoch in a folder, as numbers; {} without."""
    if log_dir is None:
        return {}
    try:
        _, rows = read_losses(os.path.join(log_dir, LOSSES_FILE))
    except (OSError, ValueError):
        return {}
    logs = {}
    for name, text in (rows[-1] if rows else {}).items():
        with contextlib.suppress(TypeError, ValueError):
            logs[name] = float(text)
    return logs
