"""Seconds of the data set checks: a COCO file with 100,000 images and 800,000 annotations, its files and its pixels.

python benchmarks/data_checks.py
python benchmarks/data_checks.py --images 2000 --objects 16000 --depth pixels
"""

import argparse
import io
import json
import logging
import tempfile
import time
from pathlib import Path

import measure
import numpy as np
from PIL import Image

from mrcnn_plus import lint
from mrcnn_plus.data import open_dataset
from mrcnn_plus.lint.facts import Split

WIDTH, HEIGHT, CLASSES = 640, 480, 80


def write_files(folder, count):
    """JPEG files of which no two are the same: a few pictures, each with a comment of its own."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(20):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        content = io.BytesIO()
        coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(content, format="JPEG", quality=50)
        pictures.append(content.getvalue())
    for number in range(count):
        comment = b"%08d" % number
        picture = pictures[number % len(pictures)]
        comment_segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
        (folder / f"{number:08}.jpg").write_bytes(picture[:2] + comment_segment + picture[2:])


def write_annotations(path, images, objects):
    """A COCO file with polygons of 6 to 40 points, 5,000 different ones."""
    rng = np.random.default_rng(1)
    outlines = [json.dumps(outline(rng))[1:] for _ in range(5000)]
    records = [
        f'{{"id": {number}, "image_id": {number % images}, "category_id": {1 + number % CLASSES}, '
        + outlines[(number + number // images) % len(outlines)]
        for number in range(objects)
    ]
    files = [
        {"id": number, "file_name": f"{number:08}.jpg", "width": WIDTH, "height": HEIGHT} for number in range(images)
    ]
    categories = [{"id": number, "name": f"class {number}"} for number in range(1, CLASSES + 1)]
    path.write_text(
        f'{{"images": {json.dumps(files)}, "categories": {json.dumps(categories)}, "annotations": ['
        + ",\n".join(records)
        + "]}"
    )


def outline(rng):
    """Polygon, box and area of an annotation."""
    points = int(rng.integers(6, 41))
    radius = rng.uniform(8, 90)
    center = rng.uniform([radius, radius], [WIDTH - radius, HEIGHT - radius])
    angles = np.sort(rng.uniform(0, 2 * np.pi, points))
    x, y = (center[:, np.newaxis] + radius * np.stack([np.cos(angles), np.sin(angles)])).round(2)
    return {
        "segmentation": [np.stack([x, y], axis=1).ravel().tolist()],
        "bbox": [x.min(), y.min(), round(np.ptp(x), 2), round(np.ptp(y), 2)],
        "area": abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2,
        "iscrowd": 0,
    }


def timed(name, function):
    """The answer of a function; printed are its seconds, those that this process computed, and memory."""
    start, busy = time.perf_counter(), time.process_time()
    answer = function()
    elapsed, busy = time.perf_counter() - start, time.process_time() - busy
    print(f"{name:20} {elapsed:8.1f} s, computing {busy:8.1f} s, {measure.peak_memory_mb():8.0f} MB", flush=True)
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--objects", type=int, default=800_000)
    parser.add_argument("--depth", choices=("headers", "pixels"), default="headers")
    parser.add_argument("--folder", type=Path, help="keep the generated files here and use them again")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        path = folder / f"annotations_{options.images}_{options.objects}.json"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_files(folder, options.images)
            write_annotations(path, options.images, options.objects)
        start = time.perf_counter()
        dataset = timed("annotations read", lambda: open_dataset(path))
        split = Split("train", dataset, depth=options.depth, progress=True)
        timed("image files", lambda: split.images)
        timed("objects", lambda: split.objects)
        timed("pixels", lambda: split.pixels)
        report = timed("everything", lambda: lint.check(None, dataset, depth=options.depth, progress=True))
        print(f"reading and checking     {time.perf_counter() - start:8.1f} s, counted twice but for the reading")
        print(report.summary, *report.findings, sep="\n")


if __name__ == "__main__":
    main()
