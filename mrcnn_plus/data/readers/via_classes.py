"""Which attribute of a VIA file holds the class, and the class of a region.

VIA leaves attributes to its users: their names, whether they stand at regions or files, and whether they are a text, a
choice (radio, dropdown) or check boxes.
"""

import difflib
import logging
from collections import Counter
from typing import NamedTuple

from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

ONLY_CLASS = "object"
_USUAL_NAMES = {
    *("class", "classes", "class_name", "classname", "label", "labels", "category", "categories", "name", "names"),
    *("type", "types", "object", "objects", "object_name", "object_class", "species", "kind", "tag", "annotation"),
}
# What VIA itself puts into file_attributes.
_NO_CLASSES = {"caption", "public_domain", "image_url"}
_EVERY_VALUE_NEW = 0.8


class ClassAttribute(NamedTuple):
    """names: the first that has a value counts; of_file: they are attributes of the file; only: class of everything."""

    names: tuple = ()
    of_file: bool = False
    only: str | None = None


def choose_attribute(entries, build):
    """The `ClassAttribute` that the user chose, or that is in use; said in the log. build: `DatasetBuilder`."""
    options, path = build.options, build.dataset.source_path
    of_regions = _values([region.attributes for entry in entries for region in entry.regions])
    of_files = _values([entry.attributes for entry in entries])
    if options.class_attribute is not None:
        return _chosen(options.class_attribute, of_regions, of_files, path)
    count = sum(len(entry.regions) for entry in entries)
    name = _most_likely(of_regions, count)
    if name is not None:
        _say_inferred(path, "region", name, of_regions)
        return ClassAttribute((name,))
    likely = {name: values for name, values in of_files.items() if name not in _NO_CLASSES}
    likely = {name: values for name, values in likely.items() if name.lower() in _USUAL_NAMES or _repeats(values)}
    name = _most_likely(likely, len(entries))
    if name is not None:
        _say_inferred(path, "file", name, likely)
        return ClassAttribute((name,), of_file=True)
    wanted = options.class_names
    only = options.default_class or (wanted[0] if wanted is not None and len(wanted) == 1 else ONLY_CLASS)
    if count:
        message = f"no region has a class attribute, so all {count} get the class {only!r}"
        if options.default_class is None and wanted is None:
            message += ". Say what it is, e.g. default_class='weed'"
            build.problem("DAT023", "", message, ONLY_CLASS)
        logger.warning("%s: %s", path, message)
    return ClassAttribute(only=only)


def class_of(region, entry, attribute, options):
    """`(class name, None)`, or `(None, reason)` for a region without one."""
    if attribute.only is not None:
        return attribute.only, None
    attributes = entry.attributes if attribute.of_file else region.attributes
    for name in attribute.names:
        chosen = _chosen_values(attributes.get(name)) if isinstance(attributes, dict) else []
        if len(chosen) > 1:
            return None, f"its attribute {name!r} has several values ({', '.join(map(repr, chosen))})"
        if chosen:
            return chosen[0], None
    if options.default_class is not None:
        return options.default_class, None
    owner = "file" if attribute.of_file else "region"
    return None, f"the {owner} has no value of the attribute {' or '.join(map(repr, attribute.names))}"


def _chosen_values(value):
    """Class names in an attribute: a text or number, or check boxes {"name": true}."""
    if isinstance(value, dict):
        return [str(name) for name, checked in value.items() if checked and checked not in ("false", "0")]
    if isinstance(value, list):
        return [str(name) for name in value if str(name).strip()]
    if value is None or isinstance(value, bool) or not str(value).strip() or value == "undefined":
        return []
    return [str(value)]


def _values(attribute_dicts):
    """{attribute name: Counter of its values}, without empty ones."""
    found = {}
    for attributes in attribute_dicts:
        for name, value in attributes.items() if isinstance(attributes, dict) else ():
            chosen = _chosen_values(value)
            counter = found.setdefault(str(name), Counter())
            if chosen:
                counter[tuple(chosen)] += 1
    return found


def _most_likely(found, count):
    """The attribute with most values; of those that are nearly as common, one with a usual name or repeated values."""
    totals = {name: counter.total() for name, counter in found.items() if counter}
    if not totals:
        return None
    common = [name for name, total in totals.items() if 2 * total >= max(totals.values())]

    def rank(name):
        new_each_time = count > 4 and len(found[name]) > _EVERY_VALUE_NEW * totals[name]
        return new_each_time, name.lower().strip() not in _USUAL_NAMES, -totals[name], len(found[name])

    return min(common, key=rank)


def _repeats(counter):
    return counter.total() >= 2 and 2 * len(counter) <= counter.total()


def _chosen(names, of_regions, of_files, path):
    names = (names,) if isinstance(names, str) else tuple(names)
    known = [name for name in names if name in of_regions]
    if known or any(name in of_files for name in names):
        unknown = [name for name in names if name not in of_regions and name not in of_files]
        if unknown:
            logger.warning("%s has no attribute %s.", path, ", ".join(map(repr, unknown)))
        return ClassAttribute(names, of_file=not known)
    available = [*of_regions, *of_files]
    near = difflib.get_close_matches(names[0], available, n=1) if names else []
    hint = f" Is {near[0]!r} meant?" if near else ""
    raise DatasetError(
        f"{path!r}: expected an attribute of its regions or files, received class_attribute={names!r}.{hint} "
        f"It has {_counts(of_regions, 'regions')}; {_counts(of_files, 'files')}."
    )


def _counts(found, of_what):
    if not found:
        return f"no attribute of {of_what}"
    counts = ", ".join(f"{name!r} ({counter.total()} {of_what})" for name, counter in found.items())
    return f"attributes of {of_what} {counts}"


def _say_inferred(path, of_what, name, found):
    others = [other for other, counter in found.items() if other != name and counter]
    log = logger.warning if others else logger.info
    rest = f" Others with values: {', '.join(map(repr, others))}; choose with class_attribute=...." if others else ""
    log(
        "%s: the class is taken from the %s attribute %r (%d values).%s",
        *(path, of_what, name, found[name].total(), rest),
    )
