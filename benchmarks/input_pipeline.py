"""Images per second of the input pipeline: photographs of 1000 x 700 with 20 polygon objects, molded to 1024 x 1024.

python benchmarks/input_pipeline.py --threads 1 2
"""

import argparse
import tempfile
import threading
from pathlib import Path

import cv2
import measure
import numpy as np

from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.geometry.resizing import ResizeSettings

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


def build_in_threads(builder, images, threads):
    """Build batches of one image each for all positions, shared among threads."""
    shares = [range(start, images, threads) for start in range(threads)]
    workers = [
        threading.Thread(target=lambda s=share: [builder.build([position]) for position in s]) for share in shares
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

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
            seed=0,
        )
        cv2.setNumThreads(1)  # one core per thread, so that the figures are per core
        sides = {
            f"{threads} threads": lambda threads=threads: build_in_threads(builder, args.images, threads)
            for threads in args.threads
        }
        seconds = measure.interleaved(sides, args.repeats)
    measure.print_machine()
    print(f"\nSeconds for {args.images} images of {WIDTH} x {HEIGHT} with {OBJECTS} objects, mini masks")
    measure.print_table(seconds)
    for name, values in seconds.items():
        print(f"{name}: {args.images / sorted(values)[len(values) // 2]:.1f} images/s")
    print(f"peak memory {measure.peak_memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
