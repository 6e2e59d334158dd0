"""What the benchmarks share: interleaved repeats, medians, memory, and a description of the machine."""

import os
import platform
import resource
import statistics
import time


def interleaved(sides, repeats):
    """Time several functions in turn, A B A B ..., so that a machine that slows down slows all of them.

    sides: `{name: function}`. Each runs once before, uncounted. Returns `{name: [seconds, ...]}`.
    """
    for function in sides.values():
        function()
    seconds = {name: [] for name in sides}
    for _ in range(repeats):
        for name, function in sides.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def print_table(seconds, *, baseline=None):
    """Median, minimum and maximum per side, and the ratio of each median to the baseline's (default: the first
    side)."""
    baseline = baseline or next(iter(seconds))
    reference = statistics.median(seconds[baseline])
    print(f"{'':32} {'median s':>10} {'min':>8} {'max':>8} {'times ' + baseline:>20}")
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"{name:32} {median:10.3f} {min(values):8.3f} {max(values):8.3f} {median / reference:20.2f}")


def print_machine():
    """Processor, cores, Python and the libraries that matter."""
    import keras
    import numpy as np

    backend = keras.backend.backend()
    version = __import__({"tensorflow": "tensorflow", "jax": "jax", "torch": "torch"}[backend]).__version__
    print(f"{_processor()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    print(f"Python {platform.python_version()}, Keras {keras.__version__}, {backend} {version}, NumPy {np.__version__}")


def peak_memory_mb():
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
