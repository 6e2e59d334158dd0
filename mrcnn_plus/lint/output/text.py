"""A report for the terminal: worst first, each finding with its line in the user's program and what to do."""

from __future__ import annotations

import linecache
import os
import textwrap
from collections.abc import Iterable

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING, Finding, Report

_STYLES = {ERROR: "1;31", WARNING: "1;33", INFO: "1;36", "dim": "2", "bold": "1", "fix": "32"}
_HEADINGS = {ERROR: "errors: training would fail, or learn something else", WARNING: "warnings", INFO: "worth knowing"}
_INDENT = " " * 4
_LONGEST_PLACES = 5
_KEEP_WORDS = {"break_on_hyphens": False, "break_long_words": False}  # paths stay in one piece, to be copied


def render_text(report: Report, *, header: Iterable[str] = (), width: int = 100, color: bool = False) -> str:
    """The report as lines of at most `width` characters. header: lines about what was checked."""
    lines = []
    for text in header:
        lines += textwrap.wrap(text, width, **_KEEP_WORDS) or [""]
    for severity, heading in _HEADINGS.items():
        findings = [finding for finding in report if finding.severity == severity]
        if findings:
            count = f"{len(findings)} " if severity != INFO else ""
            heading = heading if len(findings) > 1 or severity == INFO else heading.replace("s", "", 1)
            lines += ["", styled(f"{count}{heading}", severity, color)]
        for finding in findings:
            lines += ["", *_finding_lines(finding, width, color)]
    lines += ["", styled(report.summary if len(report) else "Nothing found.", "bold", color)]
    if len(report):
        lines.append(f"More about a rule: mrcnn-plus lint --explain {report.findings[0].code}")
    return "\n".join(line.rstrip() for line in lines).lstrip("\n") + "\n"


def styled(text: str, style: str, color: bool) -> str:
    """The text between the terminal's codes for a style; as it is without color."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if color and text else text


def _finding_lines(finding: Finding, width: int, color: bool) -> list[str]:
    place = f"{display_path(finding.file)}:{finding.line}" if finding.file and finding.line else ""
    is_list = len(finding.places) > 1 and finding.where.startswith(finding.places[0])
    where = "" if is_list else finding.where  # the places are listed below
    first = f"{finding.code} {where}".rstrip()
    gap = max(2, width - len(first) - len(place) - 2)
    fits = len(first) + len(place) + 4 <= width
    head = f"  {styled(finding.code, finding.severity, color)} {styled(where, 'bold', color)}".rstrip()
    if not fits and len(first) + 2 > width:
        head = f"  {styled(finding.code, finding.severity, color)}"
        lines = [head, *_wrapped(where, width)]
    else:
        lines = [head + (" " * gap + styled(place, "dim", color) if place and fits else "")]
    if place and not fits:
        lines.append(_INDENT + styled(place, "dim", color))
    lines += _wrapped(finding.message, width)
    source = source_line(finding)
    if source:
        number = f"{finding.line} | "
        lines.append(_INDENT + styled(number + source[: width - len(number) - len(_INDENT)], "dim", color))
    for index, item in enumerate(finding.places if len(finding.places) > 1 else ()):
        if index == _LONGEST_PLACES:
            lines.append(f"{_INDENT}- and {len(finding.places) - index} more")
            break
        lines += _wrapped(f"- {item}", width, hanging="  ")
    for heading, texts in finding.verdict_lines:
        if len(texts) == 1:
            lines += _wrapped(f"{heading}: {texts[0]}", width, hanging="  ")
            continue
        ordered = heading == "Likely causes"
        lines += _wrapped(f"{heading}:", width)
        for number, text in enumerate(texts, start=1):
            lines += _wrapped(f"  {f'{number}.' if ordered else '-'} {text}", width, hanging="    ")
    if finding.fix:
        lines += [styled(line, "fix", color) for line in _wrapped(f"Fix: {finding.fix}", width, hanging=" " * 5)]
    return lines


def source_line(finding: Finding) -> str:
    """The line of the user's program that a finding is about, or nothing."""
    return linecache.getline(finding.file, finding.line).strip() if finding.file and finding.line else ""


def display_path(path: str) -> str:
    """The path as the user would write it here."""
    if not os.path.isabs(path):
        return path
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def _wrapped(text, width, hanging="") -> list[str]:
    lines = []
    for part in text.splitlines():
        lines += textwrap.wrap(
            part, max(20, width), initial_indent=_INDENT, subsequent_indent=_INDENT + hanging, **_KEEP_WORDS
        )
    return lines
