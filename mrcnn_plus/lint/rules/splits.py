"""Train and validation data together: classes, numbers of objects, images that occur twice."""

import numpy as np

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.grouping import counted, listed
from mrcnn_plus.lint.measuring.file_contents import same_files
from mrcnn_plus.lint.registry import DATA, HEADERS, OBJECTS, PIXELS, Violation, rule


@rule(
    "DAT018",
    ERROR,
    needs=(OBJECTS, PIXELS),
    why="Without objects there is nothing to learn; the original code searched for an image with objects for ever.",
    example="an annotation file with images and no annotations",
    fix="Check that annotations are read, and that load_mask returns them.",
)
def no_instance(facts, *, share=0.1):
    """No image has an instance (error); or more than `share` of the images have none (info)."""
    for split in facts.splits:
        known, with_objects = _images_with_objects(split)
        if not known:
            continue
        if not with_objects:
            complete = len(known) == split.num_images
            checked = "no image" if complete else f"none of the {len(known)} images that were read"
            yield Violation(
                f"{checked} of {split.num_images:,} has an instance.",
                where=split.name,
                value=0,
                severity=ERROR if complete and split.role == "train" else WARNING,
            )
            continue
        empty = sorted(known - with_objects)
        if len(empty) > share * len(known):
            yield Violation(
                f"{len(empty):,} of {len(known):,} images have no instance; they are used only with "
                "USE_NEGATIVE_IMAGES = True.",
                value=len(empty),
                fix="Nothing, if there is nothing on them; else annotate them.",
                severity=INFO,
                places=[split.place(row) for row in empty],
            )


def _images_with_objects(split):
    """Images of which the objects are known, and those of them that have one, crowds not counted."""
    measured = {
        item.image_id: ((item.class_ids > 0) & (item.areas > 0)).any() for item in split.pixels if item.measured
    }
    drawn = {image_id for image_id, has_objects in measured.items() if has_objects}
    table = split.objects
    if table is None or table.from_masks:
        return set(measured), drawn
    annotated = set(table.image[~table.crowd].tolist())
    if annotated & set(measured) and not drawn:
        return set(measured), drawn  # there are annotations, but nothing comes of them
    return set(range(split.num_images)), annotated


@rule(
    "DAT020",
    ERROR,
    needs=DATA,
    why="Classes are numbered in the order in which they are registered. Where the lists differ, the same number means "
    "two things, and validation measures nonsense.",
    example="train: 1 cat, 2 dog; val: 1 dog, 2 cat",
    fix="Register the same classes in the same order in both; open_dataset(..., class_names=[...]) fixes the order.",
)
def class_lists_differ(facts):
    """Train and validation data have other classes, or the same in another order."""
    if not facts.train or not facts.val:
        return
    train, val = facts.train.class_names, facts.val.class_names
    if train == val:
        return
    first = next((n for n, pair in enumerate(zip(train, val, strict=False)) if pair[0] != pair[1]), None)
    if first is None:
        first = min(len(train), len(val))
    names = [repr(names[first]) if first < len(names) else "nothing" for names in (train, val)]
    yield Violation(
        f"class {first} is {names[0]} in train and {names[1]} in val; train has {listed(train[1:])}; val has "
        f"{listed(val[1:])}.",
        where="train and val: class_info",
        value=val[1:],
    )


@rule(
    "DAT021",
    WARNING,
    needs=(HEADERS, PIXELS),
    why="The network has seen these images, so their results say nothing about new ones.",
    example="the same folder given for train and val; copies of photos under other names",
    fix="Split the images again, each in one part only.",
)
def train_and_validation_overlap(facts):
    """Images occur in both data sets: the same data set, the same files, or files and pixels of the same content."""
    train, val = facts.train, facts.val
    if not train or not val:
        return
    if train.dataset is val.dataset:
        yield Violation(
            f"the same data set is given for train and val: all {val.num_images:,} images are in both.",
            where="train and val",
            value=val.num_images,
        )
        return
    pairs = _shared(train, val)
    if pairs:
        every = " That is all of them." if len(pairs) == val.num_images else ""
        yield Violation(
            f"{len(pairs):,} of {val.num_images:,} validation images are in the training data too.{every}",
            value=len(pairs),
            places=[f"val: {val.images.names[row]} = train: {train.images.names[other]}" for row, other in pairs],
        )


def _shared(train, val):
    """`[(row of val, row of train)]` of images with equal content."""
    found = {row: other for (_, other), (_, row) in same_files({"train": train.images, "val": val.images}, across=True)}
    seen = {item.digest: item.image_id for item in train.pixels if item.digest and item.low < item.high}
    for item in val.pixels:
        if item.digest in seen:
            found.setdefault(item.image_id, seen[item.digest])
    return sorted(found.items())


