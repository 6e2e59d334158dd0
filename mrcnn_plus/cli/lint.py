"""`mrcnn-plus lint program.py`: the settings of a program, how it trains, and the data it trains on."""

from __future__ import annotations

import argparse

from mrcnn_plus.cli import options

_DESCRIPTION = """\
Check the settings of a program, how it trains, and its data, before any training.

The program is imported without its `__main__` part: definitions are run, nothing is trained, downloaded or drawn.
The data sets are built as the program does it, where that can be read; else give them with --train, --data, or the
program's own arguments after `--`.
"""
_EPILOG = """\
examples:
  mrcnn-plus lint train.py
  mrcnn-plus lint train.py:MyConfig --depth pixels
  mrcnn-plus lint balloon.py -- train --dataset=balloon --weights=coco
  mrcnn-plus lint train.py --train "MyDataset.load('photos', 'train')" --val "MyDataset.load('photos', 'val')"
  mrcnn-plus lint train.py --data train.json --val-data val.json
  mrcnn-plus lint train.py --static --format sarif --output lint.sarif
  mrcnn-plus lint train.py --fix-preview
  mrcnn-plus lint --explain CFG002

exit status: 0 nothing found, 1 findings (see --fail-on), 2 could not run
"""


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "lint",
        usage="mrcnn-plus lint PROGRAM[:CLASS] [options] [-- the program's own arguments]",
        help="check the settings and the data of a program",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "program", nargs="?", metavar="PROGRAM[:CLASS]", help=".py or .ipynb file; a Config class of it"
    )
    parser.add_argument("--static", action="store_true", help="only read the text of the program, run nothing of it")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--train", metavar="CALL", help="expression that builds the training data, or its loader's arguments"
    )
    data.add_argument("--val", metavar="CALL", help="the same for the validation data")
    data.add_argument("--data", metavar="PATH", help="training data in a known format, in place of the program's")
    data.add_argument("--val-data", metavar="PATH", help="the same for the validation data")
    options.add_reader_options(data, format_option="--data-format")
    data.add_argument("--no-data", action="store_true", help="check only the settings")
    options.add_rule_options(parser)
    output = parser.add_argument_group("output")
    output.add_argument("--format", choices=("text", "json", "sarif", "markdown"), default="text", help="default: text")
    output.add_argument("--output", metavar="FILE", help="write to a file")
    output.add_argument("--fix-preview", action="store_true", help="print the settings to change, as Python")
    output.add_argument("--list-rules", action="store_true", help="list all rules")
    output.add_argument("--explain", metavar="CODE", help="explain a rule")
    return parser


def run(arguments) -> int:
    if arguments.list_rules or arguments.explain:
        return _about_rules(arguments)
    if arguments.program is None:
        from mrcnn_plus.errors import ConfigError

        raise ConfigError("expected a program, received none. Try: mrcnn-plus lint train.py")

    builds = not (arguments.no_data or arguments.data)
    with options.open_program(arguments, static=arguments.static, build_datasets=builds) as program:
        if arguments.data:
            _open_data(program, arguments)
        with options.only_findings():
            report = _check(program, arguments)
        notes = _notes(program)
    for text in notes:
        options.note(text)
    _write(arguments, program, report, notes)
    return 1 if report.at_least(arguments.fail_on) else 0


def _open_data(program, arguments):
    from mrcnn_plus.data import open_dataset

    reader = options.reader_options(arguments)
    with options.collected_warnings() as notes:
        program.train = open_dataset(arguments.data, **reader)
        program.val = open_dataset(arguments.val_data, **reader) if arguments.val_data else None
    program.notes += notes


def _check(program, arguments):
    """One report on all configurations of the program; the data go with the first one, which trains."""
    from mrcnn_plus import lint
    from mrcnn_plus.lint.programs.static import without_unknown_settings

    reports = []
    for position, found in enumerate(program.configs):
        with_data = position == 0 and found.run.mode != "inference"
        report = lint.check(
            found.config,
            program.train if with_data else None,
            program.val if with_data else None,
            select=arguments.select,
            ignore=arguments.ignore,
            depth=arguments.depth,
            sample=arguments.sample,
            workers=arguments.workers,
            run=found.run,
            progress=options.shows_progress(),
        )
        reports.append(without_unknown_settings(report))
    return _merged(reports)


def _merged(reports):
    """The findings of all reports; those about a setting that a class inherits are told once."""
    from mrcnn_plus.lint import Report
    from mrcnn_plus.lint.findings import SEVERITIES

    kept, told = [], set()
    for report in reports:
        new = [finding for finding in report if _what(finding) not in told]
        kept += new
        told.update(_what(finding) for finding in new)
    findings = sorted(kept, key=lambda finding: SEVERITIES.index(finding.severity))
    return Report(tuple(findings), reports[0].skipped)


def _what(finding):
    """What a finding is about: a line of the program, or else its words."""
    return finding.code, finding.where, finding.line or finding.message


def _notes(program) -> list[str]:
    notes = list(program.notes)
    for found in program.configs:
        for setting, why in found.unread.items():
            notes.append(f"{found.name}.{setting} could not be read ({why}); rules that need it were left out.")
    return notes


def _write(arguments, program, report, notes):
    if arguments.fix_preview:
        from mrcnn_plus.lint.output.changes import render_changes

        text = render_changes(report, program.configs[0].config)
    elif arguments.format == "json":
        import json

        content = {"program": program.path, **json.loads(report.to_json()), "notes": notes}
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    elif arguments.format == "sarif":
        from mrcnn_plus.lint.output.sarif import render_sarif

        text = render_sarif(report, checked=program.path, notes=notes)
    elif arguments.format == "markdown":
        from mrcnn_plus.lint.output.markdown import render_markdown

        text = render_markdown(report, title=f"mrcnn-plus lint {program.path}", header=[*_header(program), *notes])
    else:
        import sys

        from mrcnn_plus.lint.output.text import render_text

        color = arguments.output is None and options.wants_color(sys.stdout)
        text = render_text(report, header=_header(program), width=options.terminal_width(), color=color)
    options.write_output(text, arguments.output)


def _header(program) -> list[str]:
    """What was checked: the program, then `PartsConfig; 40 training images, 10 validation images`."""
    names = ", ".join(found.name for found in program.configs)
    data = "without data"
    if program.train is not None:
        data = f"{len(program.train.image_info)} training images"
        data += f", {len(program.val.image_info)} validation images" if program.val is not None else ""
    return [program.path, f"{names}; {data}"]


def _about_rules(arguments) -> int:
    from mrcnn_plus.errors import ConfigError
    from mrcnn_plus.lint.output.rule_pages import explain, list_rules, rules_page
    from mrcnn_plus.lint.registry import all_rules, nearest_codes

    if arguments.list_rules:
        options.write_output(rules_page() if arguments.format == "markdown" else list_rules(), arguments.output)
        return 0
    code = arguments.explain.upper()
    if code not in all_rules():
        raise ConfigError(f"there is no rule {arguments.explain!r}. {nearest_codes(code)}")
    options.write_output(explain(all_rules()[code]) + "\n", arguments.output)
    return 0
