"""Run a program or a notebook as Python or Jupyter would, in this process: names, paths, arguments, exit status."""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib.machinery
import linecache
import os
import sys
import threading
import traceback
import types
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrcnn_plus.compat.notebooks import Cell, read_cells
from mrcnn_plus.errors import ConfigError

# The environment variable that tells processes which the program starts where it is; see `child.py`.
PROGRAM_VARIABLE = "MRCNN_PLUS_PROGRAM"


@dataclass(frozen=True)
class Program:
    """path: as the user wrote it. parts: `(name for tracebacks, text, or bytes as they stand in the file)`.

    cells: those of a notebook, else empty.
    """

    path: str
    parts: list[tuple[str, str | bytes]]
    cells: list[Cell] = field(default_factory=list)

    @property
    def folder(self) -> str:
        return os.path.dirname(os.path.realpath(self.path))

    @property
    def dropped(self) -> list[tuple[str, int, str]]:
        """Lines of a notebook that are not run: `(cell, line, text)`."""
        return [(name, line, text) for (name, _), cell in zip(self.parts, self.cells) for line, text in cell.dropped]


def read_program(path: str) -> Program:
    """Read a `.py` or `.ipynb` file and check that it is Python 3. Raises ConfigError with the place if it is not."""
    file = Path(path)
    if file.is_dir():
        raise ConfigError(f"{path}: expected a program, received a folder. Name the .py or .ipynb file in it.")
    if not file.is_file():
        raise ConfigError(f"{path}: there is no such file (working folder: {os.getcwd()}).")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from error
    if file.suffix == ".ipynb":
        cells = read_cells(content, path)
        program = Program(path, [(f"{path}, cell {cell.number}", cell.text) for cell in cells], cells)
    else:
        program = Program(path, [(os.path.abspath(path), content)])
    for name, text in program.parts:
        _check_syntax(name if program.cells else path, text)
    return program


def _check_syntax(name, text):
    try:
        ast.parse(text)
    except SyntaxError as error:
        shown = f"\n    {error.text.strip()}" if error.text else ""
        raise ConfigError(f"{name}:{error.lineno}: {error.msg}.{_about_python_2(error)}{shown}") from error
    except ValueError as error:  # null bytes
        raise ConfigError(f"{name}: expected a Python program: {error}.") from error


def _about_python_2(error):
    message, line = str(error.msg), (error.text or "").strip()
    old = (
        message.startswith("Missing parentheses in call")
        or "multiple exception types" in message
        or "leading zeros in decimal integer" in message
        or (message == "invalid syntax" and line.startswith(("exec ", "raise ", "print ")))
    )
    return " That is Python 2: convert it first, e.g. with 2to3, which comes with Python up to 3.12." if old else ""


def run_program(program: Program, arguments: Sequence[str]) -> int:
    """Run it as `__main__` and return its exit status. An error is printed as Python prints it, and gives 1."""
    with _as_main(program, arguments) as namespace:
        try:
            _execute(program, namespace)
            return 0
        except SystemExit as stop:
            return _exit_status(stop.code)
        except BaseException as error:
            _show(error)
            return 130 if isinstance(error, KeyboardInterrupt) else 1


@contextlib.contextmanager
def _as_main(program, arguments):
    """The namespace of a new `__main__`, with `sys.argv`, `sys.path` and the working folder as it finds them."""
    module = types.ModuleType("__main__")
    module.__file__ = os.path.abspath(program.path)
    module.__builtins__ = builtins
    if not program.cells:
        # For multiprocessing, which loads the main module by this name; Flask looks for the place of the program.
        module.__spec__ = importlib.machinery.ModuleSpec("mrcnn_plus.compat.child", None, origin=module.__file__)
        os.environ[PROGRAM_VARIABLE] = os.path.abspath(program.path)
    argv, path, folder, displayhook = sys.argv, list(sys.path), os.getcwd(), sys.displayhook
    sys.modules["__main__"] = module
    sys.argv = [program.path, *arguments]
    sys.path[0:1] = [program.folder]  # in place of the folder of the command, or of the working folder
    if program.cells:
        del module.__file__  # a notebook has none
        vars(module).update(display=_display, get_ipython=_IPython)
        sys.displayhook = _show_value
        os.environ.setdefault("MPLBACKEND", "Agg")  # figures stand in the notebook; a window would stop it
        os.chdir(program.folder)
    try:
        yield vars(module)
    finally:
        # The module stays where it is: threads and functions for the end of the process still belong to it.
        if not threads_go_on():
            sys.argv, sys.path[:], sys.displayhook = argv, path, displayhook
            if program.cells:
                os.chdir(folder)


def _execute(program, namespace):
    for name, text in program.parts:
        if not program.cells:
            exec(compile(text, name, "exec", dont_inherit=True), namespace)
            continue
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
        tree = ast.parse(text)
        shown = tree.body[-1:] if tree.body and isinstance(tree.body[-1], ast.Expr) else []
        shown = [] if text.rstrip().endswith(";") else shown
        exec(compile(ast.Module(tree.body[: len(tree.body) - len(shown)], []), name, "exec", 0, True), namespace)
        if shown:  # as Jupyter shows the value of the last line of a cell
            exec(compile(ast.Interactive(shown), name, "single", 0, True), namespace)


def threads_go_on() -> bool:
    """Whether threads of the program still work after its last line; Python waits for them before it ends."""
    others = (thread for thread in threading.enumerate() if thread is not threading.current_thread())
    return any(thread.is_alive() and not thread.daemon for thread in others)


def _show_value(value):
    """The value of the last line of a cell, but not a report that was printed already."""
    if type(value).__name__ != "LoadReport":
        sys.__displayhook__(value)


class _IPython:
    """What `get_ipython()` returns: it takes any magic and does nothing."""

    def __getattr__(self, name):
        return lambda *args, **kwargs: None


def _display(*values, **options):
    for value in values:
        print(value)


def _exit_status(code) -> int:
    """What Python makes of the argument of `sys.exit`."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)
    return 1


def _show(error):
    """Print an error without the frames of this package that lead to the program."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    sys.stdout.flush()
    if sys.excepthook is sys.__excepthook__:  # which does not know the lines of a notebook
        traceback.print_exception(type(error), error, trace)
    else:
        sys.excepthook(type(error), error.with_traceback(trace), trace)
