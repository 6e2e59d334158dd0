"""Runs users' programs by `mrcnn-plus run` and by Python itself, each in a process of its own."""

import os
import subprocess
import sys
import textwrap


def _environment():
    paths = [path for path in sys.path if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3", "MPLBACKEND": "Agg"}


def python(folder, *arguments, **options):
    """Python with these arguments in a folder: a `subprocess.CompletedProcess` with texts."""
    command = [sys.executable, *map(str, arguments)]
    options.setdefault("timeout", 240)
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=_environment(), **options)


def run(folder, program, *arguments, **options):
    """`mrcnn-plus run program arguments`. program: its file name, or its text, which becomes `program.py`."""
    if "\n" in program:
        (folder / "program.py").write_text(textwrap.dedent(program), encoding="utf-8")
        program = "program.py"
    return python(folder, "-m", "mrcnn_plus", "run", program, *arguments, **options)
