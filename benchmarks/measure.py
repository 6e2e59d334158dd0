"""What the benchmarks share: interleaved repeats, medians, memory, and a description of the machine."""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

_OF_OURS = ("PYTHONPATH", "KERAS_BACKEND")  # variables of the environment that are none of the others' business


class Measured(NamedTuple):
    """Seconds on the clock and of all cores together."""

    wall: float
    cpu: float


def interleaved(sides, repeats):
    """Time several functions in turn, A B A B ..., so that a machine that slows down slows all of them.

    sides: `{name: function}`; an `OtherProgram` is one as well. Each runs once before, uncounted. Returns
    `{name: [Measured, ...]}`.
    """
    for function in sides.values():
        function()
    found = {name: [] for name in sides}
    for _ in range(repeats):
        for name, function in sides.items():
            found[name].append(function() if isinstance(function, OtherProgram) else _timed(function))
    return found


def _timed(function):
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return Measured(time.perf_counter() - wall, time.process_time() - cpu)


class OtherProgram:
    """A side of a comparison in a process, and with a Python, of its own: a function that runs its task once.

    script: `ours.py`, `original.py` or `torchvision_model.py`, which end in `answer`. arguments: of its task, JSON.
    last: what it told of the last run.
    """

    def __init__(self, script, python, task, arguments, *options):
        command = [python, Path(__file__).with_name(script), task, json.dumps(arguments), *options]
        is_ours = python == sys.executable
        own = {name: value for name, value in os.environ.items() if is_ours or name not in _OF_OURS}
        self._process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own
        )

    def __call__(self):
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"The other program has ended with {self._process.wait()}; see its messages above.")
        self.last = json.loads(answer)
        return Measured(self.last["wall"], self.last["cpu"])

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def task_parser(tasks, description):
    """The command line by which an `OtherProgram` is told one of `{name: task}` and its arguments."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tasks)
    parser.add_argument("arguments", help="JSON")
    return parser


def answer(task, arguments):
    """The other end of an `OtherProgram`: run `task(**arguments)` once, and what it returns whenever a line comes in.

    What the task's function returns, a dict, is told with its time and the peak of memory.
    """
    answers, sys.stdout = sys.stdout, sys.stderr  # what the program prints is no answer
    run = task(**json.loads(arguments))
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        result = run()
        result |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak_mb": peak_memory_mb()}
        print(json.dumps(result), file=answers, flush=True)


def close_others(sides):
    """End the processes among `{name: function}`."""
    for side in sides.values():
        if isinstance(side, OtherProgram):
            side.close()


def add_others(parser, *, torchvision=False):
    """The arguments by which a benchmark is given programs to compare with."""
    parser.add_argument("--original", metavar="FOLDER", help="compare with the package mrcnn in this folder")
    parser.add_argument("--original-python", metavar="PYTHON", default="python", help="the interpreter that can run it")
    if torchvision:
        parser.add_argument(
            "--torchvision-python", metavar="PYTHON", help="compare with the model of torchvision; one that imports it"
        )


def ours(task, **arguments):
    """This package at a task of `ours.py`."""
    return OtherProgram("ours.py", sys.executable, task, arguments)


def original(args, task, **arguments):
    """Matterport's package, or a fork of it, at a task of `original.py`, as `add_others` was told."""
    return OtherProgram("original.py", args.original_python, task, arguments, "--original", args.original)


def torchvision(args, task, **arguments):
    """The `maskrcnn_resnet50_fpn` of torchvision at a task of `torchvision_model.py`."""
    if args.backbone != "resnet50":
        raise SystemExit(f"torchvision has this model with resnet50 alone, received: --backbone {args.backbone}")
    return OtherProgram("torchvision_model.py", args.torchvision_python, task, arguments)


def print_table(found, *, baseline=None, sides=()):
    """Medians, minimum and maximum per side, and how many times as fast as the baseline it is (default: the first).

    sides: those of `interleaved`, for the peak of memory of each that has a process.
    """
    wall = {name: [run.wall for run in runs] for name, runs in found.items()}
    baseline = baseline or next(iter(found))
    reference = statistics.median(wall[baseline])
    print(f"{'':32} {'median s':>10} {'min':>8} {'max':>8} {'cpu s':>8} {'speed, ' + baseline + ' = 1':>28}")
    for name, values in wall.items():
        median, cpu = statistics.median(values), statistics.median(run.cpu for run in found[name])
        times = reference / median
        line = f"{name:32} {median:10.3f} {min(values):8.3f} {max(values):8.3f} {cpu:8.2f} {times:28.2f}"
        peak = f"   peak {sides[name].last['peak_mb']:.0f} MB" if name in sides else ""
        print(line + peak)


def print_machine():
    """Processor, cores, Python and the libraries that matter."""
    import keras
    import numpy as np

    backend = keras.backend.backend()
    version = __import__({"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}[backend]).__version__
    print(f"{_processor()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, Keras {keras.__version__}, {backend} {version}, NumPy {np.__version__}")


def peak_memory_mb():
    """Largest resident memory of this process so far, in MB (Linux)."""
    # Not getrusage: that begins with the peak of the process that started this one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def resident_memory_mb():
    """Resident memory of this process now, in MB (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
