"""The image size against the images and objects of a data set, as they will be after resizing."""

import itertools

import numpy as np

from mrcnn_plus.config_values import resize_settings
from mrcnn_plus.constants import SIZE_STEP, round_up
from mrcnn_plus.lint.estimates.image_size_choice import choose_image_size, object_sides
from mrcnn_plus.lint.estimates.molded import can_resize, mold_images, mold_objects, mold_sizes
from mrcnn_plus.lint.findings import INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, HEADERS, OBJECTS, Violation, rule
from mrcnn_plus.lint.setting_types import resize_mode

_LOST = 2  # pixels: a box of one pixel can have height 0 after rounding
_TINY = 8  # pixels: two cells of the finest feature map


@rule(
    "CFG005",
    INFO,
    needs=(CONFIG, HEADERS),
    why="In mode none images stay as they are. Those of one step must have one size, with sides that are multiples of "
    "64: smaller ones are padded with black at the bottom and on the right.",
    example='IMAGE_RESIZE_MODE = "none" with photographs of 600 x 450 and 800 x 600',
    fix='Use IMAGE_RESIZE_MODE = "pad64", which pads on all sides and can enlarge, or resize the files.',
)
def images_of_other_sizes_in_mode_none(facts):
    """In mode `none`, images have different sizes, or sides that are no multiples of 64."""
    config = facts.config
    if resize_mode(config) != "none" or not facts.train:
        return
    sizes = facts.train.images.sizes
    sizes = np.unique(sizes[~np.isnan(sizes).any(axis=1)], axis=0)
    odd = (sizes % SIZE_STEP != 0).any(axis=1)
    if len(sizes) > 1 or odd.any():
        height, width = sizes[odd][0] if odd.any() else sizes[0]
        yield Violation(
            f"the training images have {len(sizes)} different sizes, {odd.sum()} with sides that are no multiples of "
            f"{SIZE_STEP}, such as {width:.0f} x {height:.0f}: they are padded in each step.",
            setting="IMAGE_RESIZE_MODE",
        )


@rule(
    "CFG008",
    WARNING,
    needs=(CONFIG, HEADERS),
    why="In mode square the long side is limited to IMAGE_MAX_DIM, which overrules the enlarging.",
    example="IMAGE_MIN_SCALE = 2 with images of 1024 x 1024 and IMAGE_MAX_DIM = 1024",
    fix="Raise IMAGE_MAX_DIM, or leave IMAGE_MIN_SCALE out.",
)
def min_scale_without_effect(facts, *, least_share=0.5):
    """In mode `square`, `IMAGE_MIN_SCALE` is overruled by `IMAGE_MAX_DIM` for at least `least_share` of the images."""
    config = facts.config
    if not can_resize(config) or resize_mode(config) != "square" or not config.IMAGE_MIN_SCALE:
        return
    for split in facts.splits:
        molded = mold_images(split, config)
        reached = molded.scale[molded.known]
        overruled = reached < config.IMAGE_MIN_SCALE * 0.999
        if len(reached) and overruled.mean() >= least_share:
            yield Violation(
                f"{split.name}: {overruled.sum()} of {len(reached)} images are enlarged less than "
                f"{config.IMAGE_MIN_SCALE:g} times (median {np.median(reached):.2f}), because their long side may "
                f"have {config.IMAGE_MAX_DIM} pixels at most.",
                setting="IMAGE_MIN_SCALE",
            )


