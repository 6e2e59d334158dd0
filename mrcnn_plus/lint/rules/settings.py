"""Settings as such: their names and types, whatever they are for."""

import re

from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.registry import CONFIG, Violation, rule
from mrcnn_plus.lint.setting_types import EXPECTED, fits, is_number, is_whole, received
from mrcnn_plus.lint.spelling import meant_setting

# Settings whose type and range a rule of their own looks at, with more to say about it.
REPORTED_ELSEWHERE = {
    "NAME": "CFG015",
    "NUM_CLASSES": "CFG020",
    "IMAGE_RESIZE_MODE": "CFG001",
    "BACKBONE": "CFG030",
    "RPN_ANCHOR_RATIOS": "CFG040",
    "RPN_ANCHOR_STRIDE": "CFG043",
    "RPN_TRAIN_ANCHORS_PER_IMAGE": "CFG050",
    "ROI_POSITIVE_RATIO": "CFG053",
    "RPN_NMS_THRESHOLD": "CFG055",
    "DETECTION_NMS_THRESHOLD": "CFG055",
    "DETECTION_MIN_CONFIDENCE": "CFG056",
    "MINI_MASK_SHAPE": "CFG061",
    "MEAN_PIXEL": "CFG070",
    "RPN_BBOX_STD_DEV": "CFG080",
    "BBOX_STD_DEV": "CFG080",
    "LEARNING_RATE": "CFG090",
    "GRADIENT_CLIP_NORM": "CFG092",
    "LOSS_WEIGHTS": "CFG094",
    "STEPS_PER_EPOCH": "CFG100",
    "VALIDATION_STEPS": "CFG100",
    "IMAGES_PER_GPU": "CFG100",
    "GPU_COUNT": "CFG100",
}
_INSTEAD_OF_DERIVED = {
    "BATCH_SIZE": "Set IMAGES_PER_GPU (and GPU_COUNT); BATCH_SIZE is their product.",
    "IMAGE_SHAPE": "Set IMAGE_MIN_DIM, IMAGE_MAX_DIM and IMAGE_CHANNEL_COUNT.",
    "IMAGE_META_SIZE": "Set NUM_CLASSES; leave this line out.",
}
_NAME = re.compile(r"[\w-]+")


@rule(
    "CFG011",
    WARNING,
    needs=CONFIG,
    why="BATCH_SIZE, IMAGE_SHAPE and IMAGE_META_SIZE are computed from other settings; a value in the class body is "
    "not used, so training runs with another batch or image size than the program says.",
    example="class PartsConfig(Config): BATCH_SIZE = 8  # IMAGES_PER_GPU stays 2",
    fix="Set the settings that it is computed from.",
)
def derived_setting_in_class_body(facts):
    """The class body gives a computed setting a value that differs from the computed one."""
    config = facts.config
    if not fits(config, "IMAGES_PER_GPU", "GPU_COUNT", "NUM_CLASSES", "IMAGE_CHANNEL_COUNT"):
        return
    for name, value in config._ignored_in_body.items():
        used = getattr(config, name)
        used = used.tolist() if hasattr(used, "tolist") else used
        if list(value) != used if isinstance(used, list) and hasattr(value, "__len__") else value != used:
            yield Violation(
                f"{name}={value!r} in the class body is not used: it is computed, and is {used}.",
                setting=name,
                value=value,
                fix=_INSTEAD_OF_DERIVED[name],
                changes=_settings_for(name, value, config),
            )


