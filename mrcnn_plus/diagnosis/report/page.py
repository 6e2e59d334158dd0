"""The report as one HTML page: headline, verdicts, evaluation, curves, data, settings, what the linter found."""

from __future__ import annotations

import datetime
import logging
import math
import os
from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from mrcnn_plus import __version__
from mrcnn_plus.config import Config
from mrcnn_plus.config_record import plain_settings
from mrcnn_plus.diagnosis.history import LOSSES, History
from mrcnn_plus.diagnosis.report.curves import loss_charts, precision_charts, steering_charts
from mrcnn_plus.diagnosis.report.evaluation_part import evaluation_sections, table
from mrcnn_plus.diagnosis.report.sources import finding_of
from mrcnn_plus.diagnosis.report.style import STYLE
from mrcnn_plus.lint.findings import ERROR, WARNING, Report
from mrcnn_plus.lint.output.html import finding_card

logger = logging.getLogger(__name__)

COMMON_NAMES = ("objectness", "rpn_box_reg", "classifier", "box_reg", "mask")
_MOST_CLASSES = 60


def render_report(history: History, verdicts: Report | None, folder: str, missing=()) -> str:
    """The page. verdicts: on the run, None if it could not be judged. folder: of the run, where pictures are.

    missing: lines about what could not be read.
    """
    run = history.run
    title = f"{run.get('name') or os.path.basename(os.path.abspath(folder))}: training report"
    missing = list(missing)
    sections = {
        "Verdicts": lambda: _verdicts(verdicts),
        "Losses": lambda: _charts("Losses", loss_charts(history), _loss_table(history)),
        "Learning": lambda: _charts("What is learnt", precision_charts(history)),
        "Evaluation": lambda: "".join(evaluation_sections(history, folder)),
        "Rates": lambda: _charts("Learning rate, gradients, speed", steering_charts(history)),
        "Stages": lambda: _stages(run),
        "Data": lambda: _data(run.get("data") or {}),
        "Settings": lambda: _settings(run),
        "Linter": lambda: _lint(run),
        "Missing": lambda: _missing(missing),
    }
    shown = {name: html for name, make in sections.items() if (html := _made(name, make, missing))}
    links = "".join(f'<a href="#{name.lower()}">{name}</a>' for name in shown)
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="path">{escape(os.path.abspath(folder))}</p>',
        f'<p class="dim">{escape(_origin(run))}</p>',
        _headline(history, verdicts),
        _tiles(history),
        f"<nav>{links}</nav>",
        *(f'<div id="{name.lower()}">{html}</div>' for name, html in shown.items()),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in body if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _made(name, make, missing):
    """A section, or "" and a line in `missing` where a damaged file or one of another version gets in its way."""
    try:
        return make()
    except Exception as error:
        logger.warning("%s: this part of the report could not be made.", name, exc_info=True)
        missing.append(f"{name}: its file is damaged or of another version ({type(error).__name__}: {error}).")
        return ""


def _origin(run):
    versions = run.get("versions") or {}
    backend = run.get("backend")
    parts = [
        f"trained {_day(run.get('started'))} to {_day(run.get('updated'))}" if run.get("started") else "",
        f"mrcnn_plus {versions['mrcnn_plus']}" if "mrcnn_plus" in versions else "",
        f"Keras {versions['keras']} on {backend}" if "keras" in versions and backend else "",
        f"{run['devices']} devices" if run.get("devices", 1) != 1 else "",
        f"report by mrcnn_plus {__version__}, {datetime.datetime.now():%Y-%m-%d %H:%M}",
    ]
    return "; ".join(part for part in parts if part)


def _day(moment):
    return str(moment or "")[:16].replace("T", " ")


# ---- headline ----


def _headline(history, verdicts):
    failure = history.run.get("failure")
    if failure:
        kind, first = ERROR, f"Training was stopped by {failure.get('kind', 'an error')}: {failure.get('message', '')}"
    elif verdicts is None:
        kind, first = "unknown", "The run could not be judged."
    elif verdicts.errors or verdicts.warnings:
        found = verdicts.at_least(WARNING)  # the likeliest cause stands first
        leading = next((one for one in found if not one.follows_from), found[0])
        kind, first = leading.severity, leading.message
    else:
        kind, first = "good", f"No known pattern of failure was seen in {_epochs(history)}."
    sentences = [_progress(history), _score_sentence(history)]
    if verdicts is not None and len(verdicts):
        sentences.append(f"Verdicts: {verdicts.summary}.")
    told = " ".join(sentence for sentence in sentences if sentence)
    first = first[:1].upper() + first[1:]
    return f'<div class="headline {kind}"><p>{escape(first)}</p><p>{escape(told)}</p></div>'


def _epochs(history):
    return f"{len(history)} epoch{'' if len(history) == 1 else 's'}"


