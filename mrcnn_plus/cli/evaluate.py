"""`mrcnn-plus evaluate`: COCO's average precision and what explains it, for a program's model or for saved results."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from mrcnn_plus.cli import options

_DESCRIPTION = """\
Detect on the validation images of a program and compare with their masks: COCO's average precision of boxes and masks,
precision, recall and the best score of every class, which class was taken for which, the best and worst images.

The program is imported without its `__main__` part, as by `mrcnn-plus lint`. Or give results and annotations in COCO's
formats: then neither program nor Keras is needed.
"""
_EPILOG = """\
examples:
  mrcnn-plus evaluate train.py                              the newest checkpoint on the validation data
  mrcnn-plus evaluate train.py --weights logs/cells20260301T1200/mask_rcnn_cells_0007.h5 --output evaluation
  mrcnn-plus evaluate balloon.py --limit 50 -- train --dataset=balloon
  mrcnn-plus evaluate train.py --data test.json --images test --format json
  mrcnn-plus evaluate --results results.json --annotations instances_val.json --format csv

exit status: 0 evaluated, 2 could not run
"""


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "evaluate",
        usage="mrcnn-plus evaluate PROGRAM[:CLASS] [options] [-- the program's own arguments]\n"
        "       mrcnn-plus evaluate --results FILE --annotations FILE [options]",
        help="average precision of a model, or of saved results",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "program", nargs="?", metavar="PROGRAM[:CLASS]", help=".py or .ipynb file; a Config class of it"
    )
    model = parser.add_argument_group("model")
    model.add_argument("--weights", metavar="FILE", help="path, last or coco (default: last, the newest checkpoint)")
    model.add_argument("--logs", metavar="DIR", help="folder of the runs, for last (default: as the program says)")
    data = parser.add_argument_group("data")
    data.add_argument("--data", metavar="PATH", help="data in a known format, in place of the program's")
    options.add_reader_options(data, format_option="--data-format")
    data.add_argument("--train", metavar="CALL", help="expression that builds the training data")
    data.add_argument("--val", metavar="CALL", help="the same for the validation data")
    data.add_argument("--data-of", choices=("val", "train"), default="val", help="which data (default: val)")
    data.add_argument("--limit", metavar="N", type=options.whole_number, help="at most so many images, spread evenly")
    data.add_argument("--classes", metavar="A,B", type=options.names, help="only these classes")
    saved = parser.add_argument_group("saved results")
    saved.add_argument("--results", metavar="FILE", help="detections in COCO's results format")
    saved.add_argument("--annotations", metavar="FILE", help="what they are compared with, a COCO annotation file")
    counted = parser.add_argument_group("what is counted")
    counted.add_argument(
        "--score", metavar="S", type=_share, default=0.5,
        help="classes, confusions and images: detections with at least this score (default: 0.5)",
    )  # fmt: skip
    counted.add_argument("--iou", metavar="I", type=_share, default=0.5, help="and at least this IoU (default: 0.5)")
    counted.add_argument(
        "--min-confidence", metavar="S", type=_share, default=0.05,
        help="average precision counts detections from here on (default: 0.05)",
    )  # fmt: skip
    output = parser.add_argument_group("output")
    output.add_argument("--format", choices=("text", "json", "csv"), default="text", help="default: text")
    output.add_argument(
        "--output", metavar="DIR", help="folder for tables, pictures, and COCO's files of what was scored"
    )
    return parser


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, received {text!r}")
    return value


def run(arguments) -> int:
    from mrcnn_plus.errors import ConfigError

    if arguments.results or arguments.annotations:
        if not (arguments.results and arguments.annotations) or arguments.program:
            raise ConfigError("expected --results and --annotations, both and without a program.")
        _evaluate_saved(arguments)
    elif arguments.program is None:
        raise ConfigError("expected a program, or --results and --annotations. Try: mrcnn-plus evaluate train.py")
    else:
        _evaluate_program(arguments)
    return 0


def _evaluate_saved(arguments):
    from mrcnn_plus.evaluation.saved_results import evaluate_saved

    result = evaluate_saved(
        *(arguments.annotations, arguments.results),
        limit=arguments.limit,
        classes=arguments.classes,
        score=arguments.score,
        iou=arguments.iou,
    )
    _show(arguments, result)


def _evaluate_program(arguments):
    from mrcnn_plus.evaluation import evaluate

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with options.open_program(arguments, build_datasets=not arguments.data) as program:
        # What a program prints must not mix with the result.
        with contextlib.redirect_stdout(sys.stderr):
            dataset = _dataset(arguments, program)
            model = _model(arguments, program)
            with _progress(dataset, arguments.limit) as progress:
                result = evaluate(
                    *(model, dataset),
                    limit=arguments.limit,
                    classes=arguments.classes,
                    score=arguments.score,
                    iou=arguments.iou,
                    min_confidence=arguments.min_confidence,
                    progress=progress,
                )
        _show(arguments, result, dataset)


def _dataset(arguments, program):
    from mrcnn_plus.errors import ConfigError

    if arguments.data:
        from mrcnn_plus.data import open_dataset

        with options.collected_warnings() as notes:
            dataset = open_dataset(arguments.data, **options.reader_options(arguments))
        for text in notes:
            options.note(text)
        return dataset
    dataset = getattr(program, arguments.data_of)
    if dataset is None:
        raise ConfigError(
            f"{program.path}: no {arguments.data_of} data were found. Give them with --{arguments.data_of} CALL or "
            f"--data PATH, the program's own arguments after --, or --data-of train. {' '.join(program.notes)}".rstrip()
        )
    return dataset


def _model(arguments, program):
    """The program's network for detection, one image at a time, with its weights."""
    from mrcnn_plus.lint.programs import stand_ins

    found = program.configs[0]
    config = found.config
    folder = arguments.logs or found.run.model_dir or "logs"
    # Before Keras is loaded, which takes seconds.
    path, instead = None, "Or give --weights FILE, and --logs DIR for the folder of runs."
    if (arguments.weights or "last").lower() == "last":
        path = options.last_checkpoint(folder, config.NAME, instead=instead)

    from mrcnn_plus.mask_rcnn import MaskRCNN
    from mrcnn_plus.weights.pretrained import find_weights

    stand_ins.resolve_settings(config)
    config.GPU_COUNT = config.IMAGES_PER_GPU = 1
    model = MaskRCNN(mode="inference", config=config, model_dir=folder)
    path = path or find_weights(arguments.weights, model)
    options.note(f"weights: {path}")
    model.load_weights(path, by_name=True)  # says what was loaded
    return model


