"""A data set and what was found in it as one HTML file, which opens offline and can be read on a phone."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from html import escape

from mrcnn_plus import __version__
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING, Finding, Report
from mrcnn_plus.lint.output.overview import DataOverview, LeftOut
from mrcnn_plus.lint.output.text import display_path
from mrcnn_plus.lint.registry import all_rules

_HEADINGS = {ERROR: "Errors", WARNING: "Warnings", INFO: "Worth knowing"}
_MOST_PLACES = 500
_MOST_LEFT_OUT = 2000
_MOST_CLASSES = 100


def render_html(
    report: Report, overviews: Sequence[DataOverview], left_out: Sequence[LeftOut], notes: Iterable[str] = ()
) -> str:
    """The page. notes: what the readers said, e.g. which attribute holds the class."""
    title = f"Data set check: {overviews[0].path}" if overviews else "Data set check"
    today = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="dim">mrcnn-plus {__version__}, {today}</p>',
        _summary(report),
        *(_overview(item) for item in overviews),
        *(f"<p>{escape(note)}</p>" for note in notes),
        *_findings(report),
        _left_out(left_out),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _summary(report) -> str:
    counts = ((ERROR, len(report.errors)), (WARNING, len(report.warnings)), (INFO, len(report.infos)))
    parts = []
    for severity, count in counts:
        word = {ERROR: "error", WARNING: "warning", INFO: "info"}[severity] + ("" if count == 1 else "s")
        shade = severity if count else "none"
        parts.append(f'<a class="count {shade}" href="#{severity}"><b>{count}</b> {word}</a>')
    return f'<p class="counts">{"".join(parts)}</p>'


def _overview(item: DataOverview) -> str:
    low, middle, high = item.objects_per_image
    rows = [
        ("Format", item.format),
        ("Images", f"{item.images:,}"),
        ("Objects", f"{item.objects:,}" + (f" and {item.crowds:,} crowd regions" if item.crowds else "")),
        ("Objects per image", f"{low} to {high}, median {middle:g}"),
    ]
    if item.sizes:
        frequent = ", ".join(f"{width} x {height} ({count:,})" for width, height, count in item.sizes)
        rows.append(("Frequent sizes", frequent))
    if item.smallest_size and item.smallest_size != item.largest_size:
        small, large = ("{} x {}".format(*size) for size in (item.smallest_size, item.largest_size))
        rows.append(("Sizes", f"from {small} to {large}"))
    table = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows)
    heading = {"train": "Training data", "val": "Validation data"}.get(item.role, "The data")
    return (
        f'<section><h2>{heading}</h2><p class="path">{escape(item.path)}</p>'
        f'<table class="facts">{table}</table>{_classes(item)}</section>'
    )


def _classes(item) -> str:
    if not item.classes:
        return ""
    most = max(objects for _, objects, _ in item.classes) or 1
    rows = []
    for name, objects, images in item.classes[:_MOST_CLASSES]:
        bar = f'<span class="bar" style="width:{100 * objects / most:.1f}%"></span>'
        rows.append(
            f"<tr><td>{escape(name)}</td><td class=number>{objects:,}</td><td class=number>{images:,}</td>"
            f"<td class=bars>{bar}</td></tr>"
        )
    more = len(item.classes) - _MOST_CLASSES
    note = f"<p class=dim>and {more} more classes</p>" if more > 0 else ""
    head = "<tr><th>Class</th><th class=number>Objects</th><th class=number>Images</th><th></th></tr>"
    return f'<table class="classes">{head}{"".join(rows)}</table>{note}'


def _findings(report) -> list[str]:
    parts = []
    for severity, heading in _HEADINGS.items():
        findings = [finding for finding in report if finding.severity == severity]
        if findings:
            cards = "\n".join(finding_card(finding) for finding in findings)
            parts.append(f'<section id="{severity}"><h2>{heading}</h2>\n{cards}</section>')
    if not parts:
        parts.append("<section><h2>Findings</h2><p>Nothing found.</p></section>")
    return parts


def finding_card(finding: Finding) -> str:
    """A finding or verdict as an <article>."""
    rule = all_rules().get(finding.code)
    place = f"{display_path(finding.file)}:{finding.line}" if finding.file and finding.line else ""
    is_list = len(finding.places) > 1 and finding.where.startswith(finding.places[0])
    where = "" if is_list else finding.where  # the places are listed below
    parts = [
        f'<article class="{finding.severity}"><h3><span class="code">{finding.code}</span> '
        f"{escape(rule.name.replace('-', ' ')) if rule else ''}</h3>",
        f'<p class="path">{escape(" ".join(part for part in (where, place) if part))}</p>' if where or place else "",
        f"<p>{escape(finding.message)}</p>",
        _places(finding.places),
        *(_verdict_part(heading, texts) for heading, texts in finding.verdict_lines),
        f'<p class="fix"><b>Fix.</b> {escape(finding.fix)}</p>' if finding.fix else "",
        f"<details><summary>Why it matters</summary><p>{escape(rule.why)}</p></details>" if rule else "",
    ]
    return "".join(parts) + "</article>"


def _verdict_part(heading: str, texts: Sequence[str]) -> str:
    """Evidence, causes or the deciding experiment of a verdict on training."""
    kind = "ol" if heading == "Likely causes" else "ul"
    return f"<p><b>{heading}</b></p><{kind}>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</{kind}>"


def _places(places: Sequence[str]) -> str:
    if len(places) < 2:
        return ""
    shown = "".join(f"<li>{escape(place)}</li>" for place in places[:_MOST_PLACES])
    more = len(places) - _MOST_PLACES
    rest = f"<p class=dim>and {more:,} more</p>" if more > 0 else ""
    is_open = " open" if len(places) <= 5 else ""
    return f'<details{is_open}><summary>{len(places):,} places</summary><ul class="places">{shown}</ul>{rest}</details>'


def _left_out(items: Iterable[LeftOut]) -> str:
    items = list(items)
    if not items:
        return "<section><h2>Left out of training</h2><p>Nothing.</p></section>"
    rows = "".join(
        f'<tr><td class="code">{item.rule}</td><td>{escape(item.where)}</td><td>{escape(item.reason)}</td></tr>'
        for item in items[:_MOST_LEFT_OUT]
    )
    more = len(items) - _MOST_LEFT_OUT
    rest = f"<p class=dim>and {more:,} more; the JSON output lists all of them</p>" if more > 0 else ""
    return (
        f"<section><h2>Left out of training</h2><p>{len(items):,} annotations or images that the network would not see."
        f'</p><div class="wide"><table class="plain">'
        f"<tr><th>Rule</th><th>Where</th><th>Why</th></tr>{rows}</table></div>"
        f"{rest}</section>"
    )


# The look of the page: narrow enough for a phone, dark where the reader prefers it.
STYLE = """
:root { --text: #1d2329; --dim: #68727d; --back: #f5f6f8; --card: #ffffff; --line: #dfe3e8; --bar: #5b8def;
  --error: #c62f2f; --warning: #b26a00; --info: #2563ae; --fix: #1f7a45; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ec; --dim: #9aa5b1; --back: #14181d; --card: #1d232a;
  --line: #323b45; --bar: #4a78d0; --error: #ff7b72; --warning: #e3a13c; --info: #79b4ff; --fix: #6fd394; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; margin: .5rem 0 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 0 0 .5rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
p { margin: .25rem 0; overflow-wrap: anywhere; }
section { margin: 1.5rem 0; }
.dim, .path { color: var(--dim); font-size: .9rem; }
.path { font-family: ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1rem 0; }
.count { padding: .4rem .8rem; border-radius: .5rem; background: var(--card); border: 1px solid var(--line);
  color: inherit; text-decoration: none; }
.count b { font-size: 1.3rem; }
.count.error { border-color: var(--error); color: var(--error); }
.count.warning { border-color: var(--warning); color: var(--warning); }
.count.info { border-color: var(--info); color: var(--info); }
.count.none { color: var(--dim); }
article { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--info);
  border-radius: .4rem; padding: .75rem 1rem; margin: .75rem 0; }
article.error { border-left-color: var(--error); }
article.warning { border-left-color: var(--warning); }
.code { font-family: ui-monospace, Menlo, Consolas, monospace; color: var(--dim); }
.fix { color: var(--fix); }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--dim); padding: .2rem 0; }
.places { margin: .25rem 0; padding-left: 1.2rem; font-size: .9rem; overflow-wrap: anywhere; max-height: 24rem;
  overflow-y: auto; }
table { border-collapse: collapse; width: 100%; background: var(--card); }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; }
th { font-weight: 600; }
.facts { margin: .5rem 0 1rem; }
.facts th { width: 11rem; }
.classes td:first-child { min-width: 6rem; }
.number { text-align: right; white-space: nowrap; }
.bars { width: 40%; vertical-align: middle; }
.bar { display: block; height: .7rem; min-width: 1px; background: var(--bar); border-radius: .2rem; }
.wide { overflow-x: auto; }
.plain { font-size: .9rem; min-width: 32rem; }
@media (max-width: 34rem) { .facts th { width: 8rem; } .bars { width: 25%; } th, td { padding: .3rem .4rem; } }
"""
