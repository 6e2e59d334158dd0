"""Data sets as users have them, broken in one way each: the rule that names it is found, and no other warning."""

import copy
import json
import os
import signal

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mrcnn_plus import lint
from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.lint import worker_pool
from tests.support.lint_data import COLORS, HEIGHT, NAMES, WIDTH, coco_content, noise, octagon, write_coco

SIZE = (HEIGHT, WIDTH)


class Photos(Dataset):
    """A data set as the samples have it: files for images, polygons in `image_info`, drawn by `load_mask`."""

    def __init__(self, folder, content=None, ending=".png"):
        super().__init__()
        content = content or coco_content(images=8)
        if not (folder / "annotations.json").exists():
            write_coco(folder, content)
        for number, name in enumerate(NAMES, 1):
            self.add_class("pets", number, name)
        for image in content["images"]:
            objects = [item for item in content["annotations"] if item["image_id"] == image["id"]]
            path = str(folder / image["file_name"].replace(".png", ending))
            self.add_image("pets", image["id"], path, objects=objects)
        self.prepare()

    def load_mask(self, image_id):
        objects = self.image_info[image_id]["objects"]
        masks = np.stack([self.draw(np.reshape(item["segmentation"][0], (-1, 2))) for item in objects], axis=-1)
        return masks, np.array([item["category_id"] for item in objects], np.int32)

    def draw(self, points):
        picture = Image.new("1", SIZE[::-1])
        ImageDraw.Draw(picture).polygon(list(map(tuple, points)), fill=1)
        return np.array(picture)


