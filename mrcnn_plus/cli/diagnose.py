"""`mrcnn-plus diagnose LOG_DIR`: why a training run went as it did, from what it recorded."""

from __future__ import annotations

import argparse

from mrcnn_plus.cli import options

_DESCRIPTION = """\
Read the history of a training run and name what went wrong: evidence, likely causes in order, the experiment that
decides between them, and the setting to change.

LOG_DIR is the folder of a run (losses.csv, run.json), a CSV file of Keras' CSVLogger, or a folder with event files of
TensorBoard, as Matterport's code writes them. No network is loaded.
"""
_EPILOG = """\
examples:
  mrcnn-plus diagnose logs/nucleus20260101T1200
  mrcnn-plus diagnose logs/nucleus20260101T1200 --format json
  mrcnn-plus diagnose training_log.csv --classes 3
  mrcnn-plus lint --explain RUN030

exit status: 0 nothing found, 1 findings (see --fail-on), 2 could not run
"""


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "diagnose",
        help="why a training run went wrong, from its logs",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="LOG_DIR", help="folder of a run, a CSV file, or event files of TensorBoard")
    parser.add_argument("--select", metavar="CODES", type=options.codes, help="only these rules: RUN001,RUN04")
    parser.add_argument("--ignore", metavar="CODES", type=options.codes, help="leave out these rules")
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning", "info"),
        default="error",
        help="exit with status 1 from this severity on (default: error)",
    )
    parser.add_argument("--until", metavar="EPOCH", type=options.whole_number, help="judge the run as it stood then")
    parser.add_argument(
        "--classes",
        metavar="N",
        type=options.whole_number,
        help="number of classes with background, where no run.json says",
    )
    parser.add_argument("--format", choices=("text", "json", "sarif", "markdown"), default="text", help="default: text")
    parser.add_argument("--output", metavar="FILE", help="write to a file")
    return parser


def run(arguments) -> int:
    import dataclasses

    from mrcnn_plus.diagnosis.history import History
    from mrcnn_plus.diagnosis.verdicts import verdicts_on

    history = History.read(arguments.path)
    if arguments.classes:
        settings = {**history.settings, "NUM_CLASSES": arguments.classes}
        history = dataclasses.replace(history, run={**history.run, "settings": settings})
    if arguments.until:
        history = history.until(arguments.until)
    report = verdicts_on(history, ignore=arguments.ignore, select=arguments.select)
    _write(arguments, history, report)
    return 1 if report.at_least(arguments.fail_on) else 0


def _write(arguments, history, report):
    if arguments.format == "json":
        import json

        content = {"path": arguments.path, "epochs": len(history), **json.loads(report.to_json())}
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    elif arguments.format == "sarif":
        from mrcnn_plus.lint.output.sarif import render_sarif

        text = render_sarif(report, checked=arguments.path)
    elif arguments.format == "markdown":
        from mrcnn_plus.lint.output.markdown import render_markdown

        text = render_markdown(report, title=f"mrcnn-plus diagnose {arguments.path}", header=[_header(history)])
    else:
        text = _text(arguments, history, report)
    options.write_output(text, arguments.output)


def _text(arguments, history, report):
    import sys

    from mrcnn_plus.diagnosis.verdicts import headline
    from mrcnn_plus.lint.output.text import render_text

    first = headline(report)
    verdict = f"{first.code}, {first.message}" if first else "nothing is wrong with this run, as far as it goes."
    color = arguments.output is None and options.wants_color(sys.stdout)
    return render_text(
        report,
        header=[arguments.path, _header(history), f"Verdict: {verdict}"],
        width=options.terminal_width(),
        color=color,
    )


def _header(history) -> str:
    """`8 epochs, 240 steps; layers='all'; losses, validation, statistics`"""
    from mrcnn_plus.diagnosis import reading

    steps = reading.steps_of(history)
    told = f"{len(history)} epochs" + (f", {int(steps)} steps" if steps == steps else "")
    stages = [str(stage.get("layers")) for stage in history.run.get("stages") or ()]
    told += f"; layers {', then '.join(dict.fromkeys(stages))}" if stages else ""
    missing = [] if history.has("val_loss") else ["no validation"]
    missing += [] if reading.has_skills(history) else ["losses only, which tell less than the statistics of mrcnn_plus"]
    return told + (f"; {', '.join(missing)}" if missing else "")
