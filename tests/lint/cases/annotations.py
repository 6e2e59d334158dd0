"""Examples for the rules about annotation files, declared values, placement and image files: COCO files on disk."""

import copy
import json

from PIL import Image

from mrcnn_plus.data.readers.opening import open_dataset
from tests.lint import test_23_defects as defects
from tests.support.lint_cases import Case
from tests.support.lint_data import Told, coco_content, noise, write_coco


def clean(folder):
    return {"train": open_dataset(write_coco(folder, coco_content()))}


def damaged(change):
    """The clean data set with one change of its content."""

    def make(folder):
        content = coco_content()
        shown = copy.deepcopy(content)
        change(content)
        return {"train": open_dataset(write_coco(folder, content, draw_from=shown))}

    return make


def changed_file(change):
    """The clean data set with one change of the file 003.png: `change(path)`."""

    def make(folder):
        path = write_coco(folder, coco_content())
        change(folder / "003.png")
        return {"train": open_dataset(path)}

    return make


def set_area(content):
    content["annotations"][3]["area"] = 1.0


def mark_as_crowd(content):
    content["annotations"][3]["iscrowd"] = 1


def list_of_numbers_as_category(content):
    content["categories"][0] = "cat"


def with_orientation(path):
    exif = Image.Exif()
    exif[274] = 6
    Image.open(path).save(path.with_suffix(".jpg"), exif=exif)
    path.unlink()


def rename(path):
    path.rename(path.with_name("003.PNG"))


def as_jpeg(path):
    Image.open(path).convert("RGB").save(path, format="JPEG")


def as_rgba(path):
    Image.open(path).convert("RGBA").save(path)


def extra_file(path):
    Image.fromarray(noise((50, 50), 7)).save(path.with_name("forgotten.png"))


def second_copy(path):
    path.with_name("004.png").write_bytes(path.read_bytes())


def via_regions(*regions):
    """A VIA file with one image of these regions."""

    def make(folder):
        Image.fromarray(noise((50, 60), 1)).save(folder / "a.png")
        entry = {"filename": "a.png", "size": -1, "regions": list(regions), "file_attributes": {}}
        (folder / "via.json").write_text(json.dumps({"a.png-1": entry}))
        return {"train": open_dataset(folder / "via.json")}

    return make


SQUARE = {
    "shape_attributes": {"name": "rect", "x": 20, "y": 20, "width": 15, "height": 12},
    "region_attributes": {"class": "seed"},
}
POINT = {"shape_attributes": {"name": "point", "cx": 10, "cy": 10}, "region_attributes": {"class": "seed"}}


def latin_1(folder):
    content = coco_content()
    content["categories"][0]["name"] = "chat bleuté"
    path = write_coco(folder, content, draw_from=coco_content())
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode("latin-1"))
    return {"train": open_dataset(path)}


def masks_upside_down(folder):
    return {"train": UpsideDown(open_dataset(write_coco(folder, coco_content(images=16))))}


class UpsideDown(Told):
    """The images of another data set with its masks counted from the bottom row."""

    def __init__(self, dataset):
        super().__init__(len(dataset.image_ids), classes=dataset.class_names[1:])
        self.dataset = dataset

    def load_image(self, image_id):
        return self.dataset.load_image(image_id)

    def load_mask(self, image_id):
        masks, class_ids = self.dataset.load_mask(image_id)
        return masks[::-1], class_ids


class NextMasks(UpsideDown):
    """The masks of the following image."""

    def load_mask(self, image_id):
        return self.dataset.load_mask((image_id + 1) % len(self.image_ids))


def masks_of_the_next(folder):
    return {"train": NextMasks(many_images(folder)["train"])}


def many_images(folder):
    return {"train": open_dataset(write_coco(folder, coco_content(images=24)))}


CASES = {
    "DAT015": Case(damaged(defects.polygon_beyond_the_image), clean),
    "DAT016": Case(damaged(defects.wrong_size_declared), clean),
    "DAT017": Case(changed_file(lambda path: path.unlink()), clean),
    "DAT023": Case(via_regions(SQUARE, POINT), via_regions(SQUARE)),
    "DAT024": Case(via_regions(SQUARE, ["no", "region"]), via_regions(SQUARE)),
    "DAT025": Case(damaged(defects.unknown_category), clean),
    "DAT028": Case(damaged(mark_as_crowd), clean),
    "DAT029": Case(changed_file(as_rgba), clean),
    "DAT033": Case(damaged(defects.polygon_of_two_points), clean),
    "DAT034": Case(damaged(defects.nan_in_polygon), clean),
    "DAT035": Case(damaged(defects.rle_of_another_size), clean),
    "DAT037": Case(changed_file(extra_file), clean),
    "DAT038": Case(changed_file(rename), clean),
    "DAT039": Case(latin_1, clean),
    "DAT041": Case(damaged(defects.box_off_its_polygon), clean),
    "DAT042": Case(damaged(set_area), clean),
    "DAT043": Case(damaged(mark_as_crowd), clean),
    "DAT047": Case(damaged(defects.x_and_y_swapped), clean),
    "DAT048": Case(changed_file(as_jpeg), clean),
    "DAT049": Case(masks_upside_down, clean),
    "DAT051": Case(changed_file(second_copy), clean),
    "DAT057": Case(masks_of_the_next, many_images),
}
