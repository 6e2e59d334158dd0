"""Images per second of the input pipeline: photographs of 1000 x 700 with 20 polygon objects, molded to 1024 x 1024.

python benchmarks/input_pipeline.py --workers 0 1 2
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import measure
import numpy as np

from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.geometry.resizing import ResizeSettings
from mrcnn_plus.training.input_pipeline import BatchSequence, feeding

HEIGHT, WIDTH, OBJECTS = 700, 1000, 20


class PolygonDataset(Dataset):
    """JPEG photographs with polygons that are drawn when the masks are asked for, as annotation readers do."""

    def load_polygons(self, folder, count):
        rng = np.random.default_rng(0)
        self.add_class("polygons", 1, "object")
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        for number in range(count):
            path = Path(folder) / f"{number}.jpg"
            noise = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
            cv2.imwrite(str(path), cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC))
            centers = rng.uniform([80, 80], [WIDTH - 80, HEIGHT - 80], (OBJECTS, 1, 2))
            radii = rng.uniform(15, 75, (OBJECTS, 24, 1))
            polygons = centers + radii * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
            self.add_image("polygons", image_id=number, path=str(path), polygons=polygons.round().astype(np.int32))
        self.prepare()

    def load_mask(self, image_id):
        polygons = self.image_info[image_id]["polygons"]
        masks = np.zeros((len(polygons), HEIGHT, WIDTH), np.uint8)
        for mask, polygon in zip(masks, polygons, strict=True):
            cv2.fillPoly(mask, [polygon], 1)
        return np.moveaxis(masks.astype(bool), 0, -1), np.ones(len(polygons), np.int32)


def python_noise(image, masks):
    """Half the rows moved by a pixel, one by one: 50 ms of Python for an image of 1024 x 1024."""
    image = image.copy()
    for _ in range(25):
        for row in range(0, len(image), 2):
            image[row] = np.roll(image[row], 1, axis=0)
    return image, masks


def read_all(builder, images, workers, processes):
    """Images per second through a `BatchSequence`, without the time that its processes take to start."""
    with feeding(BatchSequence(builder, steps=images, workers=workers, processes=processes)) as sequences:
        (sequence,) = sequences
        for step in range(max(1, workers)):  # every worker has begun
            sequence.batch(0, step)
        begin = time.perf_counter()
        for step in range(images):
            sequence.batch(1, step)
            sequence.finish(1, step)
        return images / (time.perf_counter() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--noise", action="store_true", help="an augmentation written in Python, which threads share")
    args = parser.parse_args()

    sides = {f"{workers} threads" if workers else "main thread": (workers, False) for workers in args.workers}
    sides |= {f"{workers} processes": (workers, True) for workers in args.workers if workers}
    rates = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        dataset = PolygonDataset()
        dataset.load_polygons(folder, args.images)
        builder = BatchBuilder(
            dataset,
            batch_size=1,
            num_classes=2,
            resize=ResizeSettings(800, 1024, 0, "square"),
            mean_pixel=[123.7, 116.8, 103.9],
            mini_mask_shape=(56, 56),
            augmentation=python_noise if args.noise else None,
            seed=0,
        )
        cv2.setNumThreads(1)  # one core for each worker, so that the figures are per core
        for _ in range(args.repeats):
            for name, (workers, processes) in sides.items():
                rates[name].append(read_all(builder, args.images, workers, processes))
    measure.print_machine()
    print(f"\nImages per second: {WIDTH} x {HEIGHT} with {OBJECTS} objects, mini masks, {args.repeats} repeats")
    for name, values in rates.items():
        print(f"{name:12} median {statistics.median(values):5.1f}  from {min(values):5.1f} to {max(values):5.1f}")
    print(f"peak memory of this process {measure.peak_memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
