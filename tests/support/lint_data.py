"""Small data sets for the tests of the linter: one in memory that answers what it is told, and COCO files on disk."""

import json

import numpy as np
from PIL import Image, ImageDraw

from mrcnn_plus.data.dataset import Dataset


class Told(Dataset):
    """Images of noise with rectangles; every part of the answers can be replaced.

    images: what `load_image` returns, for each image, or None for the noise. answers: what `load_mask` returns, or None
    for two rectangles of the classes 1 and 2. An exception in their place is raised. size: (height, width).
    """

    def __init__(self, count=3, *, images=None, answers=None, classes=("box", "lid"), size=(40, 60), source="told"):
        super().__init__()
        self.images, self.answers, self.size = images, answers, size
        for number, name in enumerate(classes, 1):
            self.add_class(source, number, name)
        for number in range(count):
            self.add_image(source, f"t{number}", None)
        self.prepare()

    def load_image(self, image_id):
        told = None if self.images is None else self.images[image_id]
        return _tell(noise(self.size, image_id) if told is None else told)

    def load_mask(self, image_id):
        told = None if self.answers is None else self.answers[image_id]
        return _tell(self.rectangles(image_id) if told is None else told)

    def rectangles(self, image_id, count=2):
        """Masks bool `[H, W, count]` of ellipses that move from image to image, class ids 1, 2, 1, ..."""
        ys, xs = np.ogrid[: self.size[0], : self.size[1]]
        masks = np.zeros((*self.size, count), bool)
        for number in range(count):
            center_y, center_x = 12 + (3 * image_id) % 10, 12 + 18 * number + image_id % 7
            masks[..., number] = ((ys - center_y) / 8.0) ** 2 + ((xs - center_x) / 6.5) ** 2 < 1
        return masks, np.array([1 + number % 2 for number in range(count)], np.int32)


def noise(size, seed):
    """An image of noise, uint8 `[H, W, 3]`."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def _tell(told):
    if isinstance(told, BaseException):
        raise told
    return told


WIDTH, HEIGHT = 200, 160
NAMES = ("cat", "dog", "bird")
COLORS = {"cat": (220, 60, 50), "dog": (60, 200, 80), "bird": (70, 90, 230)}


def coco_content(*, images=6, objects_per_image=2, seed=0):
    """COCO content of a clean data set: images of 200 x 160, 12 objects of 3 classes drawn as polygons of 8 points.

    Returns the dictionary that a COCO file holds; `write_coco` draws the images for it.
    """
    rng = np.random.default_rng(seed)
    content = {
        "images": [
            {"id": number + 1, "file_name": f"{number:03}.png", "width": WIDTH, "height": HEIGHT}
            for number in range(images)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(NAMES, 1)],
        "annotations": [],
    }
    for number in range(images * objects_per_image):
        image_number, place = divmod(number, objects_per_image)
        left, right = place * WIDTH / objects_per_image, (place + 1) * WIDTH / objects_per_image
        radius = rng.uniform(14, min(34, (right - left) / 2 - 6))
        center = rng.uniform(left + radius + 3, right - radius - 3), rng.uniform(radius + 3, HEIGHT - radius - 3)
        content["annotations"].append(
            coco_annotation(number + 1, image_number + 1, 1 + number % len(NAMES), octagon(center, radius))
        )
    return content


def octagon(center, radius):
    """Polygon `[8, (x, y)]` around a center (x, y)."""
    angles = np.arange(8) * np.pi / 4 + 0.3
    return np.stack([center[0] + radius * np.cos(angles), center[1] + 0.8 * radius * np.sin(angles)], axis=1).round(2)


def coco_annotation(number, image_id, category_id, points):
    """An annotation with the box and area of its polygon."""
    x, y = points.T
    area = abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "segmentation": [points.ravel().tolist()],
        "bbox": [float(x.min()), float(y.min()), float(np.ptp(x)), float(np.ptp(y))],
        "area": float(area),
        "iscrowd": 0,
    }


def write_coco(folder, content, *, draw_from=None, seed=0):
    """Write `content` as annotations.json with its images and return the path of the file.

    draw_from: content whose objects are drawn, where the annotations were damaged after that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = draw_from or content
    names = {category["id"]: category["name"] for category in shown["categories"]}
    for image in shown["images"]:
        # The grey of the background is another for each image, so that no two files are the same.
        picture = Image.fromarray((noise((HEIGHT, WIDTH), seed + image["id"]) // 6 + 90).astype(np.uint8))
        pen = ImageDraw.Draw(picture)
        for annotation in shown["annotations"]:
            if annotation["image_id"] == image["id"]:
                points = list(map(tuple, np.reshape(annotation["segmentation"][0], (-1, 2))))
                pen.polygon(points, fill=COLORS[names[annotation["category_id"]]])
        picture.save(folder / image["file_name"])
    path = folder / "annotations.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
