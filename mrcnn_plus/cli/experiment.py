"""`mrcnn-plus experiment`: short experiments on a program's network and data that decide between causes."""

from __future__ import annotations

import argparse
import os

from mrcnn_plus.cli import options

_DESCRIPTION = """\
Run a short experiment with the network, settings, data and weights of a program, and say what it shows.

The program is imported without its `__main__` part, as by `mrcnn-plus lint`. Nothing is written into its folders, and
no file of it is changed. Weights are those that the program loads, where that can be read; else give --weights.
"""
_EPILOG = """\
examples:
  mrcnn-plus experiment --list
  mrcnn-plus experiment first-batch train.py
  mrcnn-plus experiment overfit train.py --images 2 --output overfit
  mrcnn-plus experiment weights train.py --weights logs/cells20260301T1200/mask_rcnn_cells_0007.h5 --against coco.h5
  mrcnn-plus experiment funnel train.py --weights last --images 100
  mrcnn-plus experiment lr-range balloon.py -- train --dataset=balloon --weights=coco

exit status: 0 nothing found, 1 findings (see --fail-on), 2 could not run
"""
#: Options that an experiment takes, beside those of all; the others are refused rather than ignored.
_OPTIONS = {
    "first-batch": {"images", "layers"},
    "self-consistency": {"images"},
    "overfit": {"images", "layers", "learning_rate", "steps", "minutes"},
    "weights": {"against", "layers"},
    "rpn": {"images"},
    "funnel": {"images"},
    "lr-range": {"layers", "steps", "learning_rate"},
}
# Which data an experiment looks at, where --data-of does not say.
_ON_VALIDATION = ("funnel",)


def add_parser(commands) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        "experiment",
        usage="mrcnn-plus experiment NAME PROGRAM[:CLASS] [options] [-- the program's own arguments]",
        help="run a short experiment that decides why training fails",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    # Both are required: argparse takes an optional one for left out where an option stands between the two.
    parser.add_argument("name", metavar="NAME", help=", ".join(_OPTIONS))
    parser.add_argument("program", metavar="PROGRAM[:CLASS]", help=".py or .ipynb file; a Config class of it")
    parser.add_argument("--list", action=_List, nargs=0, help="list the experiments")
    model = parser.add_argument_group("network")
    model.add_argument(
        "--weights", metavar="FILE", help="path, coco, imagenet, last or random; default: as the program loads them"
    )
    model.add_argument("--against", metavar="FILE", help="weights: the file to compare with")
    model.add_argument(
        "--layers", metavar="LAYERS", help="what trains: heads, 3+, 4+, 5+, all or an expression; default: all stages"
    )
    model.add_argument("--learning-rate", metavar="RATE", type=float, help="default: the highest of the program's")
    _add_data_options(parser)
    limits = parser.add_argument_group("limits")
    limits.add_argument("--images", metavar="N", type=options.whole_number, help="images to look at")
    limits.add_argument("--steps", metavar="N", type=options.whole_number, help="steps of training")
    limits.add_argument("--minutes", metavar="N", type=float, help="overfit: stop after so long (default: 5)")
    limits.add_argument("--seed", metavar="N", type=int, default=0, help="chooses the images (default: 0)")
    output = parser.add_argument_group("output")
    output.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    output.add_argument("--output", metavar="DIR", help="folder for the report, tables and pictures")
    output.add_argument(
        "--fail-on",
        choices=("error", "warning", "info"),
        default="error",
        help="exit with status 1 from this severity on (default: error)",
    )
    return parser


def _add_data_options(parser):
    data = parser.add_argument_group("data")
    data.add_argument("--train", metavar="CALL", help="expression that builds the training data")
    data.add_argument("--val", metavar="CALL", help="the same for the validation data")
    data.add_argument(
        "--data-of", choices=("train", "val"), help="which data to look at (default: train, for funnel val)"
    )


