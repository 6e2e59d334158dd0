"""`mrcnn-plus`: the command line.

Each command is a module with `add_parser(commands)`, which describes its arguments, and `run(arguments)`, which returns
the exit status. These modules import what they need inside `run`, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence

from mrcnn_plus import __version__

# The commands in the order of the help page; the module of `check-data` is `check_data`.
COMMANDS = ("lint", "check-data", "preview", "evaluate", "diagnose", "experiment", "report", "replay", "run", "migrate")

_EXAMPLES = """\
examples:
  mrcnn-plus lint train.py                    settings and data of a program
  mrcnn-plus check-data annotations.json      a data set by itself
  mrcnn-plus preview train.py                 images as they enter the network
  mrcnn-plus evaluate train.py                average precision of the newest checkpoint
  mrcnn-plus report logs/cells20260101T1200   a training run as one HTML page
  mrcnn-plus lint --explain CFG002            what a rule is for
  mrcnn-plus run balloon.py train --dataset=balloon
                                              a program made for Matterport's mrcnn, as it is
  mrcnn-plus migrate balloon.py               what to change in it, as a diff
"""

INTERRUPTED = 130
COULD_NOT_RUN = 2


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mrcnn-plus",
        description="Mask R-CNN: runs programs made for Matterport's mrcnn, and finds out why training fails.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mrcnn-plus {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name in COMMANDS:
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
        module.add_parser(commands).set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0 clean, 1 findings, 2 could not run, 130 interrupted."""
    from mrcnn_plus.errors import ConfigError, DatasetError, WeightsError

    parser = make_parser()
    argv = list(sys.argv[1:] if argv is None else argv)
    own, program_arguments = _split(argv)
    try:
        arguments = parser.parse_args(own)
    except SystemExit as stop:  # --help, --version, or a mistake that argparse has named
        return stop.code or 0
    if arguments.command is None:
        parser.print_help()
        return 0
    arguments.program_arguments = program_arguments
    for stream in (sys.stdout, sys.stderr):  # names of files and classes may hold anything
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except (ConfigError, DatasetError, WeightsError) as error:
        print(f"mrcnn-plus {arguments.command}: {error}", file=sys.stderr)
        return COULD_NOT_RUN
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of the output, e.g. `head`, has seen enough
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """The arguments of the command, and those of the user's program: after `--`, or all that follow it for `run`."""
    if argv[:1] == ["run"]:
        options = next((index for index, text in enumerate(argv[1:], start=1) if not text.startswith("-")), len(argv))
        return argv[: options + 1], argv[options + 1 :]
    cut = argv.index("--") if "--" in argv else len(argv)
    return argv[:cut], argv[cut + 1 :]
