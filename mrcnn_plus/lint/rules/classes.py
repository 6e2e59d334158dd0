"""`NUM_CLASSES` on its own and against the data set."""

from mrcnn_plus.lint.findings import ERROR
from mrcnn_plus.lint.registry import CONFIG, DATA, Violation, rule
from mrcnn_plus.lint.setting_types import fits, is_whole, received

_NAMES_SHOWN = 8


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
