"""Many places with the same thing wrong become one `Violation` with all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mrcnn_plus.data.incidents import most_bad_images
from mrcnn_plus.lint.findings import WARNING
from mrcnn_plus.lint.registry import Violation

_MOST_KINDS = 4


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`counted(1, "image")` -> "1 image", `counted(3, "image")` -> "3 images"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {plural or noun + 's'}"


def listed(names: Iterable[Any], most: int = 6) -> str:
    """`a, b, c and 4 more`"""
    names = [str(name) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def severity_if_skipped(facts, split, images: int) -> str | None:
    """A warning where training will leave out so many images (SKIP_BAD_IMAGES), None for a rule's own severity."""
    skips = facts.config is not None and facts.config.SKIP_BAD_IMAGES
    return WARNING if skips and images <= most_bad_images(split.num_images) else None


def by_kind(items: Iterable[tuple[str, str]]) -> list[tuple[str, list[tuple[str, str]]]]:
    """`(place, message)` pairs grouped by messages that differ in numbers and quoted names only.

    Returns `[(first message, pairs), ...]`, the largest group first. All but the largest few are put together.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for place, message in items:
        groups.setdefault(_shape_of(message), []).append((place, message))
    ordered = sorted(groups.values(), key=len, reverse=True)
    if len(ordered) > _MOST_KINDS:
        rest = [pair for group in ordered[_MOST_KINDS - 1 :] for pair in group]
        ordered = [*ordered[: _MOST_KINDS - 1], rest]
    return [(group[0][1], group) for group in ordered]


def problems_of(split, code: str, *, read: bool = False) -> list:
    """What the reader met of this kind, as `data.annotations.Problem`, each place once.

    read: also what was met while pixels were read, in other processes too.
    """
    found = {}
    problems = [*split.problems, *(problem for facts in split.pixels for problem in facts.listed)] if read else None
    for problem in split.problems if problems is None else problems:
        if problem.code == code:
            found.setdefault(problem.where, problem)
    return list(found.values())


def refused_answers(split, code: str) -> list[tuple[str, str]]:
    """`(place, message)` of what `load_image` or `load_mask` answered that training would refuse by this code."""
    return [
        (split.place(scanned.image_id), message)
        for scanned in split.pixels
        for problem, message in scanned.problems
        if problem == code
    ]


def problems_met(facts, code: str, *, read: bool = False, severity=lambda problem: None) -> Iterator[Violation]:
    """`violations_of` all `problems_of` this kind, in both data sets."""
    for split in facts.splits:
        yield from violations_of(split, problems_of(split, code, read=read), severity=severity)


def violations_of(
    split, problems: Iterable, *, severity: Callable[[Any], str | None] = lambda problem: None
) -> Iterator[Violation]:
    """A `Violation` for each kind of problem. severity: of a problem, or None for the rule's own."""
    by_severity: dict[str | None, list] = {}
    for problem in problems:
        by_severity.setdefault(severity(problem), []).append(problem)
    for level, group in by_severity.items():
        values = {problem.where: problem.value for problem in group}
        for message, pairs in by_kind((problem.where, problem.message) for problem in group):
            several = f"{len(pairs):,} times, e.g.: " if len(pairs) > 1 else ""
            message, fix = _apart(message)
            yield Violation(
                several + message,
                fix=fix,
                value=values[pairs[0][0]],
                severity=level,
                places=[f"{split.name}: {place}" for place, _ in pairs],
            )


def _apart(message):
    """A message and the advice that is its last sentence, or None."""
    text, _, advice = message.rstrip(". ").rpartition(". ")
    if text and re.match("[A-Z][a-z]+ ", advice):
        return f"{text}.", f"{advice}."
    return f"{message.rstrip('. ')}.", None


def _shape_of(message):
    return re.sub(r"'[^']*'|\"[^\"]*\"|\[[^\]]*\]|[-+]?\d[\d.,e+-]*", "#", message)
