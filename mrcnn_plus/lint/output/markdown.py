"""A report as Markdown, for a comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterable

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING, Finding, Report
from mrcnn_plus.lint.output.text import display_path

_HEADINGS = {ERROR: "Errors", WARNING: "Warnings", INFO: "Worth knowing"}
_MOST_PLACES = 50


def render_markdown(report: Report, *, title: str, header: Iterable[str] = ()) -> str:
    """A heading, a table for each severity, and folded lists of the places."""
    lines = [f"## {title}", "", *(f"{escape(line)}  " for line in header), "", f"**{report.summary}**", ""]
    for severity, heading in _HEADINGS.items():
        findings = [finding for finding in report if finding.severity == severity]
        if findings:
            lines += [f"### {heading}", "", "| rule | where | what | fix |", "|---|---|---|---|"]
            lines += [_row(finding) for finding in findings]
            lines += ["", *(line for finding in findings for line in (*_verdict(finding), *_places(finding)))]
    if not len(report):
        lines.append("Nothing found.")
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    """Text in a cell of a table."""
    for character in "\\|<>*_":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def _row(finding: Finding) -> str:
    place = f"{display_path(finding.file)}:{finding.line}" if finding.file and finding.line else ""
    where = "<br>".join(escape(part) for part in (finding.where, place) if part)
    return f"| {finding.code} | {where} | {escape(finding.message)} | {escape(finding.fix)} |"


def _verdict(finding: Finding) -> list[str]:
    """Evidence, causes and the deciding experiment of a verdict on training."""
    parts = finding.verdict_lines
    if not parts:
        return []
    lines = [f"**{finding.code}**", ""]
    for heading, texts in parts:
        mark = "1." if heading == "Likely causes" else "-"
        lines += [f"{heading}:", "", *(f"{mark} {escape(text)}" for text in texts), ""]
    return lines


def _places(finding: Finding) -> list[str]:
    if len(finding.places) < 2:
        return []
    shown = [f"- {escape(place)}" for place in finding.places[:_MOST_PLACES]]
    more = len(finding.places) - _MOST_PLACES
    shown += [f"- and {more} more"] if more > 0 else []
    summary = f"<details><summary>{finding.code}: {len(finding.places)} places</summary>"
    return [summary, "", *shown, "", "</details>", ""]
