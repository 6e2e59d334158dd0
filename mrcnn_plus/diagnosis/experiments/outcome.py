"""What an experiment gives back: its result, the findings on it, and pictures and tables to keep."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.lint.engine import judge
from mrcnn_plus.lint.facts import Facts, Run
from mrcnn_plus.lint.findings import Report, plain
from mrcnn_plus.lint.registry import EXPERIMENT


class Result:
    """What the results of all experiments have, dataclasses of plain numbers and texts.

    name: of the experiment, as on the command line. title: what it asked, one line.
    """

    name = title = ""

    @property
    def summary(self) -> str:
        """One sentence with what came out, for the case that no rule finds anything wrong with it."""
        raise NotImplementedError

    def tables(self) -> list[tuple[str, list[list[str]]]]:
        """`(heading, rows)` of what to show; the first row of each names the columns."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The result as plain values that JSON can hold."""
        return plain(dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class Outcome:
    """An experiment that has ended; `print(outcome)` shows all of it.

    result: a `Result`. report: the findings on it. notes: what the reader should know, a sentence each.
    figures: `{file name: picture uint8 [H, W, 3], or text}`, which `save` writes.
    """

    result: Result
    report: Report
    figures: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The worst finding, or what came out where nothing is wrong."""
        serious = self.report.at_least("warning")
        return serious[0].message if serious else self.result.summary

    def to_dict(self) -> dict[str, Any]:
        return {
            "experiment": self.result.name,
            "verdict": self.verdict,
            "result": self.result.to_dict(),
            "summary": self.report.summary,
            "findings": [finding.to_dict() for finding in self.report],
            "notes": list(self.notes),
        }

    def to_json(self, **options: Any) -> str:
        return json.dumps(self.to_dict(), **{"indent": 2, "ensure_ascii": False, **options})

    def to_text(self, *, width: int = 100, color: bool = False) -> str:
        """Tables, findings and the verdict, as lines for the terminal."""
        from mrcnn_plus.drawing.charts import text_table
        from mrcnn_plus.lint.output.text import render_text, styled

        parts = [styled(f"{self.result.name}: {self.result.title}", "bold", color)]
        for heading, rows in self.result.tables():
            parts.append(f"{heading}\n" + "\n".join(f"  {line}" for line in text_table(rows).splitlines()))
        parts += [f"Note: {note}" for note in self.notes]
        if len(self.report):
            parts.append(render_text(self.report, width=width, color=color).rstrip())
        parts.append(styled("Verdict: ", "bold", color) + self.verdict)
        return "\n\n".join(parts) + "\n"

    def __str__(self) -> str:
        return self.to_text()

    def save(self, folder: str | os.PathLike) -> list[str]:
        """Write text, JSON, tables and pictures into a folder, which is made; returns the paths.

        Raises ConfigError if they cannot be written.
        """
        stem = self.result.name.replace("-", "_")
        contents = {f"{stem}.txt": self.to_text(), f"{stem}.json": self.to_json() + "\n", **self.figures}
        try:
            os.makedirs(folder, exist_ok=True)
            return [_write(os.path.join(folder, file), content) for file, content in contents.items()]
        except OSError as error:
            raise ConfigError(
                f"experiment: expected a folder to write into, received: {os.fspath(folder)!r}: {error}."
            ) from error


def conclude(result: Result, config: Any, *, run: Run | None = None, figures=None, notes=()) -> Outcome:
    """Judge a result by the rules of its experiment. config: the `Config`, whose LINT_IGNORE counts, or None."""
    report = judge(Facts(config=config, run=run or Run(), experiment=result), EXPERIMENT)
    return Outcome(result, report, dict(figures or {}), tuple(notes))


def _write(path, content) -> str:
    if isinstance(content, str):
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        return path
    from PIL import Image

    Image.fromarray(np.asarray(content, np.uint8)).save(path)
    return path


def csv_text(header, rows) -> str:
    """A table as CSV; floats with six digits, None as an empty cell."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([f"{value:.6g}" if isinstance(value, float) else value for value in row] for row in rows)
    return file.getvalue()