class Transposed(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks.transpose(1, 0, 2), ids


class SwappedAxes(Photos):
    """The call that draws has x and y exchanged; the size is right."""

    def draw(self, points):
        return super().draw(points[:, ::-1])


class BottomFirst(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks[::-1], ids


class InstancesFirst(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return np.moveaxis(masks, -1, 0), ids


class ListOfMasks(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return list(np.moveaxis(masks, -1, 0)), ids


class OnlyMasks(Photos):
    def load_mask(self, image_id):
        return super().load_mask(image_id)[0]


class NoReturn(Photos):
    def load_mask(self, image_id):
        super().load_mask(image_id)


class FlatMask(Photos):
    def load_mask(self, image_id):
        masks, _ = super().load_mask(image_id)
        return masks.any(axis=2), np.array([1], np.int32)


class NoIds(Photos):
    def load_mask(self, image_id):
        return super().load_mask(image_id)[0], np.array([], np.int32)


class NamesAsIds(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks, [NAMES[number - 1] for number in ids]


class IdsFromZero(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks, ids - 1


class AllOnes(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks, np.ones_like(ids)


class SoftMasks(Photos):
    def load_mask(self, image_id):
        import cv2

        masks, ids = super().load_mask(image_id)
        return cv2.blur(masks.astype(np.float32), (9, 9)), ids


class IdImage(Photos):
    """One plane that holds the number of each instance."""

    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return (masks * np.arange(1, 1 + len(ids), dtype=np.uint8)).max(axis=2, keepdims=True), ids[:1]


class OneForEachClass(Photos):
    def __init__(self, folder):
        content = coco_content(images=8, objects_per_image=3)
        for item in content["annotations"]:
            item["category_id"] = 1 + item["image_id"] % 3
        super().__init__(folder, content)

    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks.any(axis=2, keepdims=True), ids[:1]


class Inverted(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return ~masks, ids


class Ones(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return np.ones_like(masks), ids


class EmptyMasks(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks & (image_id != 2), ids


class AlwaysTheFirst(Photos):
    def load_mask(self, image_id):
        return super().load_mask(0)


class TheNext(Photos):
    """Lists of images and masks that were sorted in different ways."""

    def __init__(self, folder):
        super().__init__(folder, coco_content(images=24))

    def load_mask(self, image_id):
        return super().load_mask((image_id + 1) % self.num_images)


class Jittered(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return np.roll(masks, np.random.randint(1, 20), axis=1), ids


class AugmentedImages(Photos):
    def load_image(self, image_id):
        image = super().load_image(image_id)
        return np.clip(image * np.random.uniform(0.7, 1.3), 0, 255).astype(np.uint8)


class KeyIsMissing(Photos):
    def load_mask(self, image_id):
        return self.image_info[image_id]["polygons"], None


class CrashesOnOne(Photos):
    def load_mask(self, image_id):
        if image_id == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().load_mask(image_id)


class ExitsOnOne(Photos):
    def load_mask(self, image_id):
        if image_id == 3:
            raise SystemExit("no mask")
        return super().load_mask(image_id)


class UnitImages(Photos):
    def load_image(self, image_id):
        return super().load_image(image_id) / 255.0


class Unsigned16(Photos):
    def load_image(self, image_id):
        return super().load_image(image_id).astype(np.uint16) * 160


class Centered(Photos):
    def load_image(self, image_id):
        return super().load_image(image_id).astype(np.float32) / 127.5 - 1


class NanImages(Photos):
    def load_image(self, image_id):
        image = super().load_image(image_id).astype(np.float32)
        image[0, 0] = np.nan
        return image


class SameImage(Photos):
    def load_image(self, image_id):
        return super().load_image(0)


class OnlyCrowds(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks, -ids


class EveryObjectTwice(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return np.repeat(masks, 2, axis=2), np.repeat(ids, 2)


class Noise(Photos):
    """Masks from a threshold on a picture of noise."""

    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks & (noise(SIZE, image_id)[..., :1] > 200), ids


class Turned(Photos):
    """Photos that were stored with the EXIF orientation 6."""

    def __init__(self, folder):
        write_coco(folder, coco_content(images=8))
        exif = Image.Exif()
        exif[274] = 6
        for path in sorted(folder.glob("*.png")):
            Image.open(path).save(path.with_suffix(".jpg"), exif=exif, quality=95)
        super().__init__(folder, ending=".jpg")


BY_PROGRAM = [
    (Photos, set()),
    (Transposed, {"DAT008"}),
    (SwappedAxes, {"DAT047"}),
    (BottomFirst, {"DAT049"}),
    (InstancesFirst, {"DAT008"}),
    (ListOfMasks, {"DAT008"}),
    (OnlyMasks, {"DAT008"}),
    (NoReturn, {"DAT008"}),
    (FlatMask, {"DAT008"}),
    (NoIds, {"DAT009"}),
    (NamesAsIds, {"DAT010"}),
    (IdsFromZero, {"DAT011"}),
    (AllOnes, {"DAT022"}),
    (SoftMasks, {"DAT012"}),
    (IdImage, {"DAT012"}),
    (OneForEachClass, {"DAT026"}),
    (Inverted, {"DAT054"}),
    (Ones, {"DAT054"}),
    (EmptyMasks, {"DAT013"}),
    (AlwaysTheFirst, {"DAT022", "DAT056"}),
    (TheNext, {"DAT057"}),
    (Jittered, {"DAT052"}),
    (AugmentedImages, {"DAT052"}),
    (KeyIsMissing, {"DAT040"}),
    (CrashesOnOne, {"DAT040"}),
    (ExitsOnOne, {"DAT040"}),
    (UnitImages, {"DAT030"}),
    (Unsigned16, {"DAT030"}),
    (Centered, {"DAT030"}),
    (NanImages, {"DAT030"}),
    (SameImage, {"DAT051"}),
    (OnlyCrowds, {"DAT018", "DAT043"}),
    (EveryObjectTwice, {"DAT027"}),
    (Noise, {"DAT053"}),
    (Turned, {"DAT016"}),
]


def warned(report):
    return {finding.code for finding in report.at_least("warning")}


@pytest.mark.parametrize(("kind", "codes"), BY_PROGRAM, ids=[kind.__name__ for kind, _ in BY_PROGRAM])
def test_a_broken_program_is_named(tmp_path, monkeypatch, kind, codes):
    if kind is CrashesOnOne:
        monkeypatch.setattr(worker_pool, "can_fork", lambda: True)
    report = lint.check(None, kind(tmp_path))
    assert warned(report) == codes, str(report)
    assert all(finding.where and finding.fix and finding.message for finding in report)


def normalized_coordinates(content):
    for item in content["annotations"]:
        points = np.reshape(item["segmentation"][0], (-1, 2)) / (WIDTH, HEIGHT)
        item.update(segmentation=[points.ravel().tolist()], bbox=[0.1, 0.1, 0.2, 0.2], area=0.04)


def boxes_as_corners(content):
    for item in content["annotations"]:
        x, y, width, height = item["bbox"]
        item["bbox"] = [x, y, x + width, y + height]


def annotated_at_twice_the_size(content):
    for item in content["annotations"]:
        item["segmentation"] = [(2 * np.array(item["segmentation"][0])).tolist()]
        item.update(bbox=[2 * value for value in item["bbox"]], area=4 * item["area"])
    for image in content["images"]:
        image.update(width=2 * WIDTH, height=2 * HEIGHT)


def texts_as_ids(content):
    for item in content["annotations"]:
        item["image_id"] = str(item["image_id"])


def class_with_line_feed(content):
    content["categories"][1]["name"] = "dog\n"


def broken_letters(content):
    content["categories"][1]["name"] = "fen\u00c3\u00aatre"


def all_are_crowds(content):
    for item in content["annotations"]:
        item["iscrowd"] = 1


def huge_coordinate(content):
    content["annotations"][3]["segmentation"][0][2] = 1e12


def infinite_coordinate(content):
    content["annotations"][3]["segmentation"][0][2] = float("inf")


def odd_number_of_coordinates(content):
    content["annotations"][3]["segmentation"][0].pop()


def damaged_rle(content):
    content["annotations"][3]["segmentation"] = {"size": list(SIZE), "counts": "not an rle at all"}


def outside_the_image(content):
    item = content["annotations"][3]
    item["segmentation"] = [(np.array(item["segmentation"][0]) + 1000).tolist()]
    item["bbox"] = [value + 1000 for value in item["bbox"][:2]] + item["bbox"][2:]


def one_class_is_rare(content):
    for item in content["annotations"]:
        item["category_id"] = 1 + item["category_id"] % 2
    content["annotations"][0]["category_id"] = 3


def stray_click(content):
    content["annotations"].append(copy.deepcopy(content["annotations"][0]))
    corners = [50, 50, 51, 50, 51, 51, 50, 51]
    content["annotations"][-1].update(id=999, segmentation=[corners], bbox=[50, 50, 1, 1], area=1)


BY_FILE = [
    (lambda content: None, 6, set()),
    (normalized_coordinates, 6, {"DAT013", "DAT018", "DAT044"}),
    (boxes_as_corners, 6, {"DAT041"}),
    (annotated_at_twice_the_size, 6, {"DAT013", "DAT015", "DAT016"}),
    (texts_as_ids, 6, {"DAT018", "DAT025"}),
    (class_with_line_feed, 6, {"DAT036"}),
    (broken_letters, 6, {"DAT036"}),
    (all_are_crowds, 6, {"DAT018", "DAT043"}),
    (huge_coordinate, 6, {"DAT034"}),
    (infinite_coordinate, 6, {"DAT034"}),
    (odd_number_of_coordinates, 6, {"DAT033"}),
    (damaged_rle, 6, {"DAT035"}),
    (outside_the_image, 6, {"DAT013", "DAT015"}),
    (one_class_is_rare, 30, {"DAT022"}),
    (stray_click, 6, {"DAT044"}),
]


@pytest.mark.parametrize(("damage", "images", "codes"), BY_FILE, ids=[item[0].__name__ for item in BY_FILE])
def test_a_broken_coco_file_is_named(tmp_path, damage, images, codes):
    content = coco_content(images=images)
    clean = copy.deepcopy(content)
    damage(content)
    report = lint.check(None, open_dataset(write_coco(tmp_path, content, draw_from=clean)))
    assert warned(report) == codes, str(report)


def write_bytes(content):
    return lambda path: path.write_bytes(content)


def dark_16_bit(path):
    for file in path.parent.glob("*.png"):
        Image.fromarray(np.asarray(Image.open(file).convert("L")).astype(np.uint16) * 4).save(file)


BY_IMAGE = [
    (lambda path: None, set()),
    (write_bytes(b""), {"DAT017"}),
    (write_bytes(b"<!DOCTYPE html><html>not found</html>"), {"DAT017"}),
    (write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), {"DAT017"}),
    (write_bytes(b"GIF89a"), {"DAT017"}),
    (lambda path: Image.open(path).convert("RGB").save(path, format="JPEG"), {"DAT048"}),
    (lambda path: Image.open(path).resize((100, 80)).save(path), {"DAT013", "DAT015", "DAT016"}),
    (lambda path: Image.open(path).convert("P").save(path), set()),
    (lambda path: Image.open(path).convert("L").save(path), set()),
    (lambda path: Image.open(path).convert("RGBA").save(path), set()),
    (lambda path: Image.new("RGB", (WIDTH, HEIGHT)).save(path), {"DAT050"}),
    (dark_16_bit, {"DAT030"}),
]


@pytest.mark.parametrize(("damage", "codes"), BY_IMAGE)
def test_a_broken_image_is_named(tmp_path, damage, codes):
    path = write_coco(tmp_path, coco_content())
    damage(tmp_path / "003.png")
    report = lint.check(None, open_dataset(path))
    assert warned(report) == codes, str(report)


class Generated(Dataset):
    """Pictures that are made when they are asked for, as in the sample of shapes: there are no files."""

    def __init__(self, count=12, path=None):
        super().__init__()
        for number, name in enumerate(NAMES, 1):
            self.add_class("shapes", number, name)
        for number in range(count):
            self.add_image("shapes", number, path, width=WIDTH, height=HEIGHT)
        self.prepare()

    def objects(self, image_id):
        rng = np.random.default_rng(int(image_id))
        return [(1 + n, octagon((40 + 60 * n, rng.integers(40, 120)), rng.integers(15, 28))) for n in range(3)]

    def load_image(self, image_id):
        picture = Image.fromarray((noise(SIZE, image_id) // 6 + 90).astype(np.uint8))
        for class_id, points in self.objects(image_id):
            ImageDraw.Draw(picture).polygon(list(map(tuple, points)), fill=COLORS[NAMES[class_id - 1]])
        return np.array(picture)

    def load_mask(self, image_id):
        objects = self.objects(image_id)
        masks = np.stack([Photos.draw(self, points) for _, points in objects], axis=-1)
        return masks, np.array([class_id for class_id, _ in objects], np.int32)


@pytest.mark.parametrize("path", [None, "none", "shapes://3"])
def test_images_without_files_are_no_error(path):
    report = lint.check(None, Generated(path=path))
    assert not warned(report), str(report)


class OwnFormat(Generated):
    """Files that only the program can read."""

    def __init__(self, folder):
        super().__init__()
        for number, info in enumerate(self.image_info):
            info["path"] = str(folder / f"{number}.npy")
            np.save(info["path"], super().load_image(number))

    def load_image(self, image_id):
        return np.load(self.image_info[image_id]["path"])


def test_files_that_only_the_program_understands_are_no_error(tmp_path):
    report = lint.check(None, OwnFormat(tmp_path))
    assert not warned(report), str(report)


class OwnReading(Photos):
    """`load_image` is overridden, and still reads the files."""

    def load_image(self, image_id):
        return np.asarray(Image.open(self.image_info[image_id]["path"]).convert("RGB"))


def test_a_missing_file_among_many_is_found_for_an_own_load_image_too(tmp_path):
    dataset = OwnReading(tmp_path, coco_content(images=60))
    (tmp_path / "033.png").unlink()  # not among the images that are read at this depth
    report = lint.check(None, dataset, sample=4)
    assert warned(report) == {"DAT017"}
    assert "033.png" in report.errors[0].where


def test_gaps_in_ids_zero_as_id_and_objects_at_the_border_are_no_finding(tmp_path):
    content = coco_content()
    for image in content["images"]:
        image["id"] -= 1
    for category in content["categories"]:
        category["id"] = 10 * category["id"] + 7
    for item in content["annotations"]:
        item["image_id"] -= 1
        item["category_id"] = 10 * item["category_id"] + 7
    x, y = WIDTH, HEIGHT
    item = content["annotations"][0]
    item.update(segmentation=[[x - 40, y - 30, x, y - 30, x, y, x - 40, y]], bbox=[x - 40, y - 30, 40, 30], area=1200)
    report = lint.check(None, open_dataset(write_coco(tmp_path, content)))
    assert not warned(report), str(report)


def test_crowds_as_rle_are_told_and_not_warned_of(tmp_path):
    content = coco_content()
    clean = copy.deepcopy(content)
    crowd = dict(content["annotations"][3], id=500, iscrowd=1, bbox=[0, 0, 10, 160], area=1600)
    crowd["segmentation"] = {"size": list(SIZE), "counts": [0, 1600, 160 * 190]}
    content["annotations"].append(crowd)
    report = lint.check(None, open_dataset(write_coco(tmp_path, content, draw_from=clean)))
    assert not warned(report), str(report)
    assert "DAT028" in {finding.code for finding in report.infos}


def test_a_few_shared_images_are_listed_by_both_names(tmp_path):
    train = write_coco(tmp_path / "train", coco_content())
    val = write_coco(tmp_path / "val", coco_content(seed=1), seed=50)
    (tmp_path / "val" / "002.png").write_bytes((tmp_path / "train" / "004.png").read_bytes())
    report = lint.check(None, open_dataset(train), open_dataset(val), select="DAT021")
    (finding,) = report.findings
    assert finding.places == ("val: 002.png = train: 004.png",)


def test_images_without_entry_are_no_finding_if_the_other_part_has_them(tmp_path):
    content = coco_content(images=12)
    write_coco(tmp_path, content)
    parts = {}
    for name, ids in (("train", range(1, 9)), ("val", range(9, 13))):
        part = {
            **content,
            "images": [image for image in content["images"] if image["id"] in ids],
            "annotations": [item for item in content["annotations"] if item["image_id"] in ids],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(part))
        parts[name] = open_dataset(tmp_path / f"{name}.json")
    assert "DAT037" not in warned(lint.check(None, parts["train"], parts["val"]))
    assert "DAT037" in warned(lint.check(None, parts["train"]))
