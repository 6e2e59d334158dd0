"""Misspelt settings: which one a program may have meant."""

from __future__ import annotations

import difflib
import re

from mrcnn_plus.config import Config

_LETTERS_PER_SLIP = 4
_MOST_SLIPS = 2


def known_settings() -> list[str]:
    """Names of all settings, the derived ones too."""
    return [name for name in dir(Config) if name.isupper() and not name.startswith("_")]


def meant_setting(name: str) -> str | None:
    """The setting that a name of a program's own is probably a slip of, or None.

    "LOSS_WEIGHT", "STEPS_PER_EPOCHS", "MAX_IMAGE_DIM", "learning_rate" are; "DATA_DIR", "LEARNING_RATE_2" are not.
    """
    upper = name.upper()
    known = known_settings()
    if upper in known:
        return None if name == upper else upper
    if not name.isupper() or re.search(r"\d$", name):
        return None  # numbered variants are a program's own
    for setting in known:
        if _words(upper) == _words(setting):
            return setting
    allowed = min(_MOST_SLIPS, len(upper) // _LETTERS_PER_SLIP)
    distances = {setting: _distance(upper, setting) for setting in known if abs(len(setting) - len(upper)) <= allowed}
    nearest = min(distances, key=distances.get, default=None)
    return nearest if nearest and distances[nearest] <= allowed else None


def _words(name: str) -> list[str]:
    """The words of a name in alphabetical order, without a plural s or es."""
    return sorted(re.sub(r"(?<=SS)ES$|(?<=[^S])S$", "", word) for word in name.split("_"))


def _distance(first: str, second: str) -> int:
    """Letters to insert, leave out or exchange, with two neighbours that changed places as one (Damerau)."""
    before, row = None, list(range(len(second) + 1))
    for i, letter in enumerate(first, start=1):
        before, last, row = row, before, [i] + [0] * len(second)
        for j, other in enumerate(second, start=1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if last and j > 1 and letter == second[j - 2] and first[i - 2] == other:
                row[j] = min(row[j], last[j - 2] + 1)
    return row[-1]


def nearest_of(word: str, known) -> str | None:
    """The known word that contains this one's words, or that is spelt alike; None if there is no single one."""
    words = set(_words(word.upper()))
    containing = [name for name in known if words <= set(_words(name.upper()))]
    if len(containing) == 1:
        return containing[0]
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.7)), None)
