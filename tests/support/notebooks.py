"""Runs the code of a notebook as a program: no kernel is needed, and a failing cell shows where it failed."""

import contextlib
import json
import sys
import traceback
from pathlib import Path

import matplotlib.pyplot as plt


def code_cells(path):
    """`[(number, source, tags)]` of the code cells of a notebook."""
    cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    numbered = enumerate(cells)
    return [
        (number, "".join(cell["source"]), cell["metadata"].get("tags", []))
        for number, cell in numbered
        if cell["cell_type"] == "code"
    ]


def run_notebook(path, parameters, pictures):
    """Run all code cells in the current folder and return what they have defined.

    parameters: values put in the place of those of the cell tagged "parameters". pictures: folder for what is shown,
    as `<cell>_<number>.png`. Modules beside the notebook can be imported, as in Jupyter.
    """
    path, namespace = Path(path), {"__name__": "__main__"}
    pictures.mkdir(parents=True, exist_ok=True)
    known = set(sys.modules)
    sys.path.insert(0, str(path.parent))
    try:
        for number, source, tags in code_cells(path):
            with _shown_into(pictures, number):
                _run_cell(source, f"{path.name}, cell {number}", namespace)
            if "parameters" in tags:
                missing = set(parameters) - set(namespace)
                assert not missing, f"{path.name} has no parameter {missing}"
                namespace.update(parameters)
    finally:
        sys.path.remove(str(path.parent))
        for name in set(sys.modules) - known:  # `balloon` must not be found by another test
            if str(path.parent) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
    return namespace


def _run_cell(source, place, namespace):
    try:
        exec(compile(source, place, "exec"), namespace)
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == place]
        line = source.splitlines()[lines[-1] - 1] if lines else ""
        raise AssertionError(f"{place}: {line.strip()}\n{type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _shown_into(folder, cell):
    """What a cell draws is written into the folder, as a notebook shows it below the cell."""
    plt.close("all")
    shown, written = plt.show, []

    def write(*args, **kwargs):
        for figure in map(plt.figure, plt.get_fignums()):
            written.append(folder / f"{cell:02}_{len(written)}.png")
            figure.savefig(written[-1], dpi=60, bbox_inches="tight")
        plt.close("all")

    plt.show = write
    try:
        yield
        write()
    finally:
        plt.show = shown
        plt.close("all")
