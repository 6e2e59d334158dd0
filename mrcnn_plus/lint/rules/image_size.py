"""Settings of the image size by themselves; against the images of a data set: `image_size_and_data.py`."""

from mrcnn_plus.constants import SIZE_STEP, round_up
from mrcnn_plus.lint.estimates.image_size_choice import suggested_changes
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, RUN, Violation, rule
from mrcnn_plus.lint.setting_types import EXPECTED, fits, received, resize_mode

_HALVINGS = "The pyramid halves the image six times, and upsampled maps must meet those below them."


@rule(
    "CFG001",
    ERROR,
    needs=CONFIG,
    why="The mode decides how images of different sizes become inputs of the network; there are four.",
    example='IMAGE_RESIZE_MODE = "pad"',
    fix='Set IMAGE_RESIZE_MODE to "square", "pad64", "crop" or "none"; "square" suits most data sets.',
)
def unknown_resize_mode(facts):
    """`IMAGE_RESIZE_MODE` is none of the four modes."""
    if not fits(facts.config, "IMAGE_RESIZE_MODE"):
        expected = EXPECTED["IMAGE_RESIZE_MODE"].text
        message = f"expected {expected}, received {received(facts.config, 'IMAGE_RESIZE_MODE')}."
        lower = str(facts.config.IMAGE_RESIZE_MODE).strip().lower()
        known = EXPECTED["IMAGE_RESIZE_MODE"].accepts(lower)
        yield Violation(
            message, setting="IMAGE_RESIZE_MODE", changes={"IMAGE_RESIZE_MODE": lower if known else "square"}
        )


@rule(
    "CFG002",
    ERROR,
    needs=CONFIG,
    why=f"{_HALVINGS} In mode square images become IMAGE_MAX_DIM x IMAGE_MAX_DIM.",
    example="IMAGE_MAX_DIM = 1000",
    fix="Use a multiple of 64, such as 960 or 1024.",
)
def max_dim_not_multiple_of_64(facts):
    """In mode `square`, `IMAGE_MAX_DIM` is no multiple of 64, or not set."""
    if resize_mode(facts.config) == "square" and fits(facts.config, "IMAGE_MAX_DIM"):
        yield from _not_a_multiple(facts, "IMAGE_MAX_DIM", "the side of the network's input in mode square")


@rule(
    "CFG003",
    ERROR,
    needs=CONFIG,
    why=f"{_HALVINGS} In mode crop, windows of IMAGE_MIN_DIM x IMAGE_MIN_DIM are cut out.",
    example='IMAGE_RESIZE_MODE = "crop"; IMAGE_MIN_DIM = 500',
    fix="Use a multiple of 64, such as 448 or 512.",
)
def crop_size_not_multiple_of_64(facts):
    """In mode `crop`, `IMAGE_MIN_DIM` is no multiple of 64, or not set."""
    if resize_mode(facts.config) == "crop" and fits(facts.config, "IMAGE_MIN_DIM"):
        yield from _not_a_multiple(facts, "IMAGE_MIN_DIM", "the side of the window in mode crop")


@rule(
    "CFG004",
    ERROR,
    needs=CONFIG,
    why="In mode pad64 the short side is enlarged to IMAGE_MIN_DIM; other values are refused when an image is resized.",
    example='IMAGE_RESIZE_MODE = "pad64"; IMAGE_MIN_DIM = 600',
    fix="Use a multiple of 64, or 0 to enlarge nothing.",
)
def pad64_min_dim_not_multiple_of_64(facts):
    """In mode `pad64`, `IMAGE_MIN_DIM` is set and no multiple of 64."""
    config = facts.config
    if resize_mode(config) == "pad64" and fits(config, "IMAGE_MIN_DIM") and config.IMAGE_MIN_DIM:
        yield from _not_a_multiple(facts, "IMAGE_MIN_DIM", "the least short side in mode pad64")


def _not_a_multiple(facts, name, what):
    """A violation unless the setting is a multiple of 64; the data, where given, decide which one is better."""
    value = getattr(facts.config, name)
    if value and value % SIZE_STEP == 0:
        return
    if not value:
        yield Violation(f"expected {what} in pixels, received {received(facts.config, name)}.", setting=name)
        return
    above = int(round_up(value))
    below = above - SIZE_STEP
    near = above if below < SIZE_STEP or above - value <= value - below else below
    fix = f"Use {below or SIZE_STEP} or {above}."
    same = ("IMAGE_MIN_DIM", "IMAGE_MAX_DIM") if facts.config.IMAGE_MIN_DIM == facts.config.IMAGE_MAX_DIM else (name,)
    changes = dict.fromkeys(same, near)
    if resize_mode(facts.config) == "square":
        suited = suggested_changes(facts.train, *same)
        if suited:
            fix = f"{fix} The images of the data set suit {', '.join(f'{key}={size}' for key, size in suited.items())}."
            changes = suited
    yield Violation(
        f"{name}={value}, {what}, is no multiple of 64, which a pyramid of six halvings needs.",
        setting=name,
        fix=fix,
        changes=changes,
    )


@rule(
    "CFG006",
    INFO,
    needs=(CONFIG, RUN),
    why="A random window is right for training only. Detection takes the whole image at the same scale, as in mode "
    "pad64, which needs more memory than the window did.",
    example='mode="inference" with IMAGE_RESIZE_MODE = "crop"',
    fix='Set IMAGE_RESIZE_MODE = "pad64" or "square" in the configuration for detection to choose the size yourself.',
)
def crop_in_detection(facts):
    """A model for detection has the mode `crop`."""
    if facts.run.mode == "inference" and resize_mode(facts.config) == "crop":
        message = "detection does not crop: whole images are taken at the scale of training, padded to multiples of 64."
        yield Violation(message, setting="IMAGE_RESIZE_MODE")


@rule(
    "CFG007",
    WARNING,
    needs=CONFIG,
    why="In mode square the long side is limited to IMAGE_MAX_DIM in any case, so the short side never gets "
    "IMAGE_MIN_DIM.",
    example="IMAGE_MIN_DIM = 1024; IMAGE_MAX_DIM = 512",
    fix="Set IMAGE_MIN_DIM to at most IMAGE_MAX_DIM.",
)
def min_dim_above_max_dim(facts):
    """In mode `square`, `IMAGE_MIN_DIM` is larger than `IMAGE_MAX_DIM`."""
    config = facts.config
    if resize_mode(config) != "square" or not fits(config, "IMAGE_MIN_DIM", "IMAGE_MAX_DIM"):
        return
    if config.IMAGE_MAX_DIM and (config.IMAGE_MIN_DIM or 0) > config.IMAGE_MAX_DIM:
        only_max = config.is_overridden("IMAGE_MAX_DIM") and not config.is_overridden("IMAGE_MIN_DIM")
        default = " (its default)" if only_max else ""
        yield Violation(
            f"IMAGE_MIN_DIM={config.IMAGE_MIN_DIM}{default} is overruled by IMAGE_MAX_DIM={config.IMAGE_MAX_DIM}: "
            "every image is resized so that its long side has IMAGE_MAX_DIM.",
            setting="IMAGE_MIN_DIM",
            fix=f"Set IMAGE_MIN_DIM = {config.IMAGE_MAX_DIM} if that is meant, or less to enlarge less.",
            changes={"IMAGE_MIN_DIM": config.IMAGE_MAX_DIM},
        )