def _progress(history):
    """How the loss went from the first to the last epoch."""
    name = "val_loss" if history.has("val_loss") else "loss"
    values = history.values(name)
    finite = np.flatnonzero(np.isfinite(values))
    if len(finite) < 2:
        return ""
    best = finite[np.argmin(values[finite])]
    words = "validation loss" if name == "val_loss" else "loss"
    return (
        f"The {words} went from {_number(values[finite[0]])} to {_number(values[finite[-1]])}; it was lowest after "
        f"epoch {history.epochs[best]}, {_number(values[best])}."
    )


def _score_sentence(history):
    told = []
    for kind in ("mask", "box"):
        values = history.values(f"val_{kind}_AP")
        finite = np.flatnonzero(np.isfinite(values))
        if len(finite):
            best = finite[np.argmax(values[finite])]
            told.append(f"{kind} AP {values[best]:.3f} (epoch {history.epochs[best]})")
    if told:
        return f"Best {' and '.join(told)}."
    return _evaluation_sentence(history) or "Average precision was not measured."


def _evaluation_sentence(history):
    """Of the newest evaluation, where the scores are not in the table of the epochs."""
    epoch = max(history.evaluations, default=None)
    scores = {kind: (history.evaluations[epoch].get(kind) or {}).get("ap") for kind in ("masks", "boxes") if epoch}
    told = [f"AP of {kind} {value:.3f}" for kind, value in scores.items() if isinstance(value, int | float)]
    return f"{' and '.join(told)} after epoch {epoch}." if told else ""


def _tiles(history):
    values = [
        (_epochs(history).split()[0], "epochs"),
        (_number(history.last("val_mask_AP")), "mask AP, last"),
        (_number(history.last("val_box_AP")), "box AP, last"),
        (_number(history.last("loss")), "loss, last"),
        (_number(history.last("val_loss")), "val loss, last"),
        (_hours(np.nansum(history.values("seconds"))), "training time"),
        (_short(_median(history.values("images_per_second"))), "images/s"),
    ]
    return (
        '<div class="tiles">'
        + "".join(f"<div><b>{escape(value)}</b><span>{name}</span></div>" for value, name in values if value)
        + "</div>"
    )


def _median(values):
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else math.nan


def _short(value):
    return "" if math.isnan(value) else f"{value:.3g}"


def _hours(seconds):
    if not seconds:
        return ""
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"


def _number(value):
    if value is None or math.isnan(value):
        return ""
    return f"{value:.3f}" if 0.01 <= abs(value) < 10 else f"{value:.3g}"


# ---- sections ----


def _verdicts(verdicts):
    if verdicts is None or not len(verdicts):
        return ""
    cards = "\n".join(finding_card(finding) for finding in verdicts)
    return f"<section><h2>Verdicts</h2>{cards}</section>"


def _charts(heading, charts, more=""):
    if not charts:
        return ""
    return f'<section><h2>{heading}</h2><div class="charts">{"".join(charts)}</div>{more}</section>'


def _loss_table(history):
    rows = []
    for name, other in (("loss", "total"), *zip(LOSSES, COMMON_NAMES, strict=True), ("l2_loss", "weight decay")):
        values, val = history.values(name), history.values(f"val_{name}")
        finite = np.flatnonzero(np.isfinite(values))
        if not len(finite) or not np.any(values[finite]):
            continue
        least = finite[np.argmin(values[finite])]
        row = [f"{name} ({other})", _number(values[finite[0]]), f"{_number(values[least])} ({history.epochs[least]})"]
        row += [_number(values[finite[-1]])]
        finite = np.flatnonzero(np.isfinite(val))
        best = finite[np.argmin(val[finite])] if len(finite) else None
        row += (
            ["", ""] if best is None else [f"{_number(val[best])} ({history.epochs[best]})", _number(val[finite[-1]])]
        )
        share = history.last(f"share_{name}")
        rows.append([*row, "" if math.isnan(share) else f"{share:.0%}"])
    head = ["loss", "first", "least (epoch)", "last", "val least (epoch)", "val last", "share"]
    return table(head, rows)


def _stages(run):
    stages = run.get("stages") or ()
    if not stages:
        return ""
    rows = []
    for stage in stages:
        parts = stage.get("parts") or {}
        trained = [f"{part} {_share(count)}" for part, count in parts.items() if count.get("trainable")]
        rate = str(stage.get("learning_rate", ""))
        rows.append(
            f'<tr><td class="value">{escape(str(stage.get("layers", "")))}</td>'
            f"<td>{stage.get('first_epoch', '')} to {stage.get('last_epoch', '')}</td>"
            f'<td class="value">{escape(rate[:60])}</td><td>{escape(", ".join(trained))}</td></tr>'
        )
    head = "<tr><th>layers</th><th>epochs</th><th>learning rate</th><th>parameters that train</th></tr>"
    loads = "".join(f"<p>{escape(load.get('headline', ''))}</p>" for load in run.get("weights") or ())
    if not run.get("weights"):
        loads = (
            "<p>No weights were loaded: training started from random ones.</p>"
            if run.get("pretrained") is False
            else ""
        )
    name = str(run.get("optimizer") or "").removesuffix("ByPart")
    optimizer = f"<p>Optimizer: {escape(name)}</p>" if name else ""
    shown = f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'
    return f"<section><h2>Stages</h2>{loads}{optimizer}{shown}</section>"