def run(arguments) -> int:
    from mrcnn_plus.errors import ConfigError

    if arguments.name not in _OPTIONS:
        raise ConfigError(
            f"expected the name of an experiment, one of {', '.join(_OPTIONS)}, received {arguments.name!r}."
        )
    _refuse_unused(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    outcome = _run_on_program(arguments)
    if arguments.output:
        for path in outcome.save(arguments.output):
            options.note(f"Written: {path}")
    _show(arguments, outcome)
    return 1 if outcome.report.at_least(arguments.fail_on) else 0


class _List(argparse.Action):
    """Writes what each experiment asks, and ends the command as `--help` does."""

    def __call__(self, parser, *_):
        from mrcnn_plus.diagnosis.experiments import EXPERIMENTS

        width = max(map(len, EXPERIMENTS))
        lines = (f"{name:{width}}  {experiment.question}\n" for name, experiment in EXPERIMENTS.items())
        options.write_output("".join(lines), None)
        parser.exit()


def _refuse_unused(arguments):
    from mrcnn_plus.errors import ConfigError

    every = set().union(*_OPTIONS.values())
    for name in sorted(every - _OPTIONS[arguments.name]):
        if getattr(arguments, name) is not None:
            option = "--" + name.replace("_", "-")
            takers = ", ".join(experiment for experiment, taken in _OPTIONS.items() if name in taken)
            raise ConfigError(f"{option} belongs to {takers}, not to {arguments.name}. Leave it out.")


def _run_on_program(arguments):
    import tempfile

    context = options.open_program(arguments, build_datasets=arguments.name != "weights")
    with tempfile.TemporaryDirectory(prefix="mrcnn_plus_") as folder, context as program, options.only_findings():
        dataset, notes = _dataset(arguments, program)
        model, loaded, more = _model(arguments, program, folder)
        keywords = _keywords(arguments, program.configs[0].run, loaded)
        return _call(arguments.name, model, dataset, [*program.notes, *notes, *more], keywords)


def _call(name, model, dataset, notes, keywords):
    from mrcnn_plus.diagnosis.experiments import EXPERIMENTS

    function = EXPERIMENTS[name].function
    given = (model,) if name == "weights" else (model, dataset)
    keywords["run"].model = model
    return function(*given, notes=notes, **keywords)


def _dataset(arguments, program):
    """The data set to look at, and notes; None for `weights`."""
    from mrcnn_plus.errors import ConfigError

    if arguments.name == "weights":
        return None, []
    wanted = arguments.data_of or ("val" if arguments.name in _ON_VALIDATION else "train")
    dataset, notes = getattr(program, wanted), []
    if dataset is None and wanted == "val" and arguments.data_of is None:
        dataset, notes = program.train, ["the program has no validation data, so the training data are looked at"]
    if dataset is None:
        raise ConfigError(
            f"{program.path}: no {wanted} data were found. Give them with --{wanted}, or the program's own arguments "
            f"after --. {' '.join(program.notes)}".rstrip()
        )
    return dataset, notes


def _model(arguments, program, folder):
    """`(model, LoadReport or None, notes)`: the program's network with its weights."""
    from mrcnn_plus.lint.programs import stand_ins
    from mrcnn_plus.mask_rcnn import MaskRCNN

    found = program.configs[0]
    config = found.config
    stand_ins.resolve_settings(config)
    if config.GPU_COUNT > 1:  # an experiment takes one device, with the program's batch
        config.IMAGES_PER_GPU, config.GPU_COUNT = config.BATCH_SIZE, 1
    model = MaskRCNN(mode="training", config=config, model_dir=folder)
    loaded, notes = None, []
    for weights in _weights(arguments, program, notes):
        path = _path_of(weights.path, model, found.run.model_dir)
        loaded = model.load_weights(path, by_name=weights.by_name, exclude=list(weights.exclude)) or loaded
        notes.append(f"weights: {loaded.headline() if loaded is not None else path}")
    if loaded is None and not notes:
        notes.append("weights: random, none were loaded")
    return model, loaded, notes


def _weights(arguments, program, notes):
    """The weights to load, in order; what is not known is noted."""
    from mrcnn_plus.lint.programs import WeightsToLoad

    if arguments.weights is not None:
        return [] if arguments.weights == "random" else [WeightsToLoad(arguments.weights, "", by_name=True)]
    known = []
    for weights in program.find_weights():
        if weights.path is None:
            notes.append(
                f"the program loads weights, load_weights({weights.words}), and which ones could not be told "
                f"({weights.why}); the network is random. Give --weights, or the program's arguments after --"
            )
        else:
            known.append(weights)
    return known[-1:]


def _path_of(path, model, model_dir):
    from mrcnn_plus.weights.pretrained import find_weights

    if path.lower() != "last":
        return find_weights(path, model)
    instead = "Give --weights with the path of a file, or random."
    return options.last_checkpoint(model_dir or "logs", model.config.NAME, instead=instead)


def _keywords(arguments, run, loaded):
    """The keyword arguments of an experiment, from the command line and from how the program trains."""
    taken, stages = _OPTIONS[arguments.name], run.stages or [(run.learning_rate, run.epochs, run.layers)]
    rates = [rate for rate, _, _ in stages if rate is not None]
    given = {
        name: getattr(arguments, name)
        for name in ("images", "steps", "minutes", "against", "learning_rate")
        if name in taken and getattr(arguments, name) is not None
    }
    keywords = {"run": run, **given}
    if arguments.name != "weights":
        keywords["seed"] = arguments.seed
    if "layers" in taken:
        layers = [arguments.layers] if arguments.layers else [layers for _, _, layers in stages if layers]
        keywords["layers"] = list(dict.fromkeys(layers)) or None
    if arguments.name == "weights":
        keywords["loaded"] = loaded
    if arguments.name == "overfit" and rates:
        keywords.setdefault("learning_rate", max(rates))
    if arguments.name == "lr-range":
        rate = keywords.pop("learning_rate", None)
        keywords["used"] = (rate,) if rate is not None else tuple(dict.fromkeys(rates))
    if arguments.name in ("first-batch", "lr-range"):
        keywords["augmentation"] = run.augmentation
        keywords["no_augmentation_sources"] = run.no_augmentation_sources
    if arguments.name in ("overfit", "lr-range") and options.shows_progress():
        keywords["progress"] = _show_step
    return keywords


def _show_step(step, losses):
    """One line that is written over."""
    import sys

    print(f"\rstep {step}: loss {losses['loss']:.4g}   ", end="", file=sys.stderr, flush=True)


def _show(arguments, outcome):
    import sys

    if arguments.format == "json":
        options.write_output(outcome.to_json() + "\n", None)
        return
    width, color = options.terminal_width(), options.wants_color(sys.stdout)
    options.write_output(outcome.to_text(width=width, color=color), None)