@contextlib.contextmanager
def _progress(dataset, limit):
    """The `progress` of `evaluate` as a bar on the terminal."""
    from mrcnn_plus.lint.measuring.worker_pool import progress_bar

    total = len(dataset.image_ids) if limit is None else min(limit, len(dataset.image_ids))
    with progress_bar("images", total, shown=options.shows_progress()) as advance:
        done = 0

        def show(images, _):
            nonlocal done
            advance(images - done)
            done = images

        yield show


def _show(arguments, result, dataset=None):
    if arguments.output:
        for path in _save(arguments.output, result, dataset):
            options.note(f"Written: {path}")
    if arguments.format == "json":
        options.write_output(result.to_json(), None)
    elif arguments.format == "csv":
        from mrcnn_plus.evaluation.result import csv_text

        sys.stdout.write(csv_text(result.classes))
    else:
        from mrcnn_plus.evaluation.table import describe

        options.write_output(describe(result, width=options.terminal_width()) + "\n", None)


def _save(folder, result, dataset):
    """Write everything into a folder; returns the paths."""
    from mrcnn_plus.errors import ConfigError
    from mrcnn_plus.training.evaluation_files import add_pictures, write_json

    content = result.to_dict()
    try:
        os.makedirs(folder, exist_ok=True)
        paths = [os.path.join(folder, name) for name in ("evaluation.json", "classes.csv", "images.csv")]
        if dataset is not None:
            add_pictures(content, result, dataset, folder, "pictures")
        write_json(paths[0], content)
        result.save_classes(paths[1])
        result.save_images(paths[2])
        paths += result.save_coco(folder)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}.") from error
    return paths + ([os.path.join(folder, "pictures")] if os.path.isdir(os.path.join(folder, "pictures")) else [])
