"""`mrcnn-plus run program.py`: run a program that was written for Matterport's package, as it is."""

from __future__ import annotations

import argparse

_DESCRIPTION = """\
Run a program or a notebook that was written for Matterport's mrcnn, without an edit.

`import mrcnn` means this package, also beside a copy of the old one. Names that NumPy, TensorFlow, Keras, scikit-image
and SciPy no longer have are supplied to the program's own files. What it used of that is listed at the end, with the
line to write today; `mrcnn-plus migrate` shows the changes as a diff.
"""
_EPILOG = """\
examples:
  mrcnn-plus run balloon.py train --dataset=balloon --weights=coco
  mrcnn-plus run train_shapes.ipynb

Everything after the program belongs to the program. The exit status is the program's own; 2 if it could not be read.

What the linter finds before training is logged and does not stop an old program, because it ran with it before;
MRCNN_PLUS_LINT=error in the environment stops it, MRCNN_PLUS_LINT=off leaves the linter out.
"""


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "run",
        usage="mrcnn-plus run [--quiet] PROGRAM [the program's own arguments]",
        help="run a program written for Matterport's mrcnn, as it is",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quiet", action="store_true", help="do not list what was supplied")
    parser.add_argument("program", metavar="PROGRAM", help=".py or .ipynb file")
    return parser


def run(arguments) -> int:
    import atexit
    import contextlib
    import os
    import sys

    from mrcnn_plus import as_mrcnn
    from mrcnn_plus.compat import libraries, program
    from mrcnn_plus.compat.copies import PassedOver

    to_run = program.read_program(arguments.program)
    copies = PassedOver()
    shims = contextlib.ExitStack()
    if "MRCNN_PLUS_LINT" not in os.environ:  # in the environment, so that processes of the program have it too
        os.environ["MRCNN_PLUS_LINT"] = "warn"
        shims.callback(os.environ.pop, "MRCNN_PLUS_LINT", None)
    shims.callback(as_mrcnn.uninstall, as_mrcnn.install(flat=True, found_copy=copies))
    log = shims.enter_context(libraries.installed())

    def end():
        shims.close()
        sys.stdout.flush()
        if not arguments.quiet:
            _report(to_run, log.uses(), copies.notes())

    status = program.run_program(to_run, arguments.program_arguments)
    if program.threads_go_on():  # they need the shims, and may still use new ones
        atexit.register(end)
        return status
    end()
    return status


def _report(program, uses, notes):
    """What was supplied to the program, on the standard error."""
    from mrcnn_plus.cli import options

    lines = []
    if uses:
        names = "1 old name was" if len(uses) == 1 else f"{len(uses)} old names were"
        lines.append(f"mrcnn-plus run: {names} supplied to {program.path}. To write today:")
        width = min(max(len(name) for name, _, _ in uses), 44)
        for name, today, places in uses:
            lines.append(f"  {name:<{width}}  {_where(places)}")
            lines.append(f"      {today}")
        lines.append(f"`mrcnn-plus migrate {_files(program, uses)}` shows these changes as a diff.")
    lines += [f"mrcnn-plus run: {note}" for note in notes]
    if program.dropped:
        lines.append("mrcnn-plus run: these lines of the notebook are not Python and were left out:")
        lines += [f"  {cell}, line {line}: {text}" for cell, line, text in program.dropped]
    for line in lines:
        options.note(line)


def _files(program, uses):
    """The files in which the names stand."""
    import os

    found = {name.partition(", cell ")[0]: None for _, _, places in uses for name, _ in places}
    names = [name if name == program.path else os.path.relpath(name) for name in found]
    return " ".join(names[:4]) or program.path


def _where(places, most=3):
    """`train.py:12, train.py:40 and 2 more lines`."""
    import os

    names = [f"{name if ', cell ' in name else os.path.relpath(name)}:{line}" for name, line in places]
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
