"""Images per second of the input pipeline: photographs of 1000 x 700 with 20 polygon objects, molded to 1024 x 1024.

python benchmarks/input_pipeline.py --workers 0 1 2
python benchmarks/input_pipeline.py --original /folder/that/holds/mrcnn --original-python /env/bin/python
"""

import argparse
import json
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
SIZES = {"IMAGE_MIN_DIM": 800, "IMAGE_MAX_DIM": 1024}


def write_photographs(folder, count):
    """JPEG photographs and `polygons.json`, `{file: {"size": [height, width], "polygons": [[[x, y], ...], ...]}}`."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    entries = {}
    for number in range(count):
        noise = rng.integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
        image = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(Path(folder, f"{number}.jpg")), image)
        centers = rng.uniform([80, 80], [WIDTH - 80, HEIGHT - 80], (OBJECTS, 1, 2))
        radii = rng.uniform(15, 75, (OBJECTS, 24, 1))
        polygons = centers + radii * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        entries[f"{number}.jpg"] = {"size": [HEIGHT, WIDTH], "polygons": polygons.round().astype(int).tolist()}
    Path(folder, "polygons.json").write_text(json.dumps(entries))


class PolygonDataset(Dataset):
    """What `write_photographs` wrote, with polygons that are drawn when the masks are asked for, as readers do."""

    def load_polygons(self, folder):
        self.add_class("polygons", 1, "object")
        for name, entry in json.loads(Path(folder, "polygons.json").read_text()).items():
            self.add_image("polygons", image_id=name, path=str(Path(folder, name)), **entry)
        self.prepare()

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        masks = np.zeros((len(info["polygons"]), *info["size"]), np.uint8)
        for mask, polygon in zip(masks, info["polygons"], strict=True):
            cv2.fillPoly(mask, [np.array(polygon, np.int32)], 1)
        return np.moveaxis(masks.astype(bool), 0, -1), np.ones(len(masks), np.int32)


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
    measure.add_others(parser)
    parser.add_argument("--noise", action="store_true", help="an augmentation written in Python, which threads share")
    parser.add_argument("--cache", action="store_true", help="with CACHE_ANNOTATIONS")
    args = parser.parse_args()

    sides = {f"{workers} threads" if workers else "main thread": (workers, False) for workers in args.workers}
    sides |= {f"{workers} processes": (workers, True) for workers in args.workers if workers}
    rates = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(folder, args.images)
        dataset = PolygonDataset()
        dataset.load_polygons(folder)
        builder = BatchBuilder(
            dataset,
            batch_size=1,
            num_classes=2,
            resize=ResizeSettings(SIZES["IMAGE_MIN_DIM"], SIZES["IMAGE_MAX_DIM"], 0, "square"),
            mean_pixel=[123.7, 116.8, 103.9],
            mini_mask_shape=(56, 56),
            augmentation=python_noise if args.noise else None,
            cache_annotations=args.cache,
            seed=0,
        )
        cv2.setNumThreads(1)  # one core for each worker, so that the figures are per core
        original = args.original and measure.original(
            *(args, "input_pipeline"),
            **{"settings": {"NUM_CLASSES": 2, **SIZES}, "folder": folder, "images": min(args.images, 8)},
        )
        if original:
            original()
            rates["original, one core"] = []
        for _ in range(args.repeats):
            for name, (workers, processes) in sides.items():
                rates[name].append(read_all(builder, args.images, workers, processes))
            if original:  # images per second of one core: its threads would share Python's lock
                cpu = original().cpu
                rates["original, one core"].append(original.last["images"] / cpu)
    measure.print_machine()
    print(f"\nImages per second: {WIDTH} x {HEIGHT} with {OBJECTS} objects, mini masks, {args.repeats} repeats")
    for name, values in rates.items():
        print(f"{name:20} median {statistics.median(values):5.1f}  from {min(values):5.1f} to {max(values):5.1f}")
    print(f"peak memory of this process {measure.peak_memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
