"""How cost grows with image size, batch, proposals, instances and classes: a table and a plot.

python benchmarks/growth.py measure --out growth.json
python benchmarks/growth.py show growth.json --plot benchmarks/growth.svg
"""

import argparse
import json
import statistics
from itertools import pairwise
from pathlib import Path

import keras
import measure
from detection import generated_image
from ours import detector, trainer
from training_step import generated_batch

#: What each quantity is set to while the others stay at rest.
SWEEPS = {
    "size": (128, 256, 512, 1024),
    "batch": (1, 2, 4),
    "proposals": (100, 300, 1000, 3000),
    "instances": (1, 20, 100, 400),
    "classes": (2, 81, 300, 1200),
}
AT_REST = {"size": 256, "batch": 1, "proposals": 1000, "instances": 20, "classes": 81}


def settings_of(point, backbone):
    return {
        "BACKBONE": backbone,
        "NUM_CLASSES": point["classes"],
        "IMAGES_PER_GPU": point["batch"],
        "IMAGE_MIN_DIM": point["size"],
        "IMAGE_MAX_DIM": point["size"],
        "POST_NMS_ROIS_TRAINING": point["proposals"],
        "POST_NMS_ROIS_INFERENCE": point["proposals"],
        "MAX_GT_INSTANCES": max(100, point["instances"]),
        "DETECTION_MAX_INSTANCES": point["instances"],
        "DETECTION_MIN_CONFIDENCE": 0.0,
    }


def detection(point, backbone):
    """A function that detects once in a batch whose images have that many instances each."""
    model = detector("float32", settings_of(point, backbone))
    image = generated_image(point["size"])
    return lambda: model.detect([image] * point["batch"], allow_untrained=True)


def training_step(point, backbone):
    """A function that runs a step of all layers on one batch."""
    model = trainer(settings_of(point, backbone), "float32", "all")
    batch = generated_batch(model.config, objects=point["instances"])
    return lambda: model.keras_model.train_on_batch(batch)


TASKS = {"detection": detection, "training_step": training_step}


def measured(task, point, args):
    """Medians of the repeats of one point."""
    keras.utils.clear_session()
    (runs,) = measure.interleaved({task: TASKS[task](point, args.backbone)}, args.repeats).values()
    medians = measure.Measured(*(statistics.median(values) for values in zip(*runs, strict=True)))
    return {"task": task, **point, **medians._asdict()}


def measure_all(args):
    """Every point of the chosen sweeps, into the file as soon as it is known; those that it has are left out."""
    path = Path(args.out)
    found = json.loads(path.read_text()) if path.exists() else []
    known = [{name: entry[name] for name in ("task", *AT_REST)} for entry in found]
    for task in args.task:
        for quantity in args.sweep:
            for value in SWEEPS[quantity]:
                point = {**AT_REST, quantity: value}
                if {"task": task, **point} in known:
                    continue
                found.append(measured(task, point, args))
                known.append({"task": task, **point})
                path.write_text(json.dumps(found, indent=1))
                print(f"{task}, {quantity} {value}: {found[-1]['wall']:.2f} s", flush=True)
    measure.print_machine()


def curve(found, task, quantity):
    """`[(value, seconds of all cores), ...]` of a sweep, in rising order."""
    rest = {name: value for name, value in AT_REST.items() if name != quantity}
    return sorted(
        (entry[quantity], entry["cpu"])
        for entry in found
        if entry["task"] == task and all(entry[name] == value for name, value in rest.items())
    )


def show(args):
    """The table, in Markdown, and the plot."""
    found = json.loads(Path(args.file).read_text())
    print("| task | quantity | CPU seconds |\n|---|---|---|")
    for task in TASKS:
        for quantity in SWEEPS:
            points = ", ".join(f"{value}: {seconds:.2f}" for value, seconds in curve(found, task, quantity))
            print(f"| {task.replace('_', ' ')} | {quantity} | {points} |")
    if args.plot:
        plot(found, args.plot)


def plot(found, path):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    for row, task in enumerate(TASKS):
        for column, quantity in enumerate(SWEEPS):
            axes = figure.add_subplot(len(TASKS), len(SWEEPS), row * len(SWEEPS) + column + 1)
            values, seconds = zip(*curve(found, task, quantity), strict=True)
            axes.plot(values, seconds, marker="o", color="tab:blue")
            axes.set_xlim(0)
            axes.set_ylim(0, 1.1 * max(seconds))
            axes.set_xticks([value for before, value in pairwise((0, *values)) if value - before > 0.1 * values[-1]])
            axes.set_title(f"{task.replace('_', ' ')}: {quantity}", fontsize=9)
            axes.tick_params(labelsize=7)
            axes.spines[["top", "right"]].set_visible(False)
    figure.supylabel("CPU seconds", fontsize=9)
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("measure")
    command.add_argument("--out", required=True, metavar="JSON")
    command.add_argument("--backbone", default="resnet50")
    command.add_argument("--task", nargs="+", choices=TASKS, default=list(TASKS))
    command.add_argument("--sweep", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    command.add_argument("--repeats", type=int, default=3)
    command.set_defaults(run=measure_all)
    command = commands.add_parser("show")
    command.add_argument("file", metavar="JSON")
    command.add_argument("--plot", metavar="FILE")
    command.set_defaults(run=show)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
