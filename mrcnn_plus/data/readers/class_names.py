"""Names of classes: their order, and names that are probably the same class written twice."""

import difflib
import re
import unicodedata


def alike_names(names):
    """`(name, other or None, why)` for names that look like slips: twins of another, or with invisible characters."""
    by_key = {}
    for name in names:
        by_key.setdefault(_key(name), []).append(name)
    for twins in by_key.values():
        for name in twins[1:]:
            yield name, twins[0], _difference(name, twins[0])
    twins = {name for group in by_key.values() if len(group) > 1 for name in group}
    for name in names:
        if name in twins:
            continue
        if name != name.strip():
            yield name, None, "it begins or ends with spaces or a line feed"
        elif "\ufffd" in name or repaired(name) != name:
            yield name, None, "its letters were stored in one encoding and read in another"


def repaired(name):
    """The name with a UTF-8 text that was read as Latin-1 or Windows-1252 put right; other names as they are."""
    for encoding in ("cp1252", "latin-1"):
        try:
            mended = name.encode(encoding).decode("utf-8")
        except (UnicodeEncodeError, UnicodeDecodeError):
            continue
        if mended != name:
            return mended
    return name


def nearest_name(name, names):
    """The name that was probably meant, or None."""
    same = [other for other in names if _key(other) == _key(name)]
    return same[0] if same else next(iter(difflib.get_close_matches(name, names, n=1)), None)


def _key(name):
    """What stays of a name without case, spaces, hyphens and broken letters."""
    plain = unicodedata.normalize("NFKC", repaired(name)).casefold()
    return re.sub(r"[\s_\-]+", "", plain) or name


def _difference(name, other):
    if name.strip() == other.strip():
        return "they differ by spaces or line feeds around them"
    if name.strip().casefold() == other.strip().casefold():
        return "they differ in upper and lower case"
    if repaired(name) == repaired(other):
        return "one of them was read in a wrong encoding"
    return "they differ by case, spaces, hyphens or encoding"
