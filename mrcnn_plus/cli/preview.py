"""`mrcnn-plus preview`: a picture of training images as they enter the network, augmented, with masks and boxes."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys

from mrcnn_plus.cli import options

_DESCRIPTION = """\
Write a picture of training images as they enter the network: resized, augmented, with masks, boxes and classes.

With a program, its settings, its data and its augmentation are taken; each can be replaced. Nothing is trained.
"""
_EPILOG = """\
examples:
  mrcnn-plus preview train.py
  mrcnn-plus preview train.py:MyConfig --augmentation "iaa.Affine(rotate=(-20, 20))" --count 4
  mrcnn-plus preview train.py --augmentation "A.Affine(rotate=(-20, 20), p=1)"
  mrcnn-plus preview --data annotations.json --images photos --output data.png
  mrcnn-plus preview train.py --augmentation my_augmentation.py:augment

exit status: 0 written, 1 written, and the augmentation has errors, 2 could not run
"""
_AUGMENTATION_RULES = ("TRN004", "TRN005", "TRN012", "TRN013", "TRN014", "TRN015", "TRN016", "TRN017")


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "preview",
        usage="mrcnn-plus preview [PROGRAM[:CLASS]] [options] [-- the program's own arguments]",
        help="draw images as they enter the network, with masks and boxes",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "program", nargs="?", metavar="PROGRAM[:CLASS]", help=".py or .ipynb file; a Config class of it"
    )
    data = parser.add_argument_group("data")
    data.add_argument("--train", metavar="CALL", help="expression that builds the data, or its loader's arguments")
    data.add_argument("--data", metavar="PATH", help="data in a known format, in place of the program's")
    options.add_reader_options(data)
    picture = parser.add_argument_group("picture")
    picture.add_argument(
        "--augmentation",
        metavar="WHAT",
        help="module:object, file.py:object, or an expression with iaa (imgaug.augmenters), A (albumentations), keras, "
        "np; none for none",
    )
    picture.add_argument(
        "--count", metavar="N", type=options.whole_number, default=6, help="images to draw (default: 6)"
    )
    picture.add_argument(
        "--versions", metavar="N", type=options.whole_number, default=3, help="augmented versions of each (default: 3)"
    )
    picture.add_argument("--seed", metavar="N", type=int, default=0, help="chooses the images and what is drawn")
    picture.add_argument("--output", metavar="FILE", default="preview.png", help="default: preview.png")
    return parser


def run(arguments) -> int:
    from mrcnn_plus.errors import ConfigError

    if arguments.program is None and arguments.data is None:
        raise ConfigError("expected a program or --data, received neither. Try: mrcnn-plus preview train.py")
    if arguments.program is None:
        from mrcnn_plus.config import Config

        config = Config()
        options.note(
            f"Without a program the default sizes are used: {config.IMAGE_MIN_DIM} to {config.IMAGE_MAX_DIM} pixels."
        )
        return _draw(arguments, config, _open_data(arguments), None)

    with options.open_program(arguments, build_datasets=arguments.data is None) as program:
        found = program.configs[0]
        dataset = _open_data(arguments) if arguments.data else program.train
        for text in program.notes:
            options.note(text)
        if dataset is None:
            raise ConfigError(f"{program.path}: no data to draw. Give them with --train or --data.")
        return _draw(arguments, found.config, dataset, found.run.augmentation)


def _draw(arguments, config, dataset, augmentation) -> int:
    """Draw, write, and say what the rules about augmentation find."""
    from mrcnn_plus import lint
    from mrcnn_plus.lint.preview import preview

    if arguments.augmentation is not None:
        augmentation = read_augmentation(arguments.augmentation)
    preview(
        dataset,
        config,
        augmentation=augmentation,
        count=arguments.count,
        versions=arguments.versions,
        seed=arguments.seed,
        output=arguments.output,
    )
    print(f"Written: {arguments.output}")
    if augmentation is None:
        return 0
    report = lint.check(config, dataset, run=lint.Run(augmentation=augmentation), select=_AUGMENTATION_RULES)
    for finding in report:
        print(finding)
    return 0 if report.ok else 1


def _open_data(arguments):
    from mrcnn_plus.data import open_dataset

    with options.collected_warnings() as notes:
        dataset = open_dataset(arguments.data, **options.reader_options(arguments))
    for text in notes:
        options.note(text)
    return dataset


def read_augmentation(words: str):
    """What `--augmentation` names: `module:object`, `file.py:object`, or a Python expression; None for "none".

    Raises `ConfigError` that says why it cannot be had.
    """
    from mrcnn_plus.errors import ConfigError

    if words.strip().lower() == "none":
        return None
    place = re.fullmatch(r"(?P<module>[\w./\\: -]+?):(?P<name>[A-Za-z_][\w.]*)", words.strip())
    try:
        return _imported(place["module"], place["name"]) if place else _evaluated(words)
    except Exception as error:  # whatever the user's module or expression raises
        raise ConfigError(
            f"--augmentation {words!r} cannot be had: {type(error).__name__}: {error}. Give module:object, "
            'file.py:object, or an expression such as "iaa.Fliplr(0.5)".'
        ) from error


def _imported(module_name, name):
    if module_name.endswith(".py"):
        return _defined(module_name, name)
    sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        found = importlib.import_module(module_name)
    finally:
        sys.path.remove(os.getcwd())
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _defined(path, name):
    """What a program defines under a name; only its definitions are run, and Keras is not loaded for them."""
    from mrcnn_plus.lint.programs import program_environment, read_source, run_definitions, stand_ins

    source = read_source(path)
    with program_environment(source, []):
        return stand_ins.resolve(run_definitions(source).namespace[name])


def _evaluated(words):
    """The value of an expression that the user has typed."""
    import numpy

    from mrcnn_plus.data.augmentation import import_albumentations, import_imgaug

    names = {"np": numpy, "numpy": numpy}
    used = set(re.findall(r"[A-Za-z_]\w*", words))
    if used & {"iaa", "imgaug"}:
        names["imgaug"] = import_imgaug()
        names["iaa"] = names["imgaug"].augmenters
    if used & {"A", "albumentations"}:
        names["A"] = names["albumentations"] = import_albumentations()
    if "keras" in used:
        names["keras"] = importlib.import_module("keras")
    return eval(words, names)  # the user's own command line