@rule(
    "DAT051",
    WARNING,
    needs=(HEADERS, PIXELS),
    why="An image that occurs twice counts double; if its annotations differ, each copy calls the objects of the other "
    "background.",
    example="photo.jpg and photo (1).jpg with the same content",
    fix="Keep one of them, with all its objects.",
)
def image_twice(facts):
    """Images of a data set have the same content, or the same file is registered twice."""
    for split in facts.splits:
        pairs = {other: row for (_, row), (_, other) in same_files({split.name: split.images})}
        first = {}
        for item in split.pixels:
            if item.digest and item.low < item.high:
                earlier = first.setdefault(item.digest, item.image_id)
                if earlier != item.image_id:
                    pairs.setdefault(item.image_id, earlier)
        if pairs:
            names = split.images.names
            yield Violation(
                f"{len(pairs):,} of {counted(split.num_images, 'image')} repeat another one.",
                value=len(pairs),
                places=[f"{split.name}: {names[row]} = {names[other]}" for other, row in sorted(pairs.items())],
            )


@rule(
    "DAT022",
    WARNING,
    needs=OBJECTS,
    why="Rare classes hardly take part in the loss, and the network learns to name the common ones. A class without an "
    "object is never learned, or never measured.",
    example="3000 objects of class A, 4 of class B",
    fix="Collect more of the rare classes; CLASS_WEIGHTS weighs their objects up.",
)
def classes_out_of_balance(facts, *, most_ratio=20.0):
    """A class has no object in train or val, or less than a `most_ratio`th of the objects of another."""
    counts = {}
    for split, table in facts.splits_with_objects:
        counts[split.role] = table.counts_by_class(len(split.class_names))
        yield from _missing_classes(split, table, counts)
        if split.role == "train" or not facts.train:
            yield from _rare_classes(split, counts[split.role], most_ratio)


def _missing_classes(split, table, counts):
    per_class = counts[split.role]
    missing = [number for number in range(1, len(per_class)) if per_class[number] == 0]
    if split.role == "val" and "train" in counts:  # said already
        missing = [number for number in missing if number >= len(counts["train"]) or counts["train"][number]]
    total = int(per_class[1:].sum())
    names = [split.class_names[number] for number in missing]
    if not total:
        return  # no object of any class, which is another rule's
    if missing and table.complete:
        yield Violation(
            f"{counted(len(missing), 'class', 'classes')} of {len(per_class) - 1} without an object in {split.name}: "
            f"{listed(names, 12)}.",
            where=f"{split.name}: class {names[0]!r}",
            value=0,
            fix="Annotate objects of these classes, or remove the classes; for validation, split the images so that "
            "each class is in both parts.",
        )
    elif len(per_class) > 2 and len(missing) == len(per_class) - 2 and total >= 10:
        only = split.class_names[int(per_class.argmax())]
        yield Violation(
            f"all {total} objects of the {len(np.unique(table.image))} images read are {only!r}; the data set has "
            f"{len(per_class) - 1} classes.",
            where=f"{split.name}: class {only!r}",
            value=total,
            fix="Check that load_mask returns the class of each object, and not a row of ones.",
        )


def _rare_classes(split, per_class, most_ratio):
    names = split.class_names
    present = [number for number in range(1, len(per_class)) if per_class[number]]
    if not present:
        return
    most = max(present, key=lambda number: per_class[number])
    rare = [number for number in present if per_class[number] * most_ratio < per_class[most]]
    shown = listed([f"{names[number]} {per_class[number]:,}" for number in sorted(rare, key=lambda n: per_class[n])])
    if rare:
        yield Violation(
            f"{names[most]} has {per_class[most]:,} objects, {counted(len(rare), 'class', 'classes')} less than a "
            f"{most_ratio:g}th of that: {shown}.",
            where=f"{split.name}: class {names[rare[0]]!r}",
            value=int(per_class[rare].min()),
        )


@rule(
    "DAT058",
    INFO,
    needs=OBJECTS,
    why="From a handful of objects a network learns these, and not what they have in common.",
    example="8 objects of class B",
    fix="Annotate more of them, or start from weights that know similar objects.",
)
def few_objects_of_a_class(facts, *, few=20):
    """A class has fewer than `few` objects in the training data."""
    for split, table in facts.splits_with_objects:
        if not table.complete or (split.role == "val" and facts.train):
            continue
        counts = table.counts_by_class(len(split.class_names))
        scarce = [number for number in range(1, len(counts)) if 0 < counts[number] < few]
        if scarce:
            shown = listed([f"{split.class_names[number]} {counts[number]}" for number in scarce])
            yield Violation(
                f"{counted(len(scarce), 'class', 'classes')} with fewer than {few} objects: {shown}.",
                where=f"{split.name}: class {split.class_names[scarce[0]]!r}",
                value=int(counts[scarce].min()),
            )
