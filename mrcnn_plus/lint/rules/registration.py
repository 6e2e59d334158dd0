"""What a data set registered: `prepare`, images, classes and `NUM_CLASSES`, sources, `load_mask`."""

import difflib
from collections import Counter

from mrcnn_plus.data.readers.class_names import alike_names
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.grouping import counted, listed, problems_of, violations_of
from mrcnn_plus.lint.measuring.image_facts import keeps_annotations
from mrcnn_plus.lint.registry import CONFIG, DATA, PIXELS, Violation, rule
from mrcnn_plus.lint.setting_types import fits, is_whole, received

_NAMES_SHOWN = 8


@rule(
    "DAT001",
    ERROR,
    needs=DATA,
    why="prepare() numbers images and classes; what was added later is not used, and without it nothing is.",
    example="dataset.add_image(...) without dataset.prepare() after it",
    fix="Call dataset.prepare() once, after the last add_class and add_image.",
)
def prepare_not_called(facts):
    """`prepare()` was not called, or images or classes were added after it."""
    for split in facts.splits:
        dataset = split.dataset
        if not hasattr(dataset, "num_classes"):
            message = f"prepare() was not called; {counted(split.num_images, 'image')} were added."
            yield Violation(message, where=_name(split))
            continue
        for noun, added, prepared in (
            ("image", len(dataset.image_info), len(dataset.image_ids)),
            ("class", len(dataset.class_info), dataset.num_classes),
        ):
            if added > prepared:
                late = counted(added - prepared, noun, "classes" if noun == "class" else None)
                yield Violation(f"{late} were added after prepare() and will not be used.", where=_name(split))


@rule(
    "DAT002",
    ERROR,
    needs=DATA,
    why="There is nothing to train on. Usually a path or a pattern of file names is wrong.",
    example="a data set on which add_image was never called",
    fix="Check the folder or annotation file that the data set reads, and that add_image is reached.",
)
def no_images(facts):
    """The data set has no image."""
    for split in facts.splits:
        if split.num_images == 0:
            source = getattr(split.dataset, "source_path", "")
            read = f", read from {source!r}" if source else ""
            yield Violation(f"the data set has 0 images{read}.", where=_name(split), value=0)


@rule(
    "DAT003",
    WARNING,
    needs=(DATA, PIXELS),
    why="The network numbers classes from 1, in the order of add_class, and 0 is the background. A load_mask that "
    "returns the registered id 0 would train these objects as background.",
    example='dataset.add_class("parts", 0, "bolt")',
    fix="Count class ids from 1, or let load_mask return map_source_class_id('source.id').",
)
def class_id_not_from_one(facts):
    """A class was registered with id 0, a negative id, or one that is neither a whole number nor a str.

    It is told as info where class ids of `load_mask` were seen and are right all the same.
    """
    for split in facts.splits:
        if keeps_annotations(split.dataset):
            continue  # readers map ids, and COCO files may count from 0
        for number, info in enumerate(split.dataset.class_info[1:], 1):
            class_id = info["id"]
            whole = isinstance(class_id, int) or hasattr(class_id, "__index__")
            if isinstance(class_id, str) or (whole and not isinstance(class_id, bool) and class_id > 0):
                continue
            yield Violation(
                f"class {info['name']!r} was registered with id {class_id!r}; its number in the data set is {number}.",
                where=f"{_name(split)}.class_info[{number}]",
                value=class_id,
                severity=INFO if any(item.measured and len(item.class_ids) for item in split.pixels) else None,
            )


@rule(
    "DAT004",
    WARNING,
    needs=DATA,
    why="Two numbers for one class make the network tell apart what is the same.",
    example='dataset.add_class("forest", 1, "tree"); dataset.add_class("forest", 2, "tree")',
    fix="Register the class once, and map both ids to it.",
)
def class_registered_twice(facts):
    """The same class name is registered under two ids of a source (warning), or in several sources (info)."""
    for split in facts.splits:
        classes = split.dataset.class_info
        for name, count in Counter(str(info["name"]) for info in classes).items():
            if count == 1:
                continue
            numbers = [number for number, info in enumerate(classes) if str(info["name"]) == name]
            sources = sorted({str(classes[number]["source"]) for number in numbers})
            yield Violation(
                f"the name {name!r} stands for classes {listed(numbers)} of "
                f"{'source' if len(sources) == 1 else 'sources'} {listed(map(repr, sources))}.",
                where=f"{_name(split)}.class_info",
                value=name,
                severity=WARNING if len(sources) < len(numbers) else INFO,
            )


@rule(
    "DAT005",
    ERROR,
    needs=DATA,
    why="The source ties images to classes. An image of a source without classes stops training.",
    example='dataset.add_class("damage", 1, "dent"); dataset.add_image("object", ...)',
    fix="Use the same source in add_image and add_class.",
)
def image_source_without_classes(facts):
    """Images are registered with a source for which no class is registered."""
    for split in facts.splits:
        known = sorted({str(info["source"]) for info in split.dataset.class_info[1:]})
        for source, count in Counter(str(info["source"]) for info in split.dataset.image_info).items():
            if source in known:
                continue
            classes = f"classes belong to {listed(map(repr, known))}" if known else "no class was added at all"
            yield Violation(
                f"{counted(count, 'image')} of source {source!r}, but {classes}.",
                where=f"{_name(split)}.image_info",
                value=source,
                fix=None if known else f'Call add_class("{source}", 1, "name of the class") before prepare().',
            )