@rule(
    "CFG009",
    INFO,
    needs=(CONFIG, OBJECTS, HEADERS),
    why="Enlarging adds no detail and blurs what there is, and costs memory and time in proportion to the area. It "
    "helps only where objects are too small for the finest feature map.",
    example="Photographs of 512 x 512 under IMAGE_MIN_DIM = IMAGE_MAX_DIM = 600, with objects of 100 pixels.",
    fix="Choose the size of the images, as a multiple of 64.",
)
def images_enlarged_needlessly(facts, *, factor=1.1, factor_to_warn=2.0, small_object=16.0, small_share=0.1):
    """The median image is enlarged by more than `factor`, and the objects do not need it.

    Needed is enlarging where `small_share` of the objects or more are below `small_object` pixels. A warning where
    the program set the sizes itself, or from `factor_to_warn` on; without known objects an info.
    """
    config = facts.config
    if not can_resize(config) or not facts.train or resize_mode(config) == "none":
        return
    sizes = facts.train.images.sizes
    molded = mold_sizes(sizes, resize_settings(config))
    if not molded.known.any():
        return
    scale = float(np.nanmedian(molded.scale))
    sides = object_sides(facts.train)
    small = float((sides < small_object).mean()) if len(sides) else 0.0
    if scale <= factor or small >= small_share:
        return
    side = float(np.nanmedian(sizes.max(axis=1)))
    if float(np.nanmedian(molded.shape.max(axis=1))) <= round_up(side):  # the smallest input that shows all pixels
        return
    suggestion = choose_image_size(sizes, sides)
    pixels = float(np.nanmean(molded.shape.prod(axis=1))) / 1e6
    if suggestion.megapixels > 0.95 * pixels:
        return
    own = any(config.is_overridden(name) for name in ("IMAGE_MIN_DIM", "IMAGE_MAX_DIM", "IMAGE_MIN_SCALE"))
    height, width = np.nanmedian(sizes, axis=0)
    few = f"only {small:.0%} of the objects are" if small else "no object is"
    objects = f", and {few} smaller than {small_object:.0f} pixels" if len(sides) else ""
    chosen = ", ".join(f"{name} = {value!r}" for name, value in suggestion.changes.items())
    yield Violation(
        f"images of about {width:.0f} x {height:.0f} are enlarged by {scale:.2f} "
        f"({(molded.scale[molded.known] > 1).mean():.0%} of them are enlarged){objects}: it adds no detail. "
        f"The size below takes {suggestion.megapixels / pixels:.0%} of the memory and time of the backbone.",
        setting="IMAGE_MIN_DIM",
        fix=f"Set {chosen}.",
        severity=WARNING if len(sides) and (own or scale >= factor_to_warn) else INFO,
        changes=suggestion.changes,
    )


@rule(
    "CFG022",
    INFO,
    needs=(CONFIG, HEADERS),
    why="Padding is computed like any other pixel: memory and time for nothing.",
    example="Images of 2000 x 500 in mode square: three quarters of every input are padding.",
    fix='Set IMAGE_MAX_DIM to the long side of the images, or IMAGE_RESIZE_MODE = "pad64" for elongated ones.',
)
def mostly_padding(facts, *, most_padding=0.45, padding_to_warn=0.65):
    """The mean input consists of padding by more than `most_padding`; from `padding_to_warn` on it is a warning."""
    config = facts.config
    if not can_resize(config) or not facts.train:
        return
    molded = mold_images(facts.train, config)
    if not molded.known.any():
        return
    share = float(np.nanmean(molded.padding_share))
    suggestion = choose_image_size(facts.train.images.sizes, object_sides(facts.train))
    if share <= most_padding or suggestion.padding_share > share - 0.05:
        return
    height, width = np.nanmedian(molded.content, axis=0)
    chosen = ", ".join(f"{name} = {value!r}" for name, value in suggestion.changes.items())
    yield Violation(
        f"{share:.0%} of the network's input is padding: images of about {width:.0f} x {height:.0f} after resizing "
        f"in {np.nanmedian(molded.shape[:, 1]):.0f} x {np.nanmedian(molded.shape[:, 0]):.0f}.",
        setting="IMAGE_MAX_DIM",
        fix=f"Set {chosen} for {suggestion.padding_share:.0%} of padding.",
        severity=WARNING if share >= padding_to_warn else INFO,
        changes=suggestion.changes,
    )


@rule(
    "CFG023",
    WARNING,
    needs=(CONFIG, OBJECTS, HEADERS),
    why="A window that is smaller than the objects shows parts of them only; the network never sees a whole one.",
    example='IMAGE_RESIZE_MODE = "crop" with IMAGE_MIN_DIM = 256 and objects of 400 pixels',
    fix="Raise IMAGE_MIN_DIM, or use mode square, which shrinks large images.",
)
def crop_smaller_than_objects(facts, *, most_share=0.1):
    """In mode `crop`, more than `most_share` of the objects are longer than the window."""
    config = facts.config
    if not can_resize(config) or resize_mode(config) != "crop":
        return
    for split, objects in facts.splits_with_objects:
        molded = mold_objects(split, objects, config)
        longer = np.maximum(molded.heights, molded.widths) > config.IMAGE_MIN_DIM
        if len(longer) and longer.mean() > most_share:
            yield Violation(
                f"{split.name}: {longer.mean():.0%} of the objects are longer than the window of "
                f"{config.IMAGE_MIN_DIM} pixels that is cut out.",
                setting="IMAGE_MIN_DIM",
            )


