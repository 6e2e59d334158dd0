"""`mrcnn-plus check-data PATH`: a data set by itself, with an overview, what is wrong, and what training would skip."""

from __future__ import annotations

import argparse
import sys

from mrcnn_plus.cli import options

_EPILOG = """\
examples:
  mrcnn-plus check-data instances_train.json --images train2017
  mrcnn-plus check-data stage1_train --depth pixels --html report.html
  mrcnn-plus check-data train/via_region_data.json --val val/via_region_data.json --class-attribute name
  mrcnn-plus check-data train.json --config train.py:MyConfig

exit status: 0 nothing found, 1 findings (see --fail-on), 2 could not run
"""
_MOST_LEFT_OUT = 20


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "check-data",
        help="check a data set: annotations, masks, image files, splits",
        description="Check annotations, masks and image files of a data set. Nothing in it is changed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", metavar="PATH", help="annotation file, or folder of the data set")
    parser.add_argument("--val", metavar="PATH", help="the validation data, to compare with")
    parser.add_argument("--val-images", metavar="DIR", help="folder of the validation images")
    options.add_reader_options(parser)
    parser.add_argument(
        "--config", metavar="PROGRAM[:CLASS]", help="check the data against the settings of a program, too"
    )
    options.add_rule_options(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--json", metavar="FILE", help="write everything as JSON; - for the standard output")
    output.add_argument("--html", metavar="FILE", help="write a page to look at in a browser")
    output.add_argument("--sarif", metavar="FILE", help="write SARIF")
    output.add_argument("--markdown", metavar="FILE", help="write Markdown")
    return parser


def run(arguments) -> int:
    from mrcnn_plus.data import open_dataset
    from mrcnn_plus.lint.output.overview import describe_data, left_out

    reader = options.reader_options(arguments)
    with options.collected_warnings() as notes:
        train = open_dataset(arguments.path, **reader)
        val_reader = {**reader, "images": arguments.val_images}
        val = open_dataset(arguments.val, **val_reader) if arguments.val else None
    for text in notes:
        options.note(text)
    with options.only_findings():
        report = _check(train, val, arguments)
        roles = {"train" if val is not None else "data": train, "val": val}
        given = {role: dataset for role, dataset in roles.items() if dataset is not None}
        overviews = [describe_data(role, dataset) for role, dataset in given.items()]
        skipped = left_out(given, report)
    _write_files(arguments, report, overviews, skipped, notes)
    if arguments.json != "-":
        _print(report, overviews, skipped)
    return 1 if report.at_least(arguments.fail_on) else 0


def _check(train, val, arguments):
    from mrcnn_plus import lint

    rules = {
        "select": arguments.select,
        "ignore": arguments.ignore,
        "depth": arguments.depth,
        "sample": arguments.sample,
        "workers": arguments.workers,
        "progress": options.shows_progress(),
    }
    if not arguments.config:
        return lint.check(None, train, val, **rules)
    from mrcnn_plus.lint.programs import open_program

    with open_program(*options.split_class(arguments.config), build_datasets=False) as program:
        for text in program.notes:
            options.note(text)
        found = program.configs[0]
        return lint.check(found.config, train, val, run=found.run, **rules)


def _write_files(arguments, report, overviews, skipped, notes):
    if arguments.json:
        import json
        from dataclasses import asdict

        content = {
            "data": [item.to_dict() for item in overviews],
            **json.loads(report.to_json()),
            "left_out": [asdict(item) for item in skipped],
            "notes": notes,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        options.write_output(text, None if arguments.json == "-" else arguments.json)
    if arguments.html:
        from mrcnn_plus.lint.output.html import render_html

        options.write_output(render_html(report, overviews, skipped, notes), arguments.html)
    if arguments.sarif:
        from mrcnn_plus.lint.output.sarif import render_sarif

        options.write_output(render_sarif(report, checked=arguments.path, notes=notes), arguments.sarif)
    if arguments.markdown:
        from mrcnn_plus.lint.output.markdown import render_markdown

        header = [line for item in overviews for line in item.lines()]
        text = render_markdown(report, title=f"mrcnn-plus check-data {arguments.path}", header=header)
        options.write_output(text, arguments.markdown)


def _print(report, overviews, skipped):
    from mrcnn_plus.lint.output.text import render_text, styled

    color, width = options.wants_color(sys.stdout), options.terminal_width()
    lines = []
    for item in overviews:
        title, *rest = item.lines()
        lines += [styled(title, "bold", color), *(f"  {line}" for line in rest)]
        lines += [f"  {line}" for line in item.class_table(width - 2)] + [""]
    lines.append(render_text(report, width=width, color=color).rstrip("\n"))
    if skipped:
        lines += ["", styled(f"Left out of training: {len(skipped)} annotations or images", "bold", color)]
        lines += [f"  {item}" for item in skipped[:_MOST_LEFT_OUT]]
        more = len(skipped) - _MOST_LEFT_OUT
        lines += [f"  and {more} more; --json and --html list all of them"] if more > 0 else []
    options.write_output("\n".join(lines) + "\n", None)
