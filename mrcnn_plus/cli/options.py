"""Options and small things that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import sys
from pathlib import Path

_WIDTH_OF_FILES = 100


def add_rule_options(parser: argparse.ArgumentParser) -> None:
    """Which rules are run, how deeply, and what counts as a failure."""
    rules = parser.add_argument_group("rules")
    rules.add_argument("--select", metavar="CODES", type=codes, help="only these rules: CFG002,DAT or CFG,DAT01")
    rules.add_argument("--ignore", metavar="CODES", type=codes, help="leave out these rules")
    rules.add_argument(
        "--fail-on",
        choices=("error", "warning", "info"),
        default="error",
        help="exit with status 1 from this severity on (default: error)",
    )
    rules.add_argument(
        "--depth",
        choices=("headers", "pixels"),
        default="headers",
        help="headers: every annotation and file header, and the pixels of a sample (default); pixels: everything",
    )
    rules.add_argument(
        "--sample",
        metavar="N",
        type=whole_number,
        default=32,
        help="images to look at with --depth headers (default: 32)",
    )
    rules.add_argument(
        "--workers", metavar="N", type=whole_number, help="processes that read pixels (default: all cores)"
    )


def add_reader_options(parser, *, format_option: str = "--format") -> None:
    """How the files of a data set are read; the names are those of `open_dataset`.

    format_option: "--data-format" where `--format` is that of the output.
    """
    parser.add_argument("--images", metavar="DIR", help="folder of the images, if not beside the annotations")
    parser.add_argument(
        format_option,
        dest="data_format",
        metavar="FORMAT",
        default="auto",
        help="coco, via, labelme, pascal_voc, mask_folders or rle_csv (default: auto, by the content)",
    )
    parser.add_argument(
        "--class-attribute", metavar="NAME", help="VIA: the attribute that holds the class; csv: the column"
    )
    parser.add_argument(
        "--class-names", metavar="A,B", type=names, help="names of the classes in the order of their ids"
    )


def reader_options(arguments) -> dict:
    """Keyword arguments for `open_dataset`."""
    return {
        "images": arguments.images,
        "format": arguments.data_format,
        "class_attribute": arguments.class_attribute,
        "class_names": arguments.class_names,
    }


def open_program(arguments, **how):
    """The program of the arguments `program` (`FILE` or `FILE:CLASS`), `program_arguments`, `train` and `val`, those
    that the command has, as `lint.programs.open_program` gives it. how: further arguments of that."""
    from mrcnn_plus.lint import programs

    given = {"train": arguments.train, "val": getattr(arguments, "val", None)}
    return programs.open_program(*split_class(arguments.program), arguments=arguments.program_arguments, **given, **how)


def split_class(text: str) -> tuple[str, str | None]:
    """`train.py:MyConfig` -> `("train.py", "MyConfig")`."""
    path, colon, name = text.rpartition(":")
    if os.path.exists(text) or not colon or not name.isidentifier():
        return text, None
    return path, name


def codes(text: str) -> list[str]:
    return [part.strip().upper() for part in text.split(",") if part.strip()]


def names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def whole_number(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, received {text!r}")
    return number


def terminal_width() -> int:
    """Columns to fill: those of the terminal, at most 120; a fixed number where the output goes to a file."""
    if "COLUMNS" not in os.environ and not sys.stdout.isatty():
        return _WIDTH_OF_FILES
    return max(40, min(shutil.get_terminal_size().columns, 120))


def wants_color(stream) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def last_checkpoint(folder: str, name: str, *, instead: str) -> str:
    """The newest checkpoint among the runs in a folder. name: of the configuration. Raises WeightsError that ends with
    `instead`, what else can be given."""
    from mrcnn_plus.errors import WeightsError
    from mrcnn_plus.weights.checkpoints import find_last

    try:
        return find_last(folder, name)
    except FileNotFoundError as error:
        raise WeightsError(f"--weights last: {error.strerror} {instead}") from error


def shows_progress() -> bool:
    return sys.stderr.isatty()


def write_output(text: str, path: str | None) -> None:
    """To a file, or to the standard output."""
    if path is None:
        sys.stdout.write(text)
        return
    from mrcnn_plus.errors import ConfigError

    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}.") from error


def note(text: str) -> None:
    print(text, file=sys.stderr)


@contextlib.contextmanager
def collected_warnings():
    """What the readers of data say aloud, e.g. which attribute they take for the class, as a list of texts."""
    texts = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())
    logger = logging.getLogger("mrcnn_plus.data")
    propagates, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates


@contextlib.contextmanager
def only_findings():
    """What the package would log is among the findings; and what a program prints must not mix with the result."""
    logger = logging.getLogger("mrcnn_plus")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        logger.setLevel(level)