def _settings_for(name, value, config):
    if name == "BATCH_SIZE" and is_whole(value) and value > 0 and value % config.GPU_COUNT == 0:
        return {"IMAGES_PER_GPU": int(value) // config.GPU_COUNT}
    return {}


@rule(
    "CFG014",
    WARNING,
    needs=CONFIG,
    why="Python accepts any attribute of a class; a misspelt setting changes nothing, and the default stays in force.",
    example="class PartsConfig(Config): STEPS_PER_EPOCHS = 50",
    fix="Correct the name. If it is a setting of your own, LINT_IGNORE = ('CFG014',) silences this.",
)
def misspelt_setting(facts):
    """An attribute is no setting, but its name is close to that of one that the program leaves at its default."""
    config = facts.config
    for name in _own_attributes(config):
        meant = meant_setting(name)
        if meant and not config.is_overridden(meant) and meant not in config._ignored_in_body:
            yield Violation(
                f"{received(config, name)} is no setting and has no effect; did you mean {meant}? "
                f"{meant} is at its default, {_shortened(getattr(config, meant))}.",
                setting=name,
                fix=f"Rename it to {meant}. If it is a setting of your own, LINT_IGNORE = ('CFG014',) silences this.",
            )


def _own_attributes(config):
    """Names that the program gave the configuration and that are no methods, in the order of the alphabet."""
    known = set(EXPECTED) | set(_INSTEAD_OF_DERIVED)
    names = set(vars(config))
    for cls in type(config).__mro__:
        if cls.__module__.startswith("mrcnn_plus.") or cls is object:
            continue
        names |= {name for name, value in vars(cls).items() if _is_plain(value)}
    return sorted(name for name in names - known if not name.startswith("_"))


def _is_plain(value):
    return not callable(value) and not isinstance(value, property | staticmethod | classmethod)


def _shortened(value):
    text = repr(value.tolist() if hasattr(value, "tolist") else value)
    return text if len(text) <= 60 else text[:57] + "..."


@rule(
    "CFG015",
    ERROR,
    needs=CONFIG,
    why="Log folders and checkpoints are called after NAME; without it no model can be made.",
    example="class PartsConfig(Config): pass  # NAME stays None",
    fix='Give the experiment a short name: NAME = "parts".',
)
def name_missing(facts):
    """`NAME` is None, empty, or no str."""
    if not fits(facts.config, "NAME"):
        yield Violation(
            f"expected a short name for log folders and checkpoints, received {received(facts.config, 'NAME')}.",
            setting="NAME",
        )


@rule(
    "CFG016",
    WARNING,
    needs=CONFIG,
    why="NAME becomes a part of folder and file names; with a slash, a space or a colon in it they cannot be made on "
    "every system, and a checkpoint's path may not tell the epoch to resume after.",
    example='NAME = "parts / front: 2"',
    fix='Use letters, digits, "_" and "-".',
)
def name_with_special_characters(facts):
    """`NAME` has other characters than letters, digits, `_` and `-`."""
    name = facts.config.NAME
    if fits(facts.config, "NAME") and not _NAME.fullmatch(name):
        better = re.sub(r"[^\w-]+", "_", name).strip("_") or "experiment"
        message = f"NAME={name!r} has characters that do not belong into folder names."
        yield Violation(message, setting="NAME", changes={"NAME": better})


@rule(
    "CFG019",
    ERROR,
    needs=CONFIG,
    why="A value of the wrong kind surfaces as an error deep in the network, or is taken for something else: the text "
    '"False" counts as true.',
    example='USE_MINI_MASK = "False"',
    fix="Give the setting a value of the kind that it expects.",
)
def setting_of_wrong_type_or_range(facts):
    """A setting has a type or a value that it cannot have. Settings with a rule of their own are left to that one."""
    config = facts.config
    for name, expected in EXPECTED.items():
        if name in REPORTED_ELSEWHERE or not hasattr(config, name) or expected.accepts(getattr(config, name)):
            continue
        changes = _nearest_value(name, getattr(config, name, None))
        yield Violation(
            f"expected {expected.text}, received {received(config, name)}.",
            setting=name,
            fix=f"Set {name} = {changes[name]!r}." if changes else f"Set {name} to {expected.text}.",
            changes=changes,
        )


def _nearest_value(name, value):
    """`{name: value}` if it is plain what was meant: 50.0 for 50, "512" for 512, "False" for False."""
    meant = value
    if isinstance(value, str):
        words = {"true": True, "false": False, "none": None}
        text = value.strip().lower()
        meant = words[text] if text in words else _number_in(text)
    if is_number(meant) and float(meant).is_integer():
        meant = int(meant)
    return {name: meant} if meant is not value and EXPECTED[name].accepts(meant) else {}


def _number_in(text):
    try:
        return float(text)
    except ValueError:
        return text
