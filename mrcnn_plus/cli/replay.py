"""`mrcnn-plus replay`: repeats a training step that was stopped because a value was not finite."""

from __future__ import annotations

import argparse
import math
import os

_DESCRIPTION = """\
Repeat the step at which training stopped because a loss or a gradient was not finite, from the file that training
kept: forward and backward once, with the weights, images and random numbers of that moment. Nothing is changed.
"""
_EPILOG = """\
examples:
  mrcnn-plus replay logs/cells20260301T1200/failed_step_e0003_s0012.npz

exit status: 0 all values are finite this time, 1 some are not, 2 could not run
"""


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "replay",
        help="repeat a training step that went wrong",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="failed_step_*.npz in the folder of the run")
    return parser


def run(arguments: argparse.Namespace) -> int:
    from mrcnn_plus.errors import ConfigError

    if not os.path.isfile(arguments.file):
        raise ConfigError(
            f"replay: expected a file, received: {arguments.file!r}, which does not exist. A training that stops "
            "prints the path of its file."
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from mrcnn_plus.training.failed_step import describe_batch, replay

    found = replay(arguments.file)
    facts = found.facts
    print(f"Epoch {facts['epoch']}, step {facts['step']}, learning rate {facts['learning_rate']:.4g}")
    for line in (*facts["images"], *describe_batch(found.batch)):
        print(f"  {line}")
    _print_table("loss", facts["losses"], found.losses)
    _print_table("gradient norm", facts["gradient_norms"], found.gradient_norms)
    if found.first_layer is not None:
        print(f"\nThe first layer with values that are not finite is {found.first_layer!r}.")
    elif found.is_finite:
        print("\nAll values are finite this time.")
    else:
        print("\nThe outputs of all layers are finite: the values arise in the losses, or on the way back.")
    return 0 if found.is_finite else 1


def _print_table(title, then, now):
    print(f"\n{title:28} {'in training':>14} {'repeated':>14}")
    for name in then:
        marks = "" if math.isfinite(now.get(name, 0.0)) else "   not finite"
        print(f"{name:28} {then[name]:>14.5g} {now.get(name, math.nan):>14.5g}{marks}")
