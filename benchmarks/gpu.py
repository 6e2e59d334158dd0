"""On a GPU: latency of `detect()` and training images a second, with utilisation, memory and where the time goes.

KERAS_BACKEND=jax python benchmarks/gpu.py --torchvision-python python
KERAS_BACKEND=torch python benchmarks/gpu.py --batch 8
python benchmarks/gpu.py --size 128 --batch 1 --repeats 2          # where there is none, to try it

ResNet-50, 1024 x 1024, bfloat16 unless told otherwise; torchvision's model in the same run, in turn with ours.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import threading

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # JAX would keep the memory from the other program

import detection
import measure
import ours
import training_step


class Watch:
    """Utilisation in percent and memory in MB of the first GPU while it is entered, by `nvidia-smi`; empty without."""

    _COMMAND = (
        *("nvidia-smi", "--id=0", "--query-gpu=utilization.gpu,memory.used"),
        *("--format=csv,noheader,nounits", "--loop-ms=100"),
    )

    def __enter__(self):
        self.samples = []
        try:
            self._process = subprocess.Popen(self._COMMAND, stdout=subprocess.PIPE, text=True)
        except FileNotFoundError:
            self._process = None
            return self
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def _read(self):
        for line in self._process.stdout:
            self.samples.append([float(value) for value in line.split(",")])

    def __exit__(self, *_):
        if self._process:
            self._process.terminate()
            self._reader.join()

    def __str__(self):
        if not self.samples:
            return "no GPU was watched"
        utilisation, memory = zip(*self.samples, strict=True)
        return f"GPU busy {statistics.mean(utilisation):.0f}%, {max(memory):.0f} MB in use by all programs"


def compare(sides, repeats, *, images):
    """Medians of the sides in turn; then each by itself, watched."""
    found = measure.interleaved(sides, repeats)
    measure.print_table(found, sides=sides)
    for name, runs in found.items():
        with Watch() as watch:
            for _ in range(repeats):
                sides[name]()
        print(f"{name}: {images / statistics.median(run.wall for run in runs):.2f} images a second; {watch}")


def detection_parts(side, settings, repeats):
    """Where the time of a detection goes: `{part: function}` on the host before, on the device, on the host after."""
    model = ours.detector(side, settings)
    image = detection.generated_image(settings["IMAGE_MAX_DIM"])
    molded, metas, windows = model.mold_inputs([image])
    unmold = model._predict(molded, metas)
    parts = {
        "resize and mold": lambda: model.mold_inputs([image]),
        "network": lambda: model._predict(molded, metas),
        "paste masks": lambda: unmold(0, image.shape, windows[0], "full"),
    }
    print("\nWhere the time of a detection goes")
    measure.print_table(measure.interleaved(parts, repeats), baseline="network")


def step_parts(precision, settings, layers, repeats):
    """Where the time of a step goes: forward and loss alone, and the whole."""
    model = ours.trainer(settings, precision, layers)
    batch = training_step.generated_batch(model.config)
    parts = {
        "step": lambda: model.keras_model.train_on_batch(batch),
        "forward and losses": lambda: model.keras_model.test_on_batch(batch),
    }
    print("\nWhere the time of a step goes")
    measure.print_table(measure.interleaved(parts, repeats))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--layers", default="all", choices=ours.STAGES)
    parser.add_argument("--precision", nargs="+", default=["mixed_bfloat16"])
    parser.add_argument("--detections", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=20)
    measure.add_others(parser, torchvision=True)
    args = parser.parse_args()
    args.side, args.filled = args.precision, False

    measure.print_machine()
    with tempfile.TemporaryDirectory() as folder:
        settings = detection.settings_of(args)
        sides = detection.sides_of(args, settings, folder)
        print(f"\ndetect(), {args.backbone}, {args.size} x {args.size}, one image")
        compare(sides, args.repeats, images=1)
        measure.close_others(sides)
        detection_parts(args.precision[-1], settings, args.repeats)

        settings = training_step.settings_of(args)
        sides = training_step.sides_of(args, settings, folder)
        print(f"\nTraining step, {args.layers}, {args.backbone}, {args.size} x {args.size}, {args.batch} images")
        compare(sides, args.repeats, images=args.batch)
        measure.close_others(sides)
        step_parts(args.precision[-1], settings, args.layers, args.repeats)


if __name__ == "__main__":
    main()
