"""A training run as one HTML file, which opens offline and can be read on a phone.

    from mrcnn_plus.diagnosis.report import write_report

    write_report("logs/nucleus20260101T1200")

charts           line charts as inline SVG
curves           which charts a run has
evaluation_part  classes, confusions, best and worst images
sources          verdicts, and what is missing
page             all of it in its order
style            colours, for light and dark
"""

from __future__ import annotations

import logging
import os

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.diagnosis.history import History, folder_of
from mrcnn_plus.errors import ConfigError

REPORT_FILE = "report.html"

logger = logging.getLogger(__name__)

__all__ = ["REPORT_FILE", "report_at_the_end", "write_report"]


def write_report(path, output=None) -> str:
    """Write the report on a run and return the path of the page.

    path: folder of a run, or a file with its losses: CSV, or an event file of TensorBoard as Matterport's code wrote
    it. output: the page; default: report.html in the folder of the run.

    Raises ConfigError where there is nothing to report on, OSError where the page cannot be written.
    """
    from mrcnn_plus.diagnosis.report.page import render_report
    from mrcnn_plus.diagnosis.report.sources import missing_parts, read_verdicts

    history = History.read(path)
    folder = folder_of(path) or "."
    page = render_report(history, read_verdicts(folder, history), folder, missing_parts(history))
    output = os.path.join(folder, REPORT_FILE) if output is None else os.fspath(output)
    with replacing(output) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(page)
    return output


def report_at_the_end(log_dir) -> str | None:
    """`write_report` for the end of training: what goes wrong is a warning. Returns the path, or None."""
    try:
        return write_report(log_dir)
    except ConfigError:
        return None  # stopped before there was anything to report on
    except Exception as error:  # training is over, and its result must not be lost to a page
        logger.warning("The report of %s could not be written: %s: %s", log_dir, type(error).__name__, error)
        return None
