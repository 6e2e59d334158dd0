"""Colours of instances and of classes, RGB in 0..1. All can be seen on the black ground of a microscope."""

import colorsys
import zlib

from mrcnn_plus.drawing.canvas import class_labels, rgb

_LEAST_LUMA = 0.45
# Hues that people tell apart and have names for; evenly spaced ones would be half of them greens.
_HUES = (
    (255, 82, 82),  # red
    (255, 150, 30),  # orange
    (255, 225, 40),  # yellow
    (160, 230, 40),  # lime
    (30, 200, 110),  # green
    (60, 225, 200),  # turquoise
    (40, 195, 255),  # sky blue
    (90, 135, 255),  # blue
    (165, 115, 255),  # violet
    (240, 90, 240),  # magenta
    (255, 95, 165),  # pink
    (205, 145, 95),  # brown
)
# Full, light and darker shades, so that 36 classes have colours of their own.
_PALETTE = tuple(
    tuple((channel * keep + white) / 255 for channel in color)
    for keep, white in ((1, 0), (0.5, 127), (0.7, 20))
    for color in _HUES
)


def class_colors(class_names):
    """A colour for each class name, the same in all images and runs: a list of N colours.

    It follows from the name alone, unless two of the names would share it; then the second in the alphabet moves on.
    So the order and number of other classes mean nothing, and the background may be among them or not. A name that
    stands twice has one colour. Of more than 36 classes some share a colour.
    """
    taken = {}
    for name in sorted({str(name) for name in class_names} - {"BG"}):
        # Full shades come first: of few classes none is pale. The last offer is accepted in any case.
        for offer in _offers(name):
            if offer not in taken.values():
                break
        else:
            offer = next(_offers(name))
        taken[name] = offer
    taken["BG"] = None
    return [(0.5, 0.5, 0.5) if taken[name] is None else _PALETTE[taken[name]] for name in map(str, class_names)]


def _offers(name):
    """Places in the palette in the order in which a name wants them, from its checksum: full shades first."""
    count = len(_HUES)
    for shade in range(len(_PALETTE) // count):
        start = zlib.crc32(f"{name} {shade}".encode())
        # 5 and 7 have no factor in common with 12: steps of them visit every hue once.
        step = (5, 7)[start // count % 2]
        for i in range(count):
            yield shade * count + (start + i * step) % count


def distinct_colors(count):
    """`count` RGB colours in 0..1 whose neighbours differ: hues a golden section apart, alternately full and light."""
    golden_section = 0.618033988749895
    colors = []
    for i in range(count):
        hue = (0.55 + i * golden_section) % 1
        # Blue and red are dark; mixed with white they can be seen on a black ground.
        most_saturated = (1 - _LEAST_LUMA) / (1 - luma(colorsys.hsv_to_rgb(hue, 1, 1)))
        colors.append(colorsys.hsv_to_rgb(hue, min((0.95, 0.6, 0.8)[i % 3], most_saturated), 1))
    return colors


def instance_colors(place, colors, class_ids, class_names):
    """Colours of N instances from what a caller gave: None for distinct ones, "class" for those of their classes, or N.

    Returns N tuples in 0..1, or fewer if fewer were given. place: the function that messages name.
    """
    if colors is None:
        return distinct_colors(len(class_ids))
    if isinstance(colors, str) and colors == "class":
        class_labels(place, class_ids, class_names)
        by_id = class_colors(class_names)
        return [by_id[abs(int(class_id))] for class_id in class_ids]
    return [rgb(color) for color in colors[: len(class_ids)]]


def luma(color):
    """Brightness of an RGB colour as it is seen (ITU-R BT.601), in the unit of the colour."""
    red, green, blue = color
    return 0.299 * red + 0.587 * green + 0.114 * blue