@rule(
    "DAT006",
    ERROR,
    needs=DATA,
    why='The dot separates source and id in map_source_class_id("source.id").',
    example='dataset.add_image("photos.2024", ...)',
    fix="Rename the source, in add_class and in add_image.",
)
def dot_in_source(facts):
    """A source has a dot in its name."""
    for split in facts.splits:
        infos = [*split.dataset.class_info, *split.dataset.image_info]
        for source in sorted({str(info["source"]) for info in infos}):
            if "." in source:
                yield Violation(f"the source {source!r} has a dot in its name.", where=_name(split), value=source)


@rule(
    "DAT007",
    ERROR,
    needs=DATA,
    why="The load_mask of the base class has no instances, so nothing is learned. An overriding method with a wrong "
    "name or indentation is never called.",
    example="def load_masks(self, image_id): ...",
    fix="Override load_mask in the class; check its name and its indentation.",
)
def load_mask_not_overridden(facts):
    """The data set uses the `load_mask` of `Dataset` itself."""
    for split in facts.splits:
        dataset = split.dataset
        if "load_mask" in vars(dataset) or type(dataset).load_mask.__qualname__ != "Dataset.load_mask":
            continue
        own = [name for cls in type(dataset).__mro__[:-1] for name in vars(cls) if cls.__name__ != "Dataset"]
        near = difflib.get_close_matches("load_mask", own, n=1)
        hint = f" It has a method {near[0]!r}: is load_mask meant?" if near else ""
        message = f"{type(dataset).__name__} does not override load_mask, so no image has an instance.{hint}"
        yield Violation(message, where=f"{_name(split)}.load_mask", value=near[0] if near else None)


@rule(
    "DAT036",
    WARNING,
    needs=DATA,
    why="A class that is written in two ways is learned as two classes, each from a part of the objects.",
    example="classes 'Cat' and 'cat '",
    fix="Write the name in one way in all annotations.",
)
def class_names_alike(facts):
    """Names of classes differ only by case, spaces or encoding, or hold broken letters or line feeds."""
    for split in facts.splits:
        problems = [problem for problem in problems_of(split, "DAT036") if len(str(problem.value).strip()) > 1]
        yield from violations_of(split, problems)
        known = {str(problem.value) for problem in problems}
        for name, other, why in alike_names(list(dict.fromkeys(split.class_names[1:]))):
            if name not in known and len(name.strip()) > 1:  # "a" and "A" may be two letters to be read
                pair = f"the class names {other!r} and {name!r}" if other else f"the class name {name!r}"
                yield Violation(f"{pair}: {why}.", where=f"{_name(split)}.class_info", value=name)


def _name(split):
    return f"{split.name} ({type(split.dataset).__name__})"


@rule(
    "CFG020",
    ERROR,
    needs=CONFIG,
    why="NUM_CLASSES counts the background too, and its default is 1: then there is no class to learn.",
    example="NUM_CLASSES = 1",
    fix="Set NUM_CLASSES = 1 + the number of your classes.",
)
def no_class_besides_background(facts):
    """`NUM_CLASSES` is no whole number of at least 2."""
    config = facts.config
    if fits(config, "NUM_CLASSES"):
        return
    count = _classes_of_data(facts)
    known = f" The data set has {count - 1}." if count else ""
    only = " Only the background is left." if is_whole(config.NUM_CLASSES) and config.NUM_CLASSES == 1 else ""
    yield Violation(
        f"expected 1 + the number of classes, received {received(config, 'NUM_CLASSES')}.{only}{known}",
        setting="NUM_CLASSES",
        changes={"NUM_CLASSES": count} if count else {},
    )


@rule(
    "CFG021",
    ERROR,
    needs=(CONFIG, DATA),
    why="The network has one output for each class. With another number than the data set has, training stops with a "
    "message about shapes, or in other systems silently learns the last class as background.",
    example="NUM_CLASSES = 2 with a data set of BG, crop and weed",
    fix="Set NUM_CLASSES to the number of classes with the background.",
)
def num_classes_differs_from_data(facts):
    """`NUM_CLASSES` is not the number of classes that the data set registered, with the background."""
    config = facts.config
    if not fits(config, "NUM_CLASSES"):
        return
    for split in facts.splits:
        names = split.class_names
        if len(names) in (1, config.NUM_CLASSES):  # 1: no class registered, which is another rule's
            continue
        shown = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        forgotten = " The background counts too." if len(names) == config.NUM_CLASSES + 1 else ""
        yield Violation(
            f"NUM_CLASSES={config.NUM_CLASSES}, but the {split.name} data set has {len(names)} with the background: "
            f"{shown}.{forgotten}",
            setting="NUM_CLASSES",
            fix=f"Set NUM_CLASSES = 1 + {len(names) - 1}; train and validation need the same classes.",
            changes={"NUM_CLASSES": len(names)} if split.role == "train" or not facts.train else {},
        )


def _classes_of_data(facts):
    """Number of classes with background of the first data set that has one, or None."""
    return next((len(split.class_names) for split in facts.splits if len(split.class_names) > 1), None)