@rule(
    "CFG024",
    INFO,
    needs=(CONFIG, HEADERS),
    why="Every shape of input is compiled on its own by XLA and JAX, which takes tens of seconds each.",
    example='IMAGE_RESIZE_MODE = "pad64" with photographs of 300 different sizes',
    fix='Use IMAGE_RESIZE_MODE = "square", which has one shape.',
)
def many_input_shapes(facts, *, most_shapes=20):
    """In modes `pad64` and `none`, images lead to more than `most_shapes` shapes, and the network is compiled."""
    config = facts.config
    if not can_resize(config) or resize_mode(config) not in ("pad64", "none") or not facts.train:
        return
    molded = mold_images(facts.train, config)
    shapes = len(np.unique(molded.shape[molded.known], axis=0))
    if shapes > most_shapes and config.JIT_COMPILE is not False:
        yield Violation(
            f"the images of the training set lead to {shapes} different shapes of input; where the network is "
            "compiled (on accelerators, and with JIT_COMPILE = True) that is done anew for each.",
            setting="IMAGE_RESIZE_MODE",
        )


@rule(
    "CFG025",
    WARNING,
    needs=(CONFIG, OBJECTS, HEADERS),
    why="Under 8 pixels an object covers two cells of the finest feature map or less: hardly anything of it is left "
    "to recognize, and its mask cannot be learnt.",
    example="Photographs of 4000 x 3000 shrunk to 1024, in which objects of 30 pixels keep 7.",
    fix="Use a larger IMAGE_MAX_DIM, enlarge the images (IMAGE_MIN_SCALE = 2), or train on tiles of the images.",
)
def objects_tiny_after_resizing(facts, *, tiny=8, most_share=0.25, share_to_mention=0.1):
    """More than `most_share` of the objects have a short side under `tiny` pixels after resizing.

    From `share_to_mention` on it is an info. Objects that are lost altogether: DAT014.
    """
    config = facts.config
    if not can_resize(config):
        return
    for split, objects in itertools.islice(facts.splits_with_objects, 1):
        molded = mold_objects(split, objects, config)
        if not len(molded.row):
            continue
        short = molded.short_sides
        share = float((short < tiny).mean())
        if share <= share_to_mention:
            continue
        scale = float(np.median(mold_images(split, config).scale[molded.image]))
        own = short / mold_images(split, config).scale[molded.image]
        suggestion = choose_image_size(split.images.sizes, object_sides(split))
        better = suggestion and suggestion.scale > 1.1 * scale
        yield Violation(
            f"{split.name}: {share:.0%} of {len(short)} objects have a short side under {tiny} pixels after resizing "
            f"by a factor of {scale:.2f} (median {np.median(short):.1f} pixels; {float((own < tiny).mean()):.0%} are "
            "that small in the images themselves).",
            setting="IMAGE_MAX_DIM",
            severity=WARNING if share > most_share else INFO,
            changes=suggestion.changes if better else {},
        )


@rule(
    "DAT014",
    WARNING,
    needs=(CONFIG, OBJECTS, HEADERS),
    why="A box of less than 2 pixels can have no size after rounding. Training drops such objects, and their places "
    "count as background.",
    example="Objects of 5 pixels in photographs that are shrunk to a quarter.",
    fix="Use a larger IMAGE_MAX_DIM or smaller parts of the images, or leave these objects out of the annotations.",
)
def objects_lost_in_resizing(facts, *, least_pixels=_LOST, share_to_warn=0.01):
    """Objects have less than `least_pixels` pixels in height or width after resizing.

    An info while they are less than `share_to_warn` of all. All are listed.
    """
    config = facts.config
    if not can_resize(config):
        return
    for split, objects in facts.splits_with_objects:
        molded = mold_objects(split, objects, config)
        lost = molded.short_sides < least_pixels
        if not lost.any():
            continue
        share = float(lost.mean())
        scale = float(np.median(mold_images(split, config).scale[molded.image[lost]]))
        yield Violation(
            f"{lost.sum()} of {len(lost)} objects ({share:.1%}) have under {least_pixels} pixels in height or width "
            f"after resizing by {scale:.2f}: nothing is left of them to learn.",
            severity=WARNING if share >= share_to_warn else INFO,
            value=int(lost.sum()),
            places=split.object_places(molded.row[lost]),
        )
