"""Small annotation files and images, as annotation tools write them, for the tests of the readers."""

import json

import numpy as np
from PIL import Image


def save_image(path, width=40, height=30, *, orientation=None):
    """A JPEG or PNG with a gradient; orientation: EXIF tag."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = np.mgrid[:height, :width]
    image = Image.fromarray(np.stack([rows * 5, columns * 5, rows * 0 + 90], axis=-1).astype(np.uint8))
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    image.save(path, exif=exif)
    return path


def save_mask(path, mask, *, palette=None):
    """A bool or number array as PNG; palette: list of (red, green, blue) for a palette image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.asarray(mask)
    if palette is not None:
        image = Image.fromarray(mask.astype(np.uint8), "P" if mask.ndim == 2 else None)
        image.putpalette([channel for color in palette for channel in color])
    elif mask.dtype == bool:
        image = Image.fromarray(mask.astype(np.uint8) * 255)
    else:
        image = Image.fromarray(mask)
    image.save(path)
    return path


def save_json(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data), encoding="utf-8")
    return path


def square(x, y, side):
    """A COCO polygon."""
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def coco(annotations, *, images=None, categories=None, width=40, height=30):
    """A COCO file; the annotations get what they lack."""
    images = [{"id": 1, "file_name": "a.jpg", "width": width, "height": height}] if images is None else images
    categories = [{"id": 1, "name": "leaf"}] if categories is None else categories
    full = [
        {"id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [square(5, 5, 8)], **annotation}
        for number, annotation in enumerate(annotations, 1)
    ]
    return {"images": images, "annotations": full, "categories": categories}


def via_region(name="polygon", attributes=None, **shape):
    """A region of VIA 2; a polygon has the corners of a square by default."""
    if name in ("polygon", "polyline") and not shape:
        shape = {"all_points_x": [5, 13, 13, 5], "all_points_y": [5, 5, 13, 13]}
    attributes = {"class": "leaf"} if attributes is None else attributes
    return {"shape_attributes": {"name": name, **shape}, "region_attributes": attributes}


def via(*regions, filename="a.jpg", size=1000, **more):
    """An export of VIA 2 with one image."""
    return {
        f"{filename}{size}": {
            "filename": filename,
            "size": size,
            "regions": list(regions),
            "file_attributes": {},
            **more,
        }
    }


def codes(dataset):
    return [problem.code for problem in dataset.problems]


def listed(dataset, *words):
    """The one problem whose text has all the words."""
    found = [problem for problem in dataset.problems if all(word in str(problem) for word in words)]
    assert len(found) == 1, [str(problem) for problem in dataset.problems]
    return found[0]
