"""`mrcnn-plus migrate program.py`: the changes that make a program for Matterport's package one for this package."""

from __future__ import annotations

import argparse

_DESCRIPTION = """\
Show, as a unified diff, what to change in a program or notebook written for Matterport's mrcnn so that it runs with
today's packages and without `mrcnn-plus run`. What cannot be decided from its text is listed with the line.
"""
_EPILOG = """\
examples:
  mrcnn-plus migrate balloon.py             show the changes
  mrcnn-plus migrate balloon.py --write     make them; the old file stays as balloon.py.bak
  mrcnn-plus migrate *.py > changes.diff

exit status: 0 nothing is left to decide, 1 something is, 2 could not run
"""


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "migrate",
        help="what to change in a program written for Matterport's mrcnn, as a diff",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("programs", nargs="+", metavar="PROGRAM", help=".py or .ipynb files")
    parser.add_argument("--write", action="store_true", help="change the files; the old ones are kept as *.bak")
    return parser


def run(arguments) -> int:
    import sys

    from mrcnn_plus.cli import options
    from mrcnn_plus.migration.rewrite import rewrite
    from mrcnn_plus.migration.source import read

    left = 0
    sources = [read(path) for path in arguments.programs]  # all are read before the first is written
    for source in sources:
        changed, undecided = rewrite(source)
        left += len(undecided)
        if changed == source.texts:
            options.note(f"{source.path}: nothing to change.")
        else:
            sys.stdout.write(source.diff(changed))
            if arguments.write:
                options.note(f"{source.path}: changed. The old file is {source.write(changed)}.")
        for line, text in undecided:
            options.note(f"{source.place(line)}: to decide: {text}")
    return 1 if left else 0
