"""The programs in `samples/` as modules, a small network for them, and data sets of a few drawn pictures."""

import contextlib
import http.server
import importlib.util
import json
import sys
import threading
import zipfile
from pathlib import Path

import cv2
import numpy as np

from tests.support.tiny import FiveConvolutions

SAMPLES = Path(__file__).parents[2] / "samples"


def load_sample(name, program=None):
    """The module of `samples/<name>/<program>.py`."""
    path = SAMPLES / name / f"{program or name}.py"
    sys.path.insert(0, str(path.parent))  # as Python does for a program
    try:
        spec = importlib.util.spec_from_file_location(f"sample_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def tiny_version(config_class):
    """A sample's settings with a network that trains within seconds."""
    own = {name: getattr(config_class, name) for name in ("NAME", "NUM_CLASSES")}
    return type(
        f"Tiny{config_class.__name__}", (FiveConvolutions, config_class), {**own, "IMAGE_RESIZE_MODE": "square"}
    )


def picture(seed, size=96):
    """A picture uint8 `[size, size, 3]` with two discs, and their `(x, y, radius)`."""
    rng = np.random.default_rng(seed)
    image = rng.integers(60, 90, (size, size, 3), np.uint8)
    discs = []
    for x_range in ((20, 35), (60, 75)):
        disc = (int(rng.integers(*x_range)), int(rng.integers(25, 70)), int(rng.integers(10, 18)))
        cv2.circle(image, disc[:2], disc[2], [int(value) for value in rng.integers(150, 255, 3)], -1)
        discs.append(disc)
    return image, discs


def outline(disc, corners=24):
    """Corners of a disc's outline: lists of x and y."""
    x, y, radius = disc
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return [round(x + radius * np.cos(a), 1) for a in angles], [round(y + radius * np.sin(a), 1) for a in angles]


def write_image(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])
    return path


def write_balloons(folder, train=5, val=2):
    """VIA's layout of Matterport's balloon data: outlines without attributes."""
    for subset, count, first in (("train", train, 0), ("val", val, 100)):
        entries = {}
        for number in range(count):
            image, discs = picture(first + number)
            path = write_image(folder / subset / f"{number}.png", image)
            regions = {}
            for index, disc in enumerate(discs):
                xs, ys = outline(disc)
                shape = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
                regions[str(index)] = {"shape_attributes": shape, "region_attributes": {}}
            size = path.stat().st_size
            entries[f"{path.name}{size}"] = {"filename": path.name, "size": size, "regions": regions}
        (folder / subset / "via_region_data.json").write_text(json.dumps(entries))
    return folder


def write_coco(folder, class_names, train=5, val=3, year=2017):
    """COCO's layout, with all its categories, of which the pictures use the first and the last."""
    # COCO's ids have gaps; these have one after every tenth.
    category_ids = [number + number // 10 for number in range(1, len(class_names))]
    for subset, count, first in (("train", train, 0), ("val", val, 100)):
        images, annotations = [], []
        for number in range(count):
            image, discs = picture(first + number)
            path = write_image(folder / f"{subset}{year}" / f"{number:012}.png", image)
            images.append({"id": number + 7, "file_name": path.name, "height": 96, "width": 96})
            for disc, category in zip(discs, (category_ids[0], category_ids[-1]), strict=True):
                points = [value for point in zip(*outline(disc), strict=True) for value in point]
                x, y, radius = disc
                annotations.append(
                    {"id": len(annotations) + 1, "image_id": number + 7, "category_id": category, "iscrowd": 0}
                    | {"segmentation": [points], "area": 3.1 * radius**2}
                    | {"bbox": [x - radius, y - radius, 2 * radius, 2 * radius]}
                )
        categories = [{"id": number, "name": name} for number, name in zip(category_ids, class_names[1:], strict=True)]
        content = {"images": images, "annotations": annotations, "categories": categories}
        path = folder / "annotations" / f"instances_{subset}{year}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def write_nuclei(folder, count=4, *, subset="train", first=0, masks=True):
    """The competition's layout: a folder for each image, a file for each nucleus."""
    for number in range(first, first + count):
        image, discs = picture(number)
        place = folder / subset / f"image{number:03}"
        write_image(place / "images" / f"image{number:03}.png", image)
        for index, (x, y, radius) in enumerate(discs if masks else ()):
            mask = cv2.circle(np.zeros((96, 96, 3), np.uint8), (x, y), radius, (255, 255, 255), -1)
            write_image(place / "masks" / f"{index}.png", mask)
    return folder


def pack(folder, archive):
    """All files below `folder` as a zip."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w") as content:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            content.write(path, path.relative_to(folder))


@contextlib.contextmanager
def serving(folder):
    """A web server for the files in `folder`; yields its address."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
