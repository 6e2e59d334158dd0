"""Steps and batches against the number of images."""

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, DATA, Violation, rule
from mrcnn_plus.lint.setting_types import EXPECTED, fits, received

_COUNTS = ("STEPS_PER_EPOCH", "VALIDATION_STEPS", "IMAGES_PER_GPU", "GPU_COUNT")


@rule(
    "CFG100",
    ERROR,
    needs=CONFIG,
    why="Steps and images are counted in whole numbers; half a step, or none, cannot be run.",
    example="STEPS_PER_EPOCH = 25 / 2",
    fix="Use whole numbers of at least 1: max(1, num_images // batch_size).",
)
def steps_or_batch_no_whole_number(facts):
    """`STEPS_PER_EPOCH`, `VALIDATION_STEPS`, `IMAGES_PER_GPU` or `GPU_COUNT` is no whole number of at least 1."""
    for name in _COUNTS:
        if not fits(facts.config, name):
            value = getattr(facts.config, name)
            positive = isinstance(value, float) and value >= 1
            yield Violation(
                f"expected {EXPECTED[name].text}, received {received(facts.config, name)}.",
                setting=name,
                changes={name: int(value) if positive else 1} if isinstance(value, int | float) else {},
            )


@rule(
    "CFG101",
    INFO,
    needs=(CONFIG, DATA),
    why="Validation and checkpoints come after each epoch. An epoch of very many passes over the images shows an "
    "over-fitting network too late and too seldom; an epoch of a small part of them validates needlessly often.",
    example="STEPS_PER_EPOCH = 100 and 2 images per step for 12 images: each is seen 17 times in an epoch.",
    fix="Set STEPS_PER_EPOCH to the number of images / BATCH_SIZE, and train more epochs.",
)
def steps_do_not_follow_number_of_images(facts, *, fewest_passes=0.5, most_passes=5.0, passes_to_warn=10.0):
    """An epoch shows each image fewer than `fewest_passes` or more than `most_passes` times.

    A warning if the program set more than `passes_to_warn` itself.
    """
    config, train = facts.config, facts.train
    if not fits(config, *_COUNTS) or not train or not train.num_images:
        return
    shown = config.STEPS_PER_EPOCH * config.BATCH_SIZE
    passes = shown / train.num_images
    if fewest_passes <= passes <= most_passes:
        return
    steps = max(1, -(-train.num_images // config.BATCH_SIZE))
    chosen = config.is_overridden("STEPS_PER_EPOCH")
    seen = f"each of the {train.num_images} images is seen about {passes:.0f} times"
    if passes < 1:
        seen = f"that is {passes:.0%} of the {train.num_images} images"
    yield Violation(
        f"an epoch of {config.STEPS_PER_EPOCH} steps of {config.BATCH_SIZE} shows {shown} images: {seen}.",
        setting="STEPS_PER_EPOCH",
        fix=f"Set STEPS_PER_EPOCH = {steps} for one pass in an epoch, and adapt `epochs`.",
        severity=WARNING if chosen and passes > passes_to_warn else INFO,
        changes={"STEPS_PER_EPOCH": steps},
    )


@rule(
    "CFG102",
    WARNING,
    needs=(CONFIG, DATA),
    why="Validation walks the whole validation set unless the program sets VALIDATION_STEPS; then it stops there. A "
    "loss measured on a few images says little about the others.",
    example="VALIDATION_STEPS = 5 with 2 images per step and 400 validation images",
    fix="Leave VALIDATION_STEPS out to validate on all images.",
)
def validation_on_a_part(facts, *, least_share=0.8, enough_images=200):
    """`VALIDATION_STEPS` is set and covers less than `least_share` of the images, and fewer than `enough_images`.

    With `enough_images` or more it is an info.
    """
    config, val = facts.config, facts.val
    if not fits(config, *_COUNTS) or not val or not config.is_overridden("VALIDATION_STEPS"):
        return
    covered = config.VALIDATION_STEPS * config.BATCH_SIZE
    if covered >= least_share * val.num_images:
        return
    steps = -(-val.num_images // config.BATCH_SIZE)
    yield Violation(
        f"validation sees the first {covered} of {val.num_images} images ({covered / val.num_images:.0%}); the loss "
        "of the others is not measured.",
        setting="VALIDATION_STEPS",
        fix=f"Leave VALIDATION_STEPS out to validate on all images, or set it to {steps}.",
        severity=INFO if covered >= enough_images else WARNING,
        changes={"VALIDATION_STEPS": steps},
    )


@rule(
    "CFG104",
    INFO,
    needs=(CONFIG, DATA),
    why="Validation shows every image once and ends; steps beyond that have no effect. Matterport's code filled them "
    "with the same images again.",
    example="VALIDATION_STEPS = 50 with 2 images per step and 4 validation images",
    fix="Leave VALIDATION_STEPS out.",
)
def more_validation_steps_than_images(facts, *, most_times=2):
    """`VALIDATION_STEPS` is set to more than `most_times` the steps that the validation set fills."""
    config, val = facts.config, facts.val
    if not fits(config, *_COUNTS) or not val or not config.is_overridden("VALIDATION_STEPS"):
        return
    steps, asked = -(-val.num_images // config.BATCH_SIZE), config.VALIDATION_STEPS
    if val.num_images and asked > most_times * steps:
        yield Violation(
            f"validation ends after {steps} steps of {config.BATCH_SIZE}, because the validation set has "
            f"{val.num_images} images, not {asked * config.BATCH_SIZE}.",
            setting="VALIDATION_STEPS",
            fix=f"Leave VALIDATION_STEPS out, or set it to {steps}.",
            changes={"VALIDATION_STEPS": steps},
        )


@rule(
    "CFG103",
    WARNING,
    needs=(CONFIG, DATA),
    why="A step then holds the same image several times: it costs memory and time and teaches nothing more.",
    example="IMAGES_PER_GPU = 16 with 10 training images",
    fix="Lower IMAGES_PER_GPU to the number of images at most.",
)
def batch_larger_than_data(facts):
    """A step holds more images than the training set has."""
    config, train = facts.config, facts.train
    if fits(config, *_COUNTS) and train and 0 < train.num_images < config.BATCH_SIZE:
        each = max(1, train.num_images // config.GPU_COUNT)
        yield Violation(
            f"BATCH_SIZE={config.BATCH_SIZE} (IMAGES_PER_GPU={config.IMAGES_PER_GPU} x GPU_COUNT={config.GPU_COUNT}), "
            f"but the training set has {train.num_images} images.",
            setting="IMAGES_PER_GPU",
            fix=f"Set IMAGES_PER_GPU = {each}.",
            changes={"IMAGES_PER_GPU": each},
        )
