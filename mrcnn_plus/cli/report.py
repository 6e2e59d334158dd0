"""`mrcnn-plus report LOG_DIR`: a training run as one HTML page."""

from __future__ import annotations

import argparse
import os

_EPILOG = """\
examples:
  mrcnn-plus report logs/nucleus20260101T1200
  mrcnn-plus report logs/nucleus20260101T1200 --output nucleus.html
  mrcnn-plus report events.out.tfevents.1546300800.host

exit status: 0 written, 2 could not run
"""


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "report",
        help="write a training run as one HTML page: verdicts, curves, classes, images",
        description="Write a training run as one HTML page that opens offline: verdicts, loss curves, average "
        "precision, classes, best and worst images, data and settings. Training writes it itself at its end.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "log_dir", metavar="LOG_DIR", help="folder of a run; or a CSV file with losses, or an event file of TensorBoard"
    )
    parser.add_argument("--output", metavar="FILE", help="the page (default: report.html in the folder of the run)")
    return parser


def run(arguments) -> int:
    from mrcnn_plus.diagnosis.report import write_report
    from mrcnn_plus.errors import ConfigError

    try:
        path = write_report(arguments.log_dir, arguments.output)
    except OSError as error:
        raise ConfigError(f"the report cannot be written: {error}.") from error
    print(os.path.abspath(path))
    return 0
