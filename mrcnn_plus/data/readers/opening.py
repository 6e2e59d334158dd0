"""`open_dataset`: from a path to a prepared data set."""

import difflib
import importlib
from pathlib import Path

import numpy as np

from mrcnn_plus.data.readers.building import ReadOptions
from mrcnn_plus.data.readers.detection import FORMATS, detect
from mrcnn_plus.errors import DatasetError


def open_dataset(
    path,
    images=None,
    format="auto",
    *,
    class_attribute=None,
    class_names=None,
    default_class=None,
    subset=None,
    point_radius=None,
    line_width=None,
    mask_values=None,
    colors=None,
):
    """Read annotations of any supported format as a prepared `AnnotatedDataset`, which trains as it is.

    path: annotation file, or the folder of the data set.
    images: folder of the images, if they are not where the annotations say or beside them.
    format: "coco", "via", "labelme", "pascal_voc", "mask_folders", "rle_csv", or "auto" to judge by the content.
    class_attribute: VIA: the region (or file) attribute that holds the class, or a list of them of which the first that
        has a value counts; default: the attribute that most regions have. RLE table: the column.
    class_names: names of the classes in the order of their ids, without the background; objects of other classes are
        listed and left out. Default: the names in the file, sorted (COCO: in the order of category ids).
    default_class: class of objects for which none is stated; default: these are listed and left out.
    subset: which of several parts to read, e.g. "train": a folder, or a part of the name of the annotation file; Pascal
        VOC: the list in ImageSets/Segmentation.
    point_radius: radius in pixels with which points are drawn; line_width: width in pixels of lines. Without them
        points and lines are listed and left out, because they have no area.
    mask_values: what values or colors in a mask mean: "instances" or "classes", whose connected parts become instances.
    colors: {class name: value or (red, green, blue)} of masks whose values mean classes.

    What the reader met is in `.problems` of the data set, and the log says how much. Raises `DatasetError` if nothing
    can be read: with the place in the file, or what was found and what the formats look like.
    """
    options = ReadOptions(
        images=images,
        class_attribute=class_attribute,
        class_names=_checked_names(class_names),
        default_class=default_class,
        subset=subset,
        point_radius=_checked_size("point_radius", point_radius),
        line_width=_checked_size("line_width", line_width),
        mask_values=_checked_choice("mask_values", mask_values, (None, "instances", "classes")),
        colors=_checked_colors(colors),
    )
    _checked_choice("format", format, ("auto", *FORMATS))
    path = Path(path).expanduser()
    if not path.exists():
        raise DatasetError(f"{str(path)!r} does not exist. {_similar(path)}")
    format, path, data = detect(path, format, options)
    reader = importlib.import_module(f"mrcnn_plus.data.readers.{format}")
    with np.errstate(all="ignore"):  # damaged numbers are looked for, and listed
        return getattr(reader, f"read_{format}")(path, options, data)


def _checked_names(names):
    if names is None:
        return None
    if isinstance(names, str):
        raise DatasetError(
            f"open_dataset: expected a list of names, received class_names={names!r}. Write [{names!r}]."
        )
    names = [str(name) for name in names]
    if len(set(names)) != len(names):
        raise DatasetError(f"open_dataset: expected each class once, received class_names={names}.")
    if names and names[0].lower() in ("bg", "background", "_background_"):
        names = names[1:]
    return names


def _checked_colors(colors):
    if colors is None:
        return None
    try:
        return {name: color if isinstance(color, int) else _rgb(color) for name, color in colors.items()}
    except (AttributeError, TypeError, ValueError):
        raise DatasetError(
            "open_dataset: expected {class name: value or (red, green, blue)}, received "
            f"colors={colors!r}. Example: colors={{'leaf': (255, 0, 0)}}."
        ) from None


def _rgb(color):
    red, green, blue = (int(channel) for channel in color)
    return red, green, blue


def _checked_size(name, value):
    if value is not None and not (isinstance(value, int | float) and 0 < value < 10_000):
        raise DatasetError(f"open_dataset: expected pixels, a number over 0, received {name}={value!r}.")
    return value


def _checked_choice(name, value, choices):
    if value not in choices:
        near = difflib.get_close_matches(str(value), [str(choice) for choice in choices], n=1)
        hint = f" Is {near[0]!r} meant?" if near else ""
        known = ", ".join(repr(choice) for choice in choices)
        raise DatasetError(f"open_dataset: expected one of {known}, received {name}={value!r}.{hint}")
    return value


def _similar(path):
    folder = path.parent
    if not folder.is_dir():
        return f"There is no folder {str(folder)!r} either (current folder: {str(Path.cwd())!r})."
    names = [entry.name for entry in folder.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"The folder has {near[0]!r}." if near else f"The folder {str(folder)!r} holds {len(names)} other entries."