def _share(count):
    trainable, parameters = count.get("trainable", 0), count.get("parameters", 0)
    return f"{trainable:,}" if trainable == parameters else f"{trainable:,} of {parameters:,}"


def _data(data: Mapping[str, Any]):
    given = {role: content for role, content in data.items() if content}
    if not given:
        return ""
    facts = []
    for role, content in given.items():
        heading = {"train": "Training data", "val": "Validation data"}.get(role, role)
        sizes = ", ".join(f"{width} x {height} ({count:,})" for width, height, count in content.get("sizes") or ())
        rows = [("Data set", content.get("name")), ("Images", f"{content.get('images', 0):,}")]
        instances = content.get("instances")
        if instances is not None:
            rows.append(("Instances", f"{sum(instances.values()):,}"))
        rows += [("Frequent sizes", sizes)] if sizes else []
        cells = "".join(f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in rows)
        facts.append(f'<h3>{heading}</h3><table class="facts">{cells}</table>')
    return f"<section><h2>Data</h2>{''.join(facts)}{_class_bars(given)}</section>"


def _class_bars(data):
    counts = {role: content["instances"] for role, content in data.items() if content.get("instances")}
    if not counts:
        return ""
    names = list(dict.fromkeys(name for instances in counts.values() for name in instances))
    first = next(iter(counts.values()))
    names.sort(key=lambda name: -first.get(name, 0))
    most = max(first.values(), default=1) or 1
    head = "".join(f'<th class="number">{escape(role)}</th>' for role in counts)
    rows = []
    for name in names[:_MOST_CLASSES]:
        cells = "".join(f'<td class="number">{instances.get(name, 0):,}</td>' for instances in counts.values())
        bar = f'<span class="bar" style="width:{100 * first.get(name, 0) / most:.1f}%"></span>'
        rows.append(f'<tr><td>{escape(name)}</td>{cells}<td class="bars">{bar}</td></tr>')
    more = len(names) - _MOST_CLASSES
    note = f'<p class="dim">and {more} more classes</p>' if more > 0 else ""
    return f'<table class="classes"><tr><th>Class</th>{head}<th></th></tr>{"".join(rows)}</table>{note}'


def _settings(run):
    settings = run.get("settings") or {}
    if not settings:
        return ""
    changed, defaults = run.get("changed") or {}, plain_settings(Config())
    rows = "".join(
        f'<tr><td class="value">{escape(name)}</td><td class="value">{escape(str(value))}</td>'
        f'<td class="value dim">{escape(str(defaults.get(name, "-")))}</td></tr>'
        for name, value in sorted(changed.items())
    )
    differs = (
        '<div class="scroll"><table><tr><th>Setting</th><th>Value</th><th>Default</th></tr>' + rows + "</table></div>"
        if rows
        else "<p>All settings have their defaults.</p>"
    )
    everything = "\n".join(f"{name:32} {value}" for name, value in sorted(settings.items()))
    return (
        f"<section><h2>Settings that differ from the defaults</h2>{differs}"
        f"<details><summary>All {len(settings)} settings</summary><pre>{escape(everything)}</pre></details>"
        f"{_versions(run)}</section>"
    )


def _versions(run):
    versions = run.get("versions") or {}
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f'<p class="dim">{escape(told)}</p>' if told else ""


def _lint(run):
    if run.get("lint") is None:
        return ""
    found = [finding_of(content) for content in run["lint"] if isinstance(content, Mapping)]
    if not found:
        return "<section><h2>What the linter found before training</h2><p>Nothing.</p></section>"
    cards = "\n".join(finding_card(finding) for finding in found)
    is_open = " open" if any(finding.severity in (ERROR, WARNING) for finding in found) else ""
    count = f"{len(found)} finding{'' if len(found) == 1 else 's'}"
    return (
        "<section><h2>What the linter found before training</h2>"
        f"<details{is_open}><summary>{count}</summary>{cards}</details></section>"
    )


def _missing(missing):
    if not missing:
        return ""
    return (
        "<section><h2>Not in this report</h2><ul>"
        + "".join(f"<li>{escape(m)}</li>" for m in missing)
        + "</ul></section>"
    )
